"""Parameters that the forward pass uses and that no gradient reaches: something cuts it off on its way back.

A teacher, a target network or a fixed extractor of features is cut off on purpose. Such parts are the likeness of one
that learns, are moved by the program's own code, or are not given to the optimizer; and the rest learns well with them.
"""

import re
from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from trainwell.clinic.cures.gradient_through import leave_attached
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject
from trainwell.clinic.taking_part import cut_off

PHASE, COST = "training", 0.0  # the passes are those of ``taking_part``, which others ask for too
LARGE = 0.3  # share of the weights
TEACHER = re.compile(r"target|teacher|ema|momentum|shadow|frozen|old|key")


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a part that takes part and does not learn, where the whole does not learn well."""
    cut, model = cut_off(subject), subject.program.model
    if not cut:
        return
    share = sum(p.numel() for p in cut.values()) / sum(p.numel() for p in model.parameters())
    sick = share >= LARGE and not subject.whole.flawless and not _meant(subject, cut)
    sure = sick and not subject.whole.good  # features drawn at random may nearly do
    name = next(iter(cut))
    others = f" and {len(cut) - 1} more" if len(cut) > 1 else ""
    yield Suspicion(
        "frozen-parameters", name,
        f"{name}{others} ({share:.0%} of the weights) take part in the forward pass, but no gradient comes back: "
        "something cuts it off, as .detach(), .data, torch.tensor(…), no_grad(), argmax or a comparison.",
        {"tensors": len(cut), "share of the weights": round(share, 3)},
        prior=0.8 if sure else 0.5 if sick else 0.05, certain=sure, loss=0.1 if sure else 0.0,
        cures=(leave_attached(),) if sick else (),
    )  # fmt: skip


def _meant(subject: Subject, cut: Mapping[str, Tensor]) -> bool:
    """Whether most of what is cut off looks like it is so on purpose."""
    model, covered = subject.program.model, subject.covered
    after = {} if subject.opening.model is None else dict(subject.opening.model.named_parameters())
    meant = {name for name, p in cut.items() if name not in covered}
    meant |= {name for name, p in cut.items() if name in after and not bool((after[name] == p).all())}
    meant |= _likenesses(model, cut)
    return 2 * sum(cut[name].numel() for name in meant) > sum(p.numel() for p in cut.values())


def _likenesses(model: nn.Module, cut: Mapping[str, Tensor]) -> set[str]:
    """Parameters of modules that are the copy of one that gets gradients, by their values or by their names."""
    found, modules = set[str](), {path: module for path, module in model.named_modules() if path}
    learns = [m for path, m in modules.items() if not any(name.startswith(f"{path}.") for name in cut)]
    for path, module in modules.items():
        own = {f"{path}.{name}" for name, _ in module.named_parameters()}
        if not own or not own <= set(cut):
            continue
        named = bool(TEACHER.search(path.lower()))
        if any(_alike(module, other, values=not named) for other in learns):
            found |= own
    return found


def _alike(module: nn.Module, other: nn.Module, values: bool) -> bool:
    one, two = dict(module.named_parameters()), dict(other.named_parameters())
    if one.keys() != two.keys() or any(p.shape != two[name].shape for name, p in one.items()):
        return False
    return not values or all(bool((p == two[name]).all()) for name, p in one.items())
