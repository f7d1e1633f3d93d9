"""What kind of layer a torch module or function is, and its fans."""

import math
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import activation, batchnorm, conv, dropout, normalization, pooling

from trainwell.nn.origins import tensors_in
from trainwell.nn.prepare import TableInput

_KINDS: tuple[tuple[str, tuple[type[nn.Module], ...]], ...] = (
    ("linear", (nn.Linear,)),
    ("conv", (conv._ConvNd,)),
    (
        "norm",
        (
            batchnorm._NormBase,
            nn.LayerNorm,
            nn.GroupNorm,
            nn.RMSNorm,
            normalization.LocalResponseNorm,
        ),
    ),
    ("dropout", (dropout._DropoutNd,)),
    ("flatten", (nn.Flatten,)),
    ("embedding", (nn.Embedding, nn.EmbeddingBag)),
    (
        "pool",
        tuple(
            value
            for name, value in vars(pooling).items()
            if isinstance(value, type) and issubclass(value, nn.Module) and "Pool" in name and "Unpool" not in name
        ),
    ),
    (
        "activation",
        tuple(
            value
            for name, value in vars(nn).items()
            if isinstance(value, type) and value.__module__ == activation.__name__ and name != "MultiheadAttention"
        ),
    ),
)

OPAQUE: tuple[type[nn.Module], ...] = (nn.MultiheadAttention, TableInput, nn.RNNBase)
"""Modules with children that stand in the chain as one layer."""

_ACTIVATION_FUNCTIONS = {
    "celu": "CELU",
    "elu": "ELU",
    "gelu": "GELU",
    "hardsigmoid": "Hardsigmoid",
    "hardswish": "Hardswish",
    "hardtanh": "Hardtanh",
    "leaky_relu": "LeakyReLU",
    "log_softmax": "LogSoftmax",
    "logsigmoid": "LogSigmoid",
    "mish": "Mish",
    "prelu": "PReLU",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "selu": "SELU",
    "sigmoid": "Sigmoid",
    "silu": "SiLU",
    "softmax": "Softmax",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "tanh": "Tanh",
}
_OTHER_FUNCTIONS = {
    "linear": "linear",
    "bilinear": "other",
    "embedding": "embedding",
    "flatten": "flatten",
    "scaled_dot_product_attention": "other",
    "multi_head_attention_forward": "other",
    **dict.fromkeys(("add", "mul", "sub", "div", "neg", "cat", "stack", "matmul", "bmm", "einsum"), "other"),
    **dict.fromkeys(("abs", "clamp", "cos", "cumsum", "erf", "exp", "fft", "log", "max", "min", "norm"), "other"),
    **dict.fromkeys(("pow", "rsqrt", "sin", "sqrt", "square", "std", "var", "where", "interpolate"), "other"),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), "conv"),
    **dict.fromkeys(("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize"), "norm"),
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"), "dropout"),
    **{
        f"{adaptive}{pool}_pool{d}d": "pool"
        for adaptive in ("", "adaptive_")
        for pool in ("max", "avg")
        for d in (1, 2, 3)
    },
    **dict.fromkeys(("mean", "amax", "sum"), "pool"),
    **dict.fromkeys(("reshape", "view"), "flatten"),
}

FUNCTIONS: dict[str, tuple[str, str]] = {
    **{name: ("activation", shown) for name, shown in _ACTIVATION_FUNCTIONS.items()},
    **{name: (kind, name) for name, kind in _OTHER_FUNCTIONS.items()},
}
"""Function → kind and the name that the chain shows; an activation bears its class's name."""


def kind_of(module: nn.Module) -> str:
    """Return the kind of layer, one of ``trainwell.theory.chain.KINDS``.

    Our own layers say it themselves, by a class attribute ``layer_kind``; torch's are known by their class.
    """
    own = getattr(type(module), "layer_kind", None)
    if isinstance(own, str):
        return own
    return next((kind for kind, classes in _KINDS if isinstance(module, classes)), "other")


