"""What theory knows of a chain's layers by their names and printed settings: activations, kinds of norms, padding."""

import re

import numpy as np

from trainwell.theory.activation_moments import NONLINEARITIES, nonlinearity
from trainwell.theory.chain import Layer
from trainwell.theory.gaussian_moments import Nonlinearity

_SETTINGS = {
    "negative_slope": "slope",
    "alpha": "alpha",
    "beta": "beta",
    "min_val": "low",
    "max_val": "high",
    "lower": "lower",
    "upper": "upper",
    "approximate": "approximate",
}
_NAMES = {name.replace("_", ""): name for name in NONLINEARITIES} | {"rrelu": "randomized_leaky_relu"}


def nonlinearity_in(layer: Layer) -> Nonlinearity | None:
    """Return what theory knows of a chain's activation by its name and printed settings; None if nothing."""
    name = _NAMES.get(layer.name.lower().replace("_", ""))
    if name is None:
        return None
    found = {ours: setting(layer, theirs) for theirs, ours in _SETTINGS.items()}
    settings: dict[str, float | str] = {}
    for key, text in found.items():
        if text is not None:
            settings[key] = text.strip("'") if key == "approximate" else float(text)
    try:
        return nonlinearity(name, **settings)
    except ValueError:
        return None


def norm_kind(name: str) -> str:
    """Return ``batch``, ``instance``, ``layer`` or ``rms`` for the norms that theory models, "" for others."""
    low = name.lower().replace("_", "")
    if low in ("layernorm", "groupnorm"):
        return "layer"
    if low in ("rmsnorm", "samplermsnorm"):
        return "rms"
    known = ("batchnorm", "batchnorm1d", "batchnorm2d", "batchnorm3d", "syncbatchnorm", "ghostbatchnorm")
    return "instance" if low.startswith("instancenorm") else "batch" if low in known else ""


def setting(layer: Layer, name: str) -> str | None:
    """Return a setting as the layer prints it, ``eps=1e-05``; None if it prints none."""
    found = re.search(rf"\b{name}=([^,\s]+)", layer.detail)
    return found[1] if found and found[1] != "None" else None


def number_in(layer: Layer, name: str, otherwise: float) -> float:
    """Return a setting that is a number, ``factor=2.0``; ``otherwise`` if the layer prints none."""
    found = setting(layer, name)
    return otherwise if found is None else float(found)


def taps_inside(layer: Layer) -> float:
    """Return the share of a convolution's products that read the image and not zeros around it; 1 where unknown.

    Example:
        >>> settings = "1, 1, kernel_size=(3,), stride=(1,), padding=(1,)"
        >>> taps_inside(Layer("c", "conv", "Conv1d", (1, 4), (1, 4), detail=settings))  # 10 of 12
        0.8333333333333334
    """
    if "padding_mode" in layer.detail:
        return 1.0
    kernel, stride, padding, dilation = (
        _sizes(layer, name) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    share = 1.0
    for axis, size in enumerate(kernel):
        step, spread = (sizes[axis] if sizes else 1 for sizes in (stride, dilation))
        before = padding[axis] if padding else spread * (size - 1) // 2 if "padding=same" in layer.detail else 0
        read, given = layer.input_shape[axis + 1], layer.output_shape[axis + 1]
        places = np.arange(given)[:, None] * step - before + np.arange(size) * spread
        share *= float(np.mean((places >= 0) & (places < read)))
    return share


def _sizes(layer: Layer, name: str) -> tuple[int, ...]:
    found = re.search(rf"\b{name}=\(([\d, ]+)\)", layer.detail)
    return tuple(int(part) for part in found[1].split(",") if part.strip()) if found else ()
