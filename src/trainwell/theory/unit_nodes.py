"""A node of the walk through a net: the moments of a signal, the sources that it comes from, and values drawn of it.

A *source* holds new values: the output of weights, normal and independent of what they read, or of a step that mixes
places. Other nodes change each unit by itself; the factor on G from such a node back to a source z is E (dy/dz)².
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from trainwell.theory.gaussian import Array
from trainwell.theory.gradient_ways import Way, after, masked, scaled
from trainwell.theory.unit_draws import PAIRED, Design, normal_draws, units_for

SMALLEST, LARGEST = 1e-280, 1e280
MOST_LINKS = 8  # sources that a node is followed back to; beyond, it becomes one itself

Draw = Callable[[Design, int], Array]
Slopes = Callable[[Design, int], dict[int, Array]]


class Link(NamedTuple):
    """What an elementwise way from a source does to the gradient: E (dy/dz)², and E of the product of two places."""

    source: int
    slope: float = 1.0
    pair: float = 1.0


@dataclass(frozen=True, eq=False)
class Node:
    """A step of the forward pass.

    Attributes:
        number: its place among the nodes.
        moment: E h² per unit.
        covariance: E h h' of two unrelated inputs, at the same place.
        along: E h h' of two places of a sample; ``moment`` where there is one place.
        mean: E h over units.
        units, places: features or channels; pixels, tokens or times.
        shape: of the signal, without the batch.
        links: the sources that it depends on.
        draw: values of units for a design, as of ``normal_draws``.
        slopes: source → dy/dz of the same units.
        normal: whether its entries are normal of mean 0.
        parents: of a source: (source before it, the gradient's way there).
        variance: of ln(mean of h² over units), over random nets.
        noise: what it adds to Var ln G.
        keeps: the σ_w that weights after it need so that E h² stays what it was before the last activation.
        weighted: whether it is the output of weights, as it stands.
        overlap: variance, over pairs of tokens, of the mean over units of h h'.
        history: E h h' of all pairs of (sample, time) where times differ, shape (2 T, 2 T); None elsewhere.
    """

    number: int
    moment: float
    covariance: float
    along: float
    mean: float
    units: int
    places: int
    shape: tuple[int, ...]
    links: tuple[Link, ...]
    draw: Draw
    slopes: Slopes
    normal: bool = True
    parents: tuple[tuple[int, Way], ...] = ()
    variance: float = 0.0
    noise: float = 0.0
    keeps: float = 1.0
    weighted: bool = False
    overlap: float = 0.0
    history: Array | None = None
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def correlation(self) -> float:
        """Of two unrelated inputs' signals."""
        return self.covariance / self.moment if self.moment > SMALLEST else math.nan

    def values(self, design: Design, count: int) -> Array:
        """Values of ``count`` units for a design, drawn once for that of ``paired``."""
        if design != self.design or count != units_for(PAIRED):
            return self.draw(design, count)
        if "values" not in self._kept:
            self._kept["values"] = self.draw(design, count)
        drawn: Array = self._kept["values"]
        return drawn

    def steep(self, design: Design, count: int) -> dict[int, Array]:
        """Source → slopes of the same units, as float32 where kept."""
        if design != self.design or count != units_for(PAIRED):
            return self.slopes(design, count)
        if "slopes" not in self._kept:
            found = self.slopes(design, count)
            self._kept["slopes"] = {key: value.astype(np.float32) for key, value in found.items()}
        steep: dict[int, Array] = self._kept["slopes"]
        return steep

    def paired(self) -> Array:
        """Values for ``PAIRED``; all places are the same where there is one."""
        return self.values(self.design, units_for(PAIRED))

    def paired_slopes(self) -> dict[int, Array]:
        """Slopes for ``PAIRED``."""
        return self.steep(self.design, units_for(PAIRED))

    @property
    def design(self) -> Design:
        """``PAIRED``, with one place where there is only one."""
        return PAIRED if self.places > 1 else ((0, 0), (0, 0), (1, 0))

    def ways(self, way: Way) -> tuple[tuple[int, Way], ...]:
        """Return the parents of a source that reads this node by ``way``."""
        return tuple((link.source, after(way, masked(link.slope, link.pair, self.places))) for link in self.links)


def source(number: int, moments: tuple[float, float, float, float], places: int, **others: Any) -> Node:
    """Return a node whose values are new; normal unless ``draw`` is given.

    Args:
        number: of the node.
        moments: E h², of two places, of two samples, and the mean over units.
        places: 1 or more.
        others: further fields.
    """
    moment, along, covariance, mean = moments
    moment = clamped(moment)
    along = moment if places == 1 else along
    drawn = (moment, along if math.isfinite(along) else moment, covariance if math.isfinite(covariance) else 0.0, mean)

    def draw(design: Design, units: int) -> Array:
        return normal_draws(number, drawn, design, units)

    def slopes(design: Design, units: int) -> dict[int, Array]:
        return {number: np.ones((len(design), units))}

    known = {"draw": draw, "normal": mean == 0, **others}
    return Node(number, moment, covariance, along, mean, places=places, links=(Link(number),), slopes=slopes, **known)


def drawn_node(before: Node, number: int, values: Array, steep: dict[int, Array], **others: Any) -> Node:
    """Return an elementwise node with the moments of drawn values, rows as of ``PAIRED``."""
    links = tuple(
        Link(key, float(np.mean(slope[0] * slope[0])), float(np.mean(slope[0] * slope[1])))
        for key, slope in steep.items()
    )
    moment, along, covariance = (float(np.mean(values[0] * row)) for row in values)
    along = moment if before.places == 1 else along
    made = replace(
        before,
        number=number,
        moment=clamped(moment),
        along=along,
        covariance=covariance,
        mean=float(values.mean()),
        links=links,
        normal=False,
        parents=(),
        weighted=False,
        history=None,
        _kept={"values": values, "slopes": {key: slope.astype(np.float32) for key, slope in steep.items()}},
    )
    return replace(made, **others)


def gathered(node: Node) -> Node:
    """Make a node a source where it depends on more than ``MOST_LINKS`` of them: its values stay as they are."""
    if len(node.links) <= MOST_LINKS:
        return node

    def slopes(design: Design, count: int) -> dict[int, Array]:
        return {node.number: np.ones((len(design), count))}

    kept = {key: value for key, value in node._kept.items() if key == "values"}
    ways = node.ways(scaled(1.0))
    return replace(node, links=(Link(node.number),), slopes=slopes, parents=ways, _kept=kept)


def clamped(moment: float) -> float:
    """Return a moment within what float64 can square."""
    return min(max(moment, SMALLEST), LARGEST)
