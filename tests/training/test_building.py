"""From data and recipe to a program: what is decided, what stays as asked, and what is built."""

import math

import numpy as np
import pytest
import torch
from small_programs import weights
from small_recipes import fast
from torch import nn

from trainwell.data import from_arrays, statistics
from trainwell.errors import InputError
from trainwell.objectives import StandardizedLoss
from trainwell.training import Recipe
from trainwell.training.assess import assess_rows
from trainwell.training.build import build_program, part
from trainwell.training.defaults import even_batch, resolve
from trainwell.training.describe import example_of, own_model
from trainwell.training.jobs import running
from trainwell.training.run import Run
from trainwell.training.settings import Training
from trainwell.training.state import Teller


def vectors(task="classification", n=200):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 6)).astype(np.float32)
    y = {
        "classification": lambda: rng.integers(0, 3, n),
        "binary": lambda: rng.integers(0, 2, n),
        "regression": lambda: 1000 + 50 * x[:, 0] + rng.standard_normal(n),
        "multilabel": lambda: rng.integers(0, 2, (n, 4)).astype(np.float32),
    }[task]()
    return from_arrays(x, y, task=task)


def pictures(side=8, channels=3, n=120):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, channels, side, side), dtype=np.uint8)
    return from_arrays(x, rng.integers(0, 3, n), task="classification")


