"""Trace and diagonal from random probes, with standard errors.

Rademacher probes z (entries ±1):

    tr A = E[zᵀ A z],       Var = 2 Σ_{i≠j} A_ij²          (Hutchinson 1990)
    diag A = E[z ⊙ A z],    Var_i = Σ_{j≠i} A_ij²          (Bekas, Kokiopoulou & Saad 2007)

with errors ∝ 1/√samples; both are exact for diagonal A. Hutch++ (Meyer et al. 2021, arXiv:2010.09649, Algorithm 1)
spends a third of the products on a basis Q of A's range, takes tr(QᵀAQ) exactly and probes the rest:

    tr A = tr(QᵀAQ) + E[gᵀ (I − QQᵀ) A (I − QQᵀ) g],

error ∝ 1/samples for positive semi-definite A, and no worse than Hutchinson's on a flat spectrum.
Cost: ``samples`` products; memory 2 n, Hutch++ 2 n · samples/3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.curvature.krylov import working
from trainwell.curvature.operators import LinearOperator
from trainwell.errors import InputError


@dataclass(frozen=True)
class TraceEstimate:
    """An estimated trace.

    Attributes:
        value: the estimate.
        error: its standard error, from the spread of the probes.
        samples: products taken.
    """

    value: float
    error: float
    samples: int


@dataclass(frozen=True)
class DiagonalEstimate:
    """An estimated diagonal.

    Attributes:
        value: shape (n,).
        error: shape (n,), standard errors, from the spread of the probes.
        samples: products taken.
    """

    value: Tensor
    error: Tensor
    samples: int


def estimate_trace(
    operator: LinearOperator,
    samples: int = 30,
    *,
    method: str = "hutchinson",
    generator: torch.Generator | None = None,
) -> TraceEstimate:
    """Estimate tr A.

    Args:
        operator: symmetric.
        samples: products to take, at least 2 (hutch++: 6).
        method: "hutchinson", or "hutch++" for operators with few large eigenvalues.
        generator: of the probes; seed 0 if None.

    Raises:
        InputError: for too few samples or another method.

    Example:
        >>> from trainwell.curvature import Diagonal
        >>> estimate_trace(Diagonal(torch.tensor([1.0, 2.0, 4.0])), 2)
        TraceEstimate(value=7.0, error=0.0, samples=2)
    """
    least = {"hutchinson": 2, "hutch++": 6}
    if method not in least or samples < least[method]:
        raise InputError(
            f"estimate_trace: method={method!r}, samples={samples}.", "Use hutchinson (≥ 2 samples) or hutch++ (≥ 6)."
        )
    generator = generator or torch.Generator().manual_seed(0)
    dtype, product = working(operator)
    if method == "hutchinson":
        known, basis, probes = 0.0, None, samples
    else:
        rank = min(samples // 3, operator.size)
        sketch = torch.stack([product(rademacher(operator, generator, dtype)) for _ in range(rank)], 1)
        basis = torch.linalg.qr(sketch).Q
        known = sum(float(q @ product(q)) for q in basis.T)
        probes = samples - 2 * rank
    each = []
    for _ in range(probes):
        z = rademacher(operator, generator, dtype)
        z = z if basis is None else z - basis @ (basis.T @ z)
        each.append(z @ product(z))
    values = torch.stack(each).double()
    error = values.std() / len(values) ** 0.5
    return TraceEstimate(known + float(values.mean()), float(error), samples)


def estimate_diagonal(
    operator: LinearOperator, samples: int = 30, *, generator: torch.Generator | None = None
) -> DiagonalEstimate:
    """Estimate diag A.

    Args:
        operator: symmetric.
        samples: products to take, at least 2.
        generator: of the probes; seed 0 if None.

    Raises:
        InputError: for fewer than 2 samples.

    Example:
        >>> from trainwell.curvature import Diagonal
        >>> estimate_diagonal(Diagonal(torch.tensor([1.0, 2.0])), 2).value
        tensor([1., 2.])
    """
    if samples < 2:
        raise InputError(f"estimate_diagonal: samples={samples}.", "Take 2 or more: one has no spread.")
    generator = generator or torch.Generator().manual_seed(0)
    dtype, product = working(operator)
    mean = torch.zeros(operator.size, dtype=dtype, device=operator.device)
    squares = torch.zeros_like(mean)  # of deviations, by Welford's recurrence
    for i in range(samples):
        z = rademacher(operator, generator, dtype)
        value = z * product(z)
        deviation = value - mean
        mean += deviation / (i + 1)
        squares += deviation * (value - mean)
    error = (squares / (samples - 1) / samples).sqrt()
    return DiagonalEstimate(mean.to(operator.dtype), error.to(operator.dtype), samples)


def rademacher(operator: LinearOperator, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Independent ±1, shape (n,), drawn on the generator's device."""
    bits = torch.randint(0, 2, (operator.size,), generator=generator, device=generator.device)
    return (2 * bits - 1).to(operator.device, dtype)
