"""Two signals made one: sums, products (gates) and concatenations.

Of a and b that depend on no common source (weights in between make them independent, the wide limit), per unit:

    a + b      E (a + b)² = E a² + E b² + 2 E a E b        G to each
    a b        E (ab)² = E a² E b²                         to a: G E b²,  to b: G E a²
    [a, b]     means weighted by their units or places     to each its share of G

and likewise for two places and two samples, E b² replaced by E b b'. Where they have sources in common, as in x + f(x),
t h + (1 − t) x or x σ(x), all is a mean over drawn units, with the derivative along all ways at once.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from trainwell.theory.gaussian import Array
from trainwell.theory.gradient_ways import broadcast, scaled
from trainwell.theory.unit_draws import PAIRED, Design, units_for
from trainwell.theory.unit_nodes import Link, Node, clamped, drawn_node, source


def added(one: Node, other: Node, number: int, sign: float, shape: tuple[int, ...]) -> Node:
    """Return ``one`` + ``sign`` · ``other``, of equal places."""

    def draw(design: Design, count: int) -> Array:
        return one.values(design, count) + sign * other.values(design, count)

    def slopes(design: Design, count: int) -> dict[int, Array]:
        return _plus(one.steep(design, count), other.steep(design, count), sign)

    links = (*one.links, *other.links)
    cross = 2 * sign * one.mean * other.mean
    crosses = (cross, cross, cross)
    if _related(one, other):
        steep = _plus(one.paired_slopes(), other.paired_slopes(), sign)
        drawn = drawn_node(one, number, one.paired() + sign * other.paired(), steep)
        links = drawn.links
        crosses = (
            drawn.moment - one.moment - other.moment,
            drawn.along - one.along - other.along,
            drawn.covariance - one.covariance - other.covariance,
        )
    moment = clamped(one.moment + other.moment + crosses[0])
    root = one.moment * one.variance**0.5 + other.moment * other.variance**0.5
    return _joined(
        one,
        number,
        moment=moment,
        along=one.along + other.along + crosses[1],
        covariance=one.covariance + other.covariance + crosses[2],
        mean=one.mean + sign * other.mean,
        overlap=one.overlap + other.overlap,
        links=links,
        draw=draw,
        slopes=slopes,
        normal=one.normal and other.normal and not _related(one, other),
        variance=(root / moment) ** 2,
        shape=shape,
    )


def multiplied(one: Node, other: Node, number: int, shape: tuple[int, ...]) -> Node:
    """Return the product, unit by unit, of equal places."""

    def draw(design: Design, count: int) -> Array:
        return one.values(design, count) * other.values(design, count)

    def slopes(design: Design, count: int) -> dict[int, Array]:
        a, b = one.values(design, count), other.values(design, count)
        return _product_slopes(a, one.steep(design, count), b, other.steep(design, count))

    if _related(one, other):
        a, b = one.paired(), other.paired()
        steep = _product_slopes(a, one.paired_slopes(), b, other.paired_slopes())
        return replace(drawn_node(one, number, a * b, steep, shape=shape), draw=draw, slopes=slopes)
    links = [Link(key, s * other.moment, p * other.along) for key, s, p in one.links]
    links += [Link(key, s * one.moment, p * one.along) for key, s, p in other.links]
    return _joined(
        one,
        number,
        moment=clamped(one.moment * other.moment),
        along=one.along * other.along,
        covariance=one.covariance * other.covariance,
        mean=one.mean * other.mean,
        overlap=one.overlap * other.overlap,
        links=tuple(links),
        draw=draw,
        slopes=slopes,
        normal=False,
        variance=0.0,
        shape=shape,
    )


def concatenated(nodes: list[Node], number: int, by_units: bool, shape: tuple[int, ...]) -> Node:
    """Return the nodes side by side: more units, or more places of the same units."""
    sizes = np.array([node.units if by_units else node.places for node in nodes], dtype=np.float64)
    shares = sizes / sizes.sum()
    moment, covariance, mean = (
        float(shares @ [getattr(node, name) for node in nodes]) for name in ("moment", "covariance", "mean")
    )
    places = nodes[0].places if by_units else int(sizes.sum())
    if by_units:
        along = float(shares @ [node.along for node in nodes])
    else:
        means = float(shares @ [node.mean for node in nodes])
        own = float(sum(s**2 * (node.along - node.mean**2) for s, node in zip(shares, nodes, strict=True)))
        along = means**2 + own
    ends = np.round(np.cumsum(shares) * units_for(PAIRED)).astype(int)

    def draw(design: Design, count: int) -> Array:
        cuts = [0, *(ends * count // units_for(PAIRED))]
        drawn = [node.values(design, count) for node in nodes]
        return np.concatenate([rows[:, cuts[i] : cuts[i + 1]] for i, rows in enumerate(drawn)], 1)

    ways = tuple(pair for share, node in zip(shares, nodes, strict=True) for pair in node.ways(scaled(float(share))))
    made = source(
        number,
        (moment, along, covariance, mean),
        places,
        units=int(sizes.sum()) if by_units else nodes[0].units,
        shape=shape,
        parents=ways,
        draw=draw,
    )
    same = all(node.normal and node.moment == nodes[0].moment for node in nodes)
    return replace(made, normal=same, keeps=nodes[0].keeps)


def _related(one: Node, other: Node) -> bool:
    return bool({link.source for link in one.links} & {link.source for link in other.links})


def repeated(flat: Node, wide: Node, number: int) -> Node:
    """Return a node of one place as it stands beside ``wide``: the same at all its places."""
    return source(
        number,
        (flat.moment, flat.moment, flat.covariance, flat.mean),
        wide.places,
        units=flat.units,
        shape=wide.shape,
        normal=flat.normal,
        parents=flat.ways(broadcast(wide.moment, wide.along)),
        draw=lambda design, count: flat.values(tuple((sample, 0) for sample, _ in design), count),
    )


def _joined(one: Node, number: int, **found: Any) -> Node:
    joined = replace(one, number=number, noise=0.0, parents=(), weighted=False, history=None, _kept={}, **found)
    return replace(joined, along=joined.moment) if joined.places == 1 else joined


def _plus(one: dict[int, Array], other: dict[int, Array], sign: float) -> dict[int, Array]:
    found = dict(one)
    for key, slope in other.items():
        found[key] = found[key] + sign * slope if key in found else sign * slope
    return found


def _product_slopes(a: Array, of_a: dict[int, Array], b: Array, of_b: dict[int, Array]) -> dict[int, Array]:
    one = {key: slope * b for key, slope in of_a.items()}
    return _plus(one, {key: slope * a for key, slope in of_b.items()}, 1.0)
