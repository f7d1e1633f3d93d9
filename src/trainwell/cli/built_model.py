"""The user's function that builds a model, as one without arguments."""

import inspect
from collections.abc import Callable
from typing import Any

from trainwell.errors import InputError


def builder(name: str, shape: tuple[int, ...], outputs: int = 10) -> Callable[[], Any]:
    """The user's function as one without arguments; it may take the input's shape, and the number of outputs.

    Raises:
        InputError: if it fails or gives no module.
    """
    import torch
    from torch import nn
    from torch.nn.parameter import is_lazy

    from trainwell.training.userfile import load_function

    function = load_function(name)
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind <= p.POSITIONAL_OR_KEYWORD]

    def build() -> nn.Module:
        try:
            model = function(*(shape, outputs)[: len(needed)])
        except Exception as error:  # whatever a stranger's function raises
            raise InputError(f"{name} failed: {type(error).__name__}: {error}.", "Mend the function.") from error
        if not isinstance(model, nn.Module):
            raise InputError(f"{name} gives {type(model).__name__}, not a torch module.", "Return the module.")
        if any(map(is_lazy, model.parameters())):
            with torch.no_grad():
                model(torch.zeros(2, *shape))  # its layers take their shapes from the first batch
        return model

    return build
