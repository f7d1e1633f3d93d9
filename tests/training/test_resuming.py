"""A stopped and resumed run equals the undisturbed one: weights, history and the bytes of metrics.jsonl."""

import os
import signal
from functools import partial

import pytest
import torch
from small_programs import FEATURES, N, Rows, kill_at, mlp, program, run_in_pieces, table, weights
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

from trainwell.errors import InputError
from trainwell.training import Training, checkpoint, fit, loop, stopping

SETTINGS = Training(log_every=3, checkpoint_every=5)
AUTO = partial(torch.optim.AdamW, lr=0.02, fused=True)


def convnet():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3),
            nn.Flatten(),
            nn.Linear(8 * 16, 3),
        )


def images():
    return torch.randn(N, 3, 8, 8, generator=torch.Generator().manual_seed(0)), table()[1]


def loader(**options):
    return DataLoader(Rows(noise=0.1), batch_size=8, **options)


def seeded():
    return torch.Generator().manual_seed(4)


MAKERS = {
    "in memory": lambda: program(mlp(0.3)),
    "a dataset": lambda: program(mlp(0.3), train=Rows(noise=0.1), val=Rows(n=30)),
    "a shuffled loader": lambda: program(mlp(0.3), train=loader(shuffle=True)),
    "a loader with a generator": lambda: program(mlp(0.3), train=loader(shuffle=True, generator=seeded())),
    "a validation loader": lambda: program(mlp(0.3), val=DataLoader(TensorDataset(*table(40, 7)), batch_size=10)),
    "fused, channels last": lambda: program(convnet(), train=images(), val=images(), optimizer=AUTO),
    "fused AdamW, schedule, clip": lambda: program(
        mlp(0.3), optimizer=AUTO, scheduler=partial(OneCycleLR, max_lr=0.05, total_steps=24), clip_grad=0.3
    ),
}
CHANGES = {"fused, channels last": {"channels_last": True}}
MOMENTS = {
    "first step": [(1, "step_end")],
    "inside": [(11, "step_end")],
    "last step of an epoch": [(8, "step_end")],
    "in validation": [(16, "validation_start")],
    "after validation": [(16, "validation_end")],
    "at a checkpoint": [(10, "checkpoint_saved")],
    "again and again": [(2, "step_end"), (3, "step_end"), (8, "validation_start"), (9, "step_end"), (23, "step_end")],
}


def files(folder):
    return {name: (folder / name).read_bytes() for name in ("metrics.jsonl", "model.safetensors", "best.safetensors")}


def assert_same(make, training, tmp_path, stops):
    whole = fit(make(), training=training, folder=tmp_path / "whole")
    pieces = run_in_pieces(make, training, tmp_path / "pieces", stops)
    assert pieces.history == whole.history
    assert pieces.best_epoch == whole.best_epoch
    assert torch.equal(weights(pieces.model), weights(whole.model))
    assert files(tmp_path / "pieces") == files(tmp_path / "whole")
    assert pieces.notes == whole.notes


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", MAKERS)
def test_resumed_equals_undisturbed(kind, moment, tmp_path):
    assert_same(MAKERS[kind], SETTINGS.with_(**CHANGES.get(kind, {})), tmp_path, MOMENTS[moment])


@pytest.mark.parametrize(
    "changes",
    [{"ema": 0.9}, {"accumulate": 3}, {"monitor": "last"}, {"dtype": "bfloat16"}, {"seed": 9, "deterministic": False}],
    ids=str,
)
def test_resumed_equals_undisturbed_whatever_the_settings(changes, tmp_path):
    assert_same(MAKERS["in memory"], SETTINGS.with_(**changes), tmp_path, MOMENTS["again and again"])


@pytest.mark.parametrize("moment", ["inside", "in validation", "after validation"])
def test_early_stopping_counts_on(moment, tmp_path):
    def worsening():
        return program(mlp(0.3), epochs=30, optimizer=partial(torch.optim.SGD, lr=1.5, momentum=0.5))

    training = SETTINGS.with_(patience=2)
    whole = fit(worsening(), training=training, folder=tmp_path / "alone")
    assert len(whole.history) < 30 and "no better validation score for 2 epochs" in whole.notes[-1]
    assert_same(worsening, training, tmp_path, MOMENTS[moment])


