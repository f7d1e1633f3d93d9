"""What a run writes while it runs: ``metrics.jsonl`` (no clock times), ``timing.jsonl`` and ``log.txt``.

``metrics.jsonl`` has one JSON object a line with an ``event``: ``step`` (step, epoch, loss, lr, grad_norm), ``epoch``
(epoch, step, train_loss, val_…, lr, best), ``stepped_back`` (from_step, to_step, factor) and ``final`` (part,
metrics). Equal
runs write equal bytes; a resumed run cuts the file back to where its checkpoint was made.
"""

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from trainwell.errors import InputError, JobError


def plain(value: Any) -> Any:
    """The value for JSON: numbers that JSON cannot say become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


class Journal:
    """The three files of a run folder; without a folder nothing is written."""

    def __init__(self, folder: Path | None) -> None:
        self._files: dict[str, BinaryIO] = {}
        self._folder = folder
        self.lines: list[dict[str, Any]] = []  # what metrics.jsonl holds
        if folder:
            try:
                for name in ("metrics.jsonl", "timing.jsonl", "log.txt"):
                    self._files[name] = open(folder / name, "r+b" if (folder / name).exists() else "w+b")  # noqa: SIM115
                    self._files[name].seek(0, os.SEEK_END)
            except OSError as error:
                raise JobError(
                    f"{folder} cannot be written: {error.strerror}.", "Name another folder with -o."
                ) from error

    def metrics(self, event: str, **values: Any) -> None:
        """A line of ``metrics.jsonl``."""
        line = {"event": event, **plain(values)}
        self.lines.append(line)
        self._append("metrics.jsonl", json.dumps(line, allow_nan=False))

    def timing(self, event: str, **values: Any) -> None:
        """A line of ``timing.jsonl``, with the clock time."""
        self._append("timing.jsonl", json.dumps({"event": event, "clock": round(time.time(), 3), **plain(values)}))

    def log(self, text: str) -> None:
        """A line of ``log.txt``, with the clock time."""
        self._append("log.txt", f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")

    def position(self) -> int:
        """Bytes of ``metrics.jsonl`` so far, or its lines where there is no folder."""
        return self._files["metrics.jsonl"].tell() if self._files else len(self.lines)

    def sync(self) -> None:
        """Make sure that the disk has what ``position`` counts."""
        if self._files:
            with self._written("metrics.jsonl"):
                os.fsync(self._files["metrics.jsonl"].fileno())

    def rewind(self, position: int) -> None:
        """Cut ``metrics.jsonl`` back to a position of before.

        Raises:
            InputError: if the file does not reach that far or holds something else; it is left as it is.
        """
        if not self._files:
            del self.lines[position:]
            return
        file = self._files["metrics.jsonl"]
        file.seek(0)
        content = file.read(position)
        try:
            lines = [json.loads(line) for line in content.splitlines()]
        except ValueError:  # not JSON, or not even UTF-8
            lines = None
        if lines is None or len(content) < position:
            raise InputError(
                f"{self._folder}: metrics.jsonl does not fit the checkpoint, which was made at its byte {position}.",
                "Restore it from a copy of the run, or train anew.",
            )
        self.lines = lines
        with self._written("metrics.jsonl"):
            file.truncate(position)
        file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            with suppress(OSError):  # what a full disk did not take was reported when it was written
                file.close()
        self._files = {}

    def _append(self, name: str, text: str) -> None:
        if not self._files:
            return
        with self._written(name):
            self._files[name].write(text.encode() + b"\n")
            self._files[name].flush()

    @contextmanager
    def _written(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JobError(
                f"{self._folder}: {name} could not be written: {error.strerror}.",
                "Make room and run `trainwell resume` on the folder; its last checkpoint is untouched.",
            ) from error
