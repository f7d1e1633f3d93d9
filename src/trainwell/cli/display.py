"""What the user sees of a job while it runs, all of it on stderr: a live bar on a terminal, plain lines elsewhere.

A callback ``f(event, state)`` is told of every step, so a step costs one look at the clock; the loss leaves the device
four times a second at most. When stderr is closed (``2>&1 | head``) the display falls silent and the job goes on.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from trainwell.cli import output

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

Callback = Callable[[str, Any], None]

LASTING = 0.3  # seconds from which a stage leaves a line on the terminal
LOOK = 0.25  # seconds between two looks at a step
SHORTEST = 0.02  # seconds from which steps tell a speed
WIDE = 100  # characters from which the bar has room for the speed
REPEAT = 15.0  # seconds between two plain lines of one lasting stage


@contextlib.contextmanager
def shown(quiet: bool) -> Iterator[tuple[Callback, ...]]:
    """Callbacks that show a job's events; whatever the job prints meanwhile goes to stderr, where it spoils no result.

    Args:
        quiet: no callbacks at all.
    """
    with contextlib.redirect_stdout(sys.stderr):
        if quiet:
            yield ()
        elif sys.stderr.isatty():
            with Live() as live:
                yield (live,)
        else:
            yield (Lines(),)


class Epochs:
    """The table of epochs: one row each; the columns are those of the first."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.began = time.monotonic()

    def begin(self) -> None:
        """Start the clock of an epoch (or of what a resumed run has left of it)."""
        self.began = time.monotonic()

    def rows(self, state: Any) -> list[str]:
        """The row of the epoch that is complete now; before the first, the heading."""
        lines = []
        if not self.keys:
            self.keys = _shown_metrics(state.metrics)
            names = [f"{key.replace('_', ' '):>{_width(key)}}" for key in self.keys]
            lines.append("  ".join([f"{'epoch':>{len(_epoch(state))}}", *names, f"{'lr':>9}", f"{'time':>10}"]))
        values = [f"{output.number(state.metrics.get(key), 4):>{_width(key)}}" for key in self.keys]
        took = output.span(time.monotonic() - self.began)
        best = state.best_epoch == state.epoch and bool(_validated(state.metrics))
        lines.append("  ".join([_epoch(state), *values, f"{state.lr:>9.3g}", f"{took:>10}"]) + ("  ★" if best else ""))
        return lines


class Lines:
    """Plain lines without control characters: stages as they begin, sentences, a row an epoch."""

    def __init__(self) -> None:
        self.epochs = Epochs()
        self.stage, self.stage_next = "", 0.0

    def __call__(self, event: str, state: Any) -> None:
        if event == "step_end":
            return
        if event == "stage":
            self._stage(state)
        elif event == "message":
            self._print(state.text)
        elif event == "run_start":
            self.epochs = Epochs()
        elif event == "epoch_start":
            self.epochs.begin()
        elif event == "validation_end":
            for line in self.epochs.rows(state):
                self._print(line)

    def _stage(self, state: Any) -> None:
        text, now = _sentence(state.text), time.monotonic()
        if text == self.stage and (now < self.stage_next or state.fraction is None):
            return
        known = text == self.stage and state.fraction is not None
        self.stage, self.stage_next = text, now + REPEAT
        self._print(f"{text}{f' {state.fraction:.0%}' if known else ''} …")

    def _print(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed stderr must not end the job
            print(line, file=sys.stderr, flush=True)


class Live:
    """A bar with what matters now; above it, line by line, what stays."""

    def __init__(self, console: "Console | None" = None) -> None:
        from rich.console import Console

        self.console = console or Console(stderr=True, highlight=False)
        self.epochs = Epochs()
        self.stage, self.stage_began = "", 0.0
        self.next_look = 0.0
        self.progress: Progress | None = None
        self.task: TaskID | None = None
        self.pace: Pace | None = None

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: object) -> None:
        self._end_stage()
        self._clear()

    def __call__(self, event: str, state: Any) -> None:
        if event == "step_end":
            now = time.monotonic()
            if now >= self.next_look:
                self.next_look = now + LOOK
                self._look(state, now)
            return
        handler = getattr(self, f"_on_{event}", None)
        if handler is not None:
            handler(state)

    def _on_stage(self, state: Any) -> None:
        text = _sentence(state.text)
        if text != self.stage:
            self._end_stage()
            self._clear()
            self.stage, self.stage_began = text, time.monotonic()
            self._start(_stage_columns(), text, total=1.0 if state.fraction is not None else None)
        if self.progress is not None and self.task is not None and state.fraction is not None:
            self.progress.update(self.task, completed=state.fraction, total=1.0)

    def _on_message(self, state: Any) -> None:
        self._print(f"• {state.text}", wrap=True)

    def _on_run_start(self, state: Any) -> None:
        self._end_stage()
        self._clear()
        self.epochs, self.next_look = Epochs(), 0.0
        self.pace = Pace(state.step)
        self._start(
            _run_columns(wide=self.console.width >= WIDE),
            _epoch(state),
            total=state.steps or None,
            completed=state.step,
        )

    def _on_epoch_start(self, state: Any) -> None:
        self.epochs.begin()
        if self.pace is not None:
            self.pace.go_on(state.step)

    def _on_validation_start(self, state: Any) -> None:
        self._look(state, time.monotonic())
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, phase="validating")

    def _on_validation_end(self, state: Any) -> None:
        *heading, row = self.epochs.rows(state)
        for line in heading:
            self._print(line, style="dim")
        self._print(row, style="bold" if row.endswith("★") else "")

    def _on_run_end(self, state: Any) -> None:
        self._clear()

    def _look(self, state: Any, now: float) -> None:
        if self.progress is None or self.task is None or self.pace is None:
            return
        steps_a_second, left = self.pace(state.step, state.steps, now)
        self.progress.update(
            self.task,
            completed=state.step,
            total=state.steps or None,
            description=_epoch(state),
            phase=_phase(state),
            rate=f"{steps_a_second * state.batch_size:,.0f} samples/s".replace(",", " ") if steps_a_second else "",
            left="" if left is None else f"{output.span(left)} left",
        )

    def _start(self, columns: list[Any], description: str, total: float | None, completed: float = 0) -> None:
        from rich.progress import Progress

        self.progress = Progress(*columns, console=self.console, transient=True, expand=True, refresh_per_second=4)
        self.task = self.progress.add_task(
            description, total=total, completed=int(completed), phase="", rate="", left=""
        )
        self.progress.start()

    def _clear(self) -> None:
        if self.progress is not None:
            self.progress.stop()
        self.progress = self.task = None

    def _end_stage(self) -> None:
        text, self.stage, took = self.stage, "", time.monotonic() - self.stage_began
        if text and took >= LASTING:
            self._print(f"✓ {text}  {output.span(took)}", style="dim")

    def _print(self, line: str, style: str = "", wrap: bool = False) -> None:
        from rich.text import Text

        self.console.print(Text(line, style=style), soft_wrap=not wrap)


