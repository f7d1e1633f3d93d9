"""tensorflow/tensorflow#59279: shuffling before the split leaks validation rows into training in each epoch."""

import numpy as np
import pytest
import torch
from pain_programs import Recorder, program
from torch import nn

from trainwell.data import SplitOptions, load
from trainwell.training import Recipe, fit, jobs

ROWS = 200


@pytest.fixture
def dataset_file(tmp_path):
    """Rows whose first feature is their number."""
    numbers = np.arange(ROWS, dtype=np.float32)
    np.savez(tmp_path / "t.npz", X=np.stack([numbers, -numbers], 1), y=np.arange(ROWS) % 2)
    return tmp_path / "t.npz"


def test_no_row_outside_the_training_part_is_ever_trained_on(dataset_file):
    dataset = load(str(dataset_file), split=SplitOptions(seed=1))
    parts = dataset.splits.train, dataset.splits.val, dataset.splits.test
    assert sorted(np.concatenate(parts).tolist()) == list(range(ROWS))
    x = torch.from_numpy(np.ascontiguousarray(dataset.X[dataset.splits.train]))
    model = Recorder()
    fit(
        program(
            model=model,
            train=(x, x),
            val=None,
            loss=nn.MSELoss(),
            optimizer=lambda p: torch.optim.SGD(p, lr=0.0),
            epochs=10,
        )
    )
    assert set(model.seen) == set(dataset.splits.train.tolist())
    assert not set(model.seen) & {*dataset.splits.val.tolist(), *dataset.splits.test.tolist()}


def test_taking_parts_of_a_pipeline_that_shuffles_leaks():  # control: shuffle, take, skip, as in the thread
    generator, trained, validated = np.random.default_rng(0), set(), set()
    for _ in range(10):
        order = generator.permutation(ROWS)
        validated |= set(order[:40].tolist())
        trained |= set(order[40:].tolist())
    assert len(trained & validated) > ROWS / 2


def test_the_split_is_the_same_in_every_load_epoch_and_resumed_run(dataset_file):
    first, second, other = (load(str(dataset_file), split=SplitOptions(seed=seed)).splits for seed in (1, 1, 2))
    for name in ("train", "val", "test"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert not np.array_equal(first.train, other.train)


def test_the_split_of_a_run_is_written_into_its_recipe(dataset_file, tmp_path):
    settings = ["precision.dtype=float32", "precision.threads=1", "optimizer.lr=0.05", "training.epochs=1"]
    folder = f"output.folder='{tmp_path / 'run'}'"
    recipe = Recipe().override([*settings, "training.seed=3", "output.report=false", folder])
    run = jobs.train(str(dataset_file), recipe)
    assert Recipe.read(run.folder / "recipe.toml").data.seed == 3
    assert jobs.evaluate(run.folder)["metrics"] == run.metrics


def test_means_of_the_features_are_those_of_the_training_part(dataset_file, tmp_path):
    settings = ["precision.dtype=float32", "precision.threads=1", "optimizer.lr=0.05", "training.epochs=1"]
    recipe = Recipe().override([*settings, "output.report=false", f"output.folder='{tmp_path / 'run'}'"])
    run = jobs.train(str(dataset_file), recipe)
    dataset = load(str(dataset_file), split=SplitOptions(val=run.recipe.data.val, test=run.recipe.data.test))
    mean = run.model.state_dict()["prepare.mean"].double().numpy()
    assert mean == pytest.approx(dataset.X[dataset.splits.train].mean(0), rel=1e-5)
    assert mean != pytest.approx(np.asarray(dataset.X).mean(0), rel=1e-4)  # control: of all rows
