"""Time of a step of every first-order optimizer over torch's foreach AdamW: 10⁷ parameters in 100 matrices, float32.

Muon is timed where ``--only`` names it: its 15 products of each matrix are 10¹¹ operations a step.

All share parameters and gradients; closures return at once, so what is timed is the rule alone (SAM's second gradient,
SVRG's two are not in it). Each round times every optimizer once, in turn; the ratio is the median over rounds of
its time over AdamW's in the same round. Fused AdamW stands beside.

    python bench/optimizers.py [--rounds 15] [--device cpu] [--only lion,lamb]
"""

import argparse
import statistics
import time

import torch
from torch import nn

from trainwell.optim import METHODS
from trainwell.optim.rules.adaptive_entries import ADAPTIVE
from trainwell.optim.rules.first_order_entries import FIRST_ORDER

TENSORS, SIDE = 100, 316
REFERENCE = "adamw (foreach)"
BOUND = 1.3


def optimizers(parameters: list[nn.Parameter], only: set[str]) -> dict[str, torch.optim.Optimizer]:
    """By name; torch's own in their foreach form."""
    found: dict[str, torch.optim.Optimizer] = {
        REFERENCE: torch.optim.AdamW(parameters, foreach=True),
        "adamw (fused)": torch.optim.AdamW(parameters, fused=True),
    }
    wanted = only or {*FIRST_ORDER, *ADAPTIVE} - {"muon"}
    for name, entry in METHODS.items():
        if entry.needs - {"closure", "full_gradient"} or entry.options.get("exact") or name not in wanted:
            continue
        options = {"fused": False} if entry.accepts("fused") else {}
        if entry.accepts("foreach"):
            options["foreach"] = True
        found[name] = entry([{"params": parameters}], 1e-6, **options)
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--only", default="")
    given = arguments.parse_args()
    device = torch.device(given.device)
    generator = torch.Generator().manual_seed(0)
    parameters = [nn.Parameter(torch.randn(SIDE, SIDE, generator=generator).to(device)) for _ in range(TENSORS)]
    gradients = [torch.randn(SIDE, SIDE, generator=generator).to(device) for _ in range(TENSORS)]

    def closure() -> torch.Tensor:
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g
        return gradients[0].new_zeros(())

    def seconds(optimizer: torch.optim.Optimizer) -> float:
        closure()
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        optimizer.step(closure if getattr(optimizer, "needs", None) else None)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    every = optimizers(parameters, set(filter(None, given.only.split(","))))
    for optimizer in every.values():
        if hasattr(optimizer, "anchor"):
            optimizer.param_groups[0]["period"] = 10**9
            optimizer.anchor(closure)
        seconds(optimizer)
        seconds(optimizer)
    times: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(given.rounds):
        for name, optimizer in every.items():
            times[name].append(seconds(optimizer))
    size = sum(p.numel() for p in parameters)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {size:,} parameters")
    print(f"{'method':26s} {'ms':>8s} {'ratio':>6s}")
    for name, found in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        ratio = statistics.median(a / b for a, b in zip(found, times[REFERENCE], strict=True))
        ours = name in METHODS and METHODS[name].place.startswith(".")
        note = f"  above {BOUND}" if ratio > BOUND and ours else ""
        print(f"{name:26s} {1e3 * statistics.median(found):8.2f} {ratio:6.2f}{note}")


if __name__ == "__main__":
    main()
