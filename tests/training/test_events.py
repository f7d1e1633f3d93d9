"""What callbacks are told, in which order, and how they end a run."""

import json

import pytest
import torch
from small_programs import StepLosses, mlp, program, table

from trainwell.training import Training, fit
from trainwell.training.journal import Journal, plain
from trainwell.training.state import EVENTS, Teller

SETTINGS = Training(log_every=3, checkpoint_every=8)


def events(made, **options):
    seen = []
    run = fit(made, callbacks=[lambda event, state: seen.append((event, state.epoch, state.step))], **options)
    return run, seen


def test_events_come_in_order():
    _, seen = events(program(train=table(24), epochs=2), training=SETTINGS)
    names = [event for event, *_ in seen]
    epoch = ["epoch_start", "step_end", "step_end", "step_end", "validation_start", "validation_end"]
    assert names == ["checkpoint_saved", "run_start", *epoch, *epoch, "checkpoint_saved", "run_end"]
    assert set(names) <= set(EVENTS)
    assert [step for event, _, step in seen if event == "step_end"] == [1, 2, 3, 4, 5, 6]
    assert [e for event, e, _ in seen if event == "step_end"] == [1, 1, 1, 2, 2, 2]


def test_state_tells_where_the_run_stands():
    rows = []

    def look(event, state):
        if event == "step_end":
            rows.append((state.step_in_epoch, state.loss.requires_grad, state.lr, state.seconds > 0))
        if event == "validation_end":
            rows.append((state.metrics["epoch"], state.metrics["val_loss"], state.best_epoch))
        assert (state.epochs, state.steps, state.steps_per_epoch, state.batch_size) == (1, 3, 3, 8)
        assert state.model is made.model and isinstance(state.optimizer, torch.optim.SGD)

    made = program(train=table(24), epochs=1)
    run = fit(made, callbacks=[look])
    assert rows[:3] == [(1, False, 0.1, True), (2, False, 0.1, True), (3, False, 0.1, True)]
    assert rows[3] == (1, run.history[0]["val_loss"], 1)


@pytest.mark.parametrize("step", [1, 5, 8, 11])
def test_stop_ends_the_run_after_this_step_as_if_it_were_the_last(step, tmp_path):
    def stop(event, state):
        if event == "step_end" and state.step == step:
            state.stop()

    run = fit(program(), training=SETTINGS, callbacks=[stop], folder=tmp_path)
    assert run.history[-1]["step"] == step and "val_loss" in run.history[-1]
    assert (tmp_path / "best.safetensors").is_file()
    again = fit(program(), training=SETTINGS, folder=tmp_path, resume=True)
    assert again.history == run.history  # it is over: resuming adds nothing


def test_stop_at_the_end_of_a_validation_is_obeyed():
    run = fit(program(), callbacks=[lambda event, state: event == "validation_end" and state.stop()])
    assert len(run.history) == 1


def test_an_error_in_a_callback_is_the_callers_and_closes_the_files(tmp_path):
    def broken(event, state):
        if event == "epoch_start":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(program(), callbacks=[broken], folder=tmp_path)  # warnings are errors: an unclosed file would be one


def test_teller_keeps_its_sentences():
    heard = []
    teller = Teller([lambda event, state: heard.append((event, state.text, state.fraction))])
    teller.say("one")
    teller.stage("reading", 0.5)
    assert teller.messages == ["one"]
    assert heard == [("message", "one", None), ("stage", "reading", 0.5)]


# ---- the journal -------------------------------------------------------------------------------------------------


def test_metrics_have_a_line_a_look_and_an_epoch_and_no_clock(tmp_path):
    fit(program(), training=SETTINGS, folder=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    looks = [line["step"] for line in lines if line["event"] == "step"]
    assert looks == [3, 6, 8, 9, 12, 15, 16, 18, 21, 24]
    assert [line["epoch"] for line in lines if line["event"] == "epoch"] == [1, 2, 3]
    assert all(
        set(line) == {"event", "step", "epoch", "loss", "lr", "grad_norm"} for line in lines if line["event"] == "step"
    )
    assert not any("clock" in line or "seconds" in line for line in lines)
    clocks = [json.loads(line) for line in (tmp_path / "timing.jsonl").read_text().splitlines()]
    assert all("clock" in line for line in clocks)


def test_equal_runs_write_equal_bytes(tmp_path):
    for name in "ab":
        fit(program(mlp(0.3)), training=SETTINGS, folder=tmp_path / name)
    assert (tmp_path / "a/metrics.jsonl").read_bytes() == (tmp_path / "b/metrics.jsonl").read_bytes()


def test_a_look_writes_the_mean_of_the_losses_since_the_last_one():
    seen = StepLosses()
    run = fit(program(epochs=1), training=SETTINGS, callbacks=[seen])
    looks = [line["loss"] for line in run.journal_lines if line["event"] == "step"]
    v = seen.values
    assert looks == pytest.approx([sum(v[:3]) / 3, sum(v[3:6]) / 3, sum(v[6:]) / 2], rel=1e-12)


@pytest.mark.parametrize("folder", [True, False])
def test_rewinding_cuts_back_to_a_position(folder, tmp_path):
    journal = Journal(tmp_path if folder else None)
    journal.metrics("a", x=1)
    position = journal.position()
    journal.metrics("b", x=float("nan"))
    journal.rewind(position)
    journal.metrics("c", x=[float("inf"), {"y": 2.0}])
    journal.close()
    assert journal.lines == [{"event": "a", "x": 1}, {"event": "c", "x": [None, {"y": 2.0}]}]
    if folder:
        assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == journal.lines


def test_plain_leaves_what_json_can_say():
    assert plain({"a": (1, 2.5, "x", None, True)}) == {"a": [1, 2.5, "x", None, True]}
    assert plain({1: float("nan")}) == {"1": None}
