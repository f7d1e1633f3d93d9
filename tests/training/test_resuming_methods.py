"""Every method and every schedule, stopped inside an epoch and taken up again: bit for bit as if undisturbed."""

from functools import partial

import pytest
import torch
from small_programs import mlp, program, run_in_pieces, weights

from trainwell.optim import CLIPPERS, METHODS, SCHEDULES, clipper, schedule
from trainwell.training import Training, fit

SETTINGS = Training(log_every=3, checkpoint_every=5)
FED = [name for name, method in METHODS.items() if not method.needs & {"composition", "sparse_gradients"}]


class Built:
    """A method of the table as a program's optimizer."""

    takes_model = True

    def __init__(self, name, lr=0.01):
        self.name, self.lr = name, lr

    def __call__(self, model):
        return METHODS[self.name](model, lr=self.lr)


def assert_resumes_alike(make, folder):
    whole = fit(make(), training=SETTINGS)
    pieces = run_in_pieces(make, SETTINGS, folder, [(7, "step_end"), (18, "step_end")])
    assert torch.equal(weights(whole.model), weights(pieces.model))
    assert whole.history == pieces.history


@pytest.mark.parametrize("name", FED)
def test_method(name, tmp_path):
    assert_resumes_alike(lambda: program(mlp(0.3), optimizer=Built(name)), tmp_path)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name, tmp_path):
    options = {"plateau": {"patience": 1, "every": 2}}.get(name, {})
    scheduler = partial(schedule, name=name, steps=24, warmup=0.1, options=options)
    assert_resumes_alike(lambda: program(mlp(0.3), optimizer=Built("sgd", 0.1), scheduler=scheduler), tmp_path)


@pytest.mark.parametrize("name", CLIPPERS)
def test_clipping_and_its_counts(name, tmp_path):
    made = []

    def make():
        made.append(clipper(name, 0.02))
        return program(mlp(0.3), optimizer=Built("sgd", 0.1), clip_grad=made[-1])

    assert_resumes_alike(make, tmp_path)
    assert int(made[0].acted) == int(made[-1].acted) > 0 and made[0].seen == made[-1].seen


def test_growing_batches(tmp_path):
    assert_resumes_alike(lambda: program(mlp(0.3), growth=[8, 8, 16].__getitem__), tmp_path)
