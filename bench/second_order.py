"""Steps and seconds to the same training loss: stochastic second-order methods against tuned SGD-momentum and Adam.

    TRAINWELL_DATA=… OMP_NUM_THREADS=1 python bench/second_order.py [--problems regression,digits,autoencoder,deep_tanh]
                                                                    [--methods kfac,soap] [--seeds 3]

Every method starts from the same weights, sees the same batches in the same order, keeps a constant rate, and is tuned
with the same effort: the nine rates 3e-4 … 3 (by √10) run for a fifth of the steps, the best three to the end. All else
is the method's default. The target is the lowest training loss (of a fixed part of the training set) that the better of
SGD-momentum and Adam reaches within the budget; a method's score is its first look, every ``every`` steps, at or below
it, at its best rate. Further seeds (start and order) keep the rates. Seconds are those of the steps alone.

Problems: an MNIST autoencoder 784-256-64-16-64-256-784 (tanh, mean binary cross-entropy, 3000 images, batch 200);
regression on 20 features whose covariance has κ = 10⁴ by a tanh network (2000 samples, batch 200); scikit-learn's
digits by a convolutional network (batch 128). ``deep_tanh``, which nothing was tuned on: MNIST's classes by a tanh
network of nine layers, 3000 images, batch 200; it runs where it is named.
"""

import argparse
import copy
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.data import load
from trainwell.optim import METHODS, Closure

