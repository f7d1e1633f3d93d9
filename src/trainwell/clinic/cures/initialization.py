"""Cures that draw weights anew, at the scale that passes the signal on, or put biases to zero."""

from collections.abc import Collection, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.sampling import gathered
from trainwell.clinic.subject import Subject
from trainwell.init.application import apply_
from trainwell.nn.operations import OPAQUE, kind_of
from trainwell.training.program import Program

EMBEDDED = (0.01, 3.0)  # root mean square of an embedding's entries that is left as it is
TENTH = 0.1  # size of vectors that are multiplied with each other
RAW = (0.05, 10.0)  # root mean square over Xavier's std of a module's own matrix that is left as it is
_OWN_RULE = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Bilinear)


def redraw(
    subject: Subject, *, paths: Collection[str] | None = None, scheme: str = "kaiming", orthogonal: bool = False
) -> Cure:
    """Draw the weights anew: Kaiming's rule with the gain of what follows each layer, torch's own for recurrent ones.

    Args:
        subject: whose program is cured.
        paths: of the modules to draw; all layers with weights if None.
        scheme: of ``trainwell.init``.
        orthogonal: draw the recurrent matrices orthogonal.
    """
    seed = subject.seed

    def apply(program: Program) -> Program:
        redraw_(program.model, program, seed=seed, paths=paths, scheme=scheme, orthogonal=orthogonal)
        return program

    where = "all layers" if paths is None else ", ".join(sorted(paths)[:3]) + (" …" if len(paths) > 3 else "")
    return Cure(f"draw the weights anew ({scheme}): {where}", (drawn_anew(scheme),), apply)


def zero_biases(subject: Subject, paths: Collection[str]) -> Cure:
    """Put the biases of these layers to zero."""

    @torch.no_grad()
    def apply(program: Program) -> Program:
        for path in paths:
            bias = getattr(program.model.get_submodule(path), "bias", None)
            if isinstance(bias, Tensor):
                bias.zero_()
        return program

    changes = tuple(
        Change(f"model.{path}.bias", _mean(subject.program.model.get_submodule(path)), 0.0) for path in sorted(paths)
    )
    return Cure("start the biases at zero", changes, apply)


def shrink(subject: Subject, names: Collection[str]) -> Cure:
    """Bring parameters of size 1 to a tenth of it, or to 1/√d of d numbers a row where that is less."""

    @torch.no_grad()
    def apply(program: Program) -> Program:
        own = dict(program.model.named_parameters())
        for name in names:
            own[name].mul_(min(TENTH, own[name].shape[-1] ** -0.5))
        return program

    changes = tuple(Change(f"model.{name}", "N(0, 1)", "a tenth of it") for name in names)
    return Cure(f"start {', '.join(list(names)[:3])} smaller", changes, apply)


def clip_gradient(subject: Subject) -> Cure:
    """Clip the gradient's norm at 1 where it is not clipped: for starts that pass on more than the rate bears."""
    before = subject.program.clip_grad

    def apply(program: Program) -> Program:
        return program if program.clip_grad else replace(program, clip_grad=1.0)

    return Cure("clip the gradient", (Change("clip_grad", before, before or 1.0),), apply)


def redraw_(
    model: nn.Module,
    program: Program,
    *,
    seed: int,
    paths: Collection[str] | None = None,
    scheme: str = "kaiming",
    orthogonal: bool = False,
) -> None:
    """Draw weights anew in place; see :func:`redraw`. Torch's global generator stays as it was."""
    example = gathered(program.train, program.batch_size, 2).x if program.step is None else None
    kept = {} if paths is None else {
        p: p.detach().clone() for name, p in model.named_parameters() if not _below(name, paths)
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for name, module in model.named_modules():
            if isinstance(module, _OWN_RULE):
                _by_own_rule(module, orthogonal)
            elif isinstance(module, nn.Embedding):
                size = _size(module.weight)
                usual = EMBEDDED[0] <= size <= EMBEDDED[1]
                if not usual or (paths is not None and name in paths):
                    module.reset_parameters()  # N(0, 1)
                    module.weight.mul_(size if usual else 1.0)
        for weight in raw_weights(model).values():
            if not RAW[0] <= raw_size(weight) <= RAW[1]:
                nn.init.xavier_normal_(weight)
        apply_(model, scheme, example=example)
        for parameter, value in kept.items():
            parameter.copy_(value)


def drawable(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield path and module of the layers that :func:`redraw_` draws."""
    inside: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if inside and path.startswith(inside):
            continue
        if isinstance(module, (*_OWN_RULE, *OPAQUE)):
            inside = (*inside, f"{path}.")
        if isinstance(module, (*_OWN_RULE, nn.Embedding)) or kind_of(module) in ("linear", "conv"):
            yield path, module


def drawn_anew(scheme: str = "kaiming") -> Change:
    """The change that says so, beside others of a cure."""
    return Change("model.weights", "as drawn", f"trainwell.init.apply_(model, {scheme!r}, example=X[:2])")


def raw_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Matrices that are no known layer's, as of a model that writes ``x @ self.w``: name → parameter."""
    found = {}
    for path, module in model.named_modules():
        if kind_of(module) == "other" and not isinstance(module, (*_OWN_RULE, *OPAQUE)):
            for name, parameter in module.named_parameters(prefix=path, recurse=False):
                if parameter.dim() == 2 and min(parameter.shape) > 1 and parameter.is_floating_point():
                    found[name] = parameter
    return found


def raw_size(weight: Tensor) -> float:
    """Root mean square over the standard deviation of Xavier's rule."""
    return _size(weight) * (sum(weight.shape) / 2) ** 0.5


def _by_own_rule(module: nn.Module, orthogonal: bool) -> None:
    reset = getattr(module, "reset_parameters", None) or module._reset_parameters
    reset()  # type: ignore[operator]
    if isinstance(module, nn.MultiheadAttention):
        module.out_proj.reset_parameters()
        if module.out_proj.bias is not None:
            module.out_proj.bias.zero_()
    if orthogonal and isinstance(module, nn.RNNBase):
        for name, weight in module.named_parameters():
            if name.startswith("weight_hh"):
                for block in weight.split(weight.shape[1]):
                    nn.init.orthogonal_(block)


def _below(name: str, paths: Collection[str]) -> bool:
    return any(path == "" or name == path or name.startswith(f"{path}.") for path in paths)


def _size(weight: Tensor) -> float:
    return float(weight.detach().double().square().mean().sqrt())


def _mean(module: nn.Module) -> float:
    bias = getattr(module, "bias", None)
    return float(bias.detach().mean()) if isinstance(bias, Tensor) else 0.0
