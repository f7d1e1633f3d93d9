"""A loss that is not finite: back to the last good state at half the rate, and in words where that does not help."""

import json
import math
from functools import partial

import pytest
import torch
from small_programs import FEATURES, N, mlp, program, run_in_pieces, table, weights
from torch import nn
from torch.utils.data import TensorDataset

from trainwell.errors import InputError, JobError
from trainwell.optim import METHODS, schedule
from trainwell.training import Training, fit

SETTINGS = Training(log_every=2, checkpoint_every=4)


def unstable(lr=2.0, **changes):
    """Least squares on stretched inputs; gradient descent is stable below about 0.03."""
    torch.manual_seed(0)
    x = 3 * torch.randn(N, FEATURES, generator=torch.Generator().manual_seed(0))
    given = {
        "model": nn.Linear(FEATURES, 1),
        "train": (x, x.sum(1, keepdim=True)),
        "val": None,
        "loss": nn.MSELoss(),
        "optimizer": partial(torch.optim.SGD, lr=lr),
        "epochs": 6,
    }
    return program(**{**given, **changes})


@pytest.mark.parametrize("lr", [0.5, 2.0])
@pytest.mark.parametrize("every", [4, 16, 100])
def test_too_high_a_rate_is_halved_until_the_run_ends_finite(lr, every):
    made = unstable(lr)
    run = fit(made, training=Training(log_every=2, checkpoint_every=every))
    assert bool(torch.isfinite(weights(made.model)).all())
    assert run.history[-1]["train_loss"] < (1e-3 if every == 100 else 1e6)  # from step 0 anew, or on from a bad place
    backs = [line for line in run.journal_lines if line["event"] == "stepped_back"]
    assert run.history[-1]["lr"] == pytest.approx(lr * 0.5 ** len(backs)) and backs
    assert [line["factor"] for line in backs] == [0.5 ** (i + 1) for i in range(len(backs))]


def test_a_rate_that_suits_is_left_alone():  # control: a healthy program
    run = fit(unstable(0.02), training=SETTINGS)
    assert run.history[-1]["lr"] == 0.02 and not run.notes


def test_the_message_says_what_where_and_what_was_done():
    seen = []
    run = fit(unstable(), training=SETTINGS, callbacks=[lambda event, state: seen.append((event, state.step))])
    back = next(line for line in run.journal_lines if line["event"] == "stepped_back")
    note = next(note for note in run.notes if "halved" in note)
    assert f"at step {back['from_step']} (epoch 1, batch {back['from_step']} of 8)" in note
    assert f"went back to step {back['to_step']}" in note and "now 0.5 of what was asked" in note
    assert ("stepped_back", back["to_step"]) in seen


def test_the_schedule_goes_on_at_half_its_height():
    made = unstable(scheduler=lambda optimizer: schedule(optimizer, "linear", 48, warmup=0.0))
    run = fit(made, training=SETTINGS)
    backs = sum(line["event"] == "stepped_back" for line in run.journal_lines)
    for line in run.journal_lines[-5:]:
        if line["event"] == "step":
            assert line["lr"] == pytest.approx(2.0 * 0.5**backs * (1 - line["step"] / 48), abs=1e-9)


FED = [name for name, method in METHODS.items() if not method.needs & {"composition", "sparse_gradients"}]


class Built:
    """A method of the table as a program's optimizer."""

    takes_model = True

    def __init__(self, name, lr):
        self.name, self.lr = name, lr

    def __call__(self, model):
        return METHODS[self.name](model, lr=self.lr)


@pytest.mark.parametrize("name", FED)
def test_every_method_survives_a_batch_of_a_cursed_loss(name):
    """A loss that is infinite once: the run goes back and on, and the state has no trace of it.

    A method that looks at the loss several times a step may meet the curse on a trial step, which it shortens.
    """
    calls = {"n": 0}

    class Cursed(nn.CrossEntropyLoss):
        def forward(self, output, target):
            calls["n"] += 1
            return super().forward(output, target) * (math.inf if calls["n"] == 7 else 1.0)

    made = program(mlp(), loss=Cursed(), optimizer=Built(name, 0.01))
    run = fit(made, training=SETTINGS)
    backs = sum("halved the rate" in note for note in run.notes)
    assert backs == 1 or (METHODS[name].needs and backs == 0)
    assert bool(torch.isfinite(weights(made.model)).all())
    assert run.history[-1]["lr"] == pytest.approx(0.01 * 0.5**backs)


