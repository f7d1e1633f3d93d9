"""A run back from its folder, without running code that came with it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainwell.data import Schema
from trainwell.data.measured import Statistics
from trainwell.errors import InputError
from trainwell.nearest_name import nearest
from trainwell.objectives.losses import build_loss
from trainwell.training.build import Body, build_model, shape_
from trainwell.training.machine import resolve_device
from trainwell.training.preparation import scaling_of_weights
from trainwell.training.recipe import Recipe
from trainwell.training.run import Run
from trainwell.training.userfile import load_function, names_file, refuse_inside
from trainwell.training.weights import copy_weights, read_weights


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run folder.

    Raises:
        InputError: if the folder is missing or holds no run.
    """
    if not folder.is_dir():
        raise InputError(f"The run folder {folder} does not exist.", _nearest_run(folder))
    if not (folder / "recipe.toml").is_file():
        raise InputError(
            f"{folder} holds no run (it has no recipe.toml).", "Name a folder that `trainwell train` made."
        )
    return Recipe.read(folder / "recipe.toml")


def restore_run(folder: Path, weights: str = "best", *, body: Body | None = None) -> Run:
    """Model, schema, metrics and history of a finished run's folder; see :func:`training.load`.

    ``body`` builds the body where it is no model that a recipe can name.
    """
    recipe = read_recipe(folder)
    for name in (recipe.model.name, recipe.loss.name, recipe.training.metric):
        if names_file(name):
            refuse_inside(name, folder)
    path = folder / f"{weights}.safetensors"
    if not path.is_file() and (folder / "checkpoint").is_dir():
        raise InputError(f"The run in {folder} has not finished.", f"Go on with `trainwell resume {folder}` first.")
    state = read_weights(path)
    schema = _schema(folder)
    outputs, fitted = _sizes(schema, state)
    with torch.random.fork_rng(devices=[]):
        scaling = scaling_of_weights(recipe.data.scaling, schema, state)
        model = build_model(recipe, schema, outputs, fitted, scaling, body=body)
        shape_(model, recipe)
    copy_weights(model, state, str(path))
    lines = read_lines(folder / "metrics.jsonl")
    epochs = _epochs(lines)
    history = [{k: v for k, v in line.items() if k not in ("event", "best")} for line in epochs]
    best = [line["epoch"] for line in epochs if line.get("best")]
    threshold = _threshold(folder, recipe)
    return Run(
        model=model.eval(),
        task=schema.task,
        folder=folder,
        metrics={line["part"]: line["metrics"] for line in lines if line["event"] == "final"},
        history=history,
        best_epoch=best[-1] if best else None,
        seconds=sum(
            line.get("seconds", 0.0) for line in read_lines(folder / "timing.jsonl") if line["event"] == "epoch"
        ),
        loss=load_function(recipe.loss.name)
        if names_file(recipe.loss.name)
        else build_loss(_loss_name(recipe, schema)),
        threshold=threshold,
        device=resolve_device("auto" if recipe.training.device.startswith(("cuda", "mps")) else recipe.training.device),
        schema=schema,
        recipe=recipe,
        journal_lines=lines,
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl file; a last line that was cut short is left out."""
    if not path.is_file():
        return []
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
        except ValueError:
            if number == len(path.read_text(encoding="utf-8").splitlines()):
                break
            raise InputError(f"{path}, line {number} is not JSON.", "Restore the file from a copy.") from None
        if not isinstance(line, dict) or "event" not in line:
            raise InputError(f"{path}, line {number} is not one of trainwell's.", "Restore the file from a copy.")
        lines.append(line)
    return lines


def _epochs(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of the epochs that count: those that a run stepped back over were done again."""
    epochs: list[dict[str, Any]] = []
    for line in lines:
        if line["event"] == "epoch":
            epochs.append(line)
        elif line["event"] == "stepped_back":
            epochs = [epoch for epoch in epochs if epoch["step"] < line["to_step"]]
    return epochs


def _loss_name(recipe: Recipe, schema: Schema) -> str:
    if recipe.loss.name != "auto":
        return recipe.loss.name
    return {"regression": "mse", "multilabel": "bce"}.get(schema.task, "cross_entropy")


def _threshold(folder: Path, recipe: Recipe) -> float:
    if recipe.training.threshold != "auto":
        return float(recipe.training.threshold)
    for line in read_lines(folder / "metrics.jsonl"):
        if line["event"] == "threshold":
            return float(line["value"])
    return 0.5


def _schema(folder: Path) -> Schema:
    path = folder / "schema.json"
    if not path.is_file():
        raise InputError(
            f"{folder} has no schema.json, which says how input is read.", "Restore it from a copy of the run."
        )
    return Schema.from_json(path.read_text(encoding="utf-8"))


def _sizes(schema: Schema, state: dict[str, torch.Tensor]) -> tuple[int, Statistics]:
    """Number of outputs, and statistics of the right shapes: their values come with the weights."""
    target = state.get("restore.mean", torch.zeros(1))
    outputs = len(schema.classes) if schema.task != "regression" else len(target)
    if schema.kind == "table":
        columns = len(schema.numbers())
        quantiles = state["prepare.edges"].shape[1] if "prepare.edges" in state else 2
        zeros = np.zeros(columns)
    else:
        columns, quantiles = 0, 2
        zeros = np.zeros(tuple(state["prepare.mean"].shape) if "prepare.mean" in state else 1)
    fitted = Statistics(
        count=0,
        mean=zeros,
        std=zeros + 1,
        median=zeros,
        quantiles=np.zeros((columns, quantiles)),
        missing=zeros,
        target_mean=np.zeros(outputs),
        target_std=np.ones(outputs),
    )
    return outputs, fitted


def _nearest_run(folder: Path) -> str:
    parent = folder.parent if str(folder.parent) else Path()
    beside = [str(path) for path in parent.iterdir()] if parent.is_dir() else []
    return nearest(str(folder), beside, "Check the name; runs are in runs/ by default.")
