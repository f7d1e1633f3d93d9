"""The net waits for its data: time from the end of a step to the next forward, against the time of the whole step.

Half of it is waiting: the loop would be twice as fast with the data at hand. The median over the latest steps counts,
so that the begin of an epoch and a validation between epochs do not. On CUDA only steps before which the device was
waited for tell how long the data took.
"""

import statistics
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from trainwell.clinic.finding import WARNING, Finding
from trainwell.clinic.watching.alarming import found
from trainwell.clinic.watching.seen import Seen

HALF = 0.5
ENOUGH = 24  # steps: the median stands when fewer than half of them are not typical


class Alarm:
    """See the file's text."""

    BLIND = "waiting for data"

    def __init__(self) -> None:
        self._shares: deque[float] = deque(maxlen=ENOUGH)
        self._waits: deque[float] = deque(maxlen=ENOUGH)

    def step(self, seen: Seen) -> Iterator[Finding]:
        """Keep the shares, and judge their median."""
        window = seen.window
        if window.waited is None or not window.timed or not window.whole:
            return
        self._shares.append(window.waited / (time.perf_counter() - window.began))
        self._waits.append(window.waited)
        if len(self._shares) < ENOUGH or seen.step % 4 or "data-loading-bottleneck" in seen.spoken:
            return
        share = statistics.median(self._shares)
        if share >= HALF:
            seconds = statistics.median(self._waits)
            message = (
                f"{share:.0%} of a step's time ({1000 * seconds:.3g} ms) passes between the optimizer's step and the "
                f"next forward, where the loop waits for its data or does what is no training. {_advice(seen.loader)}"
            )
            evidence = {"share": share, "milliseconds": 1000 * seconds}
            yield found("data-loading-bottleneck", "the loader", message, evidence, 0.0, level=WARNING)


def _advice(loader: Any) -> str:
    if isinstance(loader, DataLoader):
        workers = loader.num_workers
        if not workers:
            return "The loader has no workers: try num_workers=2 or more, or keep decoded data in memory."
        return f"The loader has {workers} workers: try more of them, or decode once and keep the data in memory."
    return "Decode once and keep the data in memory, or load in other processes."
