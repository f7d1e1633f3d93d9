"""Loss of a critic that estimates the Wasserstein-1 distance of two distributions.

    L(D) = E D(fake) − E D(real) + λ E (‖∇D(x̂)‖ − 1)²,     W₁ ≈ E D(real) − E D(fake)

By Kantorovich and Rubinstein W₁ is the maximum of E D(real) − E D(fake) over functions D of slope ≤ 1; the penalty
keeps it near 1 between the samples. In one dimension :class:`Wasserstein1D` is exact. With λ finite the slope settles
above 1: for D = a·x and a shift μ the loss −aμ + λ(a − 1)² is least at a = 1 + μ/(2λ), so the estimate is too large by
the share μ/(2λ), 5 % at μ = 1 and λ = 10. The share has the unit of x: scale the data to distances of about 1.
The penalty knows no sign: on a line a critic that starts with the wrong one must pass slope 0, which costs λ, and stays
where it is, an estimate below 0. In two dimensions or more it can turn round.
Source: Gulrajani et al. 2017, algorithm 1, λ = 10, arXiv:1704.00028; Arjovsky, Chintala & Bottou 2017, eq. 2.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from trainwell.errors import InputError
from trainwell.objectives.gradient_penalty import gradient_penalty


def critic_loss(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    strength: float = 10.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The loss that the critic minimizes, a scalar; no samples give 0.

    The generator of ``fake``, which no gradient reaches from here, minimizes ``-critic(fake).mean()``.

    Args:
        critic: maps (n, ...) to n numbers, each sample for itself (no batch normalization in training mode).
        real, fake: shape (n, ...), as many of both.
        strength: λ ≥ 0; 10 is the paper's.
        generator: source of the points between; the global one if None.

    Raises:
        InputError: for a negative strength, unequal shapes, or a critic that gives more than one number a sample.
    """
    if not 0 <= strength < float("inf"):
        raise InputError(f"critic_loss: strength is {strength}.", "Give 0 or more.")
    penalty = gradient_penalty(critic, real, fake, generator=generator)
    if len(real) == 0:
        return penalty
    return critic(fake.detach()).mean() - critic(real).mean() + strength * penalty
