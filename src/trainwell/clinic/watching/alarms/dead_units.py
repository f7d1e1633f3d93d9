"""Rectified units that are zero on all samples of the latest looks, and stay so.

A unit that is active on a share p of the samples is zero on n of them with probability (1 − p)^n, so the latest looks
are put together until every unit was seen on ``SAMPLES`` samples or positions: at p = 1 % that is 8 %.
``DEAD`` is measured (``bench/watch_suite.py``): the worst layer of 109 healthy or repaired programs of the suite
has 50 % (eight units wide, thirty layers deep), most have below 10 %; programs whose units die end at 100 %. In the
held-out half, which was not used to choose, the worst of 115 has 58 %.
"""

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from trainwell.clinic.finding import Finding
from trainwell.clinic.watching.alarming import found
from trainwell.clinic.watching.look import Look
from trainwell.clinic.watching.seen import Seen

SAMPLES, LOOKS = 256, 3
DEAD = 0.8


class Alarm:
    """See the file's text."""

    BLIND = "units that die"

    def __init__(self) -> None:
        self._layers: dict[str, deque[tuple[Tensor, int]]] = {}
        self._first: dict[str, float] = {}

    def look(self, seen: Seen) -> Iterator[Finding]:
        """Put the latest looks together, and judge the worst layer."""
        assert seen.look is not None
        shares = self.shares(seen.look)
        for path, share in shares.items():
            self._first.setdefault(path, share)
        worst = max(shares, key=lambda path: shares[path], default="")
        if not worst or shares[worst] < DEAD:
            return
        first, others = self._first[worst], sum(share >= DEAD for share in shares.values()) - 1
        grown = f", up from {first:.0%}" if shares[worst] > first + 0.05 else ""
        message = (
            f"{shares[worst]:.0%} of the units that {worst} reads are zero on all samples of the latest looks{grown}"
            f"{f' (and so it is for {others} more layers)' if others else ''}: no gradient reaches what makes them. "
            "Try a smaller rate, biases at zero or a leaky ReLU."
        )
        yield found("dead-relu", worst, message, {"dead share": shares[worst], "at first": first}, 0.3 * shares[worst])

    def shares(self, look: Look) -> dict[str, float]:
        """Share of dead units by layer, for layers that were seen often enough."""
        shares = {}
        for zeros in look.zeros:
            kept = self._layers.setdefault(zeros.path, deque())
            if kept and kept[0][0].shape != zeros.dead.shape:
                kept.clear()
            kept.append((zeros.dead, zeros.samples))
            while len(kept) > LOOKS and sum(samples for _, samples in kept) - kept[0][1] >= SAMPLES:
                kept.popleft()
            if len(kept) >= LOOKS and sum(samples for _, samples in kept) >= SAMPLES:
                shares[zeros.path] = float(torch.stack([dead for dead, _ in kept]).all(0).double().mean())
        return shares
