"""Labelled loss curves for ``optim.read_curve``, and how often it reads them right on those kept out of its tuning.

    OMP_NUM_THREADS=1 python bench/read_curve.py [--save tests/optim/held_out_curves.npz]

Twelve problems (quadratics, regression with noise, logistic and softmax regression, networks, a convolution, a
recurrence, an autoencoder) × gradient descent, SGD, momentum, Adam × rates over six decades × seeds. All rates and
seeds of a problem are trained at once as a batch of copies (``torch.func.vmap``): 120 s of one core. Measured: 1535 of
1588 runs kept out are read right, of those of problems never seen 750 of 788.

The label of a run comes from its construction alone: its rate η against the measured best rate η* of that problem,
method and seed (lowest loss of all data at the end) and against the divergence threshold η₀ (the first rate of the grid
above η* that ends no lower than it began). With D the descent of the loss of all data as a share of the best run's:

    too-high       η ≥ η₀ and the run ends no lower than it began
    high           η > 3 η*, η₀ / 3 ≤ η < η₀, D ≤ 0.8
    noisy plateau  η > 3 η*, η ≤ η₀ / 5, D ≤ 0.95, the loss of all data has been level for half of the run, and more
                   than half of what is lost against the best is regained at a twentieth of the rate (the floor of O02)
    good           η* / 2.5 ≤ η ≤ 1.1 η*, D ≥ 0.97
    too-low        η ≤ η* / 8, D ≤ 0.6

Runs that are none of these lie between two labels and have none. The reader sees the losses of the batches only.
The problems ``HELD_OUT`` and the odd seeds of the others were kept out when the reader's numbers were chosen.
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F

from trainwell.optim.curve_reading import LABELS, read_curve

HELD_OUT = {"ill-conditioned", "autoencoder", "recurrence", "noisy regression, large batch"}
LOOKS = 20  # at the loss of all data, over a run
BATCHED = ("sgd", "momentum", "adam")


@dataclass(frozen=True)
class Problem:
    """Data (x, y), a net for a seed and a loss of its output; ``batch`` 0 takes all data at every step."""

    name: str
    x: Tensor
    y: Tensor
    net: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    methods: tuple[str, ...] = BATCHED
    batch: int = 32
    steps: int = 200
    seeds: int = 4


@dataclass(frozen=True)
class Labelled:
    """One run: its losses, its rate and its label by construction ("" between two labels)."""

    problem: str
    method: str
    seed: int
    rate: float
    losses: np.ndarray
    label: str

    @property
    def held_out(self) -> bool:
        """Was it kept out of the tuning?"""
        return self.problem in HELD_OUT or self.seed % 2 == 1


class Point(nn.Module):
    """A vector w; its output for a sample a is √λ (w − a), so that the loss is a quadratic of eigenvalues λ."""

    def __init__(self, eigenvalues: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(len(eigenvalues)))
        self.register_buffer("root", eigenvalues.sqrt())

    def forward(self, a: Tensor) -> Tensor:
        return self.root * (self.w - a)


class Recurrence(nn.Module):
    """A tanh recurrence of 16 units over the rows of an image, read out at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.turn, self.leave = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(16)
        for row in x.reshape(-1, 8, 8).unbind(1):
            h = torch.tanh(self.enter(row) + self.turn(h))
        return self.leave(h)


def half_square(output: Tensor, target: Tensor) -> Tensor:
    """Mean over samples of ½ Σ (output − target)²."""
    return 0.5 * (output - target).square().sum(-1).mean()


def quadratic(name: str, d: int, kappa: float, noise: float, **options: Any) -> Problem:
    """½ Σ λᵢ (wᵢ − aᵢ)² with λ from 1 to 1/κ; samples a ∼ N(0, noise²)."""
    eigenvalues = torch.logspace(0, -math.log10(kappa), d)
    a = noise * torch.randn(512, d)
    a = a - a.mean(0)
    return Problem(name, a, torch.zeros(512, d), lambda: Point(eigenvalues), half_square, **options)


def regression(name: str, d: int, noise: float, **options: Any) -> Problem:
    """Least squares on Gaussian inputs with noisy labels, from w = 0."""
    x = torch.randn(1024, d)
    y = x @ torch.randn(d, 1) * (3 / d) ** 0.5 + noise * torch.randn(1024, 1)

    def net() -> nn.Module:
        layer = nn.Linear(d, 1, bias=False)
        nn.init.zeros_(layer.weight)
        return layer

    return Problem(name, x, y, net, half_square, **options)