KINDS = {
    "classification": vectors,
    "binary": lambda: vectors("binary"),
    "regression": lambda: vectors("regression"),
    "multilabel": lambda: vectors("multilabel"),
    "pictures": pictures,
    "large pictures": lambda: pictures(32, 1, 40),
    "sequences": lambda: from_arrays(
        np.random.default_rng(0).standard_normal((90, 7, 3)).astype(np.float32), np.arange(90) % 2
    ),
}
LOSS = {"regression": "mse", "multilabel": "bce"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_open_field_is_decided_and_the_program_learns(kind):
    dataset = KINDS[kind]()
    recipe = resolve(Recipe(), dataset)
    assert recipe.model.name != "auto" and recipe.optimizer.name in ("adamw", "sgd") and recipe.data.seed == 0
    assert recipe.loss.name == LOSS.get(dataset.task, "cross_entropy")
    rows = len(dataset.splits.train)
    assert 1 <= recipe.training.batch_size <= rows and recipe.training.epochs >= 1
    for value in (recipe.optimizer.weight_decay, recipe.loss.label_smoothing, recipe.schedule.warmup):
        assert isinstance(value, float)
    assert resolve(recipe, dataset) == recipe  # nothing is left to decide
    recipe = recipe.override(["optimizer.lr=0.001"])
    program = build_program(recipe, dataset)
    assert program.task == dataset.task == program.guessed_task()
    x, y = (torch.as_tensor(piece[:16]) for piece in program.train)
    output = program.model.train()(x)
    loss = program.loss(output, y)
    loss.backward()
    assert output.shape[0] == 16 and math.isfinite(float(loss.detach()))
    assert all(p.grad is not None for p in program.model.parameters())


@pytest.mark.parametrize(
    "asked",
    [
        "training.epochs=7",
        "training.batch_size=9",
        "optimizer.name=sgd",
        "optimizer.weight_decay=0.3",
        "loss.name=huber",
        "loss.label_smoothing=0.2",
        "augmentation.pad=0",
        "augmentation.flip=true",
        "schedule.warmup=0.4",
        "model.width=3",
    ],
)
def test_what_was_asked_for_stays(asked):
    section, _, field = asked.partition("=")[0].partition(".")
    given = Recipe().override([asked])
    found = resolve(given, pictures())
    assert getattr(getattr(found, section), field) == getattr(getattr(given, section), field)


def test_a_batch_larger_than_the_training_part_names_both():
    with pytest.raises(InputError, match=r"training.batch_size is 500, but the training part has \d+ samples"):
        resolve(Recipe().override(["training.batch_size=500"]), vectors())


@pytest.mark.parametrize("wanted", [16, 32, 256])
def test_even_batches_leave_no_small_one_over(wanted):
    for rows in [*range(1, 400), 1257, 54_000]:
        size = even_batch(rows, wanted)
        batches = -(-rows // size)
        assert 1 <= size <= max(rows, 1) and size <= 1.5 * wanted + 1
        assert rows - (batches - 1) * size > size - batches  # the last one lacks less than one sample a batch


def test_equal_seeds_give_equal_models_and_the_global_state_is_left_alone():
    dataset, state = vectors(), torch.get_rng_state()
    recipe = resolve(fast(), dataset)
    a, b = (build_program(recipe, dataset) for _ in range(2))
    c = build_program(recipe.override(["training.seed=1"]), dataset)
    assert torch.equal(weights(a.model), weights(b.model)) and not torch.equal(weights(a.model), weights(c.model))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_regression_is_trained_on_the_standardized_target_and_answers_in_its_unit():
    dataset = vectors("regression")
    program = build_program(resolve(fast(), dataset), dataset)
    assert isinstance(program.loss, StandardizedLoss)
    fitted, y = statistics(dataset), dataset.y[dataset.splits.train]
    assert fitted.target_mean[0] == pytest.approx(y.mean(), rel=1e-5)
    x, y = (torch.as_tensor(piece) for piece in program.train)
    with torch.no_grad():
        assert 900 < float(program.model.eval()(x).mean()) < 1100  # a fresh model answers with about the mean
        loss = program.loss(torch.full((len(y), 1), float(y.mean())), y)
    assert float(loss) == pytest.approx(1.0, rel=0.02)


def test_class_weights_are_balanced_on_the_training_part():
    rng = np.random.default_rng(0)
    dataset = from_arrays(rng.standard_normal((300, 4)).astype(np.float32), (rng.random(300) < 0.1).astype(int))
    program = build_program(resolve(fast("loss.class_weights=balanced"), dataset), dataset)
    labels = dataset.y[dataset.splits.train]
    expected = len(labels) / (2 * np.bincount(labels))
    assert program.loss.weight.numpy() == pytest.approx(expected, rel=1e-5)


def test_the_optimizer_is_the_recipes():
    dataset = vectors()
    for changes, kind, group in (
        (["optimizer.name=sgd", "optimizer.momentum=0.5", "optimizer.fused=false"], torch.optim.SGD, {"momentum": 0.5}),
        (["optimizer.name=adamw", "optimizer.weight_decay=0.7"], torch.optim.AdamW, {"weight_decay": 0.7}),
    ):
        program = build_program(resolve(fast(*changes), dataset), dataset)
        optimizer = program.optimizer(program.model.parameters())
        assert type(optimizer) is kind and group.items() <= optimizer.param_groups[0].items()
        assert optimizer.param_groups[0]["lr"] == 0.02 and optimizer.param_groups[1]["weight_decay"] == 0.0
        assert bool(optimizer.param_groups[0]["fused"]) == ("optimizer.fused=false" not in changes)


def test_the_schedule_spans_the_whole_run():
    dataset = vectors()
    program = build_program(resolve(fast("schedule.name=linear", "schedule.warmup=0"), dataset), dataset)
    scheduler = program.scheduler(program.optimizer(program.model.parameters()))
    steps = program.epochs * -(-len(dataset.splits.train) // program.batch_size)
    assert scheduler.lr_lambdas[0](steps) == 0.0 and scheduler.lr_lambdas[0](steps - 1) > 0


def test_parts_are_views_where_rows_are_contiguous_and_copies_elsewhere():
    dataset = vectors()
    assert np.shares_memory(part(dataset, np.arange(3, 9))[0], dataset.X)
    x, y = part(dataset, np.array([5, 2, 9]))
    assert np.array_equal(x, dataset.X[[5, 2, 9]]) and np.array_equal(y, dataset.y[[5, 2, 9]])


def test_settings_of_the_recipe_reach_the_run():
    found = running(fast("training.seed=3", "training.ema=0.9", "training.log_every=4", "training.checkpoint_every=8"))
    assert found == Training(seed=3, ema=0.9, log_every=4, checkpoint_every=8, threads=1)
    assert running(Recipe().override(["precision.dtype=bfloat16"])).dtype == "bfloat16"


def test_rows_without_an_answer_are_left_out_of_the_metrics_and_said():
    teller = Teller()
    model = nn.Linear(2, 2)
    run = Run(model, "classification", loss=nn.CrossEntropyLoss())
    x = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)
    found = assess_rows(run, x, np.array([0, 1, -1, 1, 0, -1]), teller, "test")
    assert found.rows.tolist() == [0, 1, 3, 4] and "2 rows of the test part have no known answer" in teller.messages[0]


def test_a_threshold_moves_the_binary_answer():
    run = Run(nn.Identity(), "binary", loss=nn.CrossEntropyLoss())
    p = np.array([[0.7, 0.3], [0.5, 0.5], [0.2, 0.8]])
    assert run.answers(p).tolist() == [0, 1, 1]
    run.threshold = 0.25
    assert run.answers(p).tolist() == [1, 1, 1]
    labels = Run(nn.Identity(), "multilabel", loss=nn.BCEWithLogitsLoss(), threshold=0.4)
    assert labels.answers(p).tolist() == [[1, 0], [1, 1], [0, 1]]


def test_examples_fit_their_schema(runs):
    for run in (runs.digits, runs.flowers, runs.heights):
        assert run.model(example_of(run.schema)).shape[0] == 2


def test_own_models_tell_their_input(tmp_path):
    (tmp_path / "m.py").write_text(
        "from torch import nn\n"
        "def dense(): return nn.Linear(7, 2)\n"
        "def conv(): return nn.Conv2d(3, 4, 3)\n"
        "def empty(): return nn.ReLU()\n"
        "def needs(n): return nn.Linear(n, 2)\n"
    )
    for name, shape in (("dense", (2, 7)), ("conv", (2, 3, 32, 32))):
        model, example = own_model(f"{tmp_path / 'm.py'}:{name}", Recipe())
        assert tuple(example.shape) == shape and model(example).shape[0] == 2
    for name, message in (("empty", "no layer that tells"), ("needs", "cannot be called without arguments")):
        with pytest.raises(InputError, match=message):
            own_model(f"{tmp_path / 'm.py'}:{name}", Recipe())


def test_momentum_of_an_older_recipe_is_no_matter_to_a_method_without():
    recipe = resolve(fast("optimizer.name=adamw", "optimizer.momentum=0.9", "optimizer.beta2=0.9"), vectors())
    program = build_program(recipe, vectors())
    made = program.optimizer(program.model)
    assert made.param_groups[0]["betas"] == (0.9, 0.9)
    made = build_program(recipe.override(["optimizer.name=sgd"]), vectors()).optimizer(program.model)
    assert made.param_groups[0]["momentum"] == 0.9 and made.param_groups[0]["nesterov"]
