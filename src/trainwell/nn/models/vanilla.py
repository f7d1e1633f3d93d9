"""The vanilla convolutional network of any depth: no normalization, no shortcut, and a start at which signals survive.

    z_0 = stem(x),    z_{l+1} = W_l * φ(z_l) + b_l,    y = W mean over pixels of φ(z_L) + b

W_l are 3×3 convolutions whose kernels are σ_w times an orthogonal matrix at the centre and zero elsewhere (as by
``trainwell.init.delta_orthogonal_``), b_l ~ N(0, σ_b²). The start is on the edge of chaos at the second moment q
(``trainwell.theory.critical``),

    σ_w² E φ'(√q z)² = 1,    σ_b² = q − σ_w² E φ(√q z)²,    z ~ N(0, 1),

so that E z_l² stays q and the gradient keeps its norm on average. For tanh and small q, φ'(√q z)² ≈ 1 − 2q z²: each
layer adds 8q² to the variance of the Jacobian's squared singular values. We take q = 1/√(8 depth), at most 0.1, for
which all layers together add 1; at 10 000 layers q = 0.0035, σ_w² = 1.0070, σ_b² = 5.8·10⁻⁸. The stem sets E z_0² = q
for standardized images and halves them to at most 8 pixels a side by convolutions of stride 2 with Gaussian weights.
Source: Xiao et al. 2018, "Dynamical Isometry and a Mean Field Theory of CNNs: How to Train 10,000-Layer Vanilla
Convolutional Neural Networks", §2 and §3, arXiv:1806.05393.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import pieces
from trainwell.theory.critical_point import CriticalPoint, critical

_CHECKPOINTED_FROM = 100  # layers: below, the activations need less memory than the weights


class VanillaCNN(nn.Module):
    """Stem, segments of about √depth layers each, head; in training only what passes between segments is kept.

    A checkpointed segment is run again in the backward pass: one forward pass more, and memory for 2√depth layers
    instead of depth.

    Attributes:
        stem: to the images' width and final size.
        segments: the deep part.
        head: to logits or values.
        checkpointed: whether segments are run again in the backward pass. ``torch.func`` transforms need it off.
    """

    def __init__(self, stem: nn.Module, layers: list[nn.Module], head: nn.Module, checkpointed: bool) -> None:
        super().__init__()
        self.stem, self.head, self.checkpointed = stem, head, checkpointed
        length = 2 * max(1, math.isqrt(len(layers) // 2))  # modules: φ and a convolution make a layer
        parts = [layers[start : start + length] for start in range(0, len(layers), length)]
        self.segments = nn.Sequential(*(nn.Sequential(*part) for part in parts))

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        if self.checkpointed and torch.is_grad_enabled():
            for segment in self.segments:
                h = checkpoint(segment, h, use_reentrant=False, preserve_rng_state=False)
        else:
            h = self.segments(h)
        return self.head(h)


def vanilla_cnn(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 32,
    depth: int = 32,
    activation: str = "tanh",
    padding: Literal["circular", "zeros"] = "circular",
    second_moment: float | None = None,
    checkpointed: bool | None = None,
) -> nn.Module:
    """Build a convolutional network without normalization and shortcuts; 10 000 layers are possible.

    Each layer gets a gradient of the same size, so the largest rate falls as 1/depth: at 32 layers AdamW learns at
    3·10⁻⁴ and not at 3·10⁻³.

    Args:
        inputs: (C, H, W) of one image.
        outputs: number of logits or values.
        width: channels of all layers.
        depth: layers after the stem, at least 0.
        activation: φ, one of ``trainwell.nn.ACTIVATIONS`` that keeps the number of channels and has a critical point
            at q with σ_b² ≥ 0, such as tanh, hard_tanh and relu.
        padding: ``circular``, for which the theory is exact, or ``zeros``.
        second_moment: q; from the depth if None.
        checkpointed: whether to save memory by running segments twice; from 100 layers on if None.

    Raises:
        ValueError: if the samples are no images, the padding is not known, or φ has no critical point at q.
    """
    if len(inputs) != 3:
        raise ValueError(f"vanilla_cnn takes images (C, H, W), these samples have shape {inputs}. Use mlp.")
    if padding not in ("circular", "zeros"):
        raise ValueError(f"vanilla_cnn: padding={padding!r} is not known. Use 'circular' or 'zeros'.")
    if pieces(activation) != 1:
        raise ValueError(f"vanilla_cnn: activation={activation!r} changes the number of channels. Use tanh.")
    q = second_moment_of(depth) if second_moment is None else second_moment
    point = critical(activation, q)
    layers: list[nn.Module] = []
    for _ in range(depth):
        convolution = nn.Conv2d(width, width, 3, padding=1, padding_mode=padding)
        _draw_(convolution, point)
        layers += [activation_named(activation), convolution]
    last = nn.Linear(width, outputs)
    nn.init.normal_(last.weight, std=width**-0.5)
    nn.init.zeros_(last.bias)
    head = nn.Sequential(activation_named(activation), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
    stem = _stem(inputs, width, activation, padding, q, point)
    deep = depth >= _CHECKPOINTED_FROM if checkpointed is None else checkpointed
    return VanillaCNN(stem, layers, head, deep)


def second_moment_of(depth: int) -> float:
    """Return q = 1/√(8 depth), at most 0.1: the E z² for which ``depth`` layers spread squared singular values by 1."""
    return min(0.1, (8 * max(1, depth)) ** -0.5)


def _stem(
    inputs: tuple[int, ...],
    width: int,
    activation: str,
    padding: Literal["circular", "zeros"],
    q: float,
    point: CriticalPoint,
) -> nn.Module:
    side, halvings = min(inputs[1:]), 0
    while side > 8:
        side, halvings = (side + 1) // 2, halvings + 1
    first = nn.Conv2d(inputs[0], width, 3, 2 if halvings else 1, padding=1, padding_mode=padding)
    nn.init.normal_(first.weight, std=(q / first.weight[0].numel()) ** 0.5)
    nn.init.zeros_(first.bias)  # type: ignore[arg-type]
    layers: list[nn.Module] = [first]
    for _ in range(halvings - 1):
        convolution = nn.Conv2d(width, width, 3, 2, padding=1, padding_mode=padding)
        nn.init.normal_(convolution.weight, std=point.sigma_w * convolution.weight[0].numel() ** -0.5)
        nn.init.normal_(convolution.bias, std=point.sigma_b)  # type: ignore[arg-type]
        layers += [activation_named(activation), convolution]
    return nn.Sequential(*layers)


@torch.no_grad()
def _draw_(convolution: nn.Conv2d, point: CriticalPoint) -> None:
    weight = convolution.weight
    centre = nn.init.orthogonal_(weight.new_empty(weight.shape[:2]), point.sigma_w)
    weight.zero_()[:, :, 1, 1] = centre
    nn.init.normal_(convolution.bias, std=point.sigma_b)  # type: ignore[arg-type]
