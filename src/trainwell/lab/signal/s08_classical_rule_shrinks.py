"""S08: the classical rule U[−1/√d, 1/√d] shrinks the signal by √3 at every linear layer, where Xavier keeps it.

A uniform weight in ±a has the variance a²/3, so that a = 1/√d gives 1/(3d): the standard deviation is divided by √3 at
every linear layer. It is also what PyTorch gives an ``nn.Linear`` that nobody initializes. One lecture prints ±1/d,
which would divide by √(3d).

Decks: G R
Control: Xavier's uniform rule ±√(3/d), which keeps the signal.
Source: Glorot & Bengio 2010, eq. 1 and 15.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array

FORMULA = r"""
\mathrm{Var}\,U[-a, a] = \frac{a^2}{3}
\frac{\mathrm{std}(h_{l+1})}{\mathrm{std}(h_l)} = \sqrt{d\,\mathrm{Var}\,W} = \frac{1}{\sqrt{3}}
"""


@dataclass(frozen=True)
class Setting:
    width: int
    depth: int = 6
    batch: int = 256
    seed: int = 0


QUICK = Setting(width=1024)
FULL = Setting(width=8192)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    factors: Array  # of the standard deviation, per layer
    pytorch: float  # the same of an untouched torch.nn.Linear without bias
    printed: float  # of U[−1/d, 1/d]
    width: int


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    width = setting.width
    bound = (1.0 if cause else 3.0) ** 0.5 / width**0.5
    h = torch.randn(setting.batch, width, generator=generator)
    factors = np.empty(setting.depth)
    for layer in range(setting.depth):
        before, h = h, h @ _uniform(width, bound, generator).T
        factors[layer] = float(h.std() / before.std())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(setting.seed)
        pytorch = float(torch.nn.Linear(width, width, bias=False)(before).std() / before.std())
    printed = float((before @ _uniform(width, 1 / width, generator).T).std() / before.std())
    return Measured(factors, pytorch, printed, width)


def _uniform(width: int, bound: float, generator: torch.Generator) -> torch.Tensor:
    return (2 * torch.rand(width, width, generator=generator) - 1) * bound


def check(measured: Measured) -> list[Check]:
    reason = "3 %: the fluctuation of one layer of 1024 units and 256 inputs is below 0.5 %"
    return [
        Check(
            "factor of every layer on the standard deviation",
            measured.factors,
            "equals",
            3**-0.5,
            0.03,
            "claim",
            reason,
        ),
        Check("an untouched torch.nn.Linear", measured.pytorch, "equals", 3**-0.5, 0.03, "theory", reason),
        Check(
            "U[−1/d, 1/d], as one lecture prints it",
            measured.printed,
            "equals",
            (3 * measured.width) ** -0.5,
            0.03,
            "theory",
            reason,
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    layers = np.arange(1, len(with_cause.factors) + 1)
    axes.plot(layers, 3.0 ** (-layers / 2), label="theory: 3 to the −l/2")
    axes.plot(layers, np.ones(len(layers)), label="theory, Xavier: 1")
    axes.plot(layers, with_cause.factors.cumprod(), "o", label="measured, with the cause")
    axes.plot(layers, control.factors.cumprod(), "s", label="measured, control")
    axes.set(xlabel="linear layer", ylabel="std over that of the input", yscale="log")
