"""Lightning-AI/pytorch-lightning#1455, goodfire-ai/spd#677: SIGTERM is read at the training step alone, so it is lost
in warm-up, evaluation and saving."""

import os
import signal

import numpy as np
import pytest
from pain_programs import SETTINGS, interrupted, program

from trainwell.training import Recipe, fit, jobs, stopping

RECIPE = Recipe().override(
    [
        "precision.dtype=float32",
        "precision.channels_last=false",
        "precision.threads=1",
        "model.name=mlp",
        "model.width=8",
        "model.depth=1",
        "training.batch_size=16",
        "training.epochs=2",
        "data.target=kind",
    ]
)
TOLD = ("stage", "message")
STAGES = ["classes of kind", "searching the learning rate", "evaluating", "writing the report"]


@pytest.mark.parametrize("event", ["run_start", "epoch_start", "step_end", "validation_start", "validation_end"])
def test_a_signal_at_any_moment_of_the_loop_is_heard(event, tmp_path):
    step = 0 if event in ("run_start", "epoch_start") else 8
    again = interrupted(program, tmp_path / "again", step, event)
    assert again.history == fit(program(), training=SETTINGS).history


@pytest.fixture
def train(tmp_path):
    """Train on a small table into a folder of this name."""
    numbers = np.random.default_rng(0).normal(size=(80, 2))
    lines = [f"{a:.3f},{b:.3f},{'high' if a + b > 0 else 'low'}" for a, b in numbers]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,kind", *lines]) + "\n")

    def call(folder, callbacks=()):
        recipe = RECIPE.override([f"output.folder='{tmp_path / folder}'"])
        return jobs.train(str(tmp_path / "t.csv"), recipe, callbacks=callbacks)

    return call


def assert_stopped_and_resumed(train, wanted):
    def kill(event, state):
        if wanted(event, state):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(stopping.Stopped) as stopped:
        train("again", [kill])
    assert stopped.value.folder.name == "again" and stopped.value.signum == signal.SIGTERM
    again, whole = jobs.resume(stopped.value.folder), train("whole")
    assert again.metrics == whole.metrics
    assert (again.folder / "metrics.jsonl").read_bytes() == (whole.folder / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_in_any_stage_is_heard_and_the_run_can_go_on(stage, train):
    assert_stopped_and_resumed(train, lambda event, state: event in TOLD and stage in state.text.lower())


@pytest.mark.parametrize("last", ["validation_end", "checkpoint_saved", "run_end"])
def test_a_signal_after_the_last_step_is_heard_before_the_run_is_evaluated(last, train):
    assert_stopped_and_resumed(train, lambda event, state: event == last and state.step == state.steps)


def test_a_flag_that_only_the_step_reads_is_never_seen_after_the_last_step():  # control
    flag, saved = [], []
    before = signal.signal(signal.SIGTERM, lambda *_: flag.append(True))
    try:
        for _ in range(3):
            if flag:
                saved.append("checkpoint")
        os.kill(os.getpid(), signal.SIGTERM)  # while the test part is evaluated
    finally:
        signal.signal(signal.SIGTERM, before)
    assert flag and not saved
