"""Initializers of weights, in place, and their application to whole models.

``apply_(model, "kaiming", example=batch)`` sets every linear layer and convolution; ``SCHEMES`` names the schemes.
"""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "SCHEMES": "schemes",
        "Applied": "application",
        "AppliedLayer": "application",
        "Scheme": "schemes",
        "UnitVariance": "unit_variance",
        "UnitVarianceLayer": "unit_variance",
        "apply_": "application",
        "constant_": "constant",
        "critical_": "critical",
        "delta_orthogonal_": "delta_orthogonal",
        "fans": "fan",
        "geometric_mean_": "geometric_mean",
        "identity_": "identity",
        "kaiming_": "kaiming",
        "lecun_": "lecun",
        "lsuv_": "unit_variance",
        "normal_": "draw",
        "orthogonal_": "orthogonal",
        "xavier_": "xavier",
        "zero_": "constant",
    },
)
