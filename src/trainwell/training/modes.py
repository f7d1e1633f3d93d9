"""Training and evaluation mode of a model, module by module.

``model.train()`` undoes what the model's author froze: a normalization in evaluation mode inside a model in training
mode is meant to keep its running moments. A model that is in evaluation mode as a whole was evaluated, not frozen.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn


def frozen(model: nn.Module) -> list[nn.Module]:
    """The modules in evaluation mode inside a model in training mode."""
    return [module for module in model.modules() if not module.training] if model.training else []


def set_training(model: nn.Module, kept: Sequence[nn.Module]) -> None:
    """Put the model into training mode, except for the modules ``kept``."""
    model.train()
    for module in kept:
        module.training = False


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for this block; afterwards every module has its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