def test_a_checkpoint_of_weights_on_their_way_out_is_not_tried_for_ever():
    """Every checkpoint but the first is spoiled: the loss after it explodes at any rate."""

    class Trap(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            return torch.where(self.w > 1.0, torch.inf, -self.w) + 0 * x

    x = torch.zeros(N, 1)
    made = unstable(0.3, model=Trap(), train=(x, x), loss=lambda output, y: output.mean(), epochs=1, task="regression")
    run = fit(made, training=Training(log_every=1, checkpoint_every=4))  # four steps of 0.3 are beyond 1: inf at step 5
    assert torch.isfinite(made.model.w) and run.history[-1]["lr"] < 0.15


def test_a_loss_that_stays_nan_names_the_step_and_ends_the_job(tmp_path):
    def hopeless(output, target):
        return nn.functional.cross_entropy(output, target) * math.nan

    with pytest.raises(
        JobError, match=r"the loss is nan at step 1 \(epoch 1, batch 1 of 8\), also after .* 8 times"
    ) as e:
        fit(program(loss=hopeless, task="classification"), training=SETTINGS, folder=tmp_path)
    assert "extreme values" in e.value.remedy
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert sum(line["event"] == "stepped_back" for line in lines) == 8


def test_a_loss_that_becomes_nan_for_ever_names_that_step():
    calls = {"n": 0}

    def late(output, target):
        calls["n"] += 1
        return nn.functional.cross_entropy(output, target) * (math.nan if calls["n"] > 12 else 1.0)

    with pytest.raises(JobError, match=r"the loss is nan at step"):
        fit(program(loss=late, task="classification", val=None), training=SETTINGS)


def test_a_gradient_that_is_not_finite_counts_though_the_loss_is():
    class Root(nn.Module):  # √ has an infinite slope at 0
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            return (self.w * 0).sqrt() + x[:, :1]

    with pytest.raises(JobError, match="the gradient is nan at step 1"):
        fit(unstable(model=Root()), training=Training(log_every=1))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_targets_that_are_not_finite_name_their_row(value):
    made = unstable(0.01)
    made.train[1][17] = value
    with pytest.raises(InputError, match="y of the training data has a value that is not finite, first at row 17"):
        fit(made, training=SETTINGS)


def test_weights_that_are_not_finite_name_their_row():
    made = program(train=(*table(), torch.ones(N)))
    made.train[2][5] = math.nan
    with pytest.raises(InputError, match=r"weight of the training data .* row 5"):
        fit(made, training=SETTINGS)


def test_the_norm_of_a_spoiled_step_is_not_written_as_json_cannot_say_it(tmp_path):
    fit(unstable(), training=SETTINGS, folder=tmp_path)
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text


def test_a_dataset_and_validation_survive_too():
    data = TensorDataset(*unstable().train)
    run = fit(unstable(train=data, val=data, task="regression"), training=Training(log_every=2))
    assert any("halved the rate" in note for note in run.notes) and math.isfinite(run.history[-1]["val_loss"])


def test_best_weights_are_those_of_an_epoch_that_was_kept(tmp_path):
    """An epoch that is done again at half the rate replaces its first attempt, in memory and on disk."""
    for folder in (None, tmp_path):
        made = unstable(0.07, val=unstable().train, epochs=8)
        run = fit(made, training=Training(log_every=1, checkpoint_every=3), folder=folder)
        with torch.no_grad():
            found = float(nn.functional.mse_loss(made.model(made.val[0]), made.val[1]))
        best = min(row["val_loss"] for row in run.history)
        assert found == pytest.approx(best, rel=1e-4, abs=1e-9)
        assert [row["epoch"] for row in run.history] == list(range(1, 9))


@pytest.mark.parametrize("folder", [False, True])
def test_best_weights_go_back_with_the_state_they_belong_to(folder, tmp_path):
    """A spoiled checkpoint is dropped, and with it the best epoch that it knew."""

    class Trap(nn.Module):
        """Each step adds the rate to w; validation improves with w, and beyond 1 the training loss is infinite."""

        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            if self.training:
                return torch.where(self.w > 1.0, torch.inf, -self.w) + 0 * x
            return 2 - self.w + 0 * x

    x = torch.zeros(4, 1)
    made = unstable(
        model=Trap(),
        train=(x, x),
        val=(x, x),
        loss=lambda output, y: output.mean(),
        optimizer=partial(torch.optim.SGD, lr=0.3),
        task="regression",
        batch_size=2,
        epochs=3,
    )
    run = fit(made, training=Training(log_every=1, checkpoint_every=2), folder=tmp_path if folder else None)
    with torch.no_grad():
        found = float(2 - made.model.w)
    assert any("went back" in note for note in run.notes)
    assert found == pytest.approx(min(row["val_loss"] for row in run.history), abs=1e-6)
    assert found == pytest.approx(run.history[run.best_epoch - 1]["val_loss"], abs=1e-6)


def test_the_best_weights_of_a_first_attempt_are_not_taken_for_those_of_the_second(tmp_path):
    """Epoch 1 is best twice: at the full rate, which fails later, and at half of it; the run is stopped after each."""

    class Trap(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            if self.training:
                return torch.where(self.w > 1.3, torch.inf, -self.w) + 0 * x
            return self.w + 0 * x

    x = torch.zeros(4, 1)

    def make():
        return unstable(
            model=Trap(),
            train=(x, x),
            val=(x, x),
            loss=lambda output, y: output.mean(),
            optimizer=partial(torch.optim.SGD, lr=0.5),
            task="regression",
            batch_size=2,
            epochs=2,
        )

    training = Training(log_every=1)
    whole = fit(make(), training=training)
    pieces = run_in_pieces(make, training, tmp_path, [(3, "step_end"), (3, "step_end")])
    assert float(whole.model.w.detach()) == float(pieces.model.w.detach()) == 0.5
    assert whole.best_epoch == pieces.best_epoch == 1
