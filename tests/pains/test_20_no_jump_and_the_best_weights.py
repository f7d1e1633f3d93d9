"""skorch-dev/skorch#355, #808: training restarted from a checkpoint jumps, and the best weights were not restored."""

import pytest
import torch
from pain_programs import SETTINGS, interrupted, mlp, program, table, weights
from torch.nn.functional import cross_entropy

from trainwell.training import fit
from trainwell.training.weights import read_weights

STOP = 14


def momentum(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.95)


class Losses:
    """The loss of every step."""

    def __init__(self):
        self.values = []

    def __call__(self, event, state):
        if event == "step_end":
            self.values.append(state.loss.item())


@pytest.mark.parametrize(
    "optimizer", [momentum, lambda p: torch.optim.AdamW(p, lr=0.02, fused=True)], ids=["SGD", "AdamW"]
)
def test_the_losses_go_on_as_if_there_had_been_no_stop(optimizer, tmp_path):
    whole, again = Losses(), Losses()
    fit(program(optimizer=optimizer), training=SETTINGS, callbacks=[whole])
    interrupted(lambda: program(optimizer=optimizer), tmp_path, STOP, callbacks=[again])
    assert again.values == whole.values


def bare(keep_moments):
    """Losses of 24 full batches, the weights taken through a checkpoint after ``STOP``."""
    model, (x, y), losses = mlp(0.0), table(), []
    optimizer = momentum(model.parameters())
    for step in range(24):
        if step == STOP and not keep_moments:
            optimizer = momentum(model.parameters())
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_without_the_moments_the_losses_jump():  # control
    whole, again = bare(True), bare(False)
    assert again[: STOP + 1] == whole[: STOP + 1] and abs(again[-1] - whole[-1]) > 0.05 * whole[-1]


def test_the_run_answers_with_the_weights_of_its_best_epoch(tmp_path):
    made = program(epochs=8, optimizer=lambda p: torch.optim.SGD(p, lr=1.5, momentum=0.9))
    run = fit(made, training=SETTINGS, folder=tmp_path)
    best, last = (read_weights(tmp_path / f"{name}.safetensors") for name in ("best", "model"))
    assert run.best_epoch < 8
    assert all(torch.equal(value, best[name]) for name, value in run.model.state_dict().items())
    assert any(not torch.equal(value, last[name]) for name, value in best.items())  # control: the last are others
    assert run.model is made.model and weights(run.model).isfinite().all()
