"""The display on made-up events: on a terminal and piped."""

import io
import re
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from trainwell.cli.display import LOOK, Lines, Live, Pace, shown
from trainwell.training.state import State

EPOCHS, STEPS = 3, 5


def told(*callbacks):
    """Events of a run of three epochs, the second of which is best."""
    state = State(
        epochs=EPOCHS, steps=EPOCHS * STEPS, steps_per_epoch=STEPS, batch_size=8, lr=0.1, folder=Path("runs/x")
    )

    def tell(event, **changes):
        for name, value in changes.items():
            setattr(state, name, value)
        for callback in callbacks:
            callback(event, state)

    for i in range(4):
        tell("stage", text="Reading digits", fraction=i / 4)
    tell("message", text="Column id was left out: it only tells rows apart.")
    tell("run_start")
    for epoch in range(1, EPOCHS + 1):
        tell("epoch_start", epoch=epoch)
        for _ in range(STEPS):
            tell("step_end", step=state.step + 1, loss=torch.tensor(1 / epoch))
        tell("validation_start")
        metrics = {"epoch": epoch, "train_loss": 1 / epoch, "val_loss": 0.5, "val_accuracy": 0.75, "val_f1": 0.1}
        tell("validation_end", metrics=metrics, best_epoch=min(epoch, 2))
        tell("checkpoint_saved")
    tell("run_end")
    tell("stage", text="writing the report", fraction=None)


@pytest.fixture
def piped(capsys):
    told(Lines())
    return capsys.readouterr()


def test_piped_is_plain_lines_on_stderr(piped):
    assert piped.out == ""
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", piped.err)
    lines = piped.err.splitlines()
    assert lines[0] == "Reading digits …" and lines[-1] == "Writing the report …"
    assert "Column id was left out: it only tells rows apart." in lines


def test_one_row_an_epoch_under_one_heading(piped):
    rows = [line for line in piped.err.splitlines() if "epoch" in line]
    assert rows[0].split() == ["epoch", "train", "loss", "val", "loss", "val", "accuracy", "lr", "time"]
    assert [row.split()[:6] for row in rows[1:]] == [
        ["epoch", f"{i}/3", output, "0.5000", "0.7500", "0.1"]
        for i, output in ((1, "1.000"), (2, "0.5000"), (3, "0.3333"))
    ]
    assert [row.endswith("★") for row in rows[1:]] == [True, True, False]
    assert len({len(row.rstrip(" ★")) for row in rows}) == 1  # the columns stand under each other


def test_a_terminal_shows_a_bar_and_keeps_the_rows():
    screen = io.StringIO()
    with Live(Console(file=screen, force_terminal=True, width=110, highlight=False)) as live:
        told(live)
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "━" in seen and "⠋   Reading digits" in seen and "⠋   Writing the report" in seen
    assert "• Column id was left out" in seen
    assert sum(line.startswith("epoch") and "★" in line for line in seen.splitlines()) == 2
    assert screen.getvalue().rfind("\x1b[?25h") > screen.getvalue().rfind("\x1b[?25l")  # the cursor is back


def test_the_cursor_comes_back_after_an_error():
    screen = io.StringIO()
    with pytest.raises(KeyError), Live(Console(file=screen, force_terminal=True, width=80)) as live:
        live("run_start", State(epochs=1, steps=10))
        raise KeyError
    assert screen.getvalue().rfind("\x1b[?25h") > screen.getvalue().rfind("\x1b[?25l")


class CountedLoss:
    """A loss on a device: reading it waits, so it must be read rarely."""

    read = 0

    def __float__(self):
        type(self).read += 1
        return 0.5


def test_a_step_costs_a_look_at_the_clock_and_the_loss_is_read_rarely():
    with Live(Console(file=io.StringIO(), force_terminal=True, width=110)) as live:
        state = State(epochs=1, epoch=1, steps=20000, batch_size=8, loss=CountedLoss())
        live("run_start", state)
        live("epoch_start", state)
        began = time.perf_counter()
        for state.step in range(1, 20001):
            live("step_end", state)
        took = time.perf_counter() - began
    assert CountedLoss.read <= took / LOOK + 1
    assert took / 20000 < 5e-5  # a few 1e-7 on an idle machine; a step of the smallest network takes 2e-4


def test_a_run_without_validation_has_no_stars(capsys):
    lines, state = Lines(), State(epochs=1, epoch=1, metrics={"train_loss": 0.5}, best_epoch=1)
    for event in ("run_start", "epoch_start", "validation_end", "run_end"):
        lines(event, state)
    assert "★" not in capsys.readouterr().err


def test_quiet_shows_nothing_and_stdout_is_kept_for_the_result(capsys):
    with shown(quiet=True) as callbacks:
        assert callbacks == ()
        print("noise")
    assert capsys.readouterr().out == ""
    with shown(quiet=False) as callbacks:
        assert isinstance(callbacks[0], Lines)  # stderr is no terminal here


def test_pace_at_constant_speed_is_exact():
    pace = Pace(step=100)
    pace.began = pace.before = 0.0
    for now in range(1, 11):
        speed, left = pace(100 + 7 * now, 450, float(now))
        assert speed == pytest.approx(7)
    assert left == pytest.approx((450 - 170) / 7)  # what was done before the resume does not count as speed