RATES = [round(3.1622776601683795e-4 * 10 ** (i / 2), 6) for i in range(9)]
BASELINES = {"sgd": lambda model, lr: METHODS["sgd"](model, lr), "adam": lambda model, lr: METHODS["adam"](model, lr)}
SECOND = ["kfac", "ekfac", "shampoo", "soap", "subsampled_newton_cg", "stochastic_trust_region", "sqn", "olbfgs",
          "adahessian", "sophia"]  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A start, its data and loss, and the budget of steps."""

    model: nn.Module
    x: Tensor
    y: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    batch: int
    steps: int
    every: int

    def batches(self, seed: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield from torch.randperm(len(self.x), generator=generator)[: len(self.x) // self.batch * self.batch].split(
                self.batch
            )

    def look(self, model: nn.Module) -> float:
        with torch.no_grad():
            return float(self.loss(model(self.x[:1000]), self.y[:1000]))


@dataclass(frozen=True)
class Trace:
    """Training losses at every look, and the seconds of the steps until then."""

    losses: list[float]
    seconds: list[float]

    def first_below(self, target: float) -> int | None:
        return next((i for i, loss in enumerate(self.losses) if loss <= target), None)


def run(problem: Problem, make: Callable, lr: float, steps: int, seed: int, target: float = -1.0) -> Trace:
    """Train a copy of the start; ends early at the target, or where the loss is lost."""
    model = copy.deepcopy(problem.model)
    optimizer = make(model, lr)
    needs = getattr(optimizer, "needs", frozenset())
    trace, seconds, start = Trace([], []), 0.0, problem.look(model)
    for step, index in zip(range(1, steps + 1), problem.batches(seed), strict=False):
        closure = Closure.of(model, problem.loss, problem.x[index], problem.y[index])
        begin = time.perf_counter()
        try:
            if needs & {"closure", "outputs"}:
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()
        except RuntimeError:
            break
        seconds += time.perf_counter() - begin
        if step % problem.every == 0:
            trace.losses.append(problem.look(model))
            trace.seconds.append(seconds)
            if not trace.losses[-1] < 3 * start or trace.losses[-1] <= target:
                break
    return trace


def tuned(problem: Problem, make: Callable, target: float = -1.0) -> tuple[float, Trace]:
    """The best rate and its trace: by steps to the target, then by the lowest loss."""

    def key(trace: Trace) -> tuple[float, float]:
        hit = trace.first_below(target)
        return (np.inf if hit is None else hit, min(trace.losses, default=np.inf))

    short = {lr: run(problem, make, lr, problem.steps // 5, 0, target) for lr in RATES}
    best = sorted(RATES, key=lambda lr: key(short[lr]))[:3]
    whole = {lr: run(problem, make, lr, problem.steps, 0, target) for lr in best}
    lr = min(best, key=lambda lr: key(whole[lr]))
    return lr, whole[lr]


def regression(seed: int) -> Problem:
    torch.manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(20, 20))
    z = torch.randn(2000, 20)
    x = (z * torch.logspace(0, -2, 20)) @ basis.T  # covariance with κ = 10⁴; the target sees all directions alike
    y = (torch.tanh(z @ torch.randn(20, 5) / 20**0.5) @ torch.randn(5, 1)) / 5**0.5
    model = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), nn.Linear(64, 1))
    return Problem(model, x, y, nn.MSELoss(), 200, 1500, 10)


def digits(seed: int) -> Problem:
    from sklearn.datasets import load_digits

    torch.manual_seed(seed)
    images, labels = load_digits(return_X_y=True)
    x = torch.from_numpy(images).float().reshape(-1, 1, 8, 8) / 8 - 1
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    order = torch.randperm(len(x))
    return Problem(model, x[order], torch.from_numpy(labels)[order], nn.CrossEntropyLoss(), 128, 150, 2)


def autoencoder(seed: int) -> Problem:
    torch.manual_seed(seed)
    dataset = load(str(Path(os.environ["TRAINWELL_DATA"]) / "mnist"))
    rows = dataset.splits.train[:3000]
    x = torch.from_numpy(np.ascontiguousarray(dataset.X[rows])).float().flatten(1) / 255
    widths = [784, 256, 64, 16, 64, 256, 784]
    layers: list[nn.Module] = []
    for i in range(6):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.Tanh()]
        nn.init.xavier_normal_(layers[-2].weight)

    return Problem(nn.Sequential(*layers[:-1]), x, x, nn.BCEWithLogitsLoss(), 200, 200, 5)


def deep_tanh(seed: int) -> Problem:
    torch.manual_seed(seed)
    dataset = load(str(Path(os.environ["TRAINWELL_DATA"]) / "mnist"))
    rows = dataset.splits.train[-3000:]
    x = torch.from_numpy(np.ascontiguousarray(dataset.X[rows])).float().flatten(1) / 255
    widths = [784, *[48] * 8, 10]
    layers: list[nn.Module] = []
    for i in range(9):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.Tanh()]
        nn.init.xavier_normal_(layers[-2].weight)
    y = torch.from_numpy(np.asarray(dataset.y)[rows])
    return Problem(nn.Sequential(*layers[:-1]), x, y, nn.CrossEntropyLoss(), 200, 200, 5)


def compare(name: str, make_problem: Callable[[int], Problem], methods: list[str], seeds: int) -> None:
    begin = time.perf_counter()
    problem = make_problem(0)
    bases = {key: tuned(problem, make) for key, make in BASELINES.items()}
    target = min(min(trace.losses) for _, trace in bases.values())
    print(f"\n{name}: training loss {problem.look(problem.model):.4g} -> target {target:.4g}", flush=True)
    print(f"{'method':24}{'rate':>9}{'steps':>8}{'seconds':>9}{'ms a step':>11}   steps of further seeds", flush=True)
    makes = {**BASELINES, **{m: lambda model, lr, m=m: METHODS[m](model, lr) for m in methods}}
    for key, make in makes.items():
        lr, trace = bases[key] if key in bases else tuned(problem, make, target)
        again = []
        for seed in range(1, seeds):
            other = make_problem(seed)
            limit = other_target(other, bases, seed)
            hit = run(other, make, lr, other.steps, seed, limit).first_below(limit)
            again.append("–" if hit is None else str((hit + 1) * other.every))
        hit = trace.first_below(target)
        each = 1e3 * trace.seconds[-1] / (len(trace.seconds) * problem.every) if trace.seconds else float("nan")
        steps = f"> {problem.steps}" if hit is None else str((hit + 1) * problem.every)
        seconds = "–" if hit is None else f"{trace.seconds[hit]:.2f}"
        print(f"{key:24}{lr:9.2g}{steps:>8}{seconds:>9}{each:11.1f}   {', '.join(again)}", flush=True)
    print(f"({time.perf_counter() - begin:.0f} s)", flush=True)


_targets: dict[tuple[int, int], float] = {}


def other_target(problem: Problem, bases: dict[str, tuple[float, Trace]], seed: int) -> float:
    """The target of another seed: the better baseline at the rates found with the first."""
    key = (problem.steps, seed)
    if key not in _targets:
        traces = [run(problem, BASELINES[name], lr, problem.steps, seed) for name, (lr, _) in bases.items()]
        _targets[key] = min(min(trace.losses) for trace in traces if trace.losses)
    return _targets[key]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", default="regression,digits,autoencoder")
    parser.add_argument("--methods", default=",".join(SECOND))
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    known = {"regression": regression, "digits": digits, "autoencoder": autoencoder, "deep_tanh": deep_tanh}
    for name in arguments.problems.split(","):
        compare(name, known[name], arguments.methods.split(","), arguments.seeds)


if __name__ == "__main__":
    main()
