"""Both passes of a fully connected net without biases at initialization, with all that the claims ask of it.

z_l = s W_l h_{l−1},  h_l = φ(z_l);   a_L random of norm 1,  δ_l = a_l φ'(z_l),  a_{l−1} = s W_lᵀ δ_l
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Function = Callable[[Tensor], Tensor]


class Passes(NamedTuple):
    """Of every layer 1 … L: arrays of shape (L,)."""

    signals: list[Tensor]  # h_0 … h_L, shape (batch, width)
    sums: list[Tensor]  # z_1 … z_L
    signal_gradient: Array  # ‖∂L/∂h_l‖
    weight_gradient: Array  # ‖∂L/∂W_l‖, W_l with its scale

    @property
    def second_moment(self) -> Array:
        """E h_l²."""
        return np.array([float(h.double().square().mean()) for h in self.signals[1:]])


def tanh_slope(z: Tensor) -> Tensor:
    """tanh'."""
    return 1 - torch.tanh(z) ** 2


def sigmoid_slope(z: Tensor) -> Tensor:
    """σ'."""
    return torch.sigmoid(z) * (1 - torch.sigmoid(z))


def relu_slope(z: Tensor) -> Tensor:
    """ReLU'."""
    return (z > 0).to(z.dtype)


def normal_weights(width: int, depth: int, generator: torch.Generator) -> list[Tensor]:
    """``depth`` square matrices of independent N(0, 1) entries."""
    return [torch.randn(width, width, generator=generator) for _ in range(depth)]


def passes(
    weights: Sequence[Tensor], scale: float, inputs: Tensor, top: Tensor, activation: Function, slope: Function
) -> Passes:
    """Run both passes.

    Args:
        weights: W_l before their scale s.
        scale: s, factor on all weights.
        inputs: h_0, shape (batch, width).
        top: ∂L/∂h_L, same shape.
        activation: φ.
        slope: φ'.
    """
    signals, sums = [inputs], list[Tensor]()
    for weight in weights:
        sums.append(scale * signals[-1] @ weight.T)
        signals.append(activation(sums[-1]))
    on_signal, on_weight, gradient = list[float](), list[float](), top
    for weight, z, below in zip(weights[::-1], sums[::-1], signals[-2::-1], strict=True):
        on_signal.append(float(gradient.double().norm()))
        delta = gradient * slope(z)
        gram = (delta @ delta.T).double() * (below @ below.T).double()  # ‖Σ δ_b h_bᵀ‖² without the matrix
        on_weight.append(float(gram.sum().clamp(min=0).sqrt()))
        gradient = scale * delta @ weight
    return Passes(signals, sums, np.array(on_signal[::-1]), np.array(on_weight[::-1]))
