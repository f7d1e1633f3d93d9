"""Singular values of a deep net's Jacobian at initialization, by free probability.

J = ∏_{l=1..L} D_l W_l with D = diag φ'(u), u ~ N(0, q), square W. As the width grows the eigenvalues λ = s² of JJᵀ
have the law whose S-transform is the product of the factors': with w = σ_w²

    S_JJᵀ(M) = [S_{D²}(M) S_{WWᵀ}(M)]^L,    S_{WWᵀ} = 1/w (orthogonal)  or  1/(w (1 + M)) (Gaussian).

Let x = φ'(u)², M(ζ) = E x/(ζ − x), so that S_{D²}(M) = (1 + M)/(M ζ); then λ = (1 + M)/(M S_JJᵀ(M)) reads

    λ = (1+M)/M · [w M ζ/(1+M)]^L · (1+M)^{L g},    g = 0 (orthogonal) or 1 (Gaussian),

solved for ζ in the upper half plane, followed from negative λ (and ζ) round to positive; the density is
−Im[(1+M)/λ]/π. Where φ' is 0 or 1, p = E φ'², this is λ = (1+M)/M [w (p+M)/(1+M)]^L (1+M)^{Lg}. Moments, μ_k = E xᵏ:

    E s² = (w μ_1)^L,    Var s²/(E s²)² = L (μ_2/μ_1² − 1 + g).

At criticality w μ_1 = 1: (1−p)/p · L for ReLU-like orthogonal nets, L/p for Gaussian ones. Dynamical isometry,
Var s² → 0, needs orthogonal weights *and* φ'² → constant: hard-tanh or tanh with q → 0, never ReLU. Claim S12 (deck T).
Source: Pennington, Schoenholz & Ganguli 2017, §2.3–2.5, arXiv:1711.04735; 2018, arXiv:1802.09979.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import brentq

from trainwell.theory.activation_moments import as_nonlinearity
from trainwell.theory.gaussian import Array, nodes
from trainwell.theory.gaussian_moments import Nonlinearity

_LEGENDRE = np.polynomial.legendre.leggauss(8)
_ANGLES = (*np.linspace(np.pi, 0.1, 40)[1:], *np.geomspace(0.1, 1e-10, 20)[1:])
_ROWS = 500_000


@dataclass(frozen=True)
class JacobianSpectrum:
    """The law of λ = s² of a deep net's square Jacobian.

    Attributes:
        values: x, the values of φ'(u)², increasing.
        chances: their probabilities.
        depth: L.
        gaussian: whether the weights are Gaussian; else orthogonal.
        weight_variance: σ_w², fan_in times the variance of one weight.
    """

    values: Array = field(repr=False)
    chances: Array = field(repr=False)
    depth: int
    gaussian: bool
    weight_variance: float

    def slope_moment(self, k: int) -> float:
        """Return μ_k = E φ'(u)^{2k}."""
        return float(self.chances @ self.values**k)

    @property
    def mean(self) -> float:
        """E s² = (σ_w² μ_1)^L."""
        return (self.weight_variance * self.slope_moment(1)) ** self.depth

    @property
    def variance(self) -> float:
        """Var s² = (E s²)² L (μ_2/μ_1² − 1 + g)."""
        spread = self.slope_moment(2) / self.slope_moment(1) ** 2 - 1 + self.gaussian
        return self.mean**2 * self.depth * spread

    @property
    def zeros(self) -> float:
        """Share of singular values that are exactly 0: that of flat units, P(φ' = 0)."""
        return float(self.chances[self.values == 0].sum())

    @property
    def atom(self) -> tuple[float, float]:
        """(λ, mass) of the atom at the top, (σ_w² x_max)^L of mass 1 − L (1 − P(x_max)); mass 0 where there is none."""
        mass = 0.0 if self.gaussian else max(0.0, 1 - self.depth * (1 - float(self.chances[-1])))
        with np.errstate(over="ignore"):
            return float(np.float64(self.weight_variance * self.values[-1]) ** self.depth), mass

    @property
    def _discrete(self) -> bool:
        """Whether there are only atoms: orthogonal weights, and one layer or one slope."""
        return not self.gaussian and (self.values.size == 1 or self.depth == 1)

    @cached_property
    def edge(self) -> float:
        """The largest λ of the continuous part, where λ(ζ) is stationary; of the atom if there is nothing else."""
        if self._discrete:
            return self.atom[0]
        top = float(self.values[-1])
        if self.atom[1] > 0:  # the bulk ends where M < −1, between the two largest values of x
            below = float(self.values[-2])
            near, far = np.geomspace(1e-9, 0.5, 100), np.geomspace(0.5, 1e-25, 250)[1:]
            zeta = np.concatenate([top - (top - below) * near, below + (top - below) * far])
        else:
            zeta = top + top * np.geomspace(1e8, 1e-12, 400)
        slopes = self._log_lambda(zeta.astype(np.complex128))[1].real
        turns = np.flatnonzero(np.sign(slopes[:-1]) != np.sign(slopes[1:]))
        turn = zeta[-1]  # where none is left the bulk and a last atom's place meet
        if turns.size:
            turn = brentq(self._slope_at, zeta[turns[0]], zeta[turns[0] + 1], xtol=1e-300, rtol=1e-14)
        return float(np.exp(self._log_lambda(np.array([turn], dtype=np.complex128))[0][0].real))

    @property
    def largest(self) -> float:
        """The largest singular value s, without the finite width's fluctuation."""
        return max(self.edge, self.atom[0] if self.atom[1] > 0 else 0.0) ** 0.5

    def density(self, eigenvalue: ArrayLike) -> Array:
        """Return the density of λ = s² > 0, without its atoms."""
        points = np.asarray(eigenvalue, dtype=np.float64)
        flat = points.reshape(-1)
        result = np.zeros(flat.shape)
        inside = (flat > 0) & (flat < self.edge) & (not self._discrete)
        rows = max(1, _ROWS // self.values.size)
        where = np.flatnonzero(inside)
        for start in range(0, where.size, rows):
            part = where[start : start + rows]
            result[part] = self._solve(flat[part])
        return result.reshape(points.shape)

    def singular_density(self, singular: ArrayLike) -> Array:
        """Return the density of s: 2 s ρ(s²)."""
        s = np.asarray(singular, dtype=np.float64)
        return 2 * s * self.density(s**2)

    def cdf(self, eigenvalue: ArrayLike) -> Array:
        """Return P(s² ≤ λ), atoms included, to about 1e-3: 1 minus the integral of the density from λ to the edge.

        Where values are spread over more than 250 decades, as in 500 layers, those below count as the smallest.
        """
        points = np.asarray(eigenvalue, dtype=np.float64)
        logs, above, slopes = self._masses
        with np.errstate(divide="ignore"):
            inside = np.log(np.maximum(points, 0.0))
        curve = CubicHermiteSpline(logs, above, slopes)(np.clip(inside, logs[0], logs[-1]))
        bulk = np.where(inside < logs[0], 1 - self.zeros - self.atom[1], curve)
        location, mass = self.atom
        total = bulk + np.where(points < location * (1 - 1e-9), mass, 0.0)
        return np.where(points < 0, 0.0, 1 - total)

    @cached_property
    def _masses(self) -> tuple[Array, Array, Array]:
        """Edges of panels in ln λ up to the top, the mass of the density above each, and its slope, −λρ.

        A panel is halved until that changes its mass by less than 1e-6: the law may have several parts with gaps.
        """
        present = self.values[self.values > 0]
        spread = self.depth * float(np.log10(present[-1] / present[0]))
        decades = min(4.0 * (self.depth + 1) + spread, 250.0)  # ρ falls at least as slowly as λ^{1/(L+1) − 1}
        deep, middle = np.geomspace(10**-decades, 1e-5, 24)[:-1], np.geomspace(1e-5, 0.5, 24)[:-1]
        logs = np.log(np.concatenate([deep, middle, 1 - 0.5 * np.geomspace(1, 1e-5, 20), [1.0]]) * self.edge)
        left, right = logs[:-1], logs[1:]
        whole = self._panel(left, right)
        starts, parts = [], []
        for left_over in range(12, -1, -1):
            centre = (left + right) / 2
            first, second = self._panel(left, centre), self._panel(centre, right)
            rough = (np.abs(first + second - whole) > 1e-6) & (left_over > 0)
            starts += [left[~rough], centre[~rough]]
            parts += [first[~rough], second[~rough]]
            left, right, whole = (
                np.concatenate(pair)
                for pair in ((left[rough], centre[rough]), (centre[rough], right[rough]), (first[rough], second[rough]))
            )
            if not left.size:
                break
        order = np.argsort(np.concatenate(starts))
        edges = np.append(np.concatenate(starts)[order], logs[-1])
        above = np.append(np.cumsum(np.concatenate(parts)[order][::-1])[::-1], 0.0)
        ends = np.exp(edges)
        return edges, above, -ends * self.density(ends)

    def _panel(self, left: Array, right: Array) -> Array:
        """Return the integral of λρ over each panel of ln λ by 8 nodes."""
        half = (right - left)[:, None] / 2
        points = np.exp(left[:, None] + half * (1 + _LEGENDRE[0]))
        return (half * _LEGENDRE[1] * points * self.density(points)).sum(1)

    def _slope_at(self, zeta: float) -> float:
        return float(self._log_lambda(np.array([zeta], dtype=np.complex128))[1][0].real)

    def _log_lambda(self, zeta: NDArray[np.complex128]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Return ln λ(ζ) and its derivative."""
        gap = zeta[:, None] - self.values
        kernel = self.chances / gap
        scaled = kernel * self.values
        m, slope = scaled.sum(1), -(scaled / gap).sum(1)
        one = zeta * kernel.sum(1)  # 1 + M, without cancellation
        a, b = self.depth - 1, 1 - self.depth * (1 - self.gaussian)  # powers of M and 1 + M
        value = a * np.log(m) + b * np.log(one) + self.depth * (np.log(zeta) + np.log(self.weight_variance))
        return value, (a / m + b / one) * slope + self.depth / zeta

    def _start(self, points: Array) -> Array:
        """Return ζ < 0 with λ(ζ) = −points: from a table, as the map of the negative axis onto itself is monotone."""
        top, linear = float(self.values[-1]), self.mean / self.slope_moment(1)
        low = np.log(points.min() / linear) - 2
        high = np.log(max(top * 100 * (self.depth + 1), 100 * points.max() / linear))
        logs = np.linspace(low, high, 1000)
        sizes = self._log_lambda(-np.exp(logs) * (1 - 1e-9j))[0].real
        return -np.exp(np.interp(np.log(points), sizes, logs))

    def _solve(self, points: Array) -> Array:
        """Turn λ from the negative axis, where ζ is known, to the positive one; Newton on ln λ(ζ) at each angle."""
        zeta: NDArray[np.complex128] = np.asarray(self._start(points) * (1 - 1e-6j), dtype=np.complex128)
        for angle in _ANGLES:
            target = np.log(points) + 1j * angle
            for _ in range(25):
                value, slope = self._log_lambda(zeta)
                step = (target - value) / slope
                step *= np.minimum(1.0, 0.5 * np.abs(zeta) / np.maximum(np.abs(step), 1e-300))
                leaving = zeta.imag + step.imag <= 0
                step = np.where(leaving, step * (0.9 * zeta.imag / np.maximum(-step.imag, 1e-300)), step)
                zeta += step
                if (np.abs(step) <= 1e-10 * np.abs(zeta)).all():
                    break
        one = zeta * (self.chances / (zeta[:, None] - self.values)).sum(1)
        return np.maximum(0.0, -(one / points).imag / np.pi)


def jacobian_spectrum(
    activation: str | Nonlinearity,
    depth: int,
    *,
    q: float = 1.0,
    gaussian: bool = False,
    sigma_w: float | None = None,
) -> JacobianSpectrum:
    """Return the law of JJᵀ's eigenvalues for a net of this activation.

    Args:
        activation: name or nonlinearity, with a derivative of one number (not maxout).
        depth: L, 1 or more.
        q: variance of the pre-activations, the same in all layers (the fixed point), above 0.
        gaussian: Gaussian weights instead of orthogonal ones.
        sigma_w: √fan_in times a weight's standard deviation; the critical 1/√E φ'² if None.

    Raises:
        ValueError: if depth, q or σ_w is out of range, or for one orthogonal layer, whose law is that of σ_w²φ'² itself
            (where φ' has one value but 0 it is an atom, and allowed).

    Example:
        >>> spectrum = jacobian_spectrum("relu", 5)
        >>> round(spectrum.largest, 3), round(spectrum.variance, 6), spectrum.zeros
        (3.494, 5.0, 0.5)
    """
    if depth < 1 or not (np.isfinite(q) and q > 0):
        raise ValueError(f"jacobian_spectrum: depth={depth} must be 1 or more and q={q} above 0.")
    values, chances = _slope_law(as_nonlinearity(activation), q)
    if values[-1] == 0:
        raise ValueError(f"jacobian_spectrum: the slope of {activation!r} is 0 almost everywhere, and so is J.")
    if depth == 1 and not gaussian and np.count_nonzero(values) > 1:
        raise ValueError(
            "jacobian_spectrum: one orthogonal layer has the law of σ_w² φ'(u)² itself. Use depth 2 or more."
        )
    weight = 1 / float(chances @ values) if sigma_w is None else sigma_w**2
    if not (np.isfinite(weight) and weight > 0):
        raise ValueError(f"jacobian_spectrum: sigma_w={sigma_w} must be finite and above 0.")
    return JacobianSpectrum(values, chances, depth, gaussian, weight)


def _slope_law(function: Nonlinearity, q: float) -> tuple[Array, Array]:
    """Return the values of φ'(u)², u ~ N(0, q), and their chances: exact where piecewise linear, else by quadrature."""
    if not hasattr(function, "kinks"):
        raise ValueError(f"jacobian_spectrum: {function.name} has no derivative of one number.")
    z, weight = nodes(np.asarray(q, dtype=np.float64), function.kinks)
    keep = weight > 1e-18
    slopes = function.derivative(np.sqrt(q) * z[keep]) ** 2
    order = np.argsort(slopes)
    values, place = np.unique(slopes[order], return_inverse=True)
    chances = np.bincount(place, weight[keep][order])
    return values, chances / chances.sum()
