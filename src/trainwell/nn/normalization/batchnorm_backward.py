"""The backward pass of batch normalization, path by path.

Over the m values of a channel, with μ = mean(x), σ² = mean((x − μ)²), s = √(σ² + ε), x̂ = (x − μ)/s, y = γ x̂ + β,
g = ∂L/∂y and u = γ g, the loss depends on x_i directly, through σ² and through μ:

    ∂L/∂x_i  = u_i/s + ∂L/∂σ² · 2 (x_i − μ)/m + ∂L/∂μ / m,
    ∂L/∂σ²   = −½ s⁻³ Σ_j u_j (x_j − μ),
    ∂L/∂μ    = −(1/s) Σ_j u_j          (the way through σ² is closed: Σ_j (x_j − μ) = 0),
    ∂L/∂γ    = Σ_j g_j x̂_j,    ∂L/∂β = Σ_j g_j,

together ∂L/∂x = (1/s) [u − mean(u) − x̂ · mean(u x̂)]. It has no component along 1, and none along x̂ but ε's.
The lecture deck K prints ∂L/∂σ² without the factor (x_j − μ), which is wrong: the sum must weigh each u_j by it.
Source: Ioffe & Szegedy 2015, "Batch Normalization", §3, arXiv:1502.03167.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class BatchNormGradients:
    """Gradients of the loss by everything that batch normalization reads.

    Attributes:
        direct: u/s, what would be left if μ and σ² were constants; shape of the input.
        through_variance: ∂L/∂σ² · 2 (x − μ)/m; shape of the input.
        through_mean: ∂L/∂μ / m; shape (1, C, 1, …).
        weight: ∂L/∂γ, shape (C,).
        bias: ∂L/∂β, shape (C,).
    """

    direct: Tensor
    through_variance: Tensor
    through_mean: Tensor
    weight: Tensor
    bias: Tensor

    @property
    def input(self) -> Tensor:
        """∂L/∂x, the sum of the three paths."""
        return self.direct + self.through_variance + self.through_mean


def batchnorm_gradients(x: Tensor, weight: Tensor, grad_output: Tensor, eps: float = 1e-5) -> BatchNormGradients:
    """Compute the gradients of batch normalization in train mode by the three paths.

    Args:
        x: input, shape (N, C, *).
        weight: γ, shape (C,).
        grad_output: ∂L/∂y, shape of ``x``.
        eps: ε > 0, added to the variance.
    """
    axes, shape = _layout(x)
    values = x.numel() // x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    s = (centred.square().mean(axes, keepdim=True) + eps).sqrt()
    u = grad_output * weight.view(shape)
    by_variance = -0.5 * (u * centred).sum(axes, keepdim=True) / s**3
    by_mean = -u.sum(axes, keepdim=True) / s
    return BatchNormGradients(
        direct=u / s,
        through_variance=by_variance * 2 * centred / values,
        through_mean=by_mean / values,
        weight=(grad_output * centred / s).sum(axes),
        bias=grad_output.sum(axes),
    )


def normalize_batch(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Normalize every channel by the statistics of the batch, with ``batchnorm_gradients`` as backward pass.

    The value is that of ``F.batch_norm`` in train mode; it can be differentiated twice.

    Args:
        x: shape (N, C, *) with more than one value per channel.
        weight: γ, shape (C,).
        bias: β, shape (C,).
        eps: ε > 0, added to the variance.

    Raises:
        ValueError: if the shapes do not fit, a channel has one value, or eps ≤ 0.
    """
    if eps <= 0:
        raise ValueError(f"normalize_batch: eps={eps} would divide constant channels by zero. Use eps > 0, say 1e-5.")
    if x.dim() < 2 or weight.shape != x.shape[1:2] or bias.shape != x.shape[1:2]:
        raise ValueError(
            f"normalize_batch: x has shape {tuple(x.shape)}, weight {tuple(weight.shape)}, bias {tuple(bias.shape)}; "
            "they must be (N, C, *), (C,) and (C,)."
        )
    if x.numel() == x.shape[1]:
        raise ValueError(
            f"normalize_batch: x of shape {tuple(x.shape)} has one value per channel, whose normalized value is 0 "
            "whatever it is. Use a larger batch."
        )
    return _NormalizeBatch.apply(x, weight, bias, eps)


class _NormalizeBatch(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        axes, shape = _layout(x)
        centred = x - x.mean(axes, keepdim=True)
        s = (centred.square().mean(axes, keepdim=True) + eps).sqrt()
        return weight.view(shape) * (centred / s) + bias.view(shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, eps = inputs
        ctx.save_for_backward(x, weight)  # inputs only, so that the backward pass has a derivative itself
        ctx.eps = eps

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        gradients = batchnorm_gradients(x, weight, grad_output, ctx.eps)
        return gradients.input, gradients.weight, gradients.bias, None


def _layout(x: Tensor) -> tuple[list[int], list[int]]:
    """The axes of the statistics, and the shape in which a vector of channels meets ``x``."""
    return [0, *range(2, x.dim())], [1, x.shape[1], *[1] * (x.dim() - 2)]
