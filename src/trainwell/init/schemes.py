"""The schemes that ``apply_`` knows: which rule fills linear layers, which convolutions, and whether φ sets the gain.

A scheme with a gain multiplies its standard deviation by 1/√E φ(z)², z ~ N(0, 1), of the nonlinearity φ that follows:
√2 for ReLU, 1 where none follows. ``zero`` and ``constant`` leave all units of a layer alike for ever, ``small_normal``
lets signal and gradient fade with depth and ``large_normal`` saturates tanh units: they are the lectures' examples of
what goes wrong (deck R: 0.01 · randn, then 0.05 · randn; deck M: all alike), for comparisons.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from trainwell.init.constant import constant_
from trainwell.init.delta_orthogonal import delta_orthogonal_
from trainwell.init.draw import normal_
from trainwell.init.fan import fans
from trainwell.init.geometric_mean import geometric_mean_
from trainwell.init.identity import identity_
from trainwell.init.kaiming import kaiming_
from trainwell.init.lecun import lecun_
from trainwell.init.orthogonal import orthogonal_
from trainwell.init.xavier import xavier_

Fill = Callable[..., Tensor]


@dataclass(frozen=True)
class Scheme:
    """How a model starts.

    Attributes:
        linear: fills the weight of a linear layer: ``linear(weight, gain, generator=…)``.
        conv: fills a convolution's: ``conv(weight, gain, groups=…, transposed=…, generator=…)``.
        gain: of a layer of which it is not known what follows; the published rule's.
        follows: whether the nonlinearity that follows sets the gain; the paper's rule is for ReLU or has none if not.
        critical: whether gain and biases are those of the edge of chaos of what follows; biases are 0 otherwise.
    """

    linear: Fill
    conv: Fill
    gain: float
    follows: bool
    critical: bool = False


def _alike(
    weight: Tensor,
    gain: float,
    *,
    groups: int = 1,
    transposed: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill with gain/fan_in: every unit is the mean of its inputs, a size that no depth blows up."""
    return constant_(weight, gain / fans(weight, groups=groups, transposed=transposed)[0])


def _fixed(std: float) -> Fill:
    def fill(weight: Tensor, gain: float, *, generator: torch.Generator | None = None, **shape: int | bool) -> Tensor:
        return normal_(weight, gain * std, generator=generator)

    return fill


def _identity(
    weight: Tensor,
    gain: float,
    *,
    groups: int = 1,
    transposed: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    return identity_(weight, gain, groups=groups)


def _orthogonal_conv(
    weight: Tensor, gain: float, *, groups: int, transposed: bool, generator: torch.Generator | None
) -> Tensor:
    return orthogonal_(weight, gain, groups=groups, generator=generator)


def _one(fill: Fill, gain: float, follows: bool) -> Scheme:
    return Scheme(fill, fill, gain, follows)


SCHEMES: dict[str, Scheme] = {
    "zero": _one(_fixed(0.0), 1.0, False),
    "constant": _one(_alike, 1.0, False),
    "small_normal": _one(_fixed(0.01), 1.0, False),
    "large_normal": _one(_fixed(0.05), 1.0, False),
    "identity": _one(_identity, 1.0, False),
    "lecun": _one(lecun_, 1.0, False),
    "xavier": _one(xavier_, 1.0, False),
    "xavier_normal": _one(partial(xavier_, distribution="normal"), 1.0, False),
    "kaiming": _one(kaiming_, 2**0.5, True),
    "kaiming_uniform": _one(partial(kaiming_, distribution="uniform"), 2**0.5, True),
    "kaiming_fan_out": _one(partial(kaiming_, fan="out"), 2**0.5, True),
    "geometric_mean": _one(geometric_mean_, 2**0.5, True),
    "critical": Scheme(kaiming_, kaiming_, 1.0, True, critical=True),
    "orthogonal": Scheme(orthogonal_, _orthogonal_conv, 1.0, True),
    "delta_orthogonal": Scheme(orthogonal_, delta_orthogonal_, 1.0, True),
}
