"""``fit`` is the loop one would write by hand, bit for bit."""

from functools import partial

import pytest
import torch
from small_programs import N, StepLosses, bare_loop, mlp, program, table, weights
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from trainwell.errors import InputError
from trainwell.training import Training, fit

PLAIN = Training(monitor="last")

CASES = {
    "SGD with momentum": {},
    "AdamW": {"optimizer": partial(torch.optim.AdamW, lr=0.01)},
    "AdamW, fused": {"optimizer": partial(torch.optim.AdamW, lr=0.01, fused=True)},
    "clipping that bites": {"clip_grad": 0.05},
    "a schedule by step": {"scheduler": partial(OneCycleLR, max_lr=0.3, total_steps=24)},
    "AdamW, schedule and clipping": {
        "optimizer": partial(torch.optim.AdamW, lr=0.01),
        "scheduler": partial(CosineAnnealingLR, T_max=24),
        "clip_grad": 0.5,
    },
    "in order": {"shuffle": False},
    "no validation": {"val": None},
    "a leftover of one is dropped": {"train": table(57)},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_losses_and_weights_equal_the_bare_loops(case, dropout):
    ours, theirs = (program(mlp(dropout, norm=True), **CASES[case]) for _ in range(2))
    seen = StepLosses()
    fit(ours, training=PLAIN.with_(seed=5), callbacks=[seen])
    expected = bare_loop(theirs, seed=5)
    assert seen.values == expected
    assert torch.equal(weights(ours.model), weights(theirs.model))


def test_another_seed_gives_other_weights():  # control
    a, b = program(), program()
    fit(a, training=PLAIN.with_(seed=5))
    bare_loop(b, seed=6)
    assert not torch.equal(weights(a.model), weights(b.model))


def test_every_sample_is_seen_once_an_epoch_and_in_a_new_order():
    class Recorder(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.seen = []

        def forward(self, x):
            self.seen.append(x.flatten().tolist())
            return x * self.scale

    model, x = Recorder(), torch.arange(float(N))[:, None]
    fit(program(model, train=(x, x), val=None, loss=nn.MSELoss(), optimizer=partial(torch.optim.SGD, lr=0.0)))
    epochs = [[x for batch in model.seen[i : i + 8] for x in batch] for i in (0, 8, 16)]
    assert all(sorted(epoch) == list(range(N)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and [len(batch) for batch in model.seen[:8]] == [8] * 7 + [5]


def test_run_tells_what_happened():
    run = fit(program())
    assert [row["epoch"] for row in run.history] == [1, 2, 3] and run.history[-1]["step"] == 24
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]
    assert run.task == "classification" and run.folder is None and not run.model.training
    assert run.predict(table()[0]).shape == (N,)
    assert run.predict_proba(table()[0]).sum(1) == pytest.approx(1, abs=1e-6)


def test_training_loss_of_an_epoch_is_the_mean_over_its_samples():
    seen = StepLosses()
    run = fit(program(epochs=1), callbacks=[seen])
    sizes = [8] * 7 + [5]
    expected = sum(loss * n for loss, n in zip(seen.values, sizes, strict=True)) / N
    assert run.history[0]["train_loss"] == pytest.approx(expected, rel=1e-12)


def test_how_often_one_looks_and_saves_changes_no_bit():
    results = []
    for every, save in ((1, 1), (3, 5), (100, 1000)):
        made = program(mlp(0.3))
        run = fit(made, training=Training(log_every=every, checkpoint_every=save))
        results.append((weights(made.model), run.history[-1]["val_loss"], run.history[-1]["train_loss"]))
    for other in results[1:]:
        assert torch.equal(other[0], results[0][0]) and other[1] == results[0][1]
        assert other[2] == pytest.approx(results[0][2], rel=1e-12)


def test_callers_random_state_threads_and_determinism_are_put_back():
    torch.manual_seed(3)
    before = torch.get_rng_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fit(program(mlp(0.5)), training=Training(threads=2))
    after = torch.get_rng_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


def test_inputs_may_be_dicts_tuples_arrays_and_carry_weights():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = mlp()

        def forward(self, x):
            return self.body(x["left"] if isinstance(x, dict) else x[0])

    x, y = table()
    reference = program(Named(), train=((x, x), y), val=None)
    fit(reference)
    for data in (({"left": x.numpy(), "right": x.numpy()}, y.numpy()), ({"left": x}, y, torch.ones(N))):
        other = program(Named(), train=data, val=None)
        fit(other)
        torch.testing.assert_close(weights(other.model), weights(reference.model), rtol=1e-5, atol=1e-6)


def test_own_step_replaces_model_and_loss():
    def step(model, batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    plain, own = program(val=None), program(val=None, loss=None, step=step, task="classification")
    fit(plain)
    fit(own)
    assert torch.equal(weights(plain.model), weights(own.model))


def test_own_step_may_have_three_parts_that_are_no_weights():
    x, y = table()
    third = -torch.ones(N, 2)

    def step(model, batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    made = program(train=(x, y, third), val=(x, y, third), loss=None, step=step, task="classification", epochs=1)
    run = fit(made, training=Training(accumulate=2))
    reference = program(val=(x, y), epochs=1)
    expected = fit(reference, training=Training(accumulate=2))
    assert torch.equal(weights(made.model), weights(reference.model))
    assert run.history[0]["val_loss"] == pytest.approx(expected.history[0]["val_loss"], rel=1e-6)


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    fit(program(epochs=1), folder=tmp_path)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match="already holds a run"):
        fit(program(epochs=1), folder=tmp_path)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        fit(program(), folder=tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(InputError, match="batch_size 64 is larger than the 61 training samples"):
        fit(program(batch_size=64))


def test_a_time_budget_ends_the_run_after_a_whole_validation():
    run = fit(program(epochs=1000), training=Training(max_minutes=1e-6, log_every=1))
    assert len(run.history) == 1 and "val_loss" in run.history[0]
    assert "time budget" in run.notes[-1]


def test_weights_that_overflow_in_the_last_step_are_not_handed_out():
    x, y = table()
    made = program(train=(60 * x, y), epochs=1, batch_size=61, optimizer=partial(torch.optim.SGD, lr=1e38), val=None)
    run = fit(made)
    assert bool(torch.isfinite(weights(made.model)).all()) and "went back to step 0" in run.notes[0]
