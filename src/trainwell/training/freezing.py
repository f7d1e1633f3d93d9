"""Freeze parameters by pattern, and give them back.

A frozen parameter has ``requires_grad=False``: it gets no gradient, ``decay_groups`` leaves it out of the optimizer,
and so neither a step nor weight decay moves it.

A normalization with running moments is more than its parameters: in training mode it normalizes by the batch and
moves its moments, so a "frozen" part would compute other features from batch to batch and drift with the new data. By
default (``norms="follow"``) it is therefore put into evaluation mode when its parameters are frozen, or, where it has
none, when the layer registered before it is; the loop keeps such modules in that mode. ``norms="train"`` leaves them.
"""

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

from trainwell.nn.operations import kind_of


def freeze_(model: nn.Module, patterns: str | Iterable[str], *, norms: str = "follow") -> list[str]:
    """Freeze the parameters that the patterns choose and return their names.

    Args:
        model: changed in place. One that is in evaluation mode as a whole is put into training mode first: a norm in
            evaluation mode means "frozen" only inside a model in training mode.
        patterns: ``fnmatch`` patterns of parameter names or of the modules that hold them (``body.0``, ``*.norm*``),
            applied in order; ``!pattern`` takes out of what was chosen so far.
        norms: ``follow`` or ``train``; see the module's text.

    Raises:
        ValueError: if a pattern matches nothing, or ``norms`` is neither.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> freeze_(net, ["*", "!2"])
        ['0.weight', '0.bias']
    """
    if norms not in ("follow", "train"):
        raise ValueError(f"freeze_: norms={norms!r}. Use follow or train.")
    names = choose("freeze_", model, patterns)
    if not any(module.training for module in model.modules()):
        model.train()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name in names:
            parameter.requires_grad_(False)
    if norms == "follow":
        for module in _frozen_norms(model):
            module.eval()
    return names


def unfreeze_(model: nn.Module, patterns: str | Iterable[str] = "*") -> list[str]:
    """Make the parameters that the patterns choose trainable again, and put their norms into training mode.

    An optimizer that was made while they were frozen may not know them: make it anew.

    Raises:
        ValueError: if a pattern matches nothing.
    """
    names = choose("unfreeze_", model, patterns)
    held = set(_frozen_norms(model))
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name in names:
            parameter.requires_grad_(True)
    for module in held - set(_frozen_norms(model)):
        module.train()
    return names


def choose(who: str, model: nn.Module, patterns: str | Iterable[str]) -> list[str]:
    """Names of the parameters that the patterns choose, in the model's order.

    Raises:
        ValueError: naming the nearest names, if a pattern matches nothing.
    """
    every = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    chosen: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        bare = pattern.removeprefix("!")
        hit = {name for name in every if fnmatchcase(name, bare) or fnmatchcase(name, f"{bare}.*")}
        if not hit:
            near = difflib.get_close_matches(bare, [*every, *(path for path, _ in model.named_modules())], 3, 0.4)
            hint = f"Near: {', '.join(near)}." if near else f"There are {', '.join(every[:5])}, …"
            raise ValueError(f"{who}: no parameter matches {bare!r}. {hint}")
        chosen = chosen - hit if pattern.startswith("!") else chosen | hit
    return [name for name in every if name in chosen]


def _frozen_norms(model: nn.Module) -> list[nn.Module]:
    """Normalizations with moments whose parameters, or those of the layer before, are all frozen."""
    found, before = [], False
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own:
            before = not any(parameter.requires_grad for parameter in own)
        if before and kind_of(module) == "norm" and any(True for _ in module.buffers()):
            found.append(module)
    return found