def canonical_name(function: Any) -> str:
    """Return the name of a torch function or operator without variants: ``__iadd__``, ``add_`` and ``add`` are one."""
    name = getattr(function, "__name__", "")
    stripped = name.strip("_")
    if name.startswith("__"):
        stripped = stripped.removeprefix("r") if stripped in ("radd", "rmul", "rsub", "rmatmul") else stripped
        stripped = stripped.removeprefix("i") if stripped in ("iadd", "imul", "isub", "itruediv") else stripped
    stripped = {"rsub": "sub", "rtruediv": "div", "truediv": "div", "true_divide": "div", "negative": "neg"}.get(
        stripped, {"concat": "cat", "concatenate": "cat", "subtract": "sub", "multiply": "mul"}.get(stripped, stripped)
    )
    return stripped.removesuffix("_with_indices").removeprefix("boolean_dispatch_")


def function_step(function: Any, read: tuple[tuple[Any, ...], dict[str, Any]], output: Any) -> tuple[str, str, str]:
    """Return kind, name and settings of a call of a torch function; kind "" where it only moves numbers about.

    Args:
        function: torch's.
        read: its arguments, by place and by name.
        output: what it gave.
    """
    name = canonical_name(function)
    kind, shown = FUNCTIONS.get(name, ("", name))
    signals = [value for value in tensors_in(read) if value.dim() > 1]
    before = math.prod(signals[0].shape) if signals else 0
    after = math.prod(output.shape) if isinstance(output, Tensor) else 0
    if name in ("reshape", "view"):
        kind = "flatten" if signals and signals[0].dim() > 2 and output.dim() == 2 else ""
    elif name in ("mean", "amax", "sum"):
        kind = "pool" if signals and signals[0].dim() > 2 and after < before else ""
    elif name in ("add", "mul", "sub", "div", "neg") and len(signals) < 2:
        moved = _moved(name, getattr(function, "__name__", ""), read) if signals else None
        return ("", name, "") if moved is None else ("scale", name, f"factor={moved[0]!r} shift={moved[1]!r}")
    elif not signals:
        kind = ""
    return kind, shown, ""


def _moved(name: str, own: str, read: tuple[tuple[Any, ...], dict[str, Any]]) -> tuple[float, float] | None:
    """Return f and c of f x + c; None where the other operand is no number, or x is left as it was."""
    if name == "neg":
        return -1.0, 0.0
    args, options = read
    numbers = [value for value in args if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) != 1 or len(args) != 2 or "rounding_mode" in options:
        return None
    number = float(numbers[0])
    number_first = isinstance(args[0], int | float) or own in ("__rsub__", "rsub", "__rtruediv__", "__rdiv__")
    if name == "div":
        return None if number_first or number == 0 else (1 / number, 0.0)
    if name == "mul":
        return number, 0.0
    if name == "add":
        return 1.0, number * float(options.get("alpha", 1))
    return (-1.0, number) if number_first else (1.0, -number * float(options.get("alpha", 1)))


def fans(owner: nn.Module | Tensor, function: str = "linear") -> tuple[int, int]:
    """Return (fan_in, fan_out) of a linear layer, a convolution, an embedding, or a weight used by a function.

    fan_in is the number of inputs that one output sums over, fan_out the number of outputs that one input reaches
    (stride 1); an embedding multiplies a one-hot vector, of which one entry counts.
    """
    if isinstance(owner, Tensor):
        if owner.dim() < 2 or function not in ("linear", "matmul", "conv1d", "conv2d", "conv3d"):
            return 0, 0
        window = math.prod(owner.shape[2:])
        return owner.shape[1] * window, owner.shape[0] * window
    if isinstance(owner, nn.Linear):
        return owner.in_features, owner.out_features
    if isinstance(owner, conv._ConvNd):
        window = math.prod(owner.kernel_size)
        return owner.in_channels // owner.groups * window, owner.out_channels // owner.groups * window
    if isinstance(owner, nn.Embedding):
        return 1, owner.embedding_dim
    return 0, 0
