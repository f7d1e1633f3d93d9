"""How far a number measured on n samples may lie from the truth.

Wilson's interval of a share p̂ = k/n solves |p̂ − p| ≤ z √(p (1 − p)/n) for p:

    (p̂ + z²/2n ± z √(p̂ (1 − p̂)/n + z²/4n²)) / (1 + z²/n),

which, unlike p̂ ± z √(p̂ (1 − p̂)/n), has a width when nothing went wrong and never leaves [0, 1].
Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.
"""

from collections.abc import Iterable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from trainwell.report.results import CalibrationBin


def wilson(right: float, samples: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of Wilson's interval of the share ``right / samples``.

    Args:
        right: how many were right, in [0, samples].
        samples: at least 1.
        confidence: how often such an interval covers the truth, in (0, 1).

    Example:
        >>> low, high = wilson(357, 360)
        >>> round(low, 4), round(high, 4)
        (0.9758, 0.9972)
    """
    if samples < 1 or not 0 <= right <= samples:
        raise ValueError(
            f"wilson: {right} right of {samples} samples is no share. Give 0 ≤ right ≤ samples, samples ≥ 1."
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = right / samples
    centre = share + z**2 / (2 * samples)
    half = z * (share * (1 - share) / samples + z**2 / (4 * samples**2)) ** 0.5
    scale = 1 + z**2 / samples
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def mean_and_margin(values: NDArray[np.floating], confidence: float = 0.95) -> tuple[float, float]:
    """Return the mean of ``values`` (shape (N,)) and z · s/√N, half its normal interval; margin 0 for N = 1."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    count = len(values)
    spread = float(np.std(values, ddof=1)) if count > 1 else 0.0
    return float(np.mean(values)), z * spread / count**0.5


def expected_calibration_error(bins: Iterable[CalibrationBin]) -> float:
    """Return Σ nᵦ/n · |accuracyᵦ − confidenceᵦ|, the ECE of Naeini et al. 2015 (AAAI), in [0, 1]; 0 without samples."""
    filled = [b for b in bins if b.count]
    total = sum(b.count for b in filled)
    return sum(b.count * abs(b.accuracy - b.confidence) for b in filled) / total if total else 0.0
