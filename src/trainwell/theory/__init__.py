"""Closed forms and descriptions in NumPy, without torch: what theory says of a network before it runs."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "NONLINEARITIES": "activation_moments",
        "Chain": "chain",
        "CriticalPoint": "critical_point",
        "Layer": "chain",
        "MeanField": "mean_field",
        "Nonlinearity": "gaussian_moments",
        "correlation_map": "mean_field",
        "critical": "critical_point",
        "depth_scale": "mean_field",
        "edge_of_chaos": "phase_border",
        "expectation": "gaussian",
        "fixed_correlation": "mean_field",
        "fixed_variance": "mean_field",
        "gradient_factor": "mean_field",
        "mean_field_at": "mean_field",
        "nonlinearity": "activation_moments",
        "variance_map": "mean_field",
        "Rate": "rates",
        "QUADRATIC_RATES": "rates",
        "quadratic_rate": "rates",
        "quadratic_factor": "rates",
        "chebyshev_bound": "rates",
        "sgd_noise_floor": "rates",
        "least_squares_noise_floor": "rates",
    },
)
