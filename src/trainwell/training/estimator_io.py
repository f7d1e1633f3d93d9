"""An estimator on disk without pickle: the files of a run folder, and ``estimator.json`` with what scikit-learn adds.

    best.safetensors   weights and statistics        recipe.toml    everything that was decided
    schema.json        how rows become tensors       metrics.jsonl  one line an epoch
    estimator.json     parameters, labels, features, and a hash of each file beside it

``estimator.json`` is written last, and nothing is read that does not agree with its hashes: a folder that was cut short
or mixed from two saves is refused.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainwell.errors import InputError
from trainwell.training.estimator_fitting import checked_body
from trainwell.training.fitting import make_folder
from trainwell.training.restore import restore_run
from trainwell.training.weights import save_weights, write_text

FORMAT = 1
NAME = "estimator.json"
NOT_KEPT = ("callbacks",)
LABEL_KINDS = "biufU"


def save(estimator: Any, folder: Path) -> None:
    """Write a fitted estimator; see ``Classifier.save``."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NAME).is_file():
        raise InputError(f"The folder {folder} holds something else.", "Name a new or empty one; nothing was touched.")
    content = {
        "format": FORMAT,
        "estimator": type(estimator).__name__,
        "parameters": _parameters(estimator),
        "own_model": callable(estimator.model),
        "n_features_in": int(estimator.n_features_in_),
        "feature_names_in": _names(estimator),
        "classes": _labels(estimator.classes_) if hasattr(estimator, "classes_") else None,
        "threshold": getattr(estimator, "threshold_", None),
        "flat": getattr(estimator, "_flat", None),
        "best_epoch": estimator.best_epoch_,
    }
    make_folder(folder)
    (folder / NAME).unlink(missing_ok=True)
    save_weights(estimator.model_.state_dict(), folder / "best.safetensors")
    write_text(folder / "recipe.toml", estimator.recipe_.to_toml())
    write_text(folder / "schema.json", estimator.schema_.to_json())
    write_text(folder / "metrics.jsonl", _lines(estimator))
    files = ("best.safetensors", "recipe.toml", "schema.json", "metrics.jsonl")
    content["files"] = {name: _hash(folder / name) for name in files}
    write_text(folder / NAME, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def load(kind: type, folder: Path, model: Any = None) -> Any:
    """Read an estimator of this class; see ``Classifier.load``."""
    content = _content(folder)
    if content["estimator"] != kind.__name__:
        raise InputError(f"{folder} holds a {content['estimator']}.", f"Use tw.{content['estimator']}.load.")
    if content["own_model"] and model is None:
        raise InputError(
            f"{folder} holds an estimator whose model is the user's own function, which is not saved.",
            "Give the same function: load(folder, model=…).",
        )
    for name, known in content["files"].items():
        if not (folder / name).is_file() or _hash(folder / name) != known:
            raise InputError(
                f"{folder / name} is missing, cut short or of another save.",
                "Restore the folder from a copy, or save again.",
            )
    run = restore_run(folder, body=checked_body(model) if content["own_model"] else None)
    parameters = _restored(content["parameters"])
    estimator = kind(**({**parameters, "model": model} if content["own_model"] else parameters))
    estimator.model_, estimator.recipe_, estimator.schema_ = run.model.cpu(), run.recipe, run.schema
    estimator.history_, estimator.n_iter_ = run.history, len(run.history)
    estimator.best_epoch_ = content["best_epoch"]
    estimator.n_features_in_ = content["n_features_in"]
    if content["feature_names_in"] is not None:
        estimator.feature_names_in_ = np.array(content["feature_names_in"], dtype=object)
    if content["classes"] is not None:
        estimator.classes_ = np.array(content["classes"]["values"], dtype=content["classes"]["dtype"])
        estimator.threshold_ = content["threshold"]
    else:
        estimator._flat = content["flat"]
    return estimator


def _content(folder: Path) -> dict[str, Any]:
    """``estimator.json``, checked to be what :func:`save` writes."""
    if folder.is_file():
        raise InputError(
            f"{folder} is a file, and an estimator is saved as a folder.",
            "Name the folder that save() wrote (pickles are refused, they can run code).",
        )
    path = folder / NAME
    if not path.is_file():
        raise InputError(f"{folder} holds no estimator (it has no {NAME}).", "Name the folder that save() wrote.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        needed = {"estimator", "parameters", "own_model", "n_features_in", "feature_names_in", "classes", "files"}
        if content["format"] != FORMAT or not needed <= content.keys():
            raise ValueError(f"format {content['format']}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} does not describe an estimator ({error}).",
            "It is cut short or of another version; restore it from a copy, or save again.",
        ) from None
    return dict(content)


def _parameters(estimator: Any) -> dict[str, Any]:
    """Hyperparameters as plain values."""
    kept = {name: value for name, value in estimator.get_params(deep=False).items() if name not in NOT_KEPT}
    if callable(kept["model"]):
        del kept["model"]
    if isinstance(kept["random_state"], np.random.RandomState):
        kept["random_state"] = None
    plain = {}
    for name, value in kept.items():
        value = value.item() if isinstance(value, np.generic) else value
        if name == "overrides":
            value = list(value)
        if isinstance(value, Mapping):
            pairs = [[_item(key), float(weight)] for key, weight in value.items()]
            value = {"pairs": pairs}
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise InputError(f"{name} is {value!r}, which cannot be saved.", "Give numbers or texts.") from None
        plain[name] = value
    return plain


def _restored(parameters: dict[str, Any]) -> dict[str, Any]:
    restored = {n: dict(v["pairs"]) if isinstance(v, dict) else v for n, v in parameters.items()}
    return {**restored, "overrides": tuple(restored["overrides"])}


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _labels(classes: np.ndarray) -> dict[str, Any]:
    values = classes.tolist()
    objects = classes.dtype == object and all(isinstance(value, str | int | float) for value in values)
    if classes.dtype.kind not in LABEL_KINDS and not objects:
        raise InputError(f"The labels have dtype {classes.dtype}, which cannot be saved.", "Give texts or numbers.")
    return {"dtype": "object" if objects else classes.dtype.str, "values": values}


def _names(estimator: Any) -> list[str] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _lines(estimator: Any) -> str:
    """The history as lines of a run's metrics.jsonl."""
    lines: list[dict[str, Any]] = [
        {"event": "epoch", **row, "best": row["epoch"] == estimator.best_epoch_} for row in estimator.history_
    ]
    if getattr(estimator, "threshold", None) == "auto":
        lines.append({"event": "threshold", "value": estimator.threshold_})
    return "".join(json.dumps(line) + "\n" for line in lines)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
