"""From a file, a folder or a known name to one `Dataset`: typed, split, decoded once, and described by a `Schema`."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Column": "dataset",
        "Covariance": "covariance",
        "Dataset": "dataset",
        "Moments": "moments",
        "Rows": "dataset",
        "SCALINGS": "scaling",
        "Scaling": "scaling",
        "Schema": "dataset",
        "SplitOptions": "dataset",
        "Splits": "dataset",
        "Statistics": "measured",
        "augment": ".",
        "fit_scaling": "scaling_fit",
        "from_arrays": "assemble",
        "known_names": "known",
        "load": "loading",
        "split_rows": "split",
        "statistics": "measured",
    },
)
