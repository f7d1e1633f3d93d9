"""What ``trainwell theory spectrum`` computes: the law of the singular values of a deep net's Jacobian."""

from typing import Any

import numpy as np
from scipy.optimize import brentq

from trainwell.cli.theory_net import at_least, known
from trainwell.errors import InputError
from trainwell.theory.activation_moments import NONLINEARITIES
from trainwell.theory.singular_spectra import jacobian_spectrum

SHARES = (0.5, 0.75, 0.9, 0.99)
POINTS = 120


def spectrum(depth: int, activation: str, weights: str, variance: float) -> dict[str, Any]:
    """Moments, quantiles and density of the singular values at criticality.

    Raises:
        InputError: for numbers and names without such a law.
    """
    at_least("--depth", depth, 1)
    known("--activation", activation, NONLINEARITIES)
    known("--weights", weights, ("orthogonal", "gaussian"))
    at_least("--variance", variance, 1e-12)
    try:
        law = jacobian_spectrum(activation, depth, q=variance, gaussian=weights == "gaussian")
        largest = law.largest
        at = np.linspace(0, largest, POINTS + 2)[1:-1]
        density = law.singular_density(at)
        quantiles = [{"share": share, "value": _quantile(law, share)} for share in SHARES]
    except ValueError as error:
        raise InputError(f"There is no such spectrum: {error}") from error
    return {
        "net": f"Jacobian of {depth} layers, {activation}, {weights} weights, at χ = 1",
        "depth": depth,
        "activation": activation,
        "weights": weights,
        "sigma_w": law.weight_variance**0.5,
        "mean": law.mean,
        "variance": law.variance,
        "zeros": law.zeros,
        "largest": largest,
        "quantiles": quantiles,
        "density": {"s": at.tolist(), "density": density.tolist()},
    }


def _quantile(law: Any, share: float) -> float:
    """The smallest s with P(singular value ≤ s) ≥ ``share``, to 1e-6 of the largest."""

    def beyond(s: float) -> float:
        return float(law.cdf(s * s)) - share

    top = law.largest
    if beyond(1e-9 * top) >= 0:
        return 0.0
    return float(brentq(beyond, 1e-9 * top, 1.001 * top, xtol=1e-6 * top)) if beyond(1.001 * top) > 0 else top
