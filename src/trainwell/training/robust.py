"""How a trained classifier stands up to an attack on its test part."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from trainwell.data import Dataset
from trainwell.data.measured import statistics
from trainwell.errors import InputError
from trainwell.objectives import Attack, robust_accuracy
from trainwell.training.batches import moved
from trainwell.training.build import part
from trainwell.training.evaluation import ordered
from trainwell.training.run import Run
from trainwell.training.state import Teller

ROWS = 256  # samples a batch
MOST_ROWS = 2000  # an attack of 20 steps costs 40 passes over them


def robustness(run: Run, dataset: Dataset, attack: Attack, teller: Teller) -> dict[str, Any]:
    """Accuracy with and without the attack, on at most ``MOST_ROWS`` rows of the test part.

    Args:
        run: a classifier.
        dataset: the run's data.
        attack: its radius is a share of the range of images, and in standard deviations for numbers.
        teller: is told the progress.

    Returns:
        ``{"attack", "radius", "rows", "clean", "robust", "attacked", "fgsm", "rising", "warning"}``.

    Raises:
        InputError: if the run is no classifier, or there is no test part.
    """
    if run.task not in ("classification", "binary"):
        raise InputError(f"--attack: the run's task is {run.task}.", "Only classifiers are attacked.")
    rows = dataset.splits.test
    if not len(rows):
        raise InputError("--attack: the run has no test part.", "Train with data.test above 0.")
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST_ROWS])
    x, y, *_ = part(dataset, rows)
    if dataset.kind == "image":
        attack = Attack(attack.name, attack.radius, steps=attack.steps, range=(0.0, 255.0))
    else:
        unit = torch.as_tensor(statistics(dataset).std, dtype=torch.float32, device=run.device)
        attack = Attack(attack.name, attack.radius, steps=attack.steps, unit=unit)
    run.model.to(run.device)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the sentence is in the result
        torch.manual_seed(0)
        found = robust_accuracy(run.model, _batches(x, torch.as_tensor(y).long(), run.device, teller), attack)
    return {
        "attack": attack.name,
        "radius": attack.radius,
        "rows": found.samples,
        **{name: getattr(found, name) for name in ("clean", "robust", "attacked", "fgsm", "rising", "warning")},
    }


def _batches(x: Any, y: torch.Tensor, device: torch.device, teller: Teller) -> Iterator[tuple[Any, torch.Tensor]]:
    batches = ordered((x, y), ROWS, device)
    for done, batch in enumerate(batches.epoch(1)):
        teller.stage("attacking the test part", done / batches.batches)
        yield tuple(moved(piece, device) for piece in batch[:2])
