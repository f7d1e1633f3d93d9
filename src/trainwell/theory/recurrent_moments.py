"""A recurrent layer at initialization: the same weights at all times, followed by dynamic mean-field theory.

In a wide layer the pre-activations z_t of a unit, over units, are jointly normal over times t and samples, with

    Cov(z_t, z_t') = σ_w² E x_t x_t' + σ_u² E h_{t−1} h_{t'−1} + Var b,    h_0 = 0,

and those of different gates are independent. The same weights at all times show in the correlations over time alone.
The law of (h_1 … h_T) has no closed form (it is a product of gates), so ``UNITS`` or fewer independent units are drawn
from it step by step, two samples at once, E h h' taken over them. The gradient goes back through the same units:
δh_{t−1} = (own way) + Uᵀ δz_t, of which Uᵀ δz_t is normal with Cov = σ_u² E δz_t δz_t', summed over gates, independent
of the forward pass.
Sources: Chen, Pennington & Schoenholz 2018, arXiv:1806.05394 (gated units); Gilboa et al. 2019, arXiv:1901.08987 (LSTM,
GRU); joint normality over times with tied weights: Bolthausen 2014; Yang 2020, arXiv:2006.14548.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from trainwell.theory.gaussian import Array
from trainwell.theory.gradient_ways import Pull, Way
from trainwell.theory.recurrent_cells import Cell, State
from trainwell.theory.unit_nodes import Node, source

UNITS = 8192
LONGEST = 512  # times


class _Normal:
    """Jointly normal numbers, drawn row by row as their covariances become known."""

    def __init__(self, rows: int, units: int, generator: np.random.Generator) -> None:
        self.factor = np.zeros((rows, rows))
        self.noise = np.empty((rows, units))
        self.generator, self.known = generator, 0

    def draw(self, covariances: Array) -> Array:
        """Return the next row; ``covariances`` are those with the rows before it, and its variance last."""
        n = self.known
        row = np.zeros(n + 1)
        if n:
            row[:n] = solve_triangular(self.factor[:n, :n], covariances[:n], lower=True)
        left = covariances[n] - row[:n] @ row[:n]
        row[n] = max(left, 1e-10 * covariances[n] + 1e-300) ** 0.5
        self.factor[n, : n + 1] = row
        fresh = self.generator.standard_normal(self.noise.shape[1] // 2)
        fresh /= np.sqrt(np.mean(fresh**2))
        self.noise[n] = np.concatenate([fresh, -fresh])
        self.known += 1
        return row @ self.noise[: n + 1]


@dataclass(frozen=True)
class _Run:
    """The drawn units: z of each drive, and the states, at all times; rows of a time are its two samples."""

    cell: Cell
    z: list[list[Array]]
    states: list[State]

    @property
    def times(self) -> int:
        """T."""
        return len(self.z)

    @cached_property
    def outputs(self) -> Array:
        """h of (sample, time), shape (2 T, units)."""
        return np.concatenate([np.stack([state.h[sample] for state in self.states[1:]]) for sample in (0, 1)])


def run(cell: Cell, inputs: Array, number: int) -> _Run:
    """Draw units of a recurrent layer.

    Args:
        cell: the kind of unit.
        inputs: E x x' of all pairs of (sample, time), shape (2 T, 2 T).
        number: of the node; other numbers give independent draws.
    """
    times = len(inputs) // 2
    units = max(1024, UNITS * 64 // max(64, times) // 2 * 2)
    generator = np.random.default_rng((number, 4))
    normal = [_Normal(2 * times, units, generator) for _ in cell.drives]
    order = np.arange(2 * times).reshape(2, times).T.reshape(-1)  # by time, then by sample
    driven = inputs[np.ix_(order, order)]
    states, z = [State(np.zeros((2, units)), np.zeros((2, units)))], []
    past = np.zeros((2 * times, units))  # h of the time before, in the same order
    for t in range(times):
        past[2 * t : 2 * t + 2] = states[-1].h
        now: list[Array] = [np.empty((2, units)) for _ in cell.drives]
        for sample in (0, 1):
            row = 2 * t + sample
            alike = past[: row + 1] @ past[row] / units
            for place, drive in enumerate(cell.drives):
                covariances = drive.by_input * driven[row, : row + 1] + drive.by_state * alike + drive.variance
                now[place][sample] = drive.mean + normal[place].draw(covariances)
        z.append(now)
        states.append(cell.step(now, states[-1]))
    return _Run(cell, z, states)


def _pulled(seen: _Run, gradient: Array, number: int) -> tuple[float, float]:
    """Return total and summed of the input's gradient for a gradient of the outputs, shape (T, units)."""
    times, units = gradient.shape
    generator = np.random.default_rng((number, 5))
    back = [_Normal(times, units, generator) for _ in seen.cell.drives]
    kept: list[list[Array]] = [[] for _ in seen.cell.drives]
    pull = State(np.zeros(units), np.zeros(units))
    for t in range(times - 1, -1, -1):
        total = gradient[t] + pull.h
        for place, drive in enumerate(seen.cell.drives):
            if kept[place] and drive.by_state > 0:
                past = np.stack(kept[place])
                total = total + back[place].draw(drive.by_state * (past @ past[-1]) / units)
        rows = [z[0] for z in seen.z[t]]
        before, now = (State(state.h[0], state.c[0]) for state in seen.states[t : t + 2])
        of_z, pull = seen.cell.back(rows, before, now, State(total, pull.c))
        for place, one in enumerate(of_z):
            kept[place].append(one)
    sizes, sums = 0.0, 0.0
    for place, drive in enumerate(seen.cell.drives):
        rows_of = np.stack(kept[place])
        sizes += drive.by_input * float(np.mean((rows_of**2).sum(0)))
        sums += drive.by_input * float(np.mean(rows_of.sum(0) ** 2))
    return sizes, sums