def problems() -> list[Problem]:
    """The twelve."""
    torch.manual_seed(0)
    digits = load_digits()
    x, y = torch.tensor(digits.data / 16 - 0.3, dtype=torch.float32)[:1024], torch.tensor(digits.target)[:1024]
    cancer, sick = load_breast_cancer(return_X_y=True)
    cancer = torch.tensor((cancer - cancer.mean(0)) / cancer.std(0), dtype=torch.float32)
    body, progress = load_diabetes(return_X_y=True)
    body = torch.tensor(body / body.std(0), dtype=torch.float32)
    progress = torch.tensor((progress - progress.mean()) / progress.std(), dtype=torch.float32)[:, None]
    full = ("gd", "momentum", "adam")

    def binary(output: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output[:, 0], target)

    def mlp(inputs: int, outputs: int, width: int = 32) -> Callable[[], nn.Module]:
        return lambda: nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                                     nn.Linear(width, outputs))  # fmt: skip

    def cnn() -> nn.Module:
        return nn.Sequential(nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1),
                             nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))  # fmt: skip

    def autoencoder() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 8), nn.Linear(8, 32), nn.Tanh(),
                             nn.Linear(32, 64))  # fmt: skip

    labels = torch.tensor(sick, dtype=torch.float32)
    entropy = F.cross_entropy
    return [
        quadratic("well-conditioned", 10, 4.0, 0.0, methods=full, batch=0, steps=120),
        quadratic("ill-conditioned", 20, 300.0, 0.0, methods=full, batch=0, steps=300),
        quadratic("noisy quadratic", 40, 10.0, 0.7, batch=16, steps=500),
        regression("noisy regression", 50, 1.0, batch=32, steps=600),
        regression("noisy regression, large batch", 100, 1.0, batch=64, steps=500),
        Problem("logistic regression", cancer, labels, lambda: nn.Linear(30, 1), binary, full, 0, 200),
        Problem("softmax regression", x, y, lambda: nn.Linear(64, 10), entropy, batch=32, steps=400),
        Problem("mlp", x, y, mlp(64, 10), entropy, batch=64, steps=300),
        Problem("cnn", x.reshape(-1, 8, 8), y, cnn, entropy, batch=64, steps=200, seeds=2),
        Problem("diabetes mlp", body, progress, mlp(10, 1), half_square, batch=64, steps=300),
        Problem("autoencoder", x, x, autoencoder, half_square, batch=32, steps=300),
        Problem("recurrence", x, y, Recurrence, entropy, batch=32, steps=250, seeds=2),
    ]


class Rule:
    """Gradient descent, heavy ball (0.9) or Adam of many copies with a rate each."""

    def __init__(self, method: str, weights: dict[str, Tensor], rates: Tensor) -> None:
        self.method, self.weights, self.t = method, weights, 0
        self.rates = {k: rates.reshape(1, -1, *[1] * (w.dim() - 2)) for k, w in weights.items()}
        self.m = {k: torch.zeros_like(w) for k, w in weights.items()}
        self.v = {k: torch.zeros_like(w) for k, w in weights.items()}

    def move(self, gradients: dict[str, Tensor], factor: float) -> None:
        self.t += 1
        for k, g in gradients.items():
            step = g
            if self.method == "momentum":
                step = self.m[k].mul_(0.9).add_(g)
            elif self.method == "adam":
                self.m[k].lerp_(g, 0.1)
                self.v[k].lerp_(g.square(), 0.001)
                step = self.m[k] / (1 - 0.9**self.t) / ((self.v[k] / (1 - 0.999**self.t)).sqrt() + 1e-8)
            self.weights[k].sub_(self.rates[k] * step, alpha=factor)


