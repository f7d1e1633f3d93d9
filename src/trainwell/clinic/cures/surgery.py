"""Put other modules in the place of some of a model's."""

from collections.abc import Callable, Iterable

from torch import nn


def replace_module(model: nn.Module, path: str, make: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Put ``make(old)`` in the place of the module at ``path``, wherever it stands; returns the model.

    A module that stands at several paths (shared) is replaced at all of them. The model itself is at "".

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid())
        >>> replace_module(net, "1", lambda old: nn.ReLU())[1]
        ReLU()
    """
    old = model.get_submodule(path)
    if old is model:
        return make(old)
    new = make(old)
    for owner in list(model.modules()):
        if owner is new:
            continue
        for name, child in list(owner._modules.items()):
            if child is old:
                owner._modules[name] = new
    return model


def replace_modules(model: nn.Module, paths: Iterable[str], make: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """The same at each of these paths, one after the other."""
    for path in paths:
        model = replace_module(model, path, make)
    return model
