"""S17: Fixup trains residual nets of fifty blocks without normalization, at a normal learning rate.

A block adds its branch F(x) to the x that it reads. Kaiming's (He's) weights keep E x² in the branch, so that without
normalization E x² doubles in every block, 2^50 = 10^15 in all; it triples where the branch's last layer, behind which
there is no ReLU, has the variance 2/n too. The first loss is then about 10^7, and the first step ends the training.
Fixup starts the last layer of every branch and the classifier at 0, so that the net starts as the identity, and
multiplies the other layers of the L branches of m layers by L^(−1/(2m−2)): 0.1414 for 50 branches of 2. One step at
the rate η then changes each branch by about η/L and the net by about η at any depth. Scalar biases, at 0, and one
factor, at 1, of each branch make up for those of a normalization; they learn at a tenth of the rate, as in the authors'
code for CIFAR-10.

The blocks are dense: linear, ReLU, linear. “Trains” is read as: within two points of the test accuracy of the same net
with batch normalization in its branches and before the classifier. The normal rate is 0.1, that of the first residual
nets with batch normalization (He et al. 2016), for all alike; at 0.3, which batch normalization bears, single nets with
Fixup are lost here.

Decks: R T
Control: He's weights in place of Fixup's, scalar biases and factors alike.
Source: Zhang, Dauphin & Ma 2019, eq. 5–8, arXiv:1901.09321 (one lecture has its first title, “Residual Learning
Without Normalization via Better Initialization”).
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from trainwell.lab.descent import accuracy, descend, mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import Pictures, labelled_pictures
from trainwell.lab.signal.crowd_of_residual_nets import (
    LAYERS,
    SCALARS,
    Kind,
    Maps,
    Residual,
    accuracies,
    crowd,
    growth,
    train,
)
from trainwell.lab.signal.random_net import Array
from trainwell.nn import resnet20
from trainwell.nn.blocks.fixup import ScalarScale, ScalarShift
from trainwell.theory.residual_growth import fixup_factor, residual_moment
from trainwell.theory.weight_variances import weight_variance

FORMULA = r"""
E\, x_L^2 = (1 + g)^L\, E\, x_0^2, \quad g = 1 \ \mathrm{(He)}, \quad g = 0 \ \mathrm{(Fixup)}
W_1 = L^{-1/(2m - 2)} \cdot \mathrm{He}, \quad W_2 = 0, \quad W_{\mathrm{classifier}} = 0
"""
RATE = 0.1
CLOSE = 0.02  # “within two points”
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # of the full setting


@dataclass(frozen=True)
class Setting:
    data: str
    pictures: int
    test: int
    nets: int
    passes: int
    blocks: int = 50
    width: int = 16
    batch: int = 32
    drawn: int = 400  # nets for E x² before training
    convolutional: bool = False  # ResNets of three stages and 3×3 convolutions instead of dense blocks
    seed: int = 0


QUICK = Setting("digits", 1200, 350, nets=10, passes=15)
# ResNet-110 and all pictures; the rate stays constant, no momentum, pictures are neither flipped nor cropped.
FULL = Setting("cifar10", 45000, 10000, nets=2, passes=60, blocks=54, batch=128, convolutional=True)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    own: Array  # test accuracy of each net with Fixup, or in the control with He's weights, at the best rate
    batch: Array  # with batch normalization
    he: Array  # with He's weights, and no normalization
    growth: Array  # mean factor on ‖x‖² of each block: He's, the same with 2/n everywhere, own; shape (3, blocks)
    factor: float  # own standard deviation of W_1 over He's
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    own: Kind = "fixup" if cause else "he"
    kinds: list[Kind] = [own, "batch", "he"]
    trained = {kind: _trained(setting, kind) for kind in kinds}
    generator = torch.Generator().manual_seed(setting.seed)
    x = torch.randn(setting.drawn, setting.width, 1, generator=generator)
    he, unlike = (crowd(k, setting.drawn, 1, setting.width, setting.blocks, generator) for k in ("he", own))
    factors = torch.stack([growth(he, x), growth(he, x, 2**0.5), growth(unlike, x)]).double().mean(2).numpy()
    first = torch.stack([next(m for m in b.modules() if isinstance(m, Maps)).weight.detach() for b in _blocks(unlike)])
    factor = float(first.square().mean() / weight_variance("kaiming", setting.width, setting.width)) ** 0.5
    return Measured(trained[own], trained["batch"], trained["he"], factors, factor, setting)


def _blocks(model: nn.Sequential) -> list[Residual]:
    return [module for module in model if isinstance(module, Residual)]


@functools.cache  # the nets with batch normalization and with He's weights are the same with the cause and without
def _trained(setting: Setting, kind: Kind) -> Array:
    """Test accuracies after training, shape (nets,)."""
    pictures = labelled_pictures(setting.data, setting.pictures, setting.test, setting.seed)
    run = _convolutional if setting.convolutional else _dense
    generator = torch.Generator().manual_seed(setting.seed)
    return run(setting, kind, pictures, torch.full((setting.nets,), RATE), setting.passes, generator)


def _dense(
    setting: Setting, kind: Kind, pictures: Pictures, rates: torch.Tensor, passes: int, generator: torch.Generator
) -> Array:
    """Test accuracies of one net for each rate."""
    flat = pictures.flat
    model = crowd(kind, len(rates), flat.X.shape[1], setting.width, setting.blocks, generator)
    train(model, flat, rates, passes, setting.batch, generator)
    return accuracies(model, flat.X_test, flat.y_test, len(rates)).double().numpy()


def _convolutional(
    setting: Setting, kind: Kind, pictures: Pictures, rates: torch.Tensor, passes: int, generator: torch.Generator
) -> Array:
    """The same of ResNets, one after the other."""
    X, y, X_test, y_test = (part.to(DEVICE) for part in (pictures.X, pictures.y, pictures.X_test, pictures.y_test))
    block, norm = ("fixup", None) if kind == "fixup" else ("basic", "batch" if kind == "batch" else "none")
    steps = len(X) // setting.batch
    found = []
    for rate in rates.tolist():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            options = {"width": setting.width, "blocks": setting.blocks // 3, "block": block, "norm": norm}
            net = resnet20(tuple(X.shape[1:]), 10, identity_start=False, **options)
        net.to(DEVICE)
        for number in (p for m in net.modules() if isinstance(m, ScalarScale | ScalarShift) for p in m.parameters()):
            number.register_hook(lambda slope: SCALARS * slope)
        descend(net, X, y, rate=rate, steps=passes * steps, batch=setting.batch, generator=generator)
        found.append(accuracy(net, X_test, y_test))
    return np.array(found)


def check(measured: Measured) -> list[Check]:
    s = measured.setting
    (own, batch, he), errors = (
        np.array(each) for each in zip(*map(mean_and_error, _accuracies(measured)), strict=True)
    )
    ratios = s.drawn * s.blocks
    weights = ratios * s.width**2
    # variance of |x + F|²/|x|², F Gaussian given x with E|F|² = g|x|²: (4 g + 7 g²)/n
    spread = np.array([(4 * g + 7 * g**2) / s.width / ratios for g in (1, 2)]) ** 0.5
    return [
        Check(
            "test accuracy with Fixup less that with batch normalization",
            own - batch,
            "at_least",
            -CLOSE,
            0.0,
            "claim",
            "“within two points”",
            error=np.hypot(errors[0], errors[1]),
        ),
        Check(
            "test accuracy from He's weights without normalization",
            he,
            "at_most",
            0.2,
            0.0,
            "claim",
            "“diverges or stalls” is twice chance at most; outputs that are no numbers are wrong",
            error=errors[2],
        ),
        Check(
            "factor on E x² of a block, He's weights, and 2/n in the last layer too",
            measured.growth[:2].mean(1),
            "equals",
            [residual_moment(1, g) for g in (1.0, 2.0)],
            float(np.max(4 * spread / np.array([2, 3]))),
            "theory",
            "relative: 4 standard errors",
        ),
        Check("the same with Fixup", measured.growth[2], "equals", residual_moment(1, 0.0), 0.0, "theory", "exact"),
        Check(
            "deviation of Fixup's W₁ over He's",
            measured.factor,
            "equals",
            fixup_factor(s.blocks, LAYERS),
            4 / (2 * weights) ** 0.5,
            "theory",
            "relative: 4 standard errors of a deviation, 1/√(2 · weights)",
        ),
    ]


def _accuracies(measured: Measured) -> tuple[Array, Array, Array]:
    return measured.own, measured.batch, measured.he


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    depths = np.arange(with_cause.setting.blocks + 1)
    axes.plot(depths, residual_moment(depths, 2.0), label="theory: 3^l, variance 2/n in all layers")
    axes.plot(depths, residual_moment(depths, 1.0), label="theory: 2^l, variance 1/n behind the last ReLU")
    axes.plot(depths, residual_moment(depths, 0.0), label="theory: 1, Fixup")
    axes.plot(depths[1:], np.cumprod(with_cause.growth[1]), "v", label="He, 2/n")
    he, fixup, batch = (m.mean() for m in (control.own, with_cause.own, with_cause.batch))
    axes.plot(depths[1:], np.cumprod(control.growth[2]), "s", label=f"He (control), trained: test accuracy {he:.2f}")
    label = f"Fixup, trained: test accuracy {fixup:.2f} (batch normalization: {batch:.2f})"
    axes.plot(depths[1:], np.cumprod(with_cause.growth[2]), "o", label=label)
    axes.set(xlabel="block l", ylabel="E x² after the block, before training", yscale="log")
