"""Stopping by a signal without losing the run.

While :func:`listening` is active, SIGINT and SIGTERM raise :class:`Stopped` at once, except inside :func:`shielded`
(a training step, a save), where the wish is noted and the loop asks for it by :func:`check` when its state is whole.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class Stopped(KeyboardInterrupt):
    """The run was stopped by a signal after saving; ``signum`` says which, ``folder`` where it can be resumed."""

    def __init__(self, signum: int, folder: Path | None = None) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
        self.folder = folder


_wished: int | None = None
_shields = 0
_listening = False
_presses = 0


def _on_signal(signum: int, _frame: FrameType | None) -> None:
    global _wished, _presses
    _presses += 1
    if _presses > 3:  # somebody insists: what was saved last stays good, saves are atomic
        os._exit(128 + signum)
    _wished = signum
    if _shields == 0:
        raise Stopped(signum)


@contextmanager
def listening() -> Iterator[None]:
    """Take over SIGINT and SIGTERM for the time of a run; does nothing when nested or outside the main thread."""
    global _wished, _listening, _presses
    if _listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    _wished, _listening, _presses = None, True, 0
    try:
        for number in before:
            signal.signal(number, _on_signal)
        yield
    finally:
        _listening, _wished = False, None
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shielded() -> Iterator[None]:
    """Let no signal interrupt this block; nothing is raised at its end either, see :func:`check`."""
    global _shields
    _shields += 1
    try:
        yield
    finally:
        _shields -= 1


@contextmanager
def exposed() -> Iterator[None]:
    """Inside a shield, let signals interrupt this block after all: it changes nothing that would be lost."""
    global _shields
    before, _shields = _shields, 0
    try:
        check()
        yield
    finally:
        _shields = before


def wished() -> bool:
    """Has a signal asked to stop?"""
    return _wished is not None


def check(folder: Path | None = None) -> None:
    """Raise :class:`Stopped` if a signal came during a shield; ``folder`` is where the run can be resumed."""
    if _wished is not None:
        raise Stopped(_wished, folder)
