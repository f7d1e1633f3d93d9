"""The forward pass of a ``Chain`` as theory sees it: a node for each step, with moments and the way back.

With m = E h², k = E h h' of two unrelated inputs, u, v ~ N(0, q) of correlation k/q:

    weights         q ← σ_w² m + σ_b²             k ← σ_w² k + σ_b²             G ← σ_w² G
    activation      m ← E φ(u)²                   k ← E φ(u) φ(v)               G ← E φ'(u)² G
    layer norm      m ← γ² s²/(s² + ε) + β²       s² = m − (mean over units)²   G ← γ²/(s² + ε) G
    batch norm      likewise                      s² = m − k                    likewise
    addition        m ← m_1 + m_2                 k ← k_1 + k_2                 G to both
    mean of n       m kept                        k kept                        G ← G/n

where G = ‖∂L/∂h‖², summed over units and pixels: σ_w² is its factor whatever the widths and strides. Between nets of n
units, v = Var ln of the mean of h² grows by (E φ⁴/(E φ²)² − 1)/n per activation (5/n for ReLU), after which weights and
curvature of φ pass it on; ln G gains (3 E φ'⁴/(E φ'²)² − 1)/n.
Sources: Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232; Yang et al. 2019,
arXiv:1902.08129 (batch norm: G grows by π/(π − 1) per ReLU layer); Hanin & Nica 2020, arXiv:1812.05994 (the 5/n).
"""

import math
from dataclasses import dataclass

from trainwell.theory.gaussian import expectation
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.initial_spread import Spread

SMALLEST, LARGEST = 1e-280, 1e280


@dataclass(frozen=True)
class Node:
    """A step of the forward pass.

    Attributes:
        moment: E h² per unit.
        covariance: E h h' of two unrelated inputs; nan where unknown.
        mean: E h over units.
        variance: of ln(mean of h² over units), over random nets.
        parents: (node, factor on G on the way to it).
        shape: of the signal, without the batch.
        noise: what it adds to Var ln G.
        keeps: the σ_w that weights after it need so that E h² stays what it was before the last activation.
        weighted: whether it is the output of weights, as it stands.
    """

    moment: float
    covariance: float
    mean: float
    variance: float
    parents: tuple[tuple[int, float], ...]
    shape: tuple[int, ...]
    noise: float = 0.0
    keeps: float = 1.0
    weighted: bool = False

    @property
    def correlation(self) -> float:
        """Of two unrelated inputs' signals."""
        return self.covariance / self.moment if self.moment > SMALLEST else math.nan

    @property
    def units(self) -> int:
        """Channels of pictures, features else; at least 1."""
        return max(1, self.shape[0] if len(self.shape) > 2 else self.shape[-1] if self.shape else 1)


def through_weights(before: Node, place: int, spread: Spread, shape: tuple[int, ...]) -> Node:
    """Return the node behind a linear layer or convolution."""
    scale, shift = spread.sigma_w**2, spread.sigma_b**2
    moment = clamped(scale * before.moment + shift)
    sampled = before.variance + (2 / before.units if before.weighted else 0.0)
    share = scale * before.moment / moment
    noise = 2 / before.units if before.weighted else 0.0
    variance = min(share, 1.0) ** 2 * sampled
    covariance = scale * before.covariance + shift
    return Node(moment, covariance, 0.0, variance, ((place, scale),), shape, noise, weighted=True)


def through_activation(before: Node, place: int, function: Nonlinearity, shape: tuple[int, ...]) -> Node:
    """Return the node behind an elementwise function, of pre-activations that are taken as N(0, q)."""
    q = clamped(before.moment)
    moment, slope = float(function.second_moment(q)), float(function.slope_moment(q))
    after = Node(moment, math.nan, float(function.mean(q)), 0.0, ((place, slope),), shape)
    spread, noise, gain = _fluctuation(function, min(max(q, 1e-60), 1e60), moment)
    return Node(
        moment,
        _covariance(function, q, before.correlation, moment),
        after.mean,
        gain**2 * before.variance + spread / after.units,
        after.parents,
        shape,
        noise / after.units,
        float(function.second_moment(1.0)) ** -0.5,
    )


def through_norm(before: Node, place: int, spread: Spread, kind: str, epsilon: float, shape: tuple[int, ...]) -> Node:
    """Return the node behind a normalization.

    Args:
        kind: ``batch`` (statistics of a unit over the samples), ``layer`` (of a sample over the units) or ``rms``.
    """
    centre = {"batch": before.covariance, "layer": before.mean**2, "rms": 0.0}[kind]
    centre = 0.0 if math.isnan(centre) else centre
    size = max(before.moment - centre, 0.0)
    scale, shift = spread.sigma_w**2 / (size + epsilon), spread.sigma_b**2
    moment = clamped(scale * size + shift)
    return Node(moment, scale * (before.covariance - centre) + shift, 0.0, 0.0, ((place, scale),), shape)


def through_pool(before: Node, place: int, share: float, shape: tuple[int, ...]) -> Node:
    """Return the node behind pooling: moments are kept, G is multiplied by ``share``."""
    parents = ((place, share),)
    return Node(before.moment, before.covariance, before.mean, before.variance, parents, shape, keeps=before.keeps)


def through_sum(one: Node, other: Node, places: tuple[int, int]) -> Node:
    """Return the sum of a branch and a shortcut, taken as uncorrelated; fluctuations as those of one origin."""
    moment = clamped(one.moment + other.moment)
    root = one.moment * math.sqrt(one.variance) + other.moment * math.sqrt(other.variance)
    return Node(
        moment,
        one.covariance + other.covariance,
        one.mean + other.mean,
        (root / moment) ** 2,
        ((places[0], 1.0), (places[1], 1.0)),
        one.shape,
    )


def clamped(moment: float) -> float:
    """Return a moment within what float64 can square."""
    return min(max(moment, SMALLEST), LARGEST)


def _covariance(function: Nonlinearity, q: float, correlation: float, moment: float) -> float:
    if math.isnan(correlation) or correlation >= 1 - 1e-13:
        return moment if correlation >= 1 - 1e-13 else math.nan
    try:
        return float(function.covariance(q, max(correlation, -1.0)))
    except (NotImplementedError, ValueError):
        return math.nan


def _fluctuation(function: Nonlinearity, q: float, moment: float) -> tuple[float, float, float]:
    """Return n times what the activation adds to v and to Var ln G, and d ln m/d ln q."""
    if moment <= SMALLEST:
        return 0.0, 0.0, 0.0
    try:
        fourth = float(expectation(lambda x: function.value(x) ** 4, q, function.kinks))
        steep = float(expectation(lambda x: function.derivative(x) ** 4, q, function.kinks))
    except (AttributeError, ValueError):  # maxout: its pieces are no function of one variable; as for two of them
        return 2.0, 2.0, 1.0
    second, slope = float(function.second_moment(q)), float(function.slope_moment(q))
    if not (second > 0 and slope > 0):
        return 0.0, 0.0, 0.0
    return max(fourth / second**2 - 1, 0.0), 3 * steep / slope**2 - 1, q * float(function.growth(q)) / second
