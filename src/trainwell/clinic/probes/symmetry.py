"""Units of a layer that start equal and get equal gradients: they stay one unit for ever.

Equal rows of a weight are not enough: an output layer at zero, or a residual branch that ends in zeros, has equal rows
and learns, for the gradients of its rows differ. So both are asked: the rows, and the rows of the first gradient.
"""

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from trainwell.clinic.cure import Cure
from trainwell.clinic.cures.initialization import drawable, raw_weights, redraw
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "structure", 1.0  # the first step, which others ask for too

ALIKE = 1e-5  # relative distance of rows that counts as none
LOOKED_AT = 64  # entries of each row, where they tell
HALF = 0.5  # share of distinct units up to which a layer is suspected
LOST = 0.2  # of the quality, expected: copies of one unit are one unit, for as long as training lasts
STUCK, LOOSE = 0.95, 0.4  # priors: the gradients are equal too; they differ (dropout, or what follows breaks it)
CONSTANT = 0.9  # of several matrices that are one number each, whose units only the biases tell apart


_found: "WeakKeyDictionary[Subject, tuple[dict[str, float], dict[str, float]]]" = WeakKeyDictionary()


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Look for hidden layers whose units are copies of each other."""
    stuck, loose = alike_layers(subject)
    bad = stuck or loose
    if not bad:
        return
    worst = next(iter(bad))
    others = "" if len(bad) == 1 else f" and {len(bad) - 1} more"
    yield Suspicion(
        "symmetric-init", worst,
        f"The units of {worst}{others} start with the same weights and get the same gradient: they stay copies of one.",
        {
            "layers": len(bad), "share of distinct units": round(min(bad.values()), 3),
            "gradients equal too": bool(stuck),
        },
        prior=STUCK if stuck else CONSTANT if _constant(subject, bad) else LOOSE, certain=bool(stuck), loss=LOST,
        cures=(_anew(subject, list(bad)), redraw(subject, scheme="xavier")),
    )  # fmt: skip


def _constant(subject: Subject, bad: dict[str, float]) -> bool:
    """Whether two layers or more are one number other than 0 each."""
    modules = dict(subject.program.model.named_modules())
    weights = [w for path in bad if path in modules and (w := _weight(modules[path])) is not None]
    return sum(bool((w == w.flatten()[0]).all()) and bool(w.any()) for w in weights) > 1


def _anew(subject: Subject, paths: list[str]) -> Cure:
    """All layers drawn anew; of tables of vectors only those that are alike, as a usual size tells nothing of them."""
    modules = dict(subject.program.model.named_modules())
    tables = any(isinstance(modules.get(path), nn.Embedding) for path in paths)
    return redraw(subject, paths=paths if tables else None)


def alike_layers(subject: Subject) -> tuple[dict[str, float], dict[str, float]]:
    """Path → share of distinct units of the layers whose units are alike: with equal gradients, and with others."""
    if subject not in _found:
        _found[subject] = _alike_layers(subject)
    return _found[subject]


def _alike_layers(subject: Subject) -> tuple[dict[str, float], dict[str, float]]:
    model, first = subject.program.model, subject.first_step
    layers = [] if first.error else list(drawable(model))
    stuck, loose = dict[str, float](), dict[str, float]()
    for place, (path, module) in enumerate(layers):
        weight = _weight(module)
        if weight is None or min(weight.shape[0], weight[0].numel()) < 2:
            continue
        name = next(n for n, p in model.named_parameters() if p is weight)
        gradient = first.gradients.get(name)
        if isinstance(module, nn.Embedding):  # its units are the entries of the vectors, its rows the words
            weight, gradient = weight.T, None if gradient is None else gradient.to_dense().T
        rows = distinct(weight, _gates(module))
        if rows > HALF or gradient is None:
            continue
        if distinct(gradient, _gates(module)) <= HALF:
            stuck[path] = rows
        elif place < len(layers) - 1 and bool(weight.any()):
            loose[path] = rows
    for name, weight in ({} if first.error else raw_weights(model)).items():
        gradient = first.gradients.get(name)
        for side, pulled in ((weight, gradient), (weight.T, None if gradient is None else gradient.T)):
            if pulled is not None and distinct(side) <= HALF and distinct(pulled) <= HALF and len(side) > 1:
                stuck[name] = distinct(side)
    return stuck, loose


def distinct(weight: Tensor, gates: int = 1) -> float:
    """Share of the rows that differ from all rows before them; of the gate with the fewest.

    Example:
        >>> distinct(torch.ones(4, 3)), distinct(torch.eye(4))
        (0.25, 1.0)
    """
    found = 1.0
    for block in weight.detach().flatten(1).chunk(gates):
        if not bool(torch.isfinite(block).all()):
            continue
        size = float(block.abs().max()) or 1.0
        for some in (block[:, :LOOKED_AT], block):  # few rows of many are alike in their first entries by chance
            share = len(torch.unique((some.double() / size / ALIKE).round(), dim=0)) / len(block)
            if share > HALF:
                break
        found = min(found, share)
    return found


def _weight(module: nn.Module) -> Tensor | None:
    for name in ("weight", "weight_hh_l0", "weight_hh", "in_proj_weight"):
        value = module._parameters.get(name)
        if value is not None:
            return value
    return None


def _gates(module: nn.Module) -> int:
    if isinstance(module, nn.MultiheadAttention):
        return 3
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return 4
    return 3 if isinstance(module, nn.GRU | nn.GRUCell) else 1