def train(problem: Problem, method: str, rates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Losses (seeds, rates, steps) of the batches; of all data over the run (…, LOOKS + 1), and after a twentieth."""
    starts, streams = [], []
    for seed in range(problem.seeds):
        torch.manual_seed(1000 + seed)
        net = problem.net()
        starts.append(net)
        streams.append(torch.Generator().manual_seed(seed))
    stacked, buffers = stack_module_state(starts)
    buffers = {k: b[0] for k, b in buffers.items()}
    weights = {k: w.detach().unsqueeze(1).repeat(1, len(rates), *[1] * (w.dim() - 1)) for k, w in stacked.items()}
    net = starts[0].to("meta")

    def loss(w: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return problem.loss(functional_call(net, (w, buffers), (x,)), y)

    slope = vmap(vmap(grad_and_value(loss), (0, None, None)), (0, 0, 0))
    slope_of_all = vmap(vmap(grad_and_value(loss), (0, None, None)), (0, None, None))
    whole = vmap(vmap(loss, (0, None, None)), (0, None, None))
    rule, losses, looks = Rule(method, weights, rates), [], [whole(weights, problem.x, problem.y)]
    every = problem.steps // LOOKS
    for step in range(problem.steps + problem.steps // 2):
        after = step >= problem.steps
        if problem.batch:
            index = torch.stack([torch.randperm(len(problem.x), generator=s)[: problem.batch] for s in streams])
            gradients, values = slope(weights, problem.x[index], problem.y[index])
        else:
            gradients, values = slope_of_all(weights, problem.x, problem.y)
        rule.move(gradients, 0.05 if after else 1.0)
        if not after:
            losses.append(values)
            if (step + 1) % every == 0:
                looks.append(whole(weights, problem.x, problem.y))
    return torch.stack(losses, -1), torch.stack(looks, -1), whole(weights, problem.x, problem.y)


def label_of(rates: np.ndarray, looks: np.ndarray, cooled: np.ndarray) -> list[str]:
    """The labels of the runs of one problem, method and seed; shapes (R,), (R, LOOKS + 1), (R,)."""
    start = looks[:, 0]
    end = np.where(np.isfinite(looks).all(1), looks[:, -3:].mean(1), np.inf)
    failed = ~(end < start)
    best = int(np.argmin(end))
    threshold = rates[min([i for i in range(best, len(rates)) if failed[i]], default=len(rates) - 1)]
    descent = (start - end) / (start - end[best])
    labels = []
    lowest = min(end[best], cooled.min())
    for i, rate in enumerate(rates):
        label = ""
        if failed[i]:
            labels.append("too-high" if rate >= threshold else "")
            continue
        level = abs(looks[i, 10:15].mean() - looks[i, 16:].mean()) <= 0.1 * (start[i] - end[i])
        regained = (end[i] - cooled[i]) / max(end[i] - lowest, 1e-30)
        if rate >= threshold:
            label = ""
        elif rate <= rates[best] / 8 and descent[i] <= 0.6:
            label = "too-low"
        elif rates[best] / 2.5 <= rate <= 1.1 * rates[best] and descent[i] >= 0.97:
            label = "good"
        elif rate > 3 * rates[best] and descent[i] <= 0.95:
            if rate <= threshold / 5 and level and regained > 0.5:
                label = "noisy plateau"
            elif rate >= threshold / 3 and descent[i] <= 0.8:
                label = "high"
        labels.append(label)
    return labels


def runs(report: Callable[[str], None] = lambda text: None) -> list[Labelled]:
    """All runs of all problems."""
    rates = torch.logspace(-4.2, 1.8, 31)
    found = []
    for problem in problems():
        for method in problem.methods:
            began = time.perf_counter()
            scaled = rates * (0.1 if method == "adam" else 1.0)
            losses, looks, cooled = (t.double().numpy() for t in train(problem, method, scaled))
            labels = []
            for seed in range(problem.seeds):
                mine = label_of(scaled.numpy(), looks[seed], np.nan_to_num(cooled[seed], nan=np.inf))
                labels += mine
                for i, label in enumerate(mine):
                    found.append(Labelled(problem.name, method, seed, float(scaled[i]), losses[seed, i], label))
            counts = Counter(labels)
            report(f"{problem.name:30s} {method:9s} {time.perf_counter() - began:5.1f} s  {dict(counts)}")
    return found


def confusion(part: list[Labelled]) -> np.ndarray:
    """Runs by label (rows) and by reading (columns), in the order of ``LABELS``."""
    table = np.zeros((len(LABELS), len(LABELS)), dtype=int)
    for run in part:
        table[LABELS.index(run.label), LABELS.index(read_curve(run.losses).label)] += 1
    return table


def show(title: str, part: list[Labelled]) -> None:
    """Print accuracy and confusion matrix."""
    table = confusion(part)
    print(f"\n{title}: {table.trace()} of {table.sum()} right, {table.trace() / table.sum():.1%}")
    print(f"{'built as':>14s} " + " ".join(f"{name:>13s}" for name in LABELS) + "  recall")
    for name, row in zip(LABELS, table, strict=True):
        share = row[LABELS.index(name)] / max(1, row.sum())
        print(f"{name:>14s} " + " ".join(f"{n:13d}" for n in row) + f"  {share:.2f}")


def save(path: Path, part: list[Labelled], count: int = 220) -> None:
    """Every so many of the runs, evenly, as float32."""
    chosen = [part[i] for i in np.linspace(0, len(part) - 1, count).round().astype(int)]
    np.savez_compressed(
        path,
        losses=np.concatenate([run.losses for run in chosen]).astype(np.float32),
        lengths=np.array([len(run.losses) for run in chosen]),
        labels=np.array([run.label for run in chosen]),
        problems=np.array([run.problem for run in chosen]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, help="write a sample of the held-out runs to this .npz")
    save_to = parser.parse_args().save
    torch.set_num_threads(1)
    began, cpu = time.perf_counter(), time.process_time()
    found = [run for run in runs(lambda text: print(text, flush=True)) if run.label]
    print(f"{time.perf_counter() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU")
    held_out = [run for run in found if run.held_out]
    show("tuned on", [run for run in found if not run.held_out])
    show("kept out", held_out)
    show("kept out: other seeds of the same problems", [run for run in held_out if run.problem not in HELD_OUT])
    show("kept out: problems never seen", [run for run in held_out if run.problem in HELD_OUT])
    if save_to:
        save(save_to, held_out)


if __name__ == "__main__":
    main()