class Pace:
    """Steps a second lately, and the time that the rest will take at the pace of the whole run so far.

    The time left counts validation and checkpoints, the speed does not.
    """

    def __init__(self, step: int) -> None:
        self.first = self.last = step
        self.began = self.before = time.monotonic()
        self.speed = 0.0

    def go_on(self, step: int) -> None:
        """Leave what was done since the last step out of the speed."""
        self.last, self.before = step, time.monotonic()

    def __call__(self, step: int, steps: int, now: float) -> tuple[float, float | None]:
        """Steps a second, and seconds left (None while nobody can know)."""
        done, passed = step - self.first, now - self.began
        if step > self.last and now - self.before > SHORTEST:
            latest = (step - self.last) / (now - self.before)
            self.speed = latest if not self.speed else 0.8 * self.speed + 0.2 * latest
            self.last, self.before = step, now
        left = (steps - step) * passed / done if done > 0 and steps and passed > 1 else None
        return self.speed, left


def _phase(state: Any) -> str:
    """The latest loss, and what validation said last."""
    parts = [] if state.loss is None else [f"loss {float(state.loss):.4g}"]
    parts += [
        f"{key.replace('_', ' ')} {output.number(state.metrics[key], 4)}" for key in _validated(state.metrics)[:1]
    ]
    return "  ".join(parts)


def _validated(metrics: dict[str, Any]) -> list[str]:
    """Names of validation metrics, the loss last."""
    names = [key for key in metrics if key.startswith("val_")]
    return sorted(names, key=lambda key: key == "val_loss")


def _shown_metrics(metrics: dict[str, Any]) -> list[str]:
    """Training loss, validation loss and the first validation metric, as far as they are there."""
    losses = [key for key in ("train_loss", "val_loss") if key in metrics]
    return losses + [key for key in _validated(metrics) if key != "val_loss"][:1]


def _width(key: str) -> int:
    return max(10, len(key))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _epoch(state: Any) -> str:
    return f"epoch {state.epoch:>{len(str(state.epochs))}}/{state.epochs}"


def _stage_columns() -> list[Any]:
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    return [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn()]


def _run_columns(wide: bool) -> list[Any]:
    from rich.progress import BarColumn, TextColumn

    return [
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[phase]}", style="cyan"),
        *([TextColumn("{task.fields[rate]}", style="dim")] if wide else []),
        TextColumn("{task.fields[left]}"),
    ]
