"""One unit of a recurrent layer: what a step does to its state, and what it does to the gradient on the way back.

    rnn     h = φ(z)
    gru     h = (1 − σ(z_2)) n + σ(z_2) h⁻,   n = tanh(z_3 + σ(z_1) z_4)      z_3 of the input, z_4 of the state
    lstm    c = σ(z_2) c⁻ + σ(z_1) tanh(z_3),   h = σ(z_4) tanh(c)

h⁻ and c⁻ are of the time before; z are pre-activations, sums over many units; gates stand in torch's order.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import expit

from trainwell.theory.gaussian import Array
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.initial_spread import Spread


class Drive(NamedTuple):
    """What a pre-activation is made of: σ_w² of the input's and of the state's weights, mean and variance of biases."""

    by_input: float
    by_state: float
    mean: float
    variance: float


class State(NamedTuple):
    """h and c of a unit (c is 0 but in an LSTM), or the gradient that reaches them without passing weights."""

    h: Array
    c: Array


class Cell(Protocol):
    """A kind of unit.

    ``step`` gives the state; ``back`` takes z, the states before and now and the gradient of the present one, and gives
    the gradient of each z and what passes to the state before by its own unit.
    """

    drives: list[Drive]

    def step(self, z: list[Array], before: State) -> State: ...

    def back(self, z: list[Array], before: State, now: State, pull: State) -> tuple[list[Array], State]: ...


def cell_of(gates: Sequence[tuple[Spread, Spread]], activation: Nonlinearity | None) -> Cell | None:
    """Return the unit with so many gates: 1, 3 (GRU) or 4 (LSTM); None if there is none.

    Args:
        gates: spread of the input's weights and of the state's, of each gate, biases with their weights.
        activation: φ of the unit with one.
    """
    drives = [_drive(*gate) for gate in gates]
    if len(gates) == 1 and activation is not None:
        return _Plain(drives, activation)
    if len(gates) == 3:
        return _Gru([*drives[:2], _drive(gates[2][0], Spread(0.0)), _drive(Spread(0.0), gates[2][1])])
    return _Lstm(drives) if len(gates) == 4 else None


class _Plain:
    def __init__(self, drives: list[Drive], activation: Nonlinearity) -> None:
        self.drives, self.activation = drives, activation

    def step(self, z: list[Array], before: State) -> State:
        return State(np.asarray(self.activation.value(z[0])), before.c)

    def back(self, z: list[Array], before: State, now: State, pull: State) -> tuple[list[Array], State]:
        return [pull.h * np.asarray(self.activation.derivative(z[0]))], State(0 * pull.h, pull.c)


class _Gru:
    def __init__(self, drives: list[Drive]) -> None:
        self.drives = drives

    def step(self, z: list[Array], before: State) -> State:
        keep = expit(z[1])
        return State((1 - keep) * np.tanh(z[2] + expit(z[0]) * z[3]) + keep * before.h, before.c)

    def back(self, z: list[Array], before: State, now: State, pull: State) -> tuple[list[Array], State]:
        reset, keep = expit(z[0]), expit(z[1])
        new = np.tanh(z[2] + reset * z[3])
        inner = pull.h * (1 - keep) * (1 - new**2)
        of_keep = pull.h * (before.h - new) * keep * (1 - keep)
        return [inner * z[3] * reset * (1 - reset), of_keep, inner, inner * reset], State(pull.h * keep, pull.c)


class _Lstm:
    def __init__(self, drives: list[Drive]) -> None:
        self.drives = drives

    def step(self, z: list[Array], before: State) -> State:
        c = expit(z[1]) * before.c + expit(z[0]) * np.tanh(z[2])
        return State(expit(z[3]) * np.tanh(c), c)

    def back(self, z: list[Array], before: State, now: State, pull: State) -> tuple[list[Array], State]:
        write, keep, new, read = expit(z[0]), expit(z[1]), np.tanh(z[2]), expit(z[3])
        shown = np.tanh(now.c)
        of_c = pull.c + pull.h * read * (1 - shown**2)
        of_z = [
            of_c * new * write * (1 - write),
            of_c * before.c * keep * (1 - keep),
            of_c * write * (1 - new**2),
            pull.h * shown * read * (1 - read),
        ]
        return of_z, State(0 * pull.h, of_c * keep)


def _drive(of_input: Spread, of_state: Spread) -> Drive:
    variance = sum(spread.sigma_b**2 - spread.mean_b**2 for spread in (of_input, of_state))
    mean = of_input.mean_b + of_state.mean_b
    return Drive(of_input.sigma_w**2, of_state.sigma_w**2, mean, max(0.0, variance))
