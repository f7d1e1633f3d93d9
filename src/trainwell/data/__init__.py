"""From a file, a folder or a known name to one `Dataset`: typed, split, decoded once, and described by a `Schema`."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Column": "dataset",
        "Dataset": "dataset",
        "Moments": "moments",
        "Rows": "dataset",
        "Schema": "dataset",
        "SplitOptions": "dataset",
        "Splits": "dataset",
        "Statistics": "measured",
        "augment": ".",
        "from_arrays": "assemble",
        "known_names": "known",
        "load": "loading",
        "split_rows": "split",
        "statistics": "measured",
    },
)
