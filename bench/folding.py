"""Latency of ResNet-20 with its normalizations folded over that with them, one thread, interleaved runs.

    python bench/folding.py [--rounds 41]

One line a batch size: the median over rounds of (folded seconds / unfolded seconds), both measured in the same round,
in turns that swap from round to round; and the same for the net that never had normalizations, which has exactly the
operations of the folded one (tests/nn/models/test_resnet.py counts them): its ratio to the folded one should be 1.
"""

import argparse
import statistics
import time

import torch
from torch import nn

from trainwell.nn import fold_batchnorm, resnet20


def seconds(model: nn.Module, x: torch.Tensor) -> float:
    start = time.perf_counter()
    model(x)
    return time.perf_counter() - start


@torch.inference_mode()
def ratios(models: dict[str, nn.Module], x: torch.Tensor, rounds: int) -> dict[str, float]:
    """Median over rounds of each model's seconds over those of the model ``normalized``."""
    found: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        seconds(model, x)  # warm up
    for index in range(rounds):
        order = list(models) if index % 2 else list(models)[::-1]
        taken = {name: seconds(models[name], x) for name in order}
        for name in models:
            found[name].append(taken[name] / taken["normalized"])
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=41)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    normalized = resnet20((3, 32, 32), 10).eval()
    models = {
        "normalized": normalized,
        "folded": fold_batchnorm(normalized),
        "never normalized": resnet20((3, 32, 32), 10, norm="none").eval(),
    }
    for batch in (1, 32):
        found = ratios(models, torch.randn(batch, 3, 32, 32), rounds)
        print(
            f"batch {batch}: folded / normalized {found['folded']:.3f}, "
            f"never normalized / normalized {found['never normalized']:.3f}"
        )


if __name__ == "__main__":
    main()
