"""Tables by default settings, beside scikit-learn's HistGradientBoosting on the same split.

    TRAINWELL_DATA=… python bench/tables.py [--seeds 5] [--only titanic]

Prints the score on the held-out part (accuracy, or R² for diamonds) of each seed, the means and the seconds of each
run. A seed is
of the split, the initialization and the order of samples.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from trainwell.data import Dataset, SplitOptions, load
from trainwell.training import Recipe, jobs

CASES = {"titanic": ("survived", "accuracy"), "penguins": ("species", "accuracy"), "diamonds": ("price", "r2")}


def boosted(dataset: Dataset) -> float:
    """Score of gradient boosting with its defaults, trained on the training and validation rows."""
    x = np.hstack([dataset.X["numbers"], np.where(dataset.X["categories"] < 0, np.nan, dataset.X["categories"])])
    kinds = [False] * dataset.X["numbers"].shape[1] + [True] * dataset.X["categories"].shape[1]
    model = (HistGradientBoostingRegressor if dataset.task == "regression" else HistGradientBoostingClassifier)(
        categorical_features=kinds, random_state=0
    )
    rows = np.concatenate([dataset.splits.train, dataset.splits.val])
    model.fit(x[rows], dataset.y[rows])
    return float(model.score(x[dataset.splits.test], dataset.y[dataset.splits.test]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--set", action="append", default=[])
    chosen = parser.parse_args()
    root = Path(os.environ["TRAINWELL_DATA"]) / "tabular"
    for name, (target, metric) in CASES.items():
        if chosen.only not in (None, name):
            continue
        ours, theirs, seconds = [], [], []
        for seed in range(chosen.seeds):
            with tempfile.TemporaryDirectory() as folder:
                begin = time.perf_counter()
                recipe = Recipe().override(
                    [f"data.target={target}", f"training.seed={seed}", f"output.folder={folder}/run", *chosen.set]
                )
                run = jobs.train(str(root / f"{name}.csv"), recipe)
                seconds.append(time.perf_counter() - begin)
            ours.append(run.metrics["test"][metric])
            theirs.append(boosted(load(root / f"{name}.csv", target=target, split=SplitOptions(seed=seed))))
        print(
            f"{name} {metric}: trainwell {np.mean(ours):.4f} ({' '.join(f'{v:.3f}' for v in ours)}), "
            f"boosting {np.mean(theirs):.4f} ({' '.join(f'{v:.3f}' for v in theirs)}), at most "
            f"{max(seconds):.0f} s a run",
            flush=True,
        )


if __name__ == "__main__":
    main()
