"""What theory knows of a chain's layers by their names and printed settings: activations and kinds of norms."""

import re

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
    """Return ``batch``, ``layer`` or ``rms`` for the norms that theory models, "" for others."""
    low = name.lower().replace("_", "")
    if low in ("layernorm", "groupnorm"):
        return "layer"
    if low in ("rmsnorm", "samplermsnorm"):
        return "rms"
    known = ("batchnorm", "batchnorm1d", "batchnorm2d", "batchnorm3d", "syncbatchnorm", "ghostbatchnorm")
    return "batch" if low in known or low.startswith("instancenorm") else ""


def setting(layer: Layer, name: str) -> str | None:
    """Return a setting as the layer prints it, ``eps=1e-05``; None if it prints none."""
    found = re.search(rf"\b{name}=([^,\s]+)", layer.detail)
    return found[1] if found and found[1] != "None" else None
