"""Plain nets with batch normalization, without, and with its scale and shift but no normalizing; their training.

h_l = φ(N(W_l h_{l−1} + b_l)),    N(z) = γ (z − mean)/√(var + ε) + β,    z,    or γ z + β
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from trainwell.lab.labelled_pictures import Pictures
from trainwell.lab.many_nets import ManyNets
from trainwell.nn import plain_mlp

Array = NDArray[np.float64]
Norm = Literal["batch", "none", "held"]


class ScaleShift(nn.Module):
    """γ z + β of each channel, from γ = 1 and β = 0: batch normalization whose statistics are held at 0 and 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, z: Tensor) -> Tensor:
        return self.weight * z + self.bias


@dataclass(frozen=True)
class Training:
    """How every net of an experiment is trained: ``every`` so many steps it is looked at."""

    steps: int
    batch: int
    every: int


def normed_net(features: int, width: int, depth: int, norm: Norm, *, activation: str = "relu") -> nn.Sequential:
    """A net of ``depth`` hidden layers for ten classes; torch's global generator draws the weights.

    Args:
        features: of the input.
        width: units of each hidden layer.
        depth: hidden layers.
        norm: ``held`` has scale and shift alone.
        activation: φ.
    """
    named = "none" if norm == "none" else "batch"
    layers = list(plain_mlp((features,), 10, width=width, depth=depth, activation=activation, norm=named).children())
    return nn.Sequential(*(ScaleShift(width) if norm == "held" and _is_norm(layer) else layer for layer in layers))


def _is_norm(layer: nn.Module) -> bool:
    return isinstance(layer, nn.BatchNorm1d)


def hidden_maps(net: nn.Sequential) -> list[nn.Linear]:
    """The linear layers but the last."""
    return [layer for layer in net if isinstance(layer, nn.Linear)][:-1]


def exactly_normed(features: int, width: int, depth: int, seed: int, *, activation: str = "relu") -> nn.Sequential:
    """A net with batch normalization in float64 with an ε that does not count, for what is exact then."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = normed_net(features, width, depth, "batch", activation=activation).double()
    for layer in net:
        if isinstance(layer, nn.BatchNorm1d):
            layer.eps = 1e-30  # torch refuses 0
    return net


def learning_curves(
    nets: Sequence[nn.Module], rates: ArrayLike, pictures: Pictures, training: Training, seed: int
) -> Array:
    """Train every net by SGD at its rate; the share of test pictures that are right, shape (nets, looks)."""
    looks: list[Tensor] = []
    step = 0

    def watch(many: ManyNets) -> None:
        nonlocal step
        step += 1
        if step % training.every == 0:
            looks.append(many.accuracies(pictures.X_test, pictures.y_test))

    ManyNets(nets).descend(
        pictures.X,
        pictures.y,
        rates=torch.as_tensor(np.asarray(rates), dtype=torch.float32),
        steps=training.steps,
        batch=training.batch,
        generator=torch.Generator().manual_seed(seed),
        watch=watch,
    )
    return torch.stack(looks, 1).double().numpy()
