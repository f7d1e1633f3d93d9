"""Column normalization of a weight: all that an input sends out has norm one.

With w_i the weights by which input i reaches the outputs (column i of a matrix; of a convolution, all taps of an input
channel, of a grouped one within its group),

    ŵ_i = w_i / ‖w_i‖.

The layer computes with ŵ, the optimizer moves w. The function does not change under w_i → a w_i, a > 0, hence
∂L/∂w_i ⊥ w_i: ‖w_i‖ grows in every plain gradient step, by ‖step‖² of its square, and no column can reach zero.
Column i is what the layer answers to the unit vector e_i. Source: lecture deck T, "column normalization".
"""

import torch
from torch import Tensor, nn


class UnitColumns(nn.Module):
    """The map w ↦ ŵ for weights of shape (outputs, inputs/groups, *kernel) without zero columns; a parametrization.

    Args:
        groups: of the convolution.
    """

    def __init__(self, groups: int = 1) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, weight: Tensor) -> Tensor:
        blocks = weight.unflatten(0, (self.groups, -1))  # (groups, outputs/groups, inputs/groups, *kernel)
        axes = [1, *range(3, blocks.dim())]
        return (blocks / torch.linalg.vector_norm(blocks, dim=axes, keepdim=True)).flatten(0, 1)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
