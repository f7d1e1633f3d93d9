"""Second moments in residual networks without normalization, and Fixup's scale.

Blocks x + F(x) whose branch multiplies the second moment by g and has a mean product of 0 with x: E x² grows by 1 + g
per block. g = 1, a branch that keeps it, gives 2^L. Taken literally, He's 2/n in the last layer of W₂ relu(W₁ x) makes
g = 2, since no ReLU follows: 3^L; 1/n there makes g = 1. Fixup sets the last layer of every branch to 0 (g = 0: no
growth) and multiplies the others, He initialized, by L^{−1/(2m−2)}, m layers in a branch: then one step of rate η
changes each branch by Θ(η/L), so the net by Θ(η). Claim S17 (decks R, T; T lists the paper under its first title).
Source: Zhang, Dauphin & Ma 2019, "Fixup Initialization", eqs. 5–8, arXiv:1901.09321.
"""

import numpy as np
from numpy.typing import ArrayLike

from trainwell.theory.gaussian import Array


def residual_moment(blocks: ArrayLike, branch_gain: float = 1.0) -> Array:
    """Return E x² after L blocks over that before: (1 + g)^L.

    Args:
        blocks: L, any shape.
        branch_gain: g, E F(x)² over E x²; 1 where the branch keeps it, 0 where it starts at 0.

    Example:
        >>> float(np.log10(residual_moment(50)).round(2))
        15.05
    """
    return np.power(1 + branch_gain, np.asarray(blocks, dtype=np.float64))


def fixup_factor(blocks: int, layers: int = 2) -> float:
    """Return L^{−1/(2m−2)}, by which Fixup multiplies He's weights in all but the last layer of a branch.

    Args:
        blocks: L, 1 or more.
        layers: m, weight layers in a branch, 2 or more.

    Raises:
        ValueError: if one is smaller.

    Example:
        >>> round(fixup_factor(50), 4)
        0.1414
    """
    if blocks < 1 or layers < 2:
        raise ValueError(f"fixup_factor: blocks={blocks} must be 1 or more and layers={layers} 2 or more.")
    return float(blocks ** (-1 / (2 * layers - 2)))
