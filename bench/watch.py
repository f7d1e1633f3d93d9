"""Time of a step under ``tw.watch`` over the same step without it.

    OMP_NUM_THREADS=1 python bench/watch.py [--pairs 100] [--steps 10] [--only mlp]

One loop takes turns of so many steps, watched and not, the one first and then the other: the same net at the same place
in memory, and what the machine does besides falls on both. Prints for each case the sum of the watched turns' time over
that of the others, with the standard error of what each pair of turns says, first of the processor's time, which is
right on a busy machine with one thread, then of the clock's. At most 1.03 is promised. The first steps, which are
looked at closely whatever it costs, are in it. ``--null`` leaves the watch out on both sides: what the machine itself
adds.
"""

import argparse
import math
import statistics
import time

import torch
from torch import nn

import trainwell as tw
from trainwell import nn as parts


def cases() -> dict[str, tuple]:
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 10, (1024,), generator=generator)
    pixels = torch.rand(1024, 784, generator=generator)
    images = torch.rand(1024, 3, 32, 32, generator=generator)
    series = torch.randn(1024, 32, 16, generator=generator)
    return {
        "mlp 784-512-512-10, batch 128, adamw": (
            lambda: parts.mlp((784,), 10, width=512, depth=2), pixels, classes, 128, torch.optim.AdamW,
        ),
        "cnn 3x32x32, batch 64, adamw": (
            lambda: parts.cnn((3, 32, 32), 10), images, classes, 64, torch.optim.AdamW,
        ),
        "transformer 32 tokens of 128, batch 32, adamw": (
            lambda: parts.transformer((32, 16), 10), series, classes, 32, torch.optim.AdamW,
        ),
    }  # fmt: skip


class Loop:
    """The usual loop over one case, some steps at a time."""

    def __init__(self, make, x, y, batch, method) -> None:
        torch.manual_seed(0)
        self.net, self.loss_fn = make(), nn.CrossEntropyLoss()
        self.x, self.y, self.batch, self.step = x, y, batch, 0
        self.optimizer = method(self.net.parameters(), lr=1e-3)
        self.watch = tw.watch(self.net, self.optimizer, loss=self.loss_fn)

    def turn(self, steps: int, watched: bool) -> tuple[float, float]:
        """Take so many steps; seconds of the processor and of the clock."""
        if watched:
            self.watch.start()
        used, began = time.process_time(), time.perf_counter()
        for _ in range(steps):
            at = self.step * self.batch % len(self.x)
            self.optimizer.zero_grad()
            loss = self.loss_fn(self.net(self.x[at : at + self.batch]), self.y[at : at + self.batch])
            loss.backward()
            self.optimizer.step()
            self.step += 1
        took = time.process_time() - used, time.perf_counter() - began
        self.watch.stop()
        return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100, help="of turns")
    parser.add_argument("--steps", type=int, default=10, help="of one turn")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--null", action="store_true", help="no watch on either side")
    asked = parser.parse_args()
    for name, case in cases().items():
        if asked.only not in name:
            continue
        Loop(*case).turn(5, watched=True)
        loop, turns = Loop(*case), []
        for number in range(asked.pairs):
            order = (False, True) if number % 2 else (True, False)
            took = {watched: loop.turn(asked.steps, watched and not asked.null) for watched in order}
            turns.append((*took[True], *took[False]))
        processor, clock = ([(row[i], row[i + 2]) for row in turns] for i in (0, 1))
        step = 1000 * statistics.median(row[3] for row in turns) / asked.steps
        told = "" if asked.null else f"; own clock {loop.watch.pace.part:.2%}, {loop.watch.pace.looks} looks"
        print(f"{name}: processor {ratio(processor)}, clock {ratio(clock)}; {step:.2f} ms a step{told}", flush=True)


def ratio(pairs: list[tuple[float, float]]) -> str:
    """Ratio of the sums, and its standard error from the pairs' residuals."""
    watched, bare = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    found = watched / bare
    off = math.fsum((a - found * b) ** 2 for a, b in pairs)
    return f"{found:.3f} ± {math.sqrt(off) / bare:.3f}"


if __name__ == "__main__":
    main()
