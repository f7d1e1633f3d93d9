"""The density of a spectrum by stochastic Lanczos quadrature.

For a random unit vector v, vᵀ f(A) v has mean (1/n) Σ_i f(λ_i) = ∫ f dφ, and m Lanczos steps from v give

    vᵀ f(A) v ≈ Σ_j τ_j f(θ_j),    θ_j the Ritz values, τ_j the squared first components of T_m's eigenvectors:

Gauss quadrature, exact for polynomials of degree ≤ 2m − 1. The mean over probes estimates φ; the density is that
measure smoothed by a Gaussian. Errors: √(2/n)-like of each probe (one suffices for large n), and O(λ-range/m) in the
resolution of the bulk; outliers are sharp, with weight multiplicity/n that is lost in the noise below 1/n.
Cost: probes · steps products, memory n · (steps + 1).
Source: Golub & Meurant 2009; Lin, Saad & Yang 2016, arXiv:1308.5467; Ghorbani et al. 2019, arXiv:1901.10159.
"""

from dataclasses import dataclass

import numpy as np
import torch

from trainwell.curvature.krylov import Krylov, random_vector, working
from trainwell.curvature.operators import LinearOperator
from trainwell.errors import InputError


@dataclass(frozen=True)
class SpectralMeasure:
    """Nodes and weights of an estimated spectral distribution.

    Attributes:
        nodes: shape (probes, steps), Ritz values of each probe; 0 with weight 0 where a probe's space was exhausted.
        weights: shape (probes, steps), ≥ 0, each row of sum 1.
        size: n of the operator.
    """

    nodes: np.ndarray
    weights: np.ndarray
    size: int

    def moment(self, power: int) -> tuple[float, float]:
        """(1/n) tr(A^power) and its standard error over the probes (nan for one probe)."""
        each = (self.weights * self.nodes**power).sum(1)
        error = each.std(ddof=1) / len(each) ** 0.5 if len(each) > 1 else float("nan")
        return float(each.mean()), float(error)

    def density(self, grid: np.ndarray, width: float) -> np.ndarray:
        """Density at the points of a grid, per unit of λ; its integral is 1.

        Args:
            grid: shape (g,), values of λ.
            width: standard deviation of the smoothing Gaussian, in units of λ; about range/steps shows no node singly.
        """
        z = (grid[:, None] - self.nodes.reshape(1, -1)) / width
        bells = np.exp(-0.5 * z**2) / (width * np.sqrt(2 * np.pi))
        return bells @ self.weights.reshape(-1) / len(self.weights)

    def below(self, value: float) -> float:
        """Estimated share of eigenvalues < ``value``."""
        return float((self.weights * (self.nodes < value)).sum() / len(self.weights))


def spectral_measure(
    operator: LinearOperator, *, steps: int = 64, probes: int = 4, generator: torch.Generator | None = None
) -> SpectralMeasure:
    """Estimate the spectral distribution of a symmetric operator.

    Args:
        operator: symmetric.
        steps: Lanczos steps a probe; the paper on networks (Ghorbani et al.) takes 80–90.
        probes: random start vectors; more for small n and for error bars.
        generator: of the probes; seed 0 if None.

    Raises:
        InputError: if steps or probes < 1.
        JobError: if a product is not finite.

    Example:
        >>> from trainwell.curvature import Diagonal
        >>> measure = spectral_measure(Diagonal(torch.full((50,), 2.0)), probes=2)
        >>> round(measure.moment(1)[0], 5)
        2.0
    """
    if steps < 1 or probes < 1:
        raise InputError(f"spectral_measure: steps={steps}, probes={probes}.", "Take 1 or more of each.")
    generator = generator or torch.Generator().manual_seed(0)
    dtype, product = working(operator)
    nodes, weights = np.zeros((probes, steps)), np.zeros((probes, steps))
    for probe in range(probes):
        krylov = Krylov(product, random_vector(operator, generator, dtype))
        while not krylov.exhausted and krylov.steps < steps:
            krylov.step()
        values, vectors = krylov.ritz()
        nodes[probe, : len(values)], weights[probe, : len(values)] = values, vectors[0] ** 2
    return SpectralMeasure(nodes, weights, operator.size)
