"""Programs, recipes and the one loop that runs them."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Classifier": "estimators",
        "Program": "program",
        "Recipe": "recipe",
        "Regressor": "estimators",
        "Run": "run",
        "State": "state",
        "Training": "settings",
        "fit": "fitting",
        "load": "run",
    },
)
