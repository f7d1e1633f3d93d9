"""From a recipe and a data set to a program."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from trainwell import nn as parts
from trainwell.data import Dataset, Scaling, Schema
from trainwell.data.augment import augmenter, image_views, test_time
from trainwell.data.measured import statistics
from trainwell.errors import InputError
from trainwell.nearest_name import nearest
from trainwell.objectives.losses import LOSSES, balanced_class_weights, build_loss
from trainwell.objectives.standardized import StandardizedLoss
from trainwell.training.memory import release_pages
from trainwell.training.method import RecipeOptimizer, clipping_of, with_method
from trainwell.training.preparation import preparation, scaling_of, told
from trainwell.training.program import Program
from trainwell.training.recipe import Recipe
from trainwell.training.regularizing import objective_of
from trainwell.training.start import freeze, start
from trainwell.training.state import Teller
from trainwell.training.userfile import load_function, names_file

NOT_THE_BODYS = {"name", "parametrization", "weights", "freeze"}  # fields of ``model`` that no body takes
Body = Callable[[tuple[int, ...], int], nn.Module]
"""Builds a body from the shape of one prepared sample and the number of outputs."""


def build_program(
    recipe: Recipe, dataset: Dataset, *, body: Body | None = None, fresh: bool = True, teller: Teller | None = None
) -> Program:
    """The program that this recipe makes of this data set.

    Args:
        recipe: resolved (``defaults.resolve``), with a learning rate.
        dataset: split; its statistics are taken from the training part alone.
        body: builds the body instead of the recipe's model.
        fresh: whether the weights matter; a run that is taken up has them in its checkpoint.
        teller: is told what came out of a start from other weights.
    """
    fitted, scaling = statistics(dataset), scaling_of(recipe, dataset)
    if scaling is not None and teller:
        teller.say(told(scaling))
    train = part(dataset, dataset.splits.train)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        model = build_model(recipe, dataset.schema, outputs_of(dataset), fitted, scaling, body=body)
        if fresh:
            tell = {"say": teller.say, "tell": teller.stage} if teller else {}
            start(model, recipe, dataset, train[0], **tell)  # type: ignore[arg-type]
        shape_(model, recipe)
    freeze(model, recipe)
    assert recipe.training.batch_size is not None  # resolve() decided it
    program = Program(
        model=model,
        train=train,
        val=part(dataset, dataset.splits.val) if len(dataset.splits.val) else None,
        loss=_loss(recipe, dataset, fitted),
        optimizer=RecipeOptimizer(recipe),
        batch_size=recipe.training.batch_size,
        clip_grad=clipping_of(recipe),
        task=dataset.task,
        objective=objective_of(recipe, dataset, fitted),
    )
    if isinstance(dataset.X, np.ndarray):
        release_pages(dataset.X)  # the parts are copies
    return with_method(program, recipe)


def outputs_of(dataset: Dataset) -> int:
    """How many outputs the model has: one a class, or one a target."""
    if dataset.task in ("classification", "binary"):
        return len(dataset.classes)
    return 1 if dataset.y.ndim == 1 else int(dataset.y.shape[1])


def part(dataset: Dataset, rows: np.ndarray) -> tuple[Any, ...]:
    """(X, y) or (X, y, weight) of these rows; memory-mapped data stay on disk where the rows are contiguous."""
    x, y = dataset.X, dataset.y
    contiguous = len(rows) and int(rows[-1]) - int(rows[0]) + 1 == len(rows) and bool((np.diff(rows) == 1).all())
    choose: Any = slice(int(rows[0]), int(rows[-1]) + 1) if contiguous else rows
    if dataset.task == "regression" and y.ndim == 1:
        y = y[:, None]  # as the model answers: a loss of (n, 1) and (n,) would compare all rows with all
    inputs = {name: values[choose] for name, values in x.items()} if isinstance(x, dict) else x[choose]
    weights = () if dataset.weights is None else (dataset.weights[choose],)
    return (inputs, y[choose], *weights)


def build_model(
    recipe: Recipe,
    schema: Schema,
    outputs: int,
    fitted: Any,
    scaling: Scaling | None = None,
    *,
    body: Body | None = None,
) -> parts.Predictor:
    """Preparation, body and (for regression) the way back to the target's unit."""
    prepare = preparation(schema, fitted, scaling)
    shape = tuple(prepare.shape)
    made = body(shape, outputs) if body else _body(recipe, shape, outputs)
    restore = parts.Unstandardize(fitted.target_mean, fitted.target_std) if schema.task == "regression" else None
    return parts.Predictor(
        prepare, made, restore, augment=_augment(recipe, schema.kind, fitted), views=_views(recipe, schema)
    )


