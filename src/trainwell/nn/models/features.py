"""Fixed features in front of trained layers: sinusoids, random Fourier features, a frozen random layer.

    sinusoidal   sin(π f x_i / s), cos(π f x_i / s) of every input and frequency f = 1, 2, 4, …
    Fourier      (cos(w_kᵀx), sin(w_kᵀx))_k / √m,  w_k ~ N(0, I/σ²)     E φ(x)ᵀφ(y) = exp(−‖x − y‖² / (2σ²))
    random       g ψ(W x + b),  W_ij ~ N(0, 1/d)                         the model of double descent

Pairs of cosine and sine instead of Rahimi & Recht's √2 cos(wᵀx + b): the same mean, ‖φ(x)‖ = 1 exactly, and less
variance (Sutherland & Schneider 2015, arXiv:1506.02785). A linear head on fixed features is a convex problem.
Sources: deck G, sinusoidal features and benign overfitting (THEORY G08); Rahimi & Recht 2007; Mildenhall et al. 2020,
eq. 4, arXiv:2003.08934; Belkin et al. 2019, arXiv:1812.11118.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.nn.models.feedforward import checked_widths, dense_layer, scaled_linear
from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import gain, pieces


class SinusoidalFeatures(nn.Module):
    """Sines and cosines of every input by itself: (…, d) → (…, d · 2 · frequencies [+ d]).

    Args:
        frequencies: how many octaves (f = 1, 2, 4, …), or the f themselves, such as ``range(1, p + 1)``.
        scale: s, the half period of f = 1, in units of x; inputs are meant to lie in −s … s.
        keep_input: whether x itself comes first.

    Raises:
        InputError: if there are no frequencies or the scale is not positive.

    Example:
        >>> SinusoidalFeatures(2)(torch.tensor([[0.5]])).round(decimals=6).abs().tolist()
        [[0.5, 1.0, 0.0, 0.0, 1.0]]
    """

    layer_kind = "embedding"

    frequencies: Tensor

    def __init__(self, frequencies: int | Sequence[float] = 6, *, scale: float = 1.0, keep_input: bool = True) -> None:
        super().__init__()
        chosen = [2.0**k for k in range(frequencies)] if isinstance(frequencies, int) else list(map(float, frequencies))
        if not chosen or not scale > 0:
            raise InputError(
                f"SinusoidalFeatures: frequencies={chosen}, scale={scale}.",
                "Use one frequency or more and a positive scale.",
            )
        self.scale, self.keep_input = scale, keep_input
        self.register_buffer("frequencies", torch.tensor(chosen, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        angles = (x.unsqueeze(-1) * (self.frequencies * (math.pi / self.scale))).flatten(-2)
        waves = [angles.sin(), angles.cos()]
        return torch.cat([x, *waves] if self.keep_input else waves, -1)

    def width(self, inputs: int) -> int:
        """How many features it makes of so many inputs."""
        return inputs * (2 * len(self.frequencies) + self.keep_input)

    def extra_repr(self) -> str:
        return f"{len(self.frequencies)} frequencies, scale={self.scale}, keep_input={self.keep_input}"


class RandomFourierFeatures(nn.Module):
    """Random waves whose inner products estimate a Gaussian kernel: (…, inputs) → (…, features).

    E φ(x)ᵀφ(y) = exp(−‖x − y‖²/(2σ²)), with an error of O(1/√features). The waves are buffers: saved and not trained.

    Args:
        inputs: d.
        features: an even number.
        bandwidth: σ, in units of x; None is √d, at which standardized inputs are about e^{−1} alike.
        unit_norm: whether ‖φ(x)‖ = 1; if False the features are √features times as large (mean square 1), as a layer
            behind them wants them.
        generator: source of randomness; the global one if None.

    Raises:
        InputError: if features are odd or not positive, or the bandwidth is not positive.
    """

    layer_kind = "embedding"

    waves: Tensor

    def __init__(
        self,
        inputs: int,
        features: int,
        *,
        bandwidth: float | None = None,
        unit_norm: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if features < 2 or features % 2:
            raise InputError(f"RandomFourierFeatures: features={features}.", "Use an even number, 2 or more.")
        self.bandwidth = math.sqrt(inputs) if bandwidth is None else bandwidth
        if not self.bandwidth > 0:
            raise InputError(f"RandomFourierFeatures: bandwidth={bandwidth}.", "Use a positive one.")
        self.inputs, self.features, self.unit_norm = inputs, features, unit_norm
        waves = torch.randn(features // 2, inputs, generator=generator, dtype=torch.get_default_dtype())
        self.register_buffer("waves", waves / self.bandwidth)

    def forward(self, x: Tensor) -> Tensor:
        angles = F.linear(x, self.waves)
        size = (2 / self.features) ** 0.5 if self.unit_norm else 2**0.5
        return size * torch.cat((angles.cos(), angles.sin()), -1)

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.features}, bandwidth={self.bandwidth:.4g}, unit_norm={self.unit_norm}"


class RandomFeatures(nn.Module):
    """A random layer that is never trained: g ψ(W x + b), (…, inputs) → (…, features).

    Weights and biases are buffers: saved and not trained. W has N(0, 1/d) entries and g = 1/√E ψ(z)², so inputs of mean
    square 1 give features of mean square 1 (without biases, in expectation). For ReLU φ(x)ᵀφ(y)/features estimates the
    arc-cosine kernel of order 1, ‖x‖‖y‖/(πd) · (sin θ + (π − θ) cos θ), θ the angle between them (Cho & Saul 2009).

    Args:
        inputs: d.
        features: how many.
        activation: ψ, one of ``trainwell.nn.ACTIVATIONS``.
        bias_std: b_j ~ N(0, bias_std²); 0 by default.
        generator: source of randomness; the global one if None.

    Raises:
        InputError: if features are not positive, bias_std is negative or the activation is not known.
    """

    layer_kind = "embedding"

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        inputs: int,
        features: int,
        *,
        activation: str = "relu",
        bias_std: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if features < 1 or bias_std < 0:
            raise InputError(
                f"RandomFeatures: features={features}, bias_std={bias_std}.", "Use 1 or more features, 0 or more std."
            )
        made = features * pieces(activation)
        self.inputs, self.features, self.gain = inputs, features, gain(activation)
        dtype = torch.get_default_dtype()
        weight = torch.randn(made, inputs, generator=generator, dtype=dtype) * inputs**-0.5
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias_std * torch.randn(made, generator=generator, dtype=dtype))
        self.activation = activation_named(activation).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * self.activation(F.linear(x, self.weight, self.bias))

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.features}"


def random_features(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 1024,
    activation: str = "relu",
    bias_std: float = 0.0,
    dropout: float = 0.0,
) -> nn.Module:
    """Build a linear model on a frozen random layer.

    Args:
        inputs: shape of one sample; flattened.
        outputs: number of logits or values.
        width: random features p; the test error of the unregularized fit peaks where p is the number of samples.
        activation: one of ``trainwell.nn.ACTIVATIONS``.
        bias_std: standard deviation of the random biases.
        dropout: share of features silenced in training, 0 … 1.

    Raises:
        InputError: as ``RandomFeatures``.
    """
    front = RandomFeatures(math.prod(inputs), width, activation=activation, bias_std=bias_std)
    return nn.Sequential(nn.Flatten(), front, nn.Dropout(dropout), scaled_linear(width, outputs, 0.1))


def fourier_features(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    features: str = "random",
    waves: int = 256,
    bandwidth: float | None = None,
    frequencies: int = 4,
    widths: Sequence[int] | None = None,
    width: int = 256,
    depth: int = 1,
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.0,
) -> nn.Module:
    """Build a perceptron on Fourier features, which learns high frequencies that a plain one is slow to learn.

    Source: Tancik et al. 2020, arXiv:2006.10739.

    Args:
        inputs: shape of one sample; flattened.
        outputs: number of logits or values.
        features: ``random`` (Fourier features of all inputs together) or ``sinusoidal`` (of each by itself).
        waves: number of random features, even.
        bandwidth: σ of the kernel that random features stand for; √d if None. Smaller is rougher.
        frequencies: octaves of the sinusoids; the lowest has a half period of 4 standard deviations.
        widths: units of each hidden layer; None takes width and depth.
        width: units of each hidden layer.
        depth: hidden layers; 0 is a linear model on the features.
        activation: one of ``trainwell.nn.ACTIVATIONS``.
        norm: one of ``trainwell.nn.NORMS``.
        dropout: share of hidden units silenced in training, 0 … 1.

    Raises:
        InputError: if an option is not known or out of range.
    """
    size = math.prod(inputs)
    if features == "random":
        front: nn.Module = RandomFourierFeatures(size, waves, bandwidth=bandwidth, unit_norm=False)
        now = waves
    elif features == "sinusoidal":
        front = SinusoidalFeatures(frequencies, scale=4.0)
        now = front.width(size)
    else:
        raise InputError(f"fourier_features: features={features!r} is not known.", "Use random or sinusoidal.")
    layers: list[nn.Module] = []
    factor = 1.0
    for units in checked_widths("fourier_features", widths, width, depth):
        layers += dense_layer(now, units, factor, activation, norm, dropout)
        now, factor = units, gain(activation)
    return nn.Sequential(nn.Flatten(), front, *layers, scaled_linear(now, outputs, 0.1 * factor))
