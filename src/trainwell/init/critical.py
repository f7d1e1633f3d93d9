"""Critical initialization: random weights and biases on the edge of chaos of the activation that follows.

    W ~ N(0, σ_w²/fan_in),    b ~ N(0, σ_b²),    χ = σ_w² E φ'(u)² = 1,    q = σ_w² E φ(u)² + σ_b²,    u ~ N(0, q).

Then neither gradients nor the difference of two inputs vanish or explode exponentially with depth. For ReLU it is
Kaiming's rule with zero biases; for tanh at q = 1 it is (1.4674, 0.3885). The variance starts at σ_w² E x² + σ_b² and
comes to q over the layers. Source: Schoenholz et al. 2017, arXiv:1611.01232, §3; deck T.
"""

import torch
from torch import Tensor

from trainwell.init.draw import draw_
from trainwell.init.fan import fans
from trainwell.theory.critical_point import CriticalPoint, critical
from trainwell.theory.gaussian_moments import Nonlinearity


def critical_(
    weight: Tensor,
    bias: Tensor | None,
    activation: str | Nonlinearity,
    q: float | None = None,
    *,
    groups: int = 1,
    transposed: bool = False,
    generator: torch.Generator | None = None,
) -> CriticalPoint:
    """Fill a weight and its bias in place, on the edge of chaos of ``activation``.

    Args:
        weight: of a linear layer or a convolution.
        bias: of the same layer; where there is none and σ_b > 0, the net is not on the edge.
        activation: name (``trainwell.theory.NONLINEARITIES``) or nonlinearity that follows the layer.
        q: variance of the pre-activations; if None, the first of 1, 2, 4, …, 256 that has a stable edge.
        groups: of the convolution.
        transposed: whether the convolution is a transposed one.
        generator: source of randomness; the global one if None.

    Returns:
        (σ_w, σ_b).

    Raises:
        ValueError: if the activation has no edge there (softplus), or the weight has no fans or is not floating point.
    """
    point = critical(activation, q)
    fan_in, _ = fans(weight, groups=groups, transposed=transposed)
    draw_(weight, point.sigma_w / fan_in**0.5, "normal", generator)
    if bias is not None:
        draw_(bias, point.sigma_b, "normal", generator)
    return point
