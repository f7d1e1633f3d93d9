"""Squeeze-and-excitation: each channel is multiplied by a gate that has seen the whole image.

    s_c = mean over pixels of x_c,    z = sigmoid(W_2 φ(W_1 s + b_1) + b_2),    y_c = z_c x_c,

with W_1: C → C/r and W_2: C/r → C, reduction r = 16.
Source: Hu et al. 2018, "Squeeze-and-Excitation Networks", §3, eqs. 2–4, arXiv:1709.01507.
"""

from torch import Tensor, nn

from trainwell.nn.nonlinear.activations import activation as activation_named


class SqueezeExcite(nn.Module):
    """Gate the channels of images (N, C, H, W) by their means.

    Args:
        channels: C.
        reduction: r; the hidden layer has C/r units, but at least 4: one ReLU unit alone may be dead from the start.
        activation: φ, one of ``trainwell.nn.ACTIVATIONS`` that keeps the number of channels.

    Raises:
        ValueError: if the reduction is not positive.
    """

    def __init__(self, channels: int, reduction: int = 16, activation: str = "relu") -> None:
        super().__init__()
        if reduction < 1:
            raise ValueError(f"SqueezeExcite: reduction={reduction} is not positive. Use 16, or 1 for no reduction.")
        hidden = max(4, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden)
        self.activation = activation_named(activation)
        self.excite = nn.Linear(hidden, channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(self.excite(self.activation(self.squeeze(x.mean((2, 3))))))
        return x * gate[:, :, None, None]
