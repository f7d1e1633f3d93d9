"""Programs, recipes and the one loop that runs them."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Classifier": "estimators",
        "GradualUnfreezing": "unfreezing",
        "Program": "program",
        "Recipe": "recipe",
        "Regressor": "estimators",
        "Run": "run",
        "State": "state",
        "Training": "settings",
        "fit": "fitting",
        "freeze_": "freezing",
        "init_from": "transfer",
        "layer_groups": "layer_rates",
        "layer_rates_": "layer_rates",
        "load": "run",
        "load_matching": "matching",
        "new_head_": "transfer",
        "pretrain_": "pretraining",
        "rate_groups": "layer_rates",
        "unfreeze_": "freezing",
    },
)
