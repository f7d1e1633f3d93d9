"""Steps over the places of a signal: pooling, the choice of one place, flattening, channels of zeros.

Of T places with E h² = m and E h_p h_p' = a (p ≠ p'),

    mean over n        m ← (m + (n − 1) a)/n        a kept        G ← G/n
    largest of n       m ← E max², a ← E max max'   (drawn)       G to the largest, with φ' there
    one of them        m kept                                     G kept
    flattening         m kept: n places make n times the units    G kept, unrelated from place to place
    zeros beside       all moments ← share of channels that are not new

so a mean keeps the part that all places share and divides the rest by n. Of a recurrent layer, whose moments differ
from time to time, the mean is that of all pairs of times. Windows are taken as disjoint.
"""

import math
from dataclasses import replace

import numpy as np

from trainwell.theory.gaussian import Array
from trainwell.theory.gradient_ways import Way, at_last, at_one, averaged, masked, unrelated
from trainwell.theory.unit_draws import PAIRED, Design, units_for
from trainwell.theory.unit_nodes import Link, Node, clamped, source

MOST_DRAWN = 1024  # places of a window


def averaged_places(before: Node, number: int, window: int, shape: tuple[int, ...]) -> Node:
    """Return the mean over ``window`` places each; ``window`` = 1 keeps all."""
    places = max(1, before.places // window)
    if before.history is not None and places == 1:
        size = before.places
        moment, covariance = (float(before.history[:size, part].mean()) for part in (slice(size), slice(size, None)))
        moments = (moment, moment, covariance, before.mean)
    else:
        along = before.along if math.isfinite(before.along) else before.moment
        moments = ((before.moment + (window - 1) * along) / window, along, before.covariance, before.mean)
    return replace(
        source(number, moments, places, units=before.units, shape=shape, parents=before.ways(averaged(window))),
        normal=before.normal,
        variance=before.variance,
        keeps=before.keeps,
    )


def largest_of_places(before: Node, number: int, window: int, shape: tuple[int, ...]) -> Node:
    """Return the largest of ``window`` places each, at most ``MOST_DRAWN`` of which are drawn."""
    places, drawn = max(1, before.places // window), min(window, MOST_DRAWN)

    def wide(design: Design) -> Design:
        return tuple((sample, place * drawn + step) for sample, place in design for step in range(drawn))

    def draw(design: Design, count: int) -> Array:
        largest: Array = before.values(wide(design), count).reshape(len(design), drawn, count).max(1)
        return largest

    rows: Design = PAIRED if places > 1 else ((0, 0), (1, 0))
    count = units_for(rows * drawn)
    values = before.values(wide(rows), count).reshape(len(rows), drawn, count)
    chosen = values.argmax(1)[:, None]
    largest = np.take_along_axis(values, chosen, 1)[:, 0]
    moment, covariance = float(np.mean(largest[0] ** 2)), float(np.mean(largest[0] * largest[-1]))
    along = float(np.mean(largest[0] * largest[1])) if places > 1 else moment
    ways = []
    for key, slope in before.steep(wide(rows), count).items():
        one, two = np.take_along_axis(slope.reshape(values.shape), chosen, 1)[:2, 0]
        ways.append((key, masked(float(np.mean(one * one)), float(np.mean(one * two)), places)))
    others = {"units": before.units, "shape": shape, "parents": tuple(ways), "draw": draw}
    made = source(number, (moment, along, covariance, float(largest.mean())), places, **others, normal=False)
    return replace(made, keeps=before.keeps)


def one_place(before: Node, number: int, shape: tuple[int, ...], last: bool) -> Node:
    """Return what stands at one place; at the last one of a recurrent layer its moments are its own."""
    moments = (before.moment, before.moment, before.covariance, before.mean)
    if last and before.history is not None:
        end = before.places - 1
        moment = float(before.history[end, end])
        moments = (moment, moment, float(before.history[end, end + before.places]), before.mean)
    way: Way = at_last if last else at_one
    return replace(
        source(number, moments, 1, units=before.units, shape=shape, parents=before.ways(way)), normal=before.normal
    )


def flattened(before: Node, number: int, units: int, places: int, shape: tuple[int, ...]) -> Node:
    """Return the same numbers in another order, with ``places`` of them left."""
    if before.places == places:
        return replace(before, number=number, units=units, shape=shape, noise=0.0)
    moments = (before.moment, before.along, before.covariance, before.mean)
    ways = before.ways(unrelated)
    made = source(number, moments, places, units=units, shape=shape, parents=ways, draw=before.draw)
    return replace(made, normal=before.normal, variance=before.variance, keeps=before.keeps, weighted=before.weighted)


def with_zeros(before: Node, number: int, units: int, window: int, shape: tuple[int, ...]) -> Node:
    """Return every ``window``-th place, with channels of zeros up to ``units``."""
    share = before.units / units

    def kept(rows: Array) -> Array:
        count = rows.shape[1]
        old = np.random.default_rng((number, 7)).permutation(count) < round(count * share)
        return rows * old

    return replace(
        before,
        number=number,
        moment=clamped(share * before.moment),
        along=share * before.along,
        covariance=share * before.covariance,
        mean=share * before.mean,
        units=units,
        places=max(1, before.places // window),
        shape=shape,
        links=tuple(Link(key, share * slope, share * pair) for key, slope, pair in before.links),
        draw=lambda design, count: kept(before.values(design, count)),
        slopes=lambda design, count: {k: kept(v) for k, v in before.steep(design, count).items()},
        normal=False,
        parents=(),
        noise=0.0,
        weighted=False,
        history=None,
        _kept={},
    )