def shape_(model: parts.Predictor, recipe: Recipe) -> None:
    """Parametrize the weights and choose the kind of dropout as the recipe says, in place."""
    if recipe.regularization.dropout != "inverted":
        parts.choose_dropout_(model.body, recipe.regularization.dropout, recipe.model.dropout)
    if recipe.model.parametrization != "none":
        parts.parametrize_(model.body, recipe.model.parametrization)


def _augment(recipe: Recipe, kind: str, fitted: Any) -> Callable[..., Any] | None:
    options = recipe.augmentation.model_dump(exclude={"mixup", "cutmix", "test_time"})
    if kind != "image" and (options["noise"] or options["jitter"]):
        options["std"] = tuple(np.ravel(fitted.std).tolist())
    return augmenter(kind, **options)


def _views(recipe: Recipe, schema: Schema) -> Callable[..., Any] | None:
    if not recipe.augmentation.test_time:
        return None
    if schema.kind != "image":
        raise InputError(
            f"augmentation.test_time needs images, these data are of the kind {schema.kind}.", "Leave it out."
        )
    average = {"classification": "softmax", "binary": "softmax", "multilabel": "sigmoid"}.get(schema.task, "mean")
    return partial(test_time, views=image_views(), average=average)


def _body(recipe: Recipe, inputs: tuple[int, ...], outputs: int) -> nn.Module:
    section = recipe.model
    options = section.model_dump(exclude=NOT_THE_BODYS, exclude_none=True)
    if names_file(section.name):
        return own_body(section.name, inputs, outputs)
    if section.name.startswith("timm:"):
        return parts.timm_backbone(section.name, inputs, outputs, **_timm_options(options))
    if section.name not in parts.MODELS:
        raise InputError(
            f"model.name: no model is called {section.name!r}.",
            f"{nearest(section.name, parts.MODELS)} Models: {', '.join(parts.MODELS)}, or FILE.py:FUNCTION.".strip(),
        )
    make = getattr(parts, section.name)
    known = set(inspect.signature(make).parameters)
    wrong = [name for name in options if name not in known]
    if wrong:
        raise InputError(
            f"model.{wrong[0]}: {section.name} has no such option.",
            f"It has {', '.join(sorted(known - {'inputs', 'outputs'}))}.",
        )
    try:
        return make(inputs, outputs, **options)
    except ValueError as error:
        raise InputError(f"model: {error}", "Change the model's options or name another model.") from error


def _timm_options(options: dict[str, Any]) -> dict[str, float]:
    """timm's own names of the options that its models share."""
    names = {"dropout": "drop_rate", "stochastic_depth": "drop_path_rate"}
    for name in options:
        if name not in names:
            raise InputError(f"model.{name}: timm's models have no such option.", f"They have {', '.join(names)}.")
    return {names[name]: value for name, value in options.items()}


def own_body(name: str, inputs: tuple[int, ...], outputs: int) -> nn.Module:
    """The user's own model: ``build(inputs, outputs)``, ``build()``, or any subset of these two by name.

    Raises:
        InputError: if it is not a function of these or does not return a module.
    """
    build = load_function(name)
    given = {"inputs": inputs, "outputs": outputs}
    names = list(inspect.signature(build).parameters)
    body = build(**{n: given[n] for n in names if n in given}) if set(names) <= set(given) else build(inputs, outputs)
    if not isinstance(body, nn.Module):
        raise InputError(f"{name} returned a {type(body).__name__}.", "Return a torch.nn.Module.")
    if any(nn.parameter.is_lazy(p) for p in [*body.parameters(), *body.buffers()]):
        with torch.no_grad():
            body.eval()(torch.zeros(1, *inputs))  # lazy layers learn their sizes from a first input
    return body


def _loss(recipe: Recipe, dataset: Dataset, fitted: Any) -> Any:
    section = recipe.loss
    if names_file(section.name):
        return load_function(section.name)
    if section.name not in LOSSES or dataset.task not in LOSSES[section.name]:
        fit = [name for name, tasks in LOSSES.items() if dataset.task in tasks]
        raise InputError(
            f"loss.name is {section.name!r}, the task is {dataset.task}.",
            f"Choose {' or '.join(fit)}, or FILE.py:FUNCTION.",
        )
    weights = None
    if section.class_weights == "balanced" and dataset.task in ("classification", "binary"):
        weights = balanced_class_weights(torch.as_tensor(dataset.y[dataset.splits.train]), len(dataset.classes))
    smoothing = 0.0 if section.label_smoothing == "auto" else section.label_smoothing
    loss = build_loss(section.name, label_smoothing=smoothing, class_weights=weights)
    if dataset.task == "regression":
        return StandardizedLoss(loss, torch.as_tensor(fitted.target_mean), torch.as_tensor(fitted.target_std))
    return loss
