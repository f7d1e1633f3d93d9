"""Cross-validation: train once for each fold, and say how far the results scatter."""

import json
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from trainwell.errors import InputError
from trainwell.training.journal import plain
from trainwell.training.recipe import Recipe
from trainwell.training.state import Callback, Teller
from trainwell.training.weights import write_text


def cross_validate(
    recipe: Recipe, folds: int, callbacks: Iterable[Callback] = (), watch: Callback | None = None
) -> dict[str, Any]:
    """Train on all folds but one, test on that one, for each fold.

    The rows are those of all parts of the data (also of an official test part). Every fold is a run of its own in
    ``fold-1``, ``fold-2``, … with preprocessing fitted on its own training rows; a rate found for the first one is used
    for all.

    Args:
        recipe: with ``data.source`` and a split that is stratified, random or by group.
        folds: at least 2.
        callbacks, watch: of every fold's run, see ``jobs.train``.

    Returns:
        ``{"run", "task", "folds": [{part: metrics}], "metrics": {"test": {name: mean}}, "spread": {"test": {name:
        standard deviation over the folds}}, "seconds"}``, also written to ``folds.json``.

    Raises:
        InputError: if there are fewer than 2 folds or the split is by time.
    """
    from trainwell.training.jobs import new_folder, train

    if folds < 2:
        raise InputError(f"--folds is {folds}.", "Give 2 or more.")
    if recipe.data.split == "time":
        raise InputError("--folds cannot be used with a split by time.", "Use one split by time, or data.split=group.")
    began, teller, callbacks = time.perf_counter(), Teller(callbacks), tuple(callbacks)
    folder = new_folder(recipe)
    results: list[dict[str, dict[str, float]]] = []
    task = ""
    for number in range(1, folds + 1):
        teller.say(f"Fold {number} of {folds}.")
        own = recipe.model_copy(
            update={
                "data": recipe.data.with_(fold=f"{number}/{folds}"),
                "output": recipe.output.with_(folder=str(folder / f"fold-{number}")),
            }
        )
        run = train(recipe.data.source, own, callbacks=callbacks, watch=watch)
        results.append(run.metrics)
        task = run.task
        if recipe.optimizer.lr is None:
            recipe = recipe.model_copy(update={"optimizer": recipe.optimizer.with_(lr=run.recipe.optimizer.lr)})
    mean, spread = summarize([fold["test"] for fold in results])
    answer: dict[str, Any] = plain(
        {
            "run": str(folder),
            "task": task,
            "folds": results,
            "metrics": {"test": mean},
            "spread": {"test": spread},
            "seconds": time.perf_counter() - began,
        }
    )
    write_text(folder / "folds.json", json.dumps(answer, indent=1) + "\n")
    return answer


def summarize(metrics: list[dict[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation (n − 1) of each metric that every fold has."""
    names = [name for name in metrics[0] if all(name in fold for fold in metrics)]
    columns = {name: np.array([fold[name] for fold in metrics]) for name in names}
    mean = {name: float(values.mean()) for name, values in columns.items()}
    return mean, {name: float(values.std(ddof=1)) if len(values) > 1 else 0.0 for name, values in columns.items()}
