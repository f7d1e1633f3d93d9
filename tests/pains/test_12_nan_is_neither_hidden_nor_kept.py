"""pytorch/pytorch#40497, huggingface/trl#6702: steps with NaN are hidden by the log and still corrupt the weights."""

import json

import pytest
import torch
from pain_programs import SETTINGS, adam, mlp, program, table
from torch.nn.functional import cross_entropy

from trainwell.errors import JobError
from trainwell.training import checkpoint, fit


class BadAt:
    """Cross-entropy whose n-th training value is ``value``, as a rare overflow would make it."""

    def __init__(self, number, value, always=False):
        self.calls, self.number, self.value, self.always = 0, number, value, always

    def __call__(self, output, y):
        loss = cross_entropy(output, y)
        if not torch.is_grad_enabled():
            return loss
        self.calls += 1
        bad = self.calls == self.number or (self.always and self.calls >= self.number)
        return loss * self.value if bad else loss


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("number", [7, 12])
def test_one_bad_step_is_told_undone_and_leaves_finite_weights(number, value, tmp_path):
    events = []
    run = fit(
        program(loss=BadAt(number, value), task="classification"),
        training=SETTINGS,
        folder=tmp_path,
        callbacks=[lambda event, state: events.append(event)],
    )
    assert events.count("stepped_back") == 1
    assert any(f"became {value} at step {number}" in note and "halved the rate" in note for note in run.notes)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    (back,) = [line for line in lines if line["event"] == "stepped_back"]
    assert back["from_step"] == number and back["to_step"] < number
    assert all(bool(torch.isfinite(p).all()) for p in run.model.parameters())
    assert all(row["train_loss"] == row["train_loss"] < 10 for row in run.history)
    for file in (tmp_path / "checkpoint").glob("*.pt"):
        assert all(bool(torch.isfinite(t).all()) for t in checkpoint.read(file)["model"].values())


def test_nan_that_stays_ends_the_run_with_the_step():
    with pytest.raises(JobError, match=r"the loss is nan at step \d+ .*also after going back"):
        fit(program(loss=BadAt(7, float("nan"), always=True), task="classification"), training=SETTINGS)


def test_a_log_that_leaves_nan_out_looks_healthy_over_ruined_weights():  # control
    model, loss, losses = mlp(), BadAt(7, float("nan")), []
    optimizer = adam(model.parameters())
    x, y = table()
    for _ in range(12):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        losses.append(0.0 if torch.isnan(value) else value.item())  # as the Hugging Face trainer logs by default
    assert all(value == value for value in losses)
    assert not any(bool(torch.isfinite(p).all()) for p in model.parameters())
