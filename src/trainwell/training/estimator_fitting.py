"""What the estimators share: arrays as a data set, hyperparameters as a recipe, a fit, outputs that no batch changes.

The arrays are understood, split, standardized and trained on as ``trainwell train`` does it, from the same tables of
defaults. A run too short to pay back a range test and the timing of arithmetics takes a rate by its size, and float32.
"""

import copy
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.data import Dataset, Schema, SplitOptions, split_rows
from trainwell.data.arrays import as_levels, finite_float32
from trainwell.data.source import Numbered
from trainwell.errors import InputError
from trainwell.training.batches import as_tensor
from trainwell.training.build import Body, build_program
from trainwell.training.decide import decide, work
from trainwell.training.defaults import own_rate, resolve
from trainwell.training.draft import running
from trainwell.training.fitting import fit
from trainwell.training.method import RecipeOptimizer
from trainwell.training.recipe import Recipe
from trainwell.training.run import Run
from trainwell.training.state import Callback, State, Teller

PAYS = 1e11
"""Sample-times-parameter products of a whole run (some 20 seconds on two cores) from which measuring pays."""
ROWS_AT_ONCE = 64
LEAST_VALIDATED = 100
"""Rows from which a part is held out: of fewer, a tenth chooses an epoch by chance, and training misses them."""

_one_at_a_time = threading.RLock()  # a fit seeds torch's global generator and puts it back: threads must take turns


def understand(X: np.ndarray) -> tuple[str, np.ndarray]:
    """Kind and tensor of raw rows: uint8 of three or four dimensions are pictures, all else becomes float32."""
    images = as_levels(X) if X.dtype == np.uint8 and X.ndim > 2 else None
    if images is not None:
        return "image", images
    return ("sequence" if X.ndim == 3 else "array"), finite_float32(X, "the input")


def assemble(
    X: np.ndarray,
    y: np.ndarray,
    *,
    classes: tuple[str, ...],
    weights: np.ndarray | None,
    validation_fraction: float | None,
    seed: int,
) -> Dataset:
    """A data set of arrays with a validation part and no test part.

    Args:
        X: (N, F), (N, T, F), or pictures (N, C, H, W).
        y: class codes, or numbers (N,) or (N, T).
        classes: names in the order of the codes; () for regression.
        weights: (N,), at least 0, or None; rows of weight 0 are left out, as if they were not there.
        validation_fraction: of the rows, 0 … 1; None: as ``trainwell train``, and none below ``LEAST_VALIDATED`` rows.
        seed: of the split.
    """
    if weights is not None:
        counted = weights > 0
        X, y, weights = X[counted], y[counted], weights[counted]
        weights = (weights / weights.mean()).astype(np.float32)
    kind, inputs = understand(X)
    if not classes:
        y = finite_float32(y, "the target")
    share = 0.0 if validation_fraction is None and len(y) < LEAST_VALIDATED else validation_fraction
    splits, notes = split_rows(len(y), SplitOptions(share, 0.0, seed), codes=y if classes else None)
    task = ("binary" if len(classes) == 2 else "classification") if classes else "regression"
    schema = Schema(kind, task, "y", classes, tuple(inputs.shape[1:]), dtype=str(inputs.dtype))
    return Dataset(schema, inputs, y, splits, Numbered(len(y)), "arrays", weights, notes=notes)


def recipe_of(sections: Mapping[str, Mapping[str, Any]], overrides: Iterable[str]) -> Recipe:
    """The recipe that hyperparameters mean; an absent one (None) is decided from the data.

    Raises:
        InputError: for a value out of range, or an override of what an estimator has no part of.
    """
    given = {
        section: {name: _plain(value) for name, value in fields.items() if value is not None}
        for section, fields in sections.items()
    }
    overrides = (overrides,) if isinstance(overrides, str) else tuple(overrides)
    for text in overrides:
        if text.partition(".")[0] in ("data", "output"):
            raise InputError(
                f"overrides: {text!r} is about files, and an estimator learns from arrays.",
                "Give validation_fraction or random_state instead, or leave it out.",
            )
    return Recipe.checked(given, "estimator").override(overrides)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def learn(recipe: Recipe, dataset: Dataset, body: Body | None, callbacks: Iterable[Callback]) -> tuple[Run, Recipe]:
    """Decide what is open, measuring only where the run is long enough to pay it back, and train.

    Args:
        recipe: from :func:`recipe_of`.
        dataset: from :func:`assemble`.
        body: builds the user's own body; None: the recipe's model.
        callbacks: functions ``f(event, state)``.
    """
    teller = Teller(callbacks)
    with _one_at_a_time:
        recipe = resolve(_fitting_batch(recipe, len(dataset.splits.train)), dataset)
        open_rate = recipe.optimizer.lr is None
        decided = _with_rate(recipe, 1e-3) if open_rate else recipe
        program = build_program(decided, dataset, body=body)
        if work(program) >= PAYS:
            program, decided, _ = decide(recipe, dataset, teller, body=body)
        elif open_rate:
            parameters = sum(p.numel() for p in program.model.parameters() if p.requires_grad)
            decided = _with_rate(recipe, own_rate(recipe.optimizer.name, parameters))
            program = replace(program, optimizer=RecipeOptimizer(decided))
        run = fit(program, training=running(decided), teller=teller)
    run.schema, run.recipe = dataset.schema, decided
    return run, decided


