"""Nearest points of closed convex sets, for projected gradient steps.

    P(w) = argmin_{u ∈ C} ‖u − w‖

L2 ball: w · min(1, c/‖w‖). L1 ball and simplex: (|w| − θ)₊ with the θ that makes the sum c. Box: clip. Max-norm: the L2
ball for every row. Spectral ball: clip the singular values at c. Every one returns a new tensor, leaves a point of C as
it is up to rounding, and is exact up to rounding; a penalty of weight μ misses the set by about 1/μ.
Source: Duchi et al. 2008, "Efficient Projections onto the ℓ1-Ball", fig. 1; Srivastava et al. 2014 (max-norm).
"""

import torch
from torch import Tensor

from trainwell.errors import InputError


def onto_l2_ball(weight: Tensor, radius: float = 1.0) -> Tensor:
    """Nearest tensor with ‖w‖₂ ≤ radius over all entries."""
    _check_size("onto_l2_ball", radius)
    return weight * _shrink(torch.linalg.vector_norm(weight), radius)


def onto_l1_ball(weight: Tensor, radius: float = 1.0) -> Tensor:
    """Nearest tensor with Σ|w| ≤ radius over all entries; sparse."""
    _check_size("onto_l1_ball", radius)
    size = weight.abs()
    projected = weight.sign() * onto_simplex(size.flatten(), radius).view_as(weight)
    return torch.where(size.sum() <= radius, weight, projected)


def onto_box(weight: Tensor, low: float, high: float) -> Tensor:
    """Nearest tensor with low ≤ w ≤ high in every entry.

    Raises:
        InputError: if the box is empty.
    """
    if not low <= high:
        raise InputError(f"onto_box: low {low} is above high {high}.", "Give low ≤ high.")
    return weight.clamp(low, high)


def onto_simplex(weight: Tensor, total: float = 1.0) -> Tensor:
    """Nearest vectors, in the last dimension, with w ≥ 0 and Σw = total."""
    _check_size("onto_simplex", total)
    if weight.shape[-1:] in ((), (0,)):
        raise InputError(f"onto_simplex: shape {tuple(weight.shape)} has no vectors.", "Give (..., n) with n ≥ 1.")
    shifted = weight - weight.amax(-1, keepdim=True)  # adding a constant changes nothing but the rounding
    largest = shifted.sort(-1, descending=True).values
    count = torch.arange(1, weight.shape[-1] + 1, dtype=weight.dtype, device=weight.device)
    theta = (largest.cumsum(-1) - total) / count
    kept = (largest > theta).sum(-1, keepdim=True).clamp_min(1)  # the largest is always kept; 0 were NaNs
    return (shifted - theta.gather(-1, kept - 1)).clamp_min(0.0)


def onto_max_norm(weight: Tensor, radius: float) -> Tensor:
    """Nearest weight in which every unit's incoming weights have norm ≤ radius; shape (out, ...), a row a unit."""
    _check_size("onto_max_norm", radius)
    _check_matrix("onto_max_norm", weight)
    norms = torch.linalg.vector_norm(weight.flatten(1), dim=1)
    return weight * _shrink(norms, radius).view(-1, *[1] * (weight.dim() - 1))


def onto_spectral_ball(weight: Tensor, bound: float = 1.0) -> Tensor:
    """Nearest weight of largest singular value ≤ bound, as a matrix (out, rest); W/σ_max is not the nearest."""
    _check_size("onto_spectral_ball", bound)
    _check_matrix("onto_spectral_ball", weight)
    u, s, vh = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    return torch.where((s <= bound).all(), weight, ((u * s.clamp_max(bound)) @ vh).view_as(weight))


def _shrink(norm: Tensor, radius: float) -> Tensor:
    """min(1, radius / norm), and 1 at norm 0."""
    return torch.where(norm > radius, radius / norm, torch.ones_like(norm))


def _check_size(name: str, size: float) -> None:
    if not 0 < size < float("inf"):
        raise InputError(f"{name}: the size of the set is {size}.", "Give a positive number.")


def _check_matrix(name: str, weight: Tensor) -> None:
    if weight.dim() < 2:
        raise InputError(f"{name}: weight of shape {tuple(weight.shape)} is no matrix.", "Leave biases and gains out.")
