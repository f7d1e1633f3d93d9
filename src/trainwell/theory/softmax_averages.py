"""Attention at initialization: every token gives a mean over the tokens, almost an even one.

    y_t = Σ_s A_ts v_s,    A_ts = exp(l_ts)/Σ_r exp(l_tr),    l_ts = q_t · k_s/√d

For wide layers l_ts is normal over s with variance s² = E q² (E k² − E k_s k_s') (what all s share drops out) and
independent of the values. With v_s = common part + own part, the weights' sum 1 keeps the common part and divides the
square of the own part by 1/Σ_s A²:

    E y² = a + (m − a) c(1),    E y_t y_t' = a + (m − a) c(ρ),    m = E v², a = E v_s v_s', ρ = E q_t q_t'/E q²,
    c(1) = E Σ_s A_ts² = T ∫_0^∞ λ E[w² e^{−λw}] (E e^{−λw})^{T−1} dλ,    w = e^{l},

which is exp(s²)/T for many tokens and 1/T for even weights. Tokens that fluctuate in D directions only have values that
go with their logits: c(1) and c(ρ) gain s²/D and ρ s²/D (the mean of normal values under weights e^{u·x} moves by u).
c(ρ) = E Σ_s A_ts A_t's is taken as (T c(1))^ρ/T: exact for
ρ = 0, ρ = 1 and T → ∞. Backward, g_t the gradient at y_t, with c_ρ = c(ρ):

    to v   Σ‖g_t‖² c(1) + Σ_{t≠t'} g_t g_t' c_ρ,   and ‖Σ_t g_t‖² kept
    to q   that times (m − a) (E k² − E k k'),     to k   (m − a) (E q² Σ‖g_t‖² c(1) + E q q' Σ_{t≠t'} g_t g_t' c_ρ)

Approximations: wide heads, tokens beyond their common part unrelated, no mask. Sources: derived here; the trick of the
ratio is 1/x² = ∫ λ e^{−λx} dλ; averaging at initialization as rank collapse: Dong et al. 2021, arXiv:2103.03404; Noci
et al. 2022, arXiv:2206.03126.
"""

from functools import lru_cache, partial

import numpy as np

from trainwell.theory.gaussian import Array, expectation
from trainwell.theory.gradient_ways import Pull, Way, after
from trainwell.theory.unit_nodes import Node, source

_LEAST_SPREAD, _MOST_SPREAD = 1e-8, 30.0


@lru_cache(maxsize=64)
def concentration(tokens: int, spread: float) -> float:
    """Return E Σ_s A_s² of softmax weights of ``tokens`` independent N(0, ``spread``) logits.

    Example:
        >>> round(concentration(10, 0.0), 6), round(concentration(10_000, 1.0) * 10_000, 2)
        (0.1, 2.72)
    """
    if tokens == 1 or spread < _LEAST_SPREAD:
        return 1 / tokens
    variance = min(spread, _MOST_SPREAD)

    def under(sizes: Array, power: int) -> Array:
        def weight(l: Array, size: float) -> Array:
            return np.asarray(np.exp(power * l - size * np.exp(l)))

        return np.array([expectation(partial(weight, size=size), variance) for size in sizes])

    middle, half = np.log(2 / tokens), 12.0 + 4 * variance**0.5
    logs = np.linspace(middle - half, middle + half, 400)
    sizes = np.exp(logs)
    value = tokens * np.trapezoid(sizes**2 * under(sizes, 2) * under(sizes, 0) ** (tokens - 1), logs)
    return float(np.clip(value, 1 / tokens, 1.0))


def attended(queries: Node, keys: Node, values: Node, number: int, units: int, shape: tuple[int, ...]) -> Node:
    """Return y for nodes that hold q, k and v; they may be one node, of which each is a part.

    Args:
        queries, keys, values: with tokens as places; keys and values have the same.
        number: of the new node.
        units: of y.
        shape: of y.
    """
    fluctuation = max(0.0, keys.moment - keys.along)
    own = max(0.0, values.moment - values.along)
    alike = min(1.0, max(0.0, queries.along / queries.moment))
    tokens = max(1, keys.places)
    spread = queries.moment * fluctuation
    tilt = min(1.0, spread * max(0.0, keys.overlap / fluctuation**2 - 1 / keys.units)) if fluctuation > 0 else 0.0
    same = min(1.0, concentration(tokens, spread) + tilt)
    other = min(same, (tokens * concentration(tokens, spread)) ** alike / tokens + alike * tilt)
    moments = (values.along + own * same, values.along + own * other, values.covariance, 0.0)
    to_value, to_query, to_key = _ways(queries, fluctuation, own, same, other)
    parents = (*values.ways(to_value), *queries.ways(to_query), *keys.ways(to_key))
    return source(number, moments, max(1, queries.places), units=units, shape=shape, parents=parents)


def through_attention(
    inputs: tuple[Node, Node, Node], number: int, scales: tuple[float, float], shape: tuple[int, ...]
) -> Node:
    """Return the concatenated heads of attention with projections of its own, biases 0.

    Args:
        inputs: what queries, keys and values are projections of.
        number: of the new node.
        scales: σ_w² of the projections, and σ_b².
        shape: of the result.
    """
    weight, bias = scales
    parts = []
    for node in inputs:
        moments = (weight * node.moment + bias, weight * node.along + bias, weight * node.covariance + bias, 0.0)
        parts.append(source(number, moments, node.places, units=node.units, shape=node.shape))
    made = attended(parts[0], parts[1], parts[2], number, inputs[0].units, shape)
    parents: list[tuple[int, Way]] = []
    for node, (_, way) in zip((inputs[2], inputs[0], inputs[1]), made.parents, strict=True):
        parents += node.ways(after(way, lambda pull: Pull(*(weight * part for part in pull))))
    return source(
        number,
        (made.moment, made.along, made.covariance, 0.0),
        made.places,
        units=made.units,
        shape=shape,
        parents=tuple(parents),
    )


def _ways(queries: Node, fluctuation: float, own: float, same: float, other: float) -> tuple[Way, Way, Way]:
    def parts(pull: Pull) -> tuple[float, float]:
        size, summed = pull.size, pull.summed + pull.last
        return size * same, (summed - size) * other

    def to_value(pull: Pull) -> Pull:
        return Pull(max(0.0, sum(parts(pull))), pull.summed + pull.last)

    def to_query(pull: Pull) -> Pull:
        size, factor = pull.size, own * fluctuation
        return Pull(factor * same * size, factor * max(0.0, sum(parts(pull))))

    def to_key(pull: Pull) -> Pull:
        one, two = parts(pull)
        return Pull(own * max(0.0, queries.moment * one + queries.along * two), 0.0)

    return to_value, to_query, to_key
