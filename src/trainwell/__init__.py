"""trainwell makes deep networks train: from your data to a trained, resumable, documented model."""

from trainwell._lazy import attach

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Classifier": "training",
        "Exam": "clinic",
        "Program": "training",
        "Recipe": "training",
        "Regressor": "training",
        "Run": "training",
        "Training": "training",
        "curvature": ".",
        "clinic": ".",
        "data": ".",
        "examine": "clinic",
        "fit": "training",
        "init": ".",
        "lab": ".",
        "load": "training",
        "nn": ".",
        "objectives": ".",
        "optim": ".",
        "report": ".",
        "search": ".",
        "theory": ".",
        "training": ".",
        "watch": "clinic",
    },
)
