"""What one ReLU layer of random weights does to the second moment of its input, over many nets at once."""

import numpy as np
import torch
from torch import Tensor

from trainwell.lab.signal.random_net import Array

AT_ONCE, NUMBERS = 500, 2**27  # nets, and weights of a layer of all of them: half a gigabyte


def relu_factors(width: int, depth: int, nets: int, variance: float, seed: int, *, uniform: bool = False) -> Array:
    """E h_l²/E h_{l−1}² of each net and layer, shape (nets, depth).

    Args:
        width: of all layers.
        depth: layers.
        nets: independent nets, each with its own input.
        variance: of a weight.
        seed: of all random numbers.
        uniform: weights U[±√(3 · variance)] in place of normal ones.
    """
    generator = torch.Generator().manual_seed(seed)
    blocks, most = [], max(1, min(AT_ONCE, NUMBERS // width**2))
    for start in range(0, nets, most):
        count = min(most, nets - start)
        h = torch.randn(count, width, 1, generator=generator)
        ratios = torch.empty(count, depth, dtype=torch.float64)
        for layer in range(depth):
            z = _weights((count, width, width), uniform, generator) @ h
            after = torch.relu(variance**0.5 * z)
            ratios[:, layer] = _power(after) / _power(h)
            h = after / after.square().mean((1, 2), keepdim=True).sqrt()  # ReLU is homogeneous: the scale is free
        blocks.append(ratios.numpy())
    return np.concatenate(blocks)


def _weights(shape: tuple[int, ...], uniform: bool, generator: torch.Generator) -> Tensor:
    if uniform:
        return (torch.rand(shape, generator=generator) - 0.5) * 12**0.5
    return torch.randn(shape, generator=generator)


def _power(h: Tensor) -> Tensor:
    return h.double().square().mean((1, 2))
