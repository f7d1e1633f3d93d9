"""SIGINT and SIGTERM outside of a run: nothing is lost, so the process says one sentence and ends at once.

Inside a run ``trainwell.training.stopping`` takes the signals over, saves, and gives them back.
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from types import FrameType

SHOW_CURSOR = b"\x1b[?25h\n"


@contextlib.contextmanager
def before_training(as_json: bool, *, ending: bool = False) -> Iterator[None]:
    """End the process with 128 + signal number on SIGINT and SIGTERM while the block runs.

    Args:
        as_json: whether stdout is promised one JSON object, which is then the error.
        ending: ignore both signals afterwards instead of putting the handlers back.
    """

    def end(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        message, remedy = f"Stopped by {name} while nothing was being trained.", "Start it again when you like."
        if os.isatty(2):
            os.write(2, SHOW_CURSOR)
        os.write(2, f"{message} {remedy}\n".encode())
        if as_json:
            os.write(1, (json.dumps({"error": {"message": message, "remedy": remedy}}) + "\n").encode())
        os._exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if ending else handler)
