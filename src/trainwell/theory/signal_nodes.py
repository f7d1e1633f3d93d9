"""The forward pass of a ``Chain`` as theory sees it: a node for each step, with moments and the way back.

With m = E h², a = E h_p h_p' of two places (pixels, tokens) of a sample, k = E h h' of two unrelated samples:

    weights         m ← σ_w² m + σ_b²,  a and k likewise                                G ← σ_w² G
    activation      m ← E φ(u)²,  a ← E φ(u) φ(v) at correlation a/m,  k at k/m         G ← E φ'(u)² G
    layer norm      m ← γ² s²/(s² + ε) + β²       s² = m − (mean over units)²           G ← γ²/(s² + ε) G
    batch norm      likewise                      s² = m − k                            likewise
    instance norm   likewise                      s² = m − a                            and less its mean over places
    f h + c         m ← f² m + 2 f c E h + c²,  a and k likewise                        G ← f² G

where G = ‖∂L/∂h‖², summed over units and places: σ_w² is its factor whatever the widths and strides.

Steps that change each unit by itself (activations, sums, products, norms) are followed exactly between *sources*, whose
values are new: outputs of weights, which are normal and independent of what they read, and steps that mix places. The
factor on G from a node back to a source z is E (dy/dz)² along all ways between them. Where the entries are normal of
mean 0, moments are closed forms or quadratures; else they are means over drawn units (``unit_draws``).

Between nets of n units, v = Var ln of the mean of h² grows by (E φ⁴/(E φ²)² − 1)/n per activation (5/n for ReLU), after
which weights and curvature of φ pass it on; ln G gains (3 E φ'⁴/(E φ'²)² − 1)/n.
Sources: Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232; pixels: Xiao et al. 2018,
arXiv:1806.05393; Yang et al. 2019, arXiv:1902.08129 (batch norm: G grows by π/(π − 1) per ReLU layer); Hanin & Nica
2020, arXiv:1812.05994 (the 5/n).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from trainwell.theory.gaussian import Array, expectation
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.gradient_ways import Pull, Way, masked, scaled
from trainwell.theory.initial_spread import Spread
from trainwell.theory.unit_draws import Design
from trainwell.theory.unit_nodes import SMALLEST, Draw, Link, Node, clamped, drawn_node, source

_SEEN = 16  # samples that a unit's mean is taken over where its values are drawn


def through_weights(
    before: Node, number: int, spread: Spread, taken: float, units: int, taps: int = 1, **others: Any
) -> Node:
    """Return the node behind a linear layer or convolution.

    Args:
        before: what it reads.
        number: of the new node.
        spread: of its weights.
        taken: share of a window's inputs that are not padding, 1 without it.
        units: of the new node.
        taps: places of a window.
        others: places, shape.
    """
    scale, shift = spread.sigma_w**2 * taken, spread.sigma_b**2
    moment = clamped(scale * before.moment + shift)
    sampled = before.variance + (2 / before.units if before.weighted else 0.0)
    share = scale * before.moment / moment
    moments = (moment, scale * before.along + shift, scale * before.covariance + shift, spread.mean_b)
    return source(
        number,
        moments,
        parents=before.ways(scaled(scale)),
        variance=min(share, 1.0) ** 2 * sampled,
        noise=2 / before.units if before.weighted else 0.0,
        weighted=True,
        overlap=scale**2 * before.overlap / taps + (moment - moments[1]) ** 2 / units,
        units=units,
        **others,
    )


def through_activation(before: Node, number: int, function: Nonlinearity, units: int, shape: tuple[int, ...]) -> Node:
    """Return the node behind an elementwise function."""
    single = hasattr(function, "kinks")

    def draw(design: Design, count: int) -> Array:
        return np.asarray(function.value(before.values(design, count)))

    def slopes(design: Design, count: int) -> dict[int, Array]:
        steep = np.asarray(function.derivative(before.values(design, count)))
        return {key: steep * slope for key, slope in before.steep(design, count).items()}

    if before.normal or not single:
        after_it = _of_normal(before, number, function, units, shape)
    else:
        values, steep = before.paired(), {}
        for key, slope in before.paired_slopes().items():
            steep[key] = np.asarray(function.derivative(values)) * slope
        after_it = drawn_node(before, number, np.asarray(function.value(values)), steep, units=units, shape=shape)
    spread, noise, gain = _fluctuation(function, min(max(before.moment, 1e-60), 1e60), after_it.moment)
    after_it = replace(
        after_it,
        variance=gain**2 * before.variance + spread / units,
        noise=noise / units,
        keeps=float(function.second_moment(1.0)) ** -0.5,
    )
    return replace(after_it, draw=draw, slopes=slopes) if single else after_it


def through_norm(before: Node, number: int, spread: Spread, kind: str, epsilon: float) -> Node:
    """Return the node behind a normalization.

    Args:
        before: what it reads.
        number: of the new node.
        spread: root mean squares of γ and β.
        kind: ``batch`` (statistics of a unit over samples and places), ``instance`` (of a unit over the places of one
            sample), ``layer`` (of a sample over the units) or ``rms``.
        epsilon: ε.
    """
    centre = {"batch": before.covariance, "layer": before.mean**2, "rms": 0.0, "instance": before.along}[kind]
    centre = 0.0 if math.isnan(centre) else centre
    size = max(before.moment - centre, 0.0)
    scale, shift = spread.sigma_w**2 / (size + epsilon), spread.sigma_b**2
    left = 0.0 if kind == "instance" else before.covariance - centre
    overlap = scale**2 * before.overlap
    moments = (scale * size + shift, scale * (before.along - centre) + shift, scale * left + shift, spread.mean_b)
    if kind in ("batch", "instance") or shift > 0:
        way = scaled(scale) if kind != "instance" else _less_mean(scale, before.places)
        others = {"units": before.units, "shape": before.shape, "parents": before.ways(way), "overlap": overlap}
        if kind == "batch" and not before.normal:
            others |= {"draw": _centred(before, scale, spread.mean_b), "normal": False}
        return source(number, moments, before.places, **others)
    middle = before.mean if kind == "layer" else 0.0
    return replace(through_affine(before, number, scale**0.5, -(scale**0.5) * middle), variance=0.0, keeps=1.0)


def through_affine(before: Node, number: int, factor: float, shift: float) -> Node:
    """Return f h + c."""

    def moved(moment: float) -> float:
        return factor**2 * moment + 2 * factor * shift * before.mean + shift**2

    return replace(
        before,
        number=number,
        moment=clamped(moved(before.moment)),
        covariance=moved(before.covariance),
        overlap=factor**4 * before.overlap,
        along=clamped(moved(before.moment)) if before.places == 1 else moved(before.along),
        mean=factor * before.mean + shift,
        links=tuple(Link(key, factor**2 * slope, factor**2 * pair) for key, slope, pair in before.links),
        draw=lambda design, count: factor * before.values(design, count) + shift,
        slopes=lambda design, count: {k: factor * v for k, v in before.steep(design, count).items()},
        normal=before.normal and abs(factor * before.mean + shift) < 1e-12,
        parents=(),
        noise=0.0,
        weighted=False,
        history=None,
        _kept={},
    )


def _centred(before: Node, scale: float, shift: float) -> Draw:
    """Values of a unit less their mean over samples, taken from ``_SEEN`` others."""
    others = tuple((1000 + sample, 0) for sample in range(_SEEN))

    def draw(design: Design, count: int) -> Array:
        rows = before.values((*design, *others), count)
        centred: Array = rows[: len(design)] - rows[len(design) :].mean(0)
        return (scale / (1 + 1 / _SEEN)) ** 0.5 * centred + shift

    return draw


def _less_mean(scale: float, places: int) -> Way:
    def back(pull: Pull) -> Pull:
        return Pull(scale * max(0.0, pull.size - (pull.summed + pull.last) / places), 0.0)

    return back


def _of_normal(before: Node, number: int, function: Nonlinearity, units: int, shape: tuple[int, ...]) -> Node:
    q = clamped(before.moment)
    moment, slope = float(function.second_moment(q)), float(function.slope_moment(q))
    among = before.along / q
    along = moment if before.places == 1 else _pair(function.covariance, q, among, moment)
    pair = slope if before.places == 1 else _pair(function.slope_covariance, q, among, slope)
    covariance = _pair(function.covariance, q, before.correlation, moment)
    moments = (moment, along, covariance, float(function.mean(q)))
    if not hasattr(function, "kinks"):  # several units make one: its values are new, and their law is not asked for
        ways = before.ways(masked(slope, pair, before.places))
        return source(number, moments, before.places, units=units, shape=shape, normal=False, parents=ways)
    links = tuple(Link(key, slope * one, pair * two) for key, one, two in before.links)
    overlap = 0.0 if math.isnan(pair) else min(pair**2 * before.overlap, moment**2)
    made = source(number, moments, before.places, units=units, shape=shape, normal=False)
    return replace(made, moment=moment, links=links, overlap=overlap)


def _pair(moments: Callable[[float, float], Array], q: float, correlation: float, same: float) -> float:
    if math.isnan(correlation) or correlation >= 1 - 1e-13:
        return same if correlation >= 1 - 1e-13 else math.nan
    try:
        return float(moments(q, max(correlation, -1.0)))
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
