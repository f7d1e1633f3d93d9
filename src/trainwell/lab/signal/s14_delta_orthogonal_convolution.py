"""S14: a delta-orthogonal convolution keeps ‖y‖ = ‖x‖, so that 10 000 plain layers pass a signal, and can be trained.

A kernel that is zero but for an orthogonal matrix Q at its centre maps every pixel by Q: ‖y‖ = ‖x‖ for every picture,
circular or zero padding, and JᵀJ = I for any number of layers. (The lecture writes as if the norm's being kept defined
the kernel; it is one such kernel of many, and there is none to fewer channels.) With tanh the start is on the edge of
chaos at a small second moment q: σ_w² E φ'(√q z)² = 1, z ~ N(0, 1). In n channels the pixels' own norm sets Σ z⁴, and
E z² does not rest at q, the limit of wide layers, but at q (1 + 2/n); the gradient's norm is kept but for the one
direction, of n, in which that norm relaxes.

Gaussian kernels keep the norm only in the mean: a product of L of them shrinks almost every signal as e^{−cL}.
The trained net sees pictures whose blocks of pixels are folded into channels, as its head averages over all pixels.

Decks: T
Control: Gaussian kernels of the same σ_w.
Source: Xiao et al. 2018, §2.4 and Algorithm 1, arXiv:1806.05393.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, pixel_unshuffle

from trainwell.init import delta_orthogonal_, kaiming_
from trainwell.lab.descent import accuracy, descend
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.signal.random_net import Array
from trainwell.nn import vanilla_cnn
from trainwell.nn.models.vanilla import second_moment_of
from trainwell.theory.convolution_spectrum import convolution_singular_values
from trainwell.theory.critical_point import CriticalPoint, critical

FORMULA = r"""
K_{:,:,c} = Q, \quad Q^T Q = I, \quad K_{:,:,s} = 0\ (s \neq c) \quad \Rightarrow \quad \|K * x\| = \|x\|
"""
MOMENT = 5e-4  # q of the deep tanh net: all its layers spread the squared singular values by √(8q²L) = 0.14
SIDE = 3  # pixels of a side
EVERY = 50  # layers between two records
CLASSES = 10


@dataclass(frozen=True)
class Setting:
    trained_depth: int
    data: str
    fold: int  # pixels of a side that are folded into channels
    samples: int
    tests: int
    steps: int
    rate: float
    depth: int = 10_000
    channels: int = 16
    batch: int = 64
    checkpointed: bool = False
    device: str = "cpu"  # or a graphics card's, of the trained net
    seed: int = 0


QUICK = Setting(trained_depth=500, data="digits", fold=4, samples=1200, tests=350, steps=30, rate=1e-3)
FULL = Setting(
    trained_depth=10_000,
    data="mnist",
    fold=7,
    samples=50_000,
    tests=10_000,
    steps=2000,
    rate=5e-5,
    checkpointed=True,
    device="cuda" if torch.cuda.is_available() else "cpu",
)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    layer: Array  # ‖y‖/‖x‖ of one layer, shape (paddings, pictures)
    singular: Array  # all singular values of one layer
    forward: Array  # ‖z_l‖/‖z_0‖ of linear layers, every so many of them, shape (records, pictures)
    backward: Array  # ‖∂L/∂z_0‖/‖∂L/∂z_L‖, shape (pictures,)
    tanh_forward: Array
    tanh_backward: Array
    losses: Array  # of the trained net, shape (steps,)
    accuracy: float  # on the test part
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    kernel = _kernel(setting.channels, 1.0, cause, generator)
    pictures = _pictures(setting.channels, generator)
    kept = [_norms(conv2d(_circular(pictures), kernel)), _norms(conv2d(pictures, kernel, padding=1))]
    linear = _both_passes(setting, cause, CriticalPoint(1.0, 0.0), lambda z: z, generator)
    tanh = _both_passes(setting, cause, critical("tanh", MOMENT), torch.tanh, generator)
    losses, share = _trained(setting, cause, generator)
    return Measured(
        np.stack(kept) / _norms(pictures),
        convolution_singular_values(kernel.numpy(), (SIDE, SIDE)),
        *linear,
        *tanh,
        losses,
        share,
        setting,
    )


def _kernel(channels: int, gain: float, cause: bool, generator: torch.Generator) -> Tensor:
    weight = torch.empty(channels, channels, 3, 3, dtype=torch.float64)
    return (delta_orthogonal_ if cause else kaiming_)(weight, gain, generator=generator)


def _pictures(channels: int, generator: torch.Generator) -> Tensor:
    """Noise, the same pixel everywhere, and one corner only."""
    noise = torch.randn(channels, SIDE, SIDE, generator=generator, dtype=torch.float64)
    corner = torch.zeros_like(noise)
    corner[:, 0, 0] = noise[:, 0, 0]
    return torch.stack([noise, noise[:, :1, :1].expand_as(noise), corner])


def _circular(x: Tensor) -> Tensor:
    return pad(x, (1, 1, 1, 1), mode="circular")


def _norms(x: Tensor) -> Array:
    return x.detach().flatten(1).norm(dim=1).numpy()


def _both_passes(
    setting: Setting,
    cause: bool,
    point: CriticalPoint,
    function: Callable[[Tensor], Tensor],
    generator: torch.Generator,
) -> tuple[Array, Array]:
    """Norms of z_l = W_l * φ(z_{l−1}) + b_l over that of z_0, and of the gradient over what it is at the top."""
    shape, exact = (2, setting.channels, SIDE, SIDE), torch.float64
    inputs = torch.randn(shape, generator=generator, dtype=exact)
    inputs *= (MOMENT / inputs.square().mean(1, keepdim=True)).sqrt()  # every pixel starts at q
    z, norms = inputs.requires_grad_(), list[Array]()
    for layer in range(setting.depth):
        kernel = _kernel(setting.channels, point.sigma_w, cause, generator)
        bias = torch.randn(setting.channels, generator=generator, dtype=exact) * point.sigma_b
        z = conv2d(_circular(function(z)), kernel, bias)
        if (layer + 1) % EVERY == 0:
            norms.append(_norms(z))
    top = torch.randn(shape, generator=generator, dtype=exact)
    (pulled,) = torch.autograd.grad(z, inputs, top)
    return np.stack(norms) / _norms(inputs), _norms(pulled) / _norms(top)


def _trained(setting: Setting, cause: bool, generator: torch.Generator) -> tuple[Array, float]:
    """Losses of a deep tanh net's batches, and its share of right answers on the test part."""
    data = labelled_pictures(setting.data, setting.samples, setting.tests, setting.seed)
    X, y, X_test, y_test = (each.to(setting.device) for each in (data.X, data.y, data.X_test, data.y_test))
    X, X_test = pixel_unshuffle(X, setting.fold), pixel_unshuffle(X_test, setting.fold)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        model = vanilla_cnn(
            tuple(X.shape[1:]),
            CLASSES,
            width=setting.channels,
            depth=setting.trained_depth,
            padding="zeros",
            checkpointed=setting.checkpointed,
        )
    if not cause:
        gain = critical("tanh", second_moment_of(setting.trained_depth)).sigma_w
        for module in model.get_submodule("segments").modules():
            if isinstance(module, nn.Conv2d):
                kaiming_(module.weight, gain, generator=generator)
    model.to(setting.device)
    options = {"rate": setting.rate, "steps": setting.steps, "batch": setting.batch, "momentum": 0.9}
    losses = descend(model, X, y, generator=generator, **options)  # type: ignore[arg-type]
    return np.array(losses), accuracy(model, X_test, y_test)


