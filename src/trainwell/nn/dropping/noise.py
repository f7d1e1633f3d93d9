"""Noise on weights and on gradients while training.

    weights     the gradient at  w + z  is applied to w,  z ~ N(0, std² · mean(w²)) for each matrix or kernel w
    gradients   g ← g + z,  z ~ N(0, std² / (1 + t)^decay),  t the optimizer's number of steps

Sources: Graves 2011, "Practical Variational Inference for Neural Networks", §1, and An 1996 (noise on weights);
Neelakantan et al. 2015, "Adding Gradient Noise Improves Learning", eq. 1, arXiv:1511.06807 (η = std²).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from trainwell.errors import InputError

STEP_KEY = "gradient_noise_step"
"""Key of the optimizer's first parameter group under which ``gradient_noise_hook`` counts its steps."""


class WeightNoise:
    """Noise on a model's weights for one forward and backward pass; the weights come back bit for bit.

    Only what has two dimensions or more and is trained gets noise: matrices and kernels, not biases and norms. The
    weights are restored from copies, because (w + z) − z is not w in floating point.

    Args:
        model: its weights are changed in place between ``add`` and ``restore``.
        std: of the noise, in units of the root mean square of each weight tensor; at least 0.
        generator: source of the noise; torch's global one if None.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> before = layer.weight.detach().clone()
        >>> with WeightNoise(layer, 0.1):
        ...     moved = bool((layer.weight != before).all())
        >>> moved, torch.equal(layer.weight, before)
        (True, True)
    """

    def __init__(self, model: nn.Module, std: float, generator: torch.Generator | None = None) -> None:
        _check_std("WeightNoise", std)
        self.model, self.std, self.generator = model, std, generator
        self._kept: list[tuple[nn.Parameter, Tensor]] = []
        self._handles: list[RemovableHandle] = []

    @property
    def active(self) -> bool:
        """Do the weights carry noise now?"""
        return bool(self._kept)

    @torch.no_grad()
    def add(self) -> None:
        """Put noise on the weights; nothing more where they have it already, so that several passes see the same."""
        if self._kept or self.std == 0:
            return
        for weight in self.model.parameters():
            if weight.requires_grad and weight.dim() >= 2:
                self._kept.append((weight, weight.detach().clone()))
                weight.add_(_normal(weight, self.generator) * (self.std * weight.square().mean().sqrt()))

    @torch.no_grad()
    def restore(self) -> None:
        """Take the noise away."""
        for weight, kept in self._kept:
            weight.copy_(kept)
        self._kept.clear()

    def remove(self) -> None:
        """Take the noise away and the hooks off."""
        self.restore()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> "WeightNoise":
        self.add()
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()


def weight_noise_hooks(
    model: nn.Module, optimizer: Optimizer, std: float, generator: torch.Generator | None = None
) -> WeightNoise:
    """Train with noise on the weights in any loop: forward passes in training mode see it, the optimizer doesn't.

    The first forward pass after a step adds the noise and the next ``optimizer.step`` takes it away before it looks at
    the weights; the passes between (accumulation) see the same noise. A forward pass in evaluation mode and
    ``model.state_dict()`` take it away too, so neither a validation nor a checkpoint ever meets noisy weights.

    Args:
        model: the module that is called.
        optimizer: whose steps end the noise. Its step may not be given a closure.
        std: of the noise, in units of the root mean square of each weight tensor; 0.01 to 0.1 is usual.
        generator: source of the noise; torch's global one if None, which checkpoints save.

    Returns:
        The noise; its ``remove`` ends it.

    Raises:
        InputError: if the optimizer computes the loss itself (LBFGS, or a step with a closure).
    """
    if isinstance(optimizer, torch.optim.LBFGS):
        raise _closure_error()
    noise = WeightNoise(model, std, generator)

    def before_forward(module: nn.Module, args: Any) -> None:
        noise.add() if module.training else noise.restore()

    def before_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        noise.restore()
        if kwargs.get("closure") is not None or any(value is not None for value in args[1:]):
            raise _closure_error()

    def before_saving(module: nn.Module, prefix: str, keep_vars: bool) -> None:
        noise.restore()

    noise._handles = [
        model.register_forward_pre_hook(before_forward),
        optimizer.register_step_pre_hook(before_step),
        model.register_state_dict_pre_hook(before_saving),
    ]
    return noise


def _closure_error() -> InputError:
    return InputError(
        "weight noise: the optimizer computes the loss inside its step and would step from noisy weights.",
        "Use an optimizer that takes the gradient as it is, such as adamw or sgd.",
    )


def gradient_noise_hook(
    std: float, decay: float = 0.55, generator: torch.Generator | None = None
) -> Callable[[Optimizer, Any, Any], None]:
    """Make a hook that adds noise to the gradients before every step: ``optimizer.register_step_pre_hook(hook)``.

    The step t is counted in ``optimizer.param_groups[0]["gradient_noise_step"]``, so it is part of the optimizer's
    ``state_dict`` and goes on from there when that is loaded. Where gradients are clipped, the noise comes after it.

    Args:
        std: √η, standard deviation at t = 0, in units of the gradient; the paper tries η of 0.01, 0.3 and 1.
        decay: γ, the variance falls as (1 + t)^−γ; the paper's is 0.55.
        generator: source of the noise; torch's global one if None, which checkpoints save.
    """
    _check_std("gradient_noise_hook", std)

    @torch.no_grad()
    def add_noise(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        first = optimizer.param_groups[0]
        step = int(first.get(STEP_KEY, 0))
        first[STEP_KEY] = step + 1
        if std == 0:
            return
        size = std * (1 + step) ** (-decay / 2)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.add_(_normal(parameter.grad, generator), alpha=size)

    return add_noise


def _check_std(part: str, std: float) -> None:
    if not 0 <= std < float("inf"):
        raise InputError(f"{part}: std={std} is no standard deviation.", "Use a number of at least 0.")


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """N(0, 1) in the shape, dtype and place of ``like``, drawn on the generator's device."""
    if generator is None:
        return torch.randn_like(like)
    return torch.randn(like.shape, dtype=like.dtype, generator=generator, device=generator.device).to(like.device)
