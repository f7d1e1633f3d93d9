"""Weight standardization: every output's weights have mean zero and variance one over what it sums.

With the weights w_o of output o, fan_in numbers,

    ŵ_o = (w_o − mean(w_o)) / √(var(w_o) + ε),    mean(ŵ_o) = 0,    var(ŵ_o) = 1 up to ε.

The layer computes with ŵ, the optimizer moves w. For ε → 0 the function does not change under w → a w + c, a > 0, hence
∂L/∂w_o is orthogonal to 1 and to w_o. Outputs grow by √fan_in over a layer that keeps the second moment: use it with a
normalization of the outputs, as the paper does with group normalization.
Source: Qiao et al. 2019, "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization",
eqs. 5–6, arXiv:1903.10520.
"""

from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization


class WeightStandardization(nn.Module):
    """The map w ↦ ŵ for weights of shape (outputs, …); a parametrization for ``torch.nn.utils.parametrize``.

    Args:
        eps: ε > 0, added to the variance of the weights.

    Raises:
        ValueError: if eps ≤ 0.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        if eps <= 0:
            raise ValueError(f"WeightStandardization: eps={eps} divides constant weights by zero. Use eps > 0.")
        self.eps = eps

    def forward(self, weight: Tensor) -> Tensor:
        axes = list(range(1, weight.dim()))
        centred = weight - weight.mean(axes, keepdim=True)
        return centred * (centred.square().mean(axes, keepdim=True) + self.eps).rsqrt()


def standardize_weight_(layer: nn.Module, eps: float = 1e-5) -> nn.Module:
    """Let a linear layer or convolution compute with standardized weights, and return it.

    The trained weight moves to ``layer.parametrizations.weight.original``;
    ``torch.nn.utils.parametrize.remove_parametrizations(layer, "weight")`` ends it and keeps ŵ.

    Args:
        layer: ``nn.Linear`` or ``nn.Conv1d/2d/3d``.
        eps: ε > 0, added to the variance of the weights.

    Raises:
        ValueError: if the layer is of another kind, an output has a single weight, or eps ≤ 0.
    """
    if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        raise ValueError(
            f"standardize_weight_: {type(layer).__name__} has no weight of shape (outputs, inputs, …). "
            "Use it on nn.Linear or nn.Conv1d/2d/3d."
        )
    if layer.weight[0].numel() == 1:
        raise ValueError(
            f"standardize_weight_: weight of shape {tuple(layer.weight.shape)} has one value per output, which "
            "standardized is 0. Leave this layer as it is."
        )
    register_parametrization(layer, "weight", WeightStandardization(eps))
    return layer
