"""Time of a step under ``tw.watch`` over the same step without it.

    python bench/watch.py [--rounds 9] [--steps 150]

Prints one ratio a case: the median over rounds of (seconds with the watch / seconds without), both of the same loop,
in turns, on nets of their own. At most 1.03 is promised. The second ratio is that of the processor's time, which says
the same on a quiet machine with one thread and can be trusted on a busy one. Each round starts a new watch, so that the
first steps, which are looked at closely whatever it costs, are in the time. ``--null`` leaves the watch out on both
sides: what the machine itself adds.
"""

import argparse
import statistics
import time
from contextlib import nullcontext

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


def seconds(make, x, y, batch, method, steps: int, watched: bool) -> tuple[float, float, object]:
    """Wall and processor time of so many steps of the usual loop, and the watch."""
    torch.manual_seed(0)
    net, loss_fn = make(), nn.CrossEntropyLoss()
    optimizer = method(net.parameters(), lr=1e-3)
    watch = tw.watch(net, optimizer, loss=loss_fn) if watched else nullcontext()
    begin, used = time.perf_counter(), time.process_time()
    with watch:
        for step in range(steps):
            at = step * batch % len(x)
            optimizer.zero_grad()
            loss = loss_fn(net(x[at : at + batch]), y[at : at + batch])
            loss.backward()
            optimizer.step()
    return time.perf_counter() - begin, time.process_time() - used, watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--null", action="store_true", help="no watch on either side")
    asked = parser.parse_args()
    for name, case in cases().items():
        if asked.only not in name:
            continue
        seconds(*case, 5, True)
        ratios, used, bare, watch = [], [], [], None
        for number in range(asked.rounds):
            order = (False, True) if number % 2 else (True, False)
            took = {watched: seconds(*case, asked.steps, watched and not asked.null) for watched in order}
            ratios.append(took[True][0] / took[False][0])
            used.append(took[True][1] / took[False][1])
            bare.append(1000 * took[False][0] / asked.steps)
            watch = took[True][2]
        told = "" if asked.null else f"; own clock {watch.pace.part:.2%}, {watch.pace.looks} looks"
        step = f"{statistics.median(bare):.2f} ms a step"
        print(f"{name}: {spread(ratios)}; processor {spread(used)}; {step}{told}", flush=True)


def spread(ratios: list[float]) -> str:
    """Median and range in words."""
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


if __name__ == "__main__":
    main()
