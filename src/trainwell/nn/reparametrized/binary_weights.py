"""Binary weights with a straight-through gradient.

The layer computes with the signs of the weights that the optimizer moves, and the gradient passes as if it had not:

    W_b = sign(W),  sign(0) = 1,    ∂L/∂W = ∂L/∂W_b   (BinaryConnect, deterministic).

Scaled, with n weights an output, each output gets the factor that brings its signs nearest to its weights,

    W_b = α_o sign(W_o),    α_o = mean|W_o| = argmin_α ‖W_o − α sign(W_o)‖,
    ∂L/∂W_oi = α_o g_oi + (sign(W_oi)/n) Σ_j g_oj sign(W_oj),    g = ∂L/∂W_b.

The paper on the scaled ones prints g_oi/n for the second term, without the sum that the chain rule gives. Keep W within
[−1, 1] by a constraint after each step, as BinaryConnect does: weights far outside would never change their sign.
Unscaled outputs have √n times the scale of ordinary ones: use a normalization after the layer.
Sources: Courbariaux, Bengio & David 2015, "BinaryConnect", Algorithm 1, arXiv:1511.00363; Rastegari et al. 2016,
"XNOR-Net", §3.1, arXiv:1603.05279 (scaled).
"""

import torch
from torch import Tensor, nn


class BinaryWeight(nn.Module):
    """The map W ↦ W_b for weights of shape (outputs, …); a parametrization.

    Args:
        scaled: multiply each output's signs by the mean size of its weights.
    """

    def __init__(self, scaled: bool = False) -> None:
        super().__init__()
        self.scaled = scaled

    def forward(self, weight: Tensor) -> Tensor:
        sign = torch.where(weight < 0, -torch.ones_like(weight), 1.0).to(weight.dtype).detach()
        signs = sign + (weight - weight.detach())  # exactly the signs, with the gradient of the weight
        if not self.scaled:
            return signs
        return signs * (weight * sign).mean(list(range(1, weight.dim())), keepdim=True)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight

    def extra_repr(self) -> str:
        return f"scaled={self.scaled}"
