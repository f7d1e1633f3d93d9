"""How the gradient's square goes back through a step whose signal has several places: pixels, tokens, times.

With g_p the gradient at place p, three numbers are enough for what nets do with places at initialization:

    total   Σ_p ‖g_p‖²        what is asked for, but for
    last    ‖g_T‖²            the part of a gradient that reaches the last place alone, as from a last state
    summed  ‖Σ_p g_p‖²        T · total where all places get the same, as from a mean; total where they are unrelated

Weights multiply all by σ_w²; an elementwise φ takes total by E φ'(u)² and products of two places by E φ'(u_p) φ'(u_p').
"""

import math
from collections.abc import Callable
from typing import NamedTuple


class Pull(NamedTuple):
    """The squared gradient at one node; see the file's formula."""

    total: float = 0.0
    summed: float = 0.0
    last: float = 0.0

    @property
    def size(self) -> float:
        """‖g‖² over all places."""
        return self.total + self.last

    def plus(self, other: "Pull") -> "Pull":
        """Return the sum of two uncorrelated gradients."""
        return Pull(self.total + other.total, self.summed + other.summed, self.last + other.last)


Way = Callable[[Pull], Pull]


def scaled(factor: float) -> Way:
    """Return the way through a step that multiplies every gradient's square, and products of places, by ``factor``."""
    if factor == 0:
        return lambda pull: Pull()
    return lambda pull: Pull(pull.total * factor, pull.summed * factor, pull.last * factor)


def masked(slope: float, pair: float, places: int) -> Way:
    """Return the way through an elementwise step.

    Args:
        slope: E φ'(u)².
        pair: E φ'(u_p) φ'(u_p') of two places; nan counts as ``slope``.
        places: how many there are; of one, total and summed are the same.
    """
    if places == 1 or math.isnan(pair) or pair == slope:
        return scaled(slope)
    return lambda pull: Pull(
        pull.total * slope, max(0.0, pull.summed * pair + pull.total * (slope - pair)), pull.last * slope
    )


def averaged(window: int) -> Way:
    """Return the way through a mean over ``window`` places each: every one of them gets 1/window of the gradient."""
    return lambda pull: Pull(pull.size / window, pull.summed + pull.last)


def unrelated(pull: Pull) -> Pull:
    """Go back through a flattening: places have weights of their own behind it, so their gradients are unrelated."""
    return Pull(pull.size, pull.size)


def at_last(pull: Pull) -> Pull:
    """Go back through the choice of the last place."""
    return Pull(0.0, 0.0, pull.size)


def at_one(pull: Pull) -> Pull:
    """Go back through the choice of one place."""
    return Pull(pull.size, pull.size)


def broadcast(moment: float, along: float) -> Way:
    """Return the way to a factor that is the same at all places: g = Σ_p g_p a_p.

    Args:
        moment: E a² of what it multiplies; 1 for an addition.
        along: E a_p a_p' of two places; 1 for an addition.
    """

    def back(pull: Pull) -> Pull:
        size = pull.size * (moment - along) + (pull.summed + pull.last) * along
        return Pull(size, size)

    return back


def after(first: Way, second: Way) -> Way:
    """Return the way through ``first`` and then, further back, through ``second``."""
    return lambda pull: second(first(pull))
