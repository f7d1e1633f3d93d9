"""Expectations over a normal distribution: E f(x), x ~ N(0, q), to float64's rounding.

Gauss–Legendre panels of 16 nodes on z = x/√q in [−10, 10] (the rest weighs 2e-23). Panels are 2 wide and shrink by
thirds towards the centres where f bends: a kink at x = k sits at z = k/√q, and a smooth function that bends over a
length of about 1 around x = 0 does so over 1/√q.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

_REACH = 10.0
_LEGENDRE = np.polynomial.legendre.leggauss(16)


def as_variance(q: ArrayLike) -> Array:
    """Return ``q`` as float64.

    Raises:
        ValueError: if a variance is negative or not finite.
    """
    array = np.asarray(q, dtype=np.float64)
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"A variance must be finite and not negative, but q={q!r}.")
    return array


def nodes(q: Array, kinks: tuple[float, ...] = (), finest: float = 1.0) -> tuple[Array, Array]:
    """Return nodes z and weights, shape (*q.shape, n), for E f(√q z) = Σ weight · f(√q z), z ~ N(0, 1).

    Args:
        q: variances, any shape.
        kinks: places x where f or its derivative jumps; 0 is a centre in any case.
        finest: width in z of the smallest panel at a centre; not above 1/(2√q).
    """
    finest = min(finest, 0.5 / max(1.0, float(np.sqrt(q.max(initial=1.0)))))
    levels = int(np.ceil(np.log(2 / finest) / np.log(3)))
    near = 2 * 3.0 ** -np.arange(levels + 1)
    offsets = np.concatenate([-near, [0.0], near])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        centres = np.stack([np.where(k == 0, 0.0, k / np.sqrt(q)) for k in {0.0, *kinks}], -1)
    around = (np.clip(centres, -2 * _REACH, 2 * _REACH)[..., None] + offsets).reshape(*q.shape, -1)
    regular = np.broadcast_to(np.arange(-_REACH, _REACH + 1, 2.0), (*q.shape, int(_REACH) + 1))
    edges = np.sort(np.clip(np.concatenate([regular, around], -1), -_REACH, _REACH), -1)
    half = np.diff(edges, axis=-1)[..., None] / 2
    middle = edges[..., :-1, None] + half
    z = (middle + half * _LEGENDRE[0]).reshape(*q.shape, -1)
    weight = (half * _LEGENDRE[1]).reshape(*q.shape, -1) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    return z, weight


def expectation(function: Function, q: ArrayLike, kinks: tuple[float, ...] = ()) -> Array:
    """Return E f(x), x ~ N(0, q), of the shape of ``q``.

    Args:
        function: f, elementwise on arrays; at most of polynomial growth.
        q: variances, 0 or above.
        kinks: places where f or its derivative jumps.

    Example:
        >>> float(expectation(np.square, 4.0).round(12))
        4.0
    """
    variance = as_variance(q)
    z, weight = nodes(variance, kinks)
    return np.asarray((weight * function(np.sqrt(variance)[..., None] * z)).sum(-1))


def blurred(function: Function, mean: Array, std: float, width: float) -> Array:
    """Return E f(m + s z), z ~ N(0, 1), for each m, of a function analytic within ``width`` of the real axis.

    The trapezoidal rule with step h errs by exp(−2π width / (s h)) and exp(−2π²/h²): both below 1e-16 here.
    """
    step = max(min(0.25, 0.16 * width / std if std else 0.25), 1e-3)
    z = np.arange(-np.ceil(9 / step), np.ceil(9 / step) + 1) * step
    weight = step * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    rows = max(1, 4_000_000 // z.size)
    parts = [function(mean[i : i + rows, None] + std * z) @ weight for i in range(0, mean.size, rows)]
    return np.concatenate(parts)
