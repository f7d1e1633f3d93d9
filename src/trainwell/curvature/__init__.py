"""Curvature of a loss as linear operators, and what Lanczos and random probes tell of them."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Congruent": "combinations",
        "Damped": "combinations",
        "Diagonal": "combinations",
        "DiagonalEstimate": "hutchinson",
        "Eigenpairs": "lanczos",
        "Fisher": "likelihood",
        "GaussNewton": "ggn",
        "Hessian": "second_derivatives",
        "Identity": "combinations",
        "LinearOperator": "operators",
        "MeanLoss": "averaged",
        "Scaled": "combinations",
        "SpectralMeasure": "spectral_density",
        "Sum": "combinations",
        "TraceEstimate": "hutchinson",
        "eigenpairs": "lanczos",
        "estimate_diagonal": "hutchinson",
        "estimate_trace": "hutchinson",
        "ggn_product": "products",
        "hvp": "products",
        "spectral_measure": "spectral_density",
        "unfused": "weight_norm_kernel",
    },
)
