"""DropConnect: drop weights in place of units.

    y = (M ∘ W) x / (1 − p) + b,    M_ij ∈ {0, 1},    P(M_ij = 0) = p.

With the inverted scaling E y = W x + b and Var y_i = p/(1 − p) Σ_j W_ij² x_j², as for dropout of the inputs, but the
outputs' noises are independent given x. One mask is drawn per forward pass and shared by the batch, where the paper
draws one per example, which would cost a weight matrix each; and in evaluation W itself is used, its mean, where the
paper samples from the matching normal distribution. Biases are kept. Source: Wan et al. 2013, ICML, §3.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainwell.nn.dropping.drop_probability import checked
from trainwell.nn.operations import OPAQUE, kind_of


class DropConnect(nn.Module):
    """The parametrization W ↦ M ∘ W / (1 − p) in training, W in evaluation.

    Args:
        p: probability with which a weight is dropped, in [0, 1).

    Raises:
        ValueError: if ``p`` is outside.
    """

    layer_kind = "dropout"

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = checked("DropConnect", p)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with some of its numbers dropped and the others scaled up."""
        return nn.functional.dropout(weight, self.p, self.training)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weight: assigning to the layer's weight sets the one without holes."""
        return weight

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"p={self.p}"


def dropconnect_(model: nn.Module, p: float = 0.5) -> list[str]:
    """Let every linear layer and convolution of ``model`` but the last drop its weights while training, in place.

    The weight moves to ``parametrizations.weight.original``; initialize before. ``remove_dropconnect_`` undoes it.

    Args:
        model: any module; attention, recurrent layers and those that are parametrized already are left alone.
        p: probability with which a weight is dropped, in [0, 1).

    Returns:
        Paths of the layers that changed.

    Raises:
        ValueError: if ``p`` is outside, or there is no such layer.
    """
    checked("dropconnect_", p)
    inside = {id(part) for whole in model.modules() if isinstance(whole, OPAQUE) for part in whole.modules()}
    layers = [
        (path, module)
        for path, module in model.named_modules()
        if kind_of(module) in ("linear", "conv") and id(module) not in inside
    ]
    chosen = [
        (path, module)
        for path, module in layers[:-1]
        if isinstance(module._parameters.get("weight"), nn.Parameter) and not parametrize.is_parametrized(module)
    ]
    if not chosen:
        raise ValueError("dropconnect_: the model has no linear layer or convolution before its last one.")
    for _, module in chosen:
        parametrize.register_parametrization(module, "weight", DropConnect(p).train(module.training))
    return [path for path, _ in chosen]


@torch.no_grad()
def remove_dropconnect_(model: nn.Module) -> list[str]:
    """Put the weights without holes back as plain parameters, in place, and return the paths of the layers."""
    found = []
    for path, module in model.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            steps = module.parametrizations.weight
            if len(steps) == 1 and isinstance(steps[0], DropConnect):
                found.append((path, module, steps[0].train(False)))
    for _, module, _ in found:
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
    return [path for path, _, _ in found]
