"""Penalty that holds the slope of a critic at one along lines between two samples.

    E (‖∇_x D(x̂)‖ − c)²,     x̂ = u x + (1 − u) x′,  u ∼ U[0, 1] for each pair

c = 1 is that of WGAN-GP: the critic that attains the Wasserstein distance has slope 1 almost everywhere between the
samples. Source: Gulrajani et al. 2017, algorithm 1, arXiv:1704.00028.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from trainwell.errors import InputError


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    first: Tensor,
    second: Tensor,
    *,
    slope: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean over the pairs of (‖∇D(x̂)‖ − slope)², a scalar that can be differentiated; no pairs give 0.

    Args:
        critic: maps (n, ...) to n numbers, each sample for itself (no batch normalization in training mode).
        first, second: shape (n, ...), such as real and generated samples; no gradient flows into them.
        slope: c ≥ 0.
        generator: source of u; the global one if None.

    Raises:
        InputError: for unequal shapes or a critic that gives more than one number a sample.
    """
    if first.shape != second.shape or first.dim() == 0:
        raise InputError(
            f"gradient_penalty: samples {tuple(first.shape)} and {tuple(second.shape)} are no pairs.",
            "Give both the same shape (n, ...).",
        )
    n = len(first)
    share = torch.rand(n, *[1] * (first.dim() - 1), dtype=first.dtype, device=first.device, generator=generator)
    with torch.enable_grad():
        x = torch.lerp(second.detach(), first.detach(), share).requires_grad_()
        values = critic(x)
        if values.numel() != n:
            raise InputError(
                f"gradient_penalty: the critic gave {tuple(values.shape)} for {n} samples.", "One number a sample."
            )
        if n == 0:
            return values.sum()
        (gradient,) = torch.autograd.grad(values.sum(), x, create_graph=True)
        return (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - slope).square().mean()
