"""The nonlinearities that theory knows, by the names of ``trainwell.nn.ACTIVATIONS``, with the parameters of torch.

    nonlinearity("leaky_relu", slope=0.1).second_moment(q)

The list is one; whoever needs a gain, a fixed point or a phase takes the function from here.
"""

import inspect
from collections.abc import Callable

from trainwell.nearest_name import nearest
from trainwell.theory.exponential_linear import SELU_ALPHA, SELU_SCALE, ExponentialLinear
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.piecewise import PiecewiseLinear, Sign, hard_tanh, shifted_relu
from trainwell.theory.rectifiers import LeakyReLU, Maxout, RandomizedLeakyReLU
from trainwell.theory.smooth import GELU, gelu_by_tanh, mish, sigmoid, silu, softplus, tanh


def _elu(alpha: float = 1.0) -> Nonlinearity:
    return ExponentialLinear("elu", alpha)


def _celu(alpha: float = 1.0) -> Nonlinearity:
    return ExponentialLinear("celu", alpha, rate=1 / alpha if alpha else float("nan"))


def _selu() -> Nonlinearity:
    return ExponentialLinear("selu", SELU_ALPHA, SELU_SCALE)


def _gelu(approximate: str = "none") -> Nonlinearity:
    return gelu_by_tanh() if approximate == "tanh" else GELU()


def _relu() -> Nonlinearity:
    return LeakyReLU("relu", 0.0)


def _relu6() -> Nonlinearity:
    return PiecewiseLinear("relu6", (0.0, 6.0), (0.0, 1.0, 0.0), (0.0, 0.0, 6.0))


def _identity() -> Nonlinearity:
    return LeakyReLU("identity", 1.0)


def _leaky_relu(slope: float = 0.01) -> Nonlinearity:
    return LeakyReLU("leaky_relu", slope)


def _prelu(slope: float = 0.25) -> Nonlinearity:
    return LeakyReLU("prelu", slope)


def _maxout(pieces: int = 2) -> Nonlinearity:
    return Maxout(pieces=pieces)


def _randomized(lower: float = 1 / 8, upper: float = 1 / 3) -> Nonlinearity:
    return RandomizedLeakyReLU(lower=lower, upper=upper)


_MAKERS: dict[str, Callable[..., Nonlinearity]] = {
    "celu": _celu,
    "elu": _elu,
    "gelu": _gelu,
    "hard_tanh": hard_tanh,
    "identity": _identity,
    "leaky_relu": _leaky_relu,
    "maxout": _maxout,
    "mish": mish,
    "prelu": _prelu,
    "randomized_leaky_relu": _randomized,
    "relu": _relu,
    "relu6": _relu6,
    "selu": _selu,
    "shifted_relu": shifted_relu,
    "sigmoid": sigmoid,
    "sign": lambda: Sign(),
    "silu": silu,
    "softplus": softplus,
    "tanh": tanh,
}

NONLINEARITIES: tuple[str, ...] = tuple(_MAKERS)


def nonlinearity(name: str, **parameters: float | str) -> Nonlinearity:
    """Return the nonlinearity called ``name``, one of ``NONLINEARITIES``.

    Args:
        name: as in ``trainwell.nn.ACTIVATIONS``, or relu6.
        parameters: ``slope`` of leaky_relu and prelu; ``alpha`` of elu and celu; ``beta`` of softplus; ``low`` and
            ``high`` of hard_tanh; ``lower`` and ``upper`` of randomized_leaky_relu; ``pieces`` of maxout;
            ``approximate`` of gelu. Torch's defaults.

    Raises:
        ValueError: if there is none of this name, or it has no such parameter.

    Example:
        >>> float(nonlinearity("relu").second_moment(2.0))
        1.0
    """
    if name not in _MAKERS:
        hint = nearest(name, NONLINEARITIES, f"Use one of {', '.join(NONLINEARITIES)}.")
        raise ValueError(f"nonlinearity: {name!r} is not known. {hint}")
    known = tuple(inspect.signature(_MAKERS[name]).parameters)
    unknown = [key for key in parameters if key not in known]
    if unknown:
        has = f"It has {', '.join(known)}." if known else "It has none."
        raise ValueError(f"nonlinearity: {name} has no parameter {unknown[0]!r}. {has}")
    return _MAKERS[name](**parameters)


def as_nonlinearity(activation: str | Nonlinearity) -> Nonlinearity:
    """Return the nonlinearity of this name, with its default parameters; a nonlinearity is returned as it is."""
    return nonlinearity(activation) if isinstance(activation, str) else activation
