"""Second moments of signal and gradient through a fully connected net at initialization, layer by layer.

Widths n_0 … n_L, z_l = W_l h_{l−1} + b_l, h_l = φ(z_l), independent zero-mean weights and biases, wide layers:

    forward    q_l = n_{l−1} Var(W_l) m_{l−1} + σ_b²,      m_l = E φ(u)²,   u ~ N(0, q_l)
    backward   a_l = n_{l+1} Var(W_{l+1}) d_{l+1},         d_l = a_l E φ'(u)²

with m = E h², q = E z², a = E (∂L/∂h)², d = E (∂L/∂z)² per unit, and, per example,

    ‖∂L/∂h_l‖² = n_l a_l,        ‖∂L/∂W_l‖² = n_l d_l · n_{l−1} m_{l−1}.

χ_l = n_l Var(W_l) E φ'(u)² is the factor on d (and ‖∂L/∂h‖²) at equal widths; the norm's is √χ. Backward takes the
weights to be independent of those of the forward pass, which is right as n → ∞ (a theorem for such nets: Yang 2020,
arXiv:2006.14548). For ReLU without biases both passes are exact in the mean at any width: m is a mean over weights.
Claims S01–S06, S08, S09, S19 (decks R, K, M, T). Sources: Glorot & Bengio 2010, eqs. 5–6; Poole et al. 2016, eq. 3,
arXiv:1606.05340; Schoenholz et al. 2017, §4, arXiv:1611.01232; He et al. 2015 §2.2, arXiv:1502.01852.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfc

from trainwell.theory.activation_moments import as_nonlinearity
from trainwell.theory.gaussian import Array, as_variance, expectation
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.rectifiers import Maxout

Activations = str | Nonlinearity | Sequence[str | Nonlinearity]


@dataclass(frozen=True)
class SignalFlow:
    """Predicted moments; index l − 1 is layer l = 1 … L. Gradients are for ‖∂L/∂h_L‖ = 1.

    Attributes:
        widths: n_0 … n_L.
        q: E z_l², second moment of the pre-activations.
        m: E h_l², of the activations.
        mean_slope: E φ'(z_l); nan for maxout, which is no function of one number.
        chi: n_l Var(W_l) E φ'(z_l)².
        signal_gradient: ‖∂L/∂h_l‖, per example.
        weight_gradient: ‖∂L/∂W_l‖, per example.
    """

    widths: tuple[int, ...]
    q: Array
    m: Array
    mean_slope: Array
    chi: Array
    signal_gradient: Array
    weight_gradient: Array

    @property
    def std(self) -> Array:
        """√(E h_l²): the standard deviation where φ is odd."""
        return np.sqrt(self.m)


def propagate_signal(
    activation: Activations,
    widths: Sequence[int],
    weight_variances: ArrayLike,
    *,
    bias_variance: float = 0.0,
    input_moment: float = 1.0,
) -> SignalFlow:
    """Return the moments of signal and gradient of every layer at initialization.

    Args:
        activation: φ of all layers, or one per layer (``"identity"`` for a linear read-out).
        widths: n_0 (inputs) … n_L.
        weight_variances: Var W of all layers, or one per layer; see ``weight_variance``.
        bias_variance: σ_b², 0 or above.
        input_moment: E x² per input, above 0.

    Raises:
        ValueError: if widths, variances or activations do not fit together.

    Example:
        >>> propagate_signal("relu", [64] * 4, 1 / 64).m.tolist()
        [0.5, 0.25, 0.125]
    """
    sizes = np.asarray(widths, dtype=np.float64)
    if sizes.ndim != 1 or sizes.size < 2 or not (sizes >= 1).all():
        raise ValueError(f"propagate_signal: widths={widths!r} must be two or more numbers, each 1 or more.")
    depth = sizes.size - 1
    scales = _per_layer(as_variance(weight_variances), depth)
    layers = _functions(activation, depth)
    if bias_variance < 0 or not input_moment > 0:
        raise ValueError(
            f"propagate_signal: bias_variance={bias_variance} must be 0 or above, and input_moment={input_moment} "
            "above 0."
        )
    m = np.concatenate([[input_moment], np.empty(depth)])
    q, slope, chi = np.empty(depth), np.empty(depth), np.empty(depth)
    mean_slope = np.empty(depth)
    for l, function in enumerate(layers):
        q[l] = sizes[l] * scales[l] * m[l] + bias_variance
        m[l + 1] = function.second_moment(q[l])
        slope[l] = function.slope_moment(q[l])
        mean_slope[l] = _mean_slope(function, q[l])
        chi[l] = sizes[l + 1] * scales[l] * slope[l]
    pull = (sizes[:-1] * scales * slope)[1:]  # ‖∂L/∂h_l‖² over that of layer l + 1
    signal = np.concatenate([np.cumprod(pull[::-1])[::-1], [1.0]])
    weight = signal * slope * sizes[:-1] * m[:-1]
    return SignalFlow(tuple(int(n) for n in sizes), q, m[1:], mean_slope, chi, np.sqrt(signal), np.sqrt(weight))


def tanh_saturation(q: ArrayLike, threshold: float = 0.95) -> Array:
    """Return P(|tanh u| > c) = erfc(artanh(c)/√(2q)), u ~ N(0, q): the share of saturated units (claim S02).

    Args:
        q: variances of the pre-activations, above 0.
        threshold: c in (0, 1).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"tanh_saturation: threshold {threshold} must lie between 0 and 1.")
    return erfc(np.arctanh(threshold) / np.sqrt(2 * as_variance(q)))


def weight_to_gradient(widths: Sequence[int], weight_variances: ArrayLike) -> Array:
    """Return E g_l²/E W_l² of a ReLU chain, up to a common factor: 1/(n_{l−1} n_l Var(W_l)²) (claim S19).

    In such a chain n_l E h_l² E (∂L/∂h_l)² is the same in all layers, so the ratio is even just where Var W_l is in
    proportion to 1/√(n_{l−1} n_l). The mean square per-example gradient, hidden layers. Scaled to a smallest value
    of 1. Source: Defazio & Bottou 2019, arXiv:1912.08987.
    """
    sizes = np.asarray(widths, dtype=np.float64)
    ratio = 1 / (sizes[:-1] * sizes[1:] * _per_layer(as_variance(weight_variances), sizes.size - 1) ** 2)
    return ratio / ratio.min()


def _per_layer(variances: Array, depth: int) -> Array:
    if variances.ndim > 1 or variances.size not in (1, depth):
        raise ValueError(
            f"propagate_signal: {variances.size} weight variances for {depth} layers. Give one or {depth}."
        )
    return np.broadcast_to(variances.reshape(-1), (depth,))


def _mean_slope(function: Nonlinearity, q: float) -> float:
    if isinstance(function, Maxout):
        return float("nan")
    return float(expectation(function.derivative, q, function.kinks))


def _functions(activation: Activations, depth: int) -> list[Nonlinearity]:
    if isinstance(activation, str | Nonlinearity):
        return [as_nonlinearity(activation)] * depth
    if len(activation) != depth:
        raise ValueError(f"propagate_signal: {len(activation)} activations for {depth} layers. Give one or {depth}.")
    return [as_nonlinearity(one) for one in activation]