def through_recurrence(before: Node, number: int, cell: Cell, units: int, shape: tuple[int, ...]) -> Node:
    """Return the outputs of a recurrent layer at all times, which are its places; what it reads has as many."""
    times = before.places
    seen = run(cell, pairs_of(before), number)
    h = seen.outputs
    history = h @ h.T / h.shape[1]
    same = history[:times, :times]
    moment = float(np.diag(same).mean())
    along = float((same.sum() - np.trace(same)) / max(1, times * (times - 1)))
    covariance = float(np.diag(history[:times, times:]).mean())
    made = source(
        number,
        (moment, along, covariance, float(h.mean())),
        times,
        units=units,
        shape=shape,
        parents=before.ways(_back(seen, number)),
    )
    return replace(made, history=history, normal=False)


def pairs_of(node: Node) -> Array:
    """Return E h h' of all pairs of (sample, time): the history where there is one, else alike at all times."""
    if node.history is not None:
        return node.history
    times = node.places
    along = node.along if times > 1 else node.moment
    covariance = 0.0 if np.isnan(node.covariance) else node.covariance
    far = min(along, covariance)
    same = np.full((times, times), along) + (node.moment - along) * np.eye(times)
    other = np.full((times, times), far) + (covariance - far) * np.eye(times)
    return np.block([[same, other], [other, same]])


def _back(seen: _Run, number: int) -> Way:
    """The gradient's way: of unrelated gradients, of one that is the same at all times, and of the last time's."""
    found: dict[str, tuple[float, float]] = {}
    times, units = seen.times, seen.outputs.shape[1]

    def pattern(name: str, make: Callable[[np.random.Generator], Array]) -> tuple[float, float]:
        if name not in found:
            found[name] = _pulled(seen, make(np.random.default_rng((number, 6))), number)
        return found[name]

    def unrelated(generator: np.random.Generator) -> Array:
        return generator.standard_normal((times, units)) / times**0.5

    def even(generator: np.random.Generator) -> Array:
        return np.repeat(generator.standard_normal((1, units)), times, 0) / times**0.5

    def last(generator: np.random.Generator) -> Array:
        rows = np.zeros((times, units))
        rows[-1] = generator.standard_normal(units)
        return rows

    def back(pull: Pull) -> Pull:
        alike = max(0.0, pull.summed - pull.total) / (times - 1) if times > 1 else 0.0
        alike = min(alike, pull.total)
        parts = (("unrelated", unrelated, pull.total - alike), ("even", even, alike), ("last", last, pull.last))
        answers = [(share, pattern(name, make)) for name, make, share in parts if share > 0]
        return Pull(sum(s * one[0] for s, one in answers), sum(s * one[1] for s, one in answers))

    return back
