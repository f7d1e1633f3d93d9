"""Spread of weights and biases of a layer under the schemes of ``trainwell.init``, and plain chains to predict of.

    σ_w² = fan_in · Var W,    σ_b² = Var b;    g = 1/√E φ(z)², z ~ N(0, 1), of the nonlinearity φ that follows

    scheme                       Var W                        scheme            Var W
    zero                         0                            kaiming           g²/n
    small_normal                 0.01²                        kaiming_uniform   g²/n
    large_normal                 0.05²                        kaiming_fan_out   g²/n'
    lecun (U[±1/√n])             1/(3n)                       geometric_mean    g²/√(n n')
    xavier, xavier_normal        2/(n + n')                   orthogonal        g²/max(n, n')
    pytorch (U[±1/√n], b too)    1/(3n)                       critical          σ_w²/n at the edge of chaos, with σ_b

Entries of an orthogonal matrix are not independent; in the limit of wide layers second moments do not see it.
Source: the docstrings of ``trainwell.init``, scheme by scheme; torch's default is Glorot & Bengio 2010, eq. 1.
"""

from collections.abc import Callable
from typing import NamedTuple

from trainwell.errors import InputError
from trainwell.nearest_name import nearest
from trainwell.theory.chain import Chain, Layer
from trainwell.theory.critical_point import critical
from trainwell.theory.gaussian_moments import Nonlinearity


class Spread(NamedTuple):
    """Root mean squares at initialization: of √fan_in · weight, and of the biases; of a norm, of scale and shift.

    ``mean_b`` is the mean of the biases: −1 for a gate that starts almost closed.
    """

    sigma_w: float
    sigma_b: float = 0.0
    mean_b: float = 0.0


_VARIANCES: dict[str, Callable[[int, int, float], float]] = {
    "zero": lambda n, m, g: 0.0,
    "small_normal": lambda n, m, g: 0.01**2,
    "large_normal": lambda n, m, g: 0.05**2,
    "lecun": lambda n, m, g: 1 / (3 * n),
    "xavier": lambda n, m, g: 2 / (n + m),
    "xavier_normal": lambda n, m, g: 2 / (n + m),
    "kaiming": lambda n, m, g: g**2 / n,
    "kaiming_uniform": lambda n, m, g: g**2 / n,
    "kaiming_fan_out": lambda n, m, g: g**2 / m,
    "geometric_mean": lambda n, m, g: g**2 / (n * m) ** 0.5,
    "orthogonal": lambda n, m, g: g**2 / max(n, m),
    "critical": lambda n, m, g: g**2 / n,
    "pytorch": lambda n, m, g: 1 / (3 * n),
}

INITIALIZATIONS: tuple[str, ...] = tuple(_VARIANCES)


def initial_spread(
    scheme: str, fan_in: int, fan_out: int, following: Nonlinearity | None = None, bias: bool = True
) -> Spread:
    """Return the spread of one layer.

    Args:
        scheme: one of ``INITIALIZATIONS``.
        fan_in: n, inputs that one output sums over; 1 or more.
        fan_out: n', outputs that one input reaches; 1 or more.
        following: the nonlinearity that follows; None where none does (gain 1).
        bias: whether the layer has biases.

    Raises:
        InputError: if the scheme is not known.

    Example:
        >>> initial_spread("xavier", 300, 300)
        Spread(sigma_w=1.0, sigma_b=0.0, mean_b=0.0)
    """
    check_scheme(scheme)
    gain = 1.0 if following is None else float(following.second_moment(1.0)) ** -0.5
    sigma_b = (3 * fan_in) ** -0.5 if scheme == "pytorch" else 0.0
    if scheme == "critical" and following is not None:
        try:
            gain, sigma_b = critical(following)
        except ValueError:  # no edge of chaos: the gain that keeps the second moment, as ``trainwell.init`` does
            sigma_b = 0.0
    return Spread((fan_in * _VARIANCES[scheme](fan_in, fan_out, gain)) ** 0.5, sigma_b if bias else 0.0)


def check_scheme(scheme: str) -> None:
    """Refuse a scheme that is not one of ``INITIALIZATIONS``.

    Raises:
        InputError: with the nearest name.
    """
    if scheme not in INITIALIZATIONS:
        remedy = nearest(scheme, INITIALIZATIONS, f"Use one of {', '.join(INITIALIZATIONS)}.")
        raise InputError(f"Theory predicts nothing of init={scheme!r}.", remedy)


PLAIN_NORMS = {"none": "", "batch": "BatchNorm1d", "layer": "LayerNorm", "rms": "RMSNorm"}


def plain_chain(depth: int, width: int, activation: str, norm: str = "none", pieces: int = 1) -> Chain:
    """Return the chain of ``depth`` linear layers of equal width, norm and activation between them; the last is bare.

    Args:
        depth: linear layers, 1 or more.
        width: numbers that each of them reads, 1 or more.
        activation: the name that its layers bear.
        norm: one of ``PLAIN_NORMS``.
        pieces: units that the activation makes one of: 2 for maxout.

    Example:
        >>> [layer.name for layer in plain_chain(2, 8, "relu")]
        ['Linear', 'relu', 'Linear']
    """
    layers: list[Layer] = []
    for l in range(1, depth + 1):
        made = width * (pieces if l < depth else 1)
        layers.append(Layer(f"linear{l}", "linear", "Linear", (width,), (made,), width, made, (width + 1) * made))
        if l < depth and PLAIN_NORMS[norm]:
            layers.append(Layer(f"norm{l}", "norm", PLAIN_NORMS[norm], (made,), (made,)))
        if l < depth:
            layers.append(Layer(f"activation{l}", "activation", activation, (made,), (width,)))
    return Chain(tuple(layers))