@pytest.mark.parametrize("stop", [3, 9, 14])
def test_a_run_that_stepped_back_is_taken_up_at_its_halved_rate(stop, tmp_path):
    def unstable():
        x = 3 * torch.randn(N, FEATURES, generator=torch.Generator().manual_seed(0))
        return program(
            nn.Linear(FEATURES, 1),
            train=(x, x.sum(1, keepdim=True)),
            val=None,
            loss=nn.MSELoss(),
            optimizer=partial(torch.optim.SGD, lr=2.0),
        )

    def make():
        torch.manual_seed(0)
        return unstable()

    training = Training(log_every=2, checkpoint_every=4)
    assert any("halved the rate" in note for note in fit(make(), training=training).notes)
    assert_same(make, training, tmp_path, [(stop, "step_end")])


def test_a_crash_goes_back_to_the_last_regular_checkpoint_and_leaves_no_trace(tmp_path):
    make = MAKERS["in memory"]
    whole = fit(make(), training=SETTINGS, folder=tmp_path / "whole")

    def power_cut(event, state):
        if event == "step_end" and state.step == 18:
            raise OSError("the lights went out")

    with pytest.raises(OSError, match="lights"):
        fit(make(), training=SETTINGS, folder=tmp_path / "pieces", callbacks=[power_cut])
    torch.manual_seed(999)
    pieces = fit(make(), training=SETTINGS, folder=tmp_path / "pieces", resume=True)
    assert pieces.history == whole.history
    assert files(tmp_path / "pieces") == files(tmp_path / "whole")


def test_without_the_random_state_the_weights_differ(tmp_path, monkeypatch):  # control
    make, training = MAKERS["in memory"], SETTINGS.with_(monitor="last")
    whole = fit(make(), training=training)
    monkeypatch.setattr(loop, "set_random_state", lambda state, own: torch.manual_seed(999))
    pieces = run_in_pieces(make, training, tmp_path, [(11, "step_end")])
    assert not torch.equal(weights(pieces.model), weights(whole.model))


def test_without_the_optimizers_state_the_weights_differ(tmp_path, monkeypatch):  # control
    make, training = MAKERS["fused AdamW, schedule, clip"], SETTINGS.with_(monitor="last")
    whole = fit(make(), training=training)
    monkeypatch.setattr(loop, "load_optimizer", lambda optimizer, state: None)
    pieces = run_in_pieces(make, training, tmp_path, [(11, "step_end")])
    assert not torch.equal(weights(pieces.model), weights(whole.model))


def test_a_finished_run_is_only_read_back(tmp_path):
    first = fit(program(), training=SETTINGS, folder=tmp_path)
    before, steps = files(tmp_path), []
    again = fit(program(), training=SETTINGS, folder=tmp_path, resume=True, callbacks=[lambda e, s: steps.append(e)])
    assert "step_end" not in steps and again.history == first.history and files(tmp_path) == before
    assert torch.equal(weights(again.model), weights(first.model))


def test_no_sample_is_skipped_or_repeated(tmp_path):
    class Recorder(nn.Module):
        seen: list[float]

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            Recorder.seen += x.flatten().tolist()
            return x * self.scale

    x = torch.arange(float(N))[:, None]

    def make():
        return program(Recorder(), train=(x, x), val=None, loss=nn.MSELoss(), epochs=2, optimizer=SGD_ZERO)

    Recorder.seen = []
    run_in_pieces(make, SETTINGS, tmp_path, [(3, "step_end"), (8, "step_end"), (13, "step_end")])
    assert sorted(Recorder.seen[:N]) == sorted(Recorder.seen[N:]) == list(range(N))


SGD_ZERO = partial(torch.optim.SGD, lr=0.0)


@pytest.mark.parametrize(
    "changed",
    [{"batch_size": 7}, {"epochs": 4}, {"train": table(seed=3)}, {"train": table(60)}],
    ids=lambda c: next(iter(c)),
)
def test_other_data_are_refused(changed, tmp_path):
    with pytest.raises(stopping.Stopped):
        fit(program(), training=SETTINGS, folder=tmp_path, callbacks=[kill_at(3)])
    with pytest.raises(InputError, match="made with another data"):
        fit(program(**changed), training=SETTINGS, folder=tmp_path, resume=True)


def test_another_recipe_or_model_is_refused(tmp_path):
    with pytest.raises(stopping.Stopped):
        fit(program(), training=SETTINGS, folder=tmp_path, callbacks=[kill_at(3)], fingerprint={"recipe": "a"})
    with pytest.raises(InputError, match="made with another recipe"):
        fit(program(), training=SETTINGS, folder=tmp_path, resume=True, fingerprint={"recipe": "b"})
    with pytest.raises(InputError, match="checkpoint is of another model"):
        fit(program(mlp(norm=True)), training=SETTINGS, folder=tmp_path, resume=True, fingerprint={"recipe": "a"})