def relaxing(layers: NDArray[np.integer], channels: int) -> Array:
    """E z_l² over q in narrow tanh layers: u' = 2q u (1 − u n/(n + 2)) from u = 1, to leading order in q."""
    rest = 1 + 2 / channels
    return rest / (1 + (rest - 1) * np.exp(-2 * MOMENT * layers))


def check(measured: Measured) -> list[Check]:
    s = measured.setting
    chance = 1 / CLASSES
    margin = 4 * (chance * (1 - chance) / s.tests) ** 0.5
    rounding = 1e-16 * s.depth * s.channels
    late = measured.tanh_forward[len(measured.tanh_forward) // 2 :]
    layers = EVERY * np.arange(1, len(measured.tanh_forward) + 1)[len(measured.tanh_forward) // 2 :]
    bound, exact = "the bound of the claim", f"rounding: 1e-16 · depth · channels = {rounding:.1g}"
    spread = 4 * (8 * MOMENT**2 * s.depth / s.channels + 2 / (s.channels * SIDE) ** 2) ** 0.5
    trained = f"right answers after training {s.trained_depth} layers"
    return [
        Check("‖y‖/‖x‖, one layer, circular and zero padding", measured.layer, "equals", 1.0, 1e-4, "claim", bound),
        Check(f"‖y‖/‖x‖, {s.depth} layers", measured.forward[-1], "equals", 1.0, 1e-4, "claim", bound),
        Check(
            trained,
            measured.accuracy,
            "at_least",
            chance + margin,
            0.0,
            "claim",
            f"chance and four standard errors of guesses on {s.tests} pictures",
            error=(measured.accuracy * (1 - measured.accuracy) / s.tests) ** 0.5,
        ),
        Check("every singular value of a layer", measured.singular, "equals", 1.0, 1e-12, "theory", "rounding"),
        Check("‖z_l‖/‖z_0‖ of all layers", measured.forward, "equals", 1.0, rounding, "theory", exact),
        Check("gradient's norm, bottom over top", measured.backward, "equals", 1.0, rounding, "theory", exact),
        Check(
            "tanh: E z² over q, second half of the layers",
            (late**2).mean(1),
            "equals",
            relaxing(layers, s.channels),
            1.6 * MOMENT**0.5,
            "theory",
            "four times 0.4 √q: Σ z⁴ changes from layer to layer by less than 40 %",
        ),
        Check(
            "tanh: squared norm of the gradient, bottom over top",
            (measured.tanh_backward**2).mean(),
            "equals",
            1 - 1 / s.channels,
            spread,
            "theory",
            "absolute: four standard errors, Var s² = 8q²L over the channels, and the share of one direction",
            absolute=True,
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    s = with_cause.setting
    layers = EVERY * np.arange(1, len(with_cause.forward) + 1)
    sparse = slice(None, None, max(1, len(layers) // 25))
    lost = control.forward.mean(1)
    axes.axhline(1.0, label="theory, linear layers")
    axes.plot(layers, np.sqrt(relaxing(layers, s.channels)), label=f"theory, tanh, {s.channels} channels")
    axes.plot(layers[sparse], with_cause.forward.mean(1)[sparse], "o", label="linear, delta-orthogonal")
    axes.plot(layers[sparse], with_cause.tanh_forward.mean(1)[sparse], "^", label="tanh, delta-orthogonal")
    axes.plot(layers, lost, "s", label="linear, Gaussian (control)")
    right, guessed = (f"{each.accuracy:.0%}" for each in (with_cause, control))
    text = f"{s.trained_depth} layers trained: {right} right\ncontrol: {guessed}"
    axes.text(0.98, 0.5, text, transform=axes.transAxes, ha="right", va="center", fontsize=7)
    axes.set(xlabel="layer l", ylabel="‖z_l‖ / ‖z_0‖", yscale="log", ylim=(1e-4, 3), xscale="log")
