"""huggingface/transformers#28539, #12685, roboflow/rf-detr#969: the best checkpoint is inconsistent, keeping it turns
other saves off, and the best average is forgotten on resume and overwritten by a worse one."""

from functools import partial

import pytest
import torch
from pain_programs import SETTINGS, interrupted, mlp, program, table, weights
from torch.nn.functional import cross_entropy

from trainwell.training import fit
from trainwell.training.weights import load_weights

EPOCHS = 12
WITH_AVERAGE = SETTINGS.with_(ema=0.8, monitor="loss")


def overfitting():
    """Sixteen rows with random labels: validation is best early and worse and worse after that."""
    x, _ = table(16)
    y = torch.randint(0, 3, (16,), generator=torch.Generator().manual_seed(3))
    return program(model=mlp(0.0), train=(x, y), epochs=EPOCHS, optimizer=partial(torch.optim.AdamW, lr=0.05))


def validation_loss(folder):
    model = mlp(0.0)
    load_weights(model, folder / "best.safetensors")
    x, y = table(40, seed=7)
    with torch.no_grad():
        return float(cross_entropy(model.eval()(x), y))


@pytest.mark.parametrize("training", [SETTINGS.with_(monitor="loss"), WITH_AVERAGE], ids=["weights", "average"])
def test_the_best_of_before_the_stop_is_kept_through_worse_epochs(training, tmp_path):
    whole = fit(overfitting(), training=training, folder=tmp_path / "whole")
    assert whole.best_epoch < EPOCHS - 2  # else the test says nothing
    step = 2 * (whole.best_epoch + 1) + 1
    again = interrupted(overfitting, tmp_path / "again", step, training=training)
    assert again.best_epoch == whole.best_epoch
    assert torch.equal(weights(again.model), weights(whole.model))
    files = [(tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "again")]
    assert files[0] == files[1]


@pytest.mark.parametrize("training", [SETTINGS.with_(monitor="loss"), WITH_AVERAGE], ids=["weights", "average"])
def test_file_history_and_number_of_the_best_epoch_agree(training, tmp_path):
    run = fit(overfitting(), training=training, folder=tmp_path)
    losses = [row["val_loss"] for row in run.history]
    assert run.best_epoch == losses.index(min(losses)) + 1
    assert validation_loss(tmp_path) == pytest.approx(min(losses), rel=1e-5)


def test_keeping_the_best_does_not_turn_regular_checkpoints_off(tmp_path):
    saved = []

    def note(event, state):
        if event == "checkpoint_saved":
            saved.append(state.step)

    fit(overfitting(), training=WITH_AVERAGE, folder=tmp_path, callbacks=[note])
    assert saved == [0, 5, 10, 15, 20, 2 * EPOCHS]


def test_a_best_that_begins_at_infinity_again_is_overwritten_by_a_worse_one():  # control
    losses, best, kept = [1.0, 0.5, 0.8, 0.9], float("inf"), None
    for epoch, loss in enumerate(losses, 1):
        if epoch == 3:
            best = float("inf")  # a new process that did not save it
        if loss < best:
            best, kept = loss, epoch
    assert kept == 3