@pytest.mark.parametrize("order", ["contiguous first", "channels last first"])
def test_a_run_may_change_its_memory_layout_between_its_pieces(order, tmp_path):
    """Wall 1: the fused kernel reads wrong numbers from states whose strides are not the parameter's."""
    layouts = [False, True] if order == "contiguous first" else [True, False]
    make, training = MAKERS["fused, channels last"], SETTINGS.with_(monitor="last")
    whole = fit(make(), training=training)
    with pytest.raises(stopping.Stopped):
        fit(make(), training=training.with_(channels_last=layouts[0]), folder=tmp_path, callbacks=[kill_at(11)])
    pieces = fit(make(), training=training.with_(channels_last=layouts[1]), folder=tmp_path, resume=True)
    torch.testing.assert_close(weights(pieces.model), weights(whole.model), rtol=1e-3, atol=1e-3)


def test_without_the_new_layout_of_states_the_fused_kernel_is_wrong(tmp_path, monkeypatch):  # control
    make, training = MAKERS["fused, channels last"], SETTINGS.with_(monitor="last")
    whole = fit(make(), training=training)
    with pytest.raises(stopping.Stopped):
        fit(make(), training=training, folder=tmp_path, callbacks=[kill_at(11)])

    def as_stored(optimizer, state):
        optimizer.load_state_dict(state)
        for entries in optimizer.state.values():
            for key, value in entries.items():
                entries[key] = value.contiguous()

    monkeypatch.setattr(loop, "load_optimizer", as_stored)
    pieces = fit(make(), training=training.with_(channels_last=True), folder=tmp_path, resume=True)
    assert float((weights(pieces.model) - weights(whole.model)).abs().max()) > 1e-2


def test_random_state_goes_round_as_plain_data(tmp_path):
    import random

    import numpy as np

    torch.save(checkpoint.random_state(), tmp_path / "state.pt")
    drawn = torch.rand(2).tolist(), random.random(), np.random.rand()  # noqa: NPY002
    checkpoint.set_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert (torch.rand(2).tolist(), random.random(), np.random.rand()) == drawn  # noqa: NPY002


def test_a_validation_that_was_broken_off_draws_its_random_numbers_again(tmp_path):
    """Datasets and loaders draw from the global generators in validation too, and dropout follows them in training."""

    class Interrupted(nn.Module):
        def __init__(self, at):
            super().__init__()
            self.body, self.left = mlp(0.3), at

        def forward(self, x):
            if not self.training:
                self.left -= 1
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGTERM)
            return self.body(x)

    def make(at):
        shuffled = DataLoader(Rows(noise=0.1, n=60), batch_size=10, shuffle=True)
        return program(Interrupted(at), val=shuffled)

    whole = fit(make(0), training=SETTINGS, folder=tmp_path / "whole")
    with pytest.raises(stopping.Stopped):
        fit(make(9), training=SETTINGS, folder=tmp_path / "pieces")
    pieces = fit(make(0), training=SETTINGS, folder=tmp_path / "pieces", resume=True)
    assert pieces.history == whole.history and files(tmp_path / "pieces") == files(tmp_path / "whole")


def test_best_weights_outlive_a_stop_and_a_truncated_checkpoint(tmp_path):
    """The best epoch of an older checkpoint stays on disk as long as the checkpoint does."""

    def make():
        return program(mlp(), epochs=8, optimizer=partial(torch.optim.SGD, lr=0.02))  # better every epoch

    training = Training(log_every=4, checkpoint_every=12)
    whole = fit(make(), training=training, folder=tmp_path / "whole")
    for step in range(26, 64, 5):
        folder = tmp_path / f"at {step}"
        with pytest.raises(stopping.Stopped):
            fit(make(), training=training, folder=folder, callbacks=[kill_at(step - 12)])
        with pytest.raises(stopping.Stopped):
            fit(make(), training=training, folder=folder, callbacks=[kill_at(step)], resume=True)
        for file in (folder / "checkpoint").glob("*.pt"):
            best = checkpoint.read(file)["best"]["epoch"]
            assert best is None or (folder / "checkpoint" / f"best-{best:05d}.safetensors").is_file(), file
        checkpoints = sorted((folder / "checkpoint").glob("*.pt"), key=lambda f: f.stem.split("-")[1])
        for newest in checkpoints[-2:] if len(checkpoints) > 2 else checkpoints[-1:]:
            newest.write_bytes(b"")
        again = fit(make(), training=training, folder=folder, resume=True)
        assert again.history == whole.history and torch.equal(weights(again.model), weights(whole.model))
        assert files(folder) == files(tmp_path / "whole")
