"""Autoencoders: an encoder to a code of few numbers, and a decoder back.

    c = E(x),    x̂ = D(c),    minimized: ‖x̂ − x‖² / size

A linear autoencoder of k code units spans the first k principal components at its minimum (Baldi & Hornik 1989), so the
code's worth over PCA is what the nonlinear layers add. Source: deck T, pre-training; Hinton & Salakhutdinov 2006.
"""

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.nn.models.feedforward import checked_widths, dense_layer, scaled_linear
from trainwell.nn.nonlinear.activations import gain


class Autoencoder(nn.Module):
    """Encoder and decoder of dense layers; the input is flattened.

    ``encoder`` and ``decoder`` are ``nn.Sequential`` of blocks, each an ``nn.Sequential`` that begins with the linear
    layer: for pre-training layer by layer, train ``encoder[i]`` with a decoder block of your own and go on with
    ``encoder[:i + 1]``. The code and the output are linear.

    Args:
        inputs: shape of one sample.
        outputs: how many numbers the decoder gives; as many as the input has if None.
        widths: units of the encoder's hidden layers; the decoder has them in reverse.
        code: units of the code.
        activation: one of ``trainwell.nn.ACTIVATIONS``.
        norm: one of ``trainwell.nn.NORMS``.

    Raises:
        InputError: if the code or a width is not positive or a name is not known.

    Example:
        >>> import torch
        >>> net = Autoencoder((1, 4, 4), code=2)
        >>> net.encode(torch.ones(3, 1, 4, 4)).shape, net.reconstruct(torch.ones(3, 1, 4, 4)).shape
        (torch.Size([3, 2]), torch.Size([3, 1, 4, 4]))
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int | None = None,
        *,
        widths: Sequence[int] = (256,),
        code: int = 32,
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        super().__init__()
        if code < 1:
            raise InputError(f"Autoencoder: code={code} has no units.", "Use 1 or more.")
        hidden = checked_widths("Autoencoder", widths, 0, 0)
        self.inputs = tuple(inputs)
        size = math.prod(inputs)
        self.encoder = _blocks((size, *hidden, code), activation, norm)
        self.decoder = _blocks((code, *hidden[::-1], size if outputs is None else outputs), activation, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, *inputs) to (N, outputs)."""
        return self.decoder(self.encode(x))

    def encode(self, x: Tensor) -> Tensor:
        """Map (N, *inputs) to codes (N, code)."""
        return self.encoder(x.flatten(1))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Map (N, *inputs) to reconstructions of the same shape; the net must have as many outputs as inputs."""
        return self.forward(x).unflatten(1, self.inputs)


def _blocks(sizes: tuple[int, ...], activation: str, norm: str) -> nn.Sequential:
    blocks, factor = [], 1.0
    for before, after in itertools.pairwise(sizes[:-1]):
        blocks.append(nn.Sequential(*dense_layer(before, after, factor, activation, norm, 0.0)))
        factor = gain(activation)
    return nn.Sequential(*blocks, nn.Sequential(scaled_linear(sizes[-2], sizes[-1], factor)))


def autoencoder(
    inputs: tuple[int, ...],
    outputs: int | None = None,
    *,
    widths: Sequence[int] = (256,),
    code: int = 32,
    activation: str = "relu",
    norm: str = "none",
) -> Autoencoder:
    """Build an ``Autoencoder``; arguments and errors as there.

    With as many outputs as inputs (or None) it is a true autoencoder, whose target is the flattened input. A recipe
    asks for as many outputs as there are classes or targets: the same net is then a perceptron with a bottleneck.
    """
    return Autoencoder(inputs, outputs, widths=widths, code=code, activation=activation, norm=norm)