def _with_rate(recipe: Recipe, rate: float) -> Recipe:
    reason = {"lr": "by the number of parameters: the run is too short to pay for a range test"}
    update = {"optimizer": recipe.optimizer.with_(lr=rate), "picked": {**recipe.picked, **reason}}
    return recipe.model_copy(update=update)


def _fitting_batch(recipe: Recipe, rows: int) -> Recipe:
    """A batch no larger than the training part, which shrinks in cross-validation and learning curves."""
    size = recipe.training.batch_size
    if size is None or size <= rows:
        return recipe
    warnings.warn(
        f"batch_size is {size}, but the training part has {rows} rows: {rows} is used.", UserWarning, stacklevel=4
    )
    return recipe.model_copy(update={"training": recipe.training.with_(batch_size=rows)})


def checked_body(build: Callable[..., Any]) -> Body:
    """The user's ``build(inputs, outputs)``, with a look at what it returns.

    Raises:
        InputError: (when called) if that is no module, or does not map (N, *inputs) to (N, outputs).
    """

    def body(inputs: tuple[int, ...], outputs: int) -> nn.Module:
        made = build(inputs, outputs)
        if not isinstance(made, nn.Module):
            raise InputError(f"model returned a {type(made).__name__}.", "Return a torch.nn.Module.")
        training = made.training
        with torch.no_grad():
            found = made.eval()(torch.zeros(2, *inputs))
        made.train(training)
        if not isinstance(found, Tensor) or tuple(found.shape) != (2, outputs):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(
                f"model maps a batch of shape {(2, *inputs)} to {shape}, but {(2, outputs)} is needed.",
                "Build the last layer with `outputs` units, and no softmax after it.",
            )
        return made

    return body


@torch.no_grad()
def outputs(model: nn.Module, X: np.ndarray, device: torch.device) -> np.ndarray:
    """The model's outputs for all rows, float64 (N, outputs); a row's outputs do not depend on the rows beside it.

    Kernels sum in an order that depends on the batch. Without convolutions the sums are in float64 and differ
    by 1e-16; otherwise, and where the model cannot, they are in float32 in batches of one size, and differ by 1e-7.

    Args:
        model: in evaluation mode; a copy of it computes.
        X: encoded rows.
        device: where to compute.
    """
    ready = copy.deepcopy(model).to(device)
    double = _doubled(ready, X[:1], device)
    found = []
    for start in range(0, len(X), ROWS_AT_ONCE):
        rows = X[start : start + ROWS_AT_ONCE]
        missing = 0 if double is not None else ROWS_AT_ONCE - len(rows)
        filled = np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)]) if missing else rows
        found.append((double or ready)(as_tensor(filled).to(device))[: len(rows)].double().cpu())
    return torch.cat(found).numpy()


def _doubled(model: nn.Module, row: np.ndarray, device: torch.device) -> nn.Module | None:
    """The model in float64, where that is cheap (convolutions take three times as long) and possible."""
    if device.type == "mps" or any(isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d) for part in model.modules()):
        return None
    double = copy.deepcopy(model).double()
    try:
        found = double(as_tensor(row).to(device))
    except RuntimeError:  # a module of the user's own that makes float32 tensors
        return None
    return double if found.dtype == torch.float64 else None


def told(event: str, state: State) -> None:
    """Print a line an epoch, and the sentences for the user."""
    if event == "validation_end":
        scores = {k: v for k, v in state.metrics.items() if k not in ("epoch", "step")}
        print(f"epoch {state.epoch}/{state.epochs}  " + "  ".join(f"{k} {v:.4g}" for k, v in scores.items()))
    elif event == "message":
        print(state.text)
