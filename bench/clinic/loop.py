"""The loop that trains every program of the suite, and the score of what it leaves: the shared clinic's rules."""

import math
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from program import Case
from torch import Tensor

OPTIONAL = {"shuffle": True, "scheduler": None, "clip_grad": None}


@dataclass
class Run:
    """What became of one training.

    Attributes:
        score: on the validation part; 0 where it crashed.
        train_score: on the training part.
        seconds: of processor time.
        error: what was raised, or "".
        first: mean loss of the first epoch.
        last: mean loss of the last epoch that was run.
    """

    score: float = 0.0
    train_score: float = 0.0
    seconds: float = 0.0
    error: str = ""
    losses: list[float] = field(default_factory=list)

    @property
    def first(self) -> float:
        return self.losses[0] if self.losses else math.nan

    @property
    def last(self) -> float:
        return self.losses[-1] if self.losses else math.nan


def train(case: Case, task: str, metric: str = "plain", seed: int = 0, max_samples: float = math.inf) -> Run:
    """Train a case and score it; what it raises is told in the result.

    Args:
        case: as built, untrained.
        task: of the program.
        metric: ``plain`` or ``balanced``.
        seed: of the order of the samples and of dropout.
        max_samples: no further epoch once so many samples were seen.
    """
    run = Run()
    start = time.process_time()
    torch.manual_seed(10_000 + seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _epochs({**OPTIONAL, **case}, run, max_samples)
            run.score = score(case["model"], case["val"], task, metric)
            run.train_score = score(case["model"], case["train"], task, metric)
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as error:
        run.error = f"{type(error).__name__}: {error}"[:200]
    run.seconds = time.process_time() - start
    return run


def _epochs(case: Case, run: Run, max_samples: float) -> None:
    model, (x, y), size = case["model"], case["train"], case["batch_size"]
    optimizer, scheduler = case["optimizer"], case["scheduler"]
    if not isinstance(optimizer, torch.optim.Optimizer):
        optimizer = optimizer(model.parameters())
    if callable(scheduler) and not hasattr(scheduler, "step"):
        scheduler = scheduler(optimizer)
    for epoch in range(case["epochs"]):
        model.train()
        order = torch.randperm(len(x)) if case["shuffle"] else torch.arange(len(x))
        total, count = 0.0, 0
        for index in order.split(size):
            if len(index) == 1 and size > 1 and len(x) > 1:
                continue  # batch normalization refuses a leftover of one sample
            optimizer.zero_grad()
            loss = case["loss"](model(x[index]), y[index])
            loss.backward()
            if case["clip_grad"]:
                torch.nn.utils.clip_grad_norm_(model.parameters(), case["clip_grad"])
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            total, count = total + loss.item() * len(index), count + len(index)
        run.losses.append(total / max(count, 1))
        if not all(bool(p.isfinite().all()) for p in model.parameters()) or (epoch + 1) * len(x) >= max_samples:
            return


@torch.no_grad()
def score(model: torch.nn.Module, part: tuple[Tensor, Tensor], task: str, metric: str = "plain") -> float:
    """Accuracy, balanced accuracy or R² in 0 … 1 of a trained model on one part."""
    model.eval()
    x, y = part
    outputs: list[Any] = [model(rows) for rows in x.split(512)]
    return measure(torch.cat([o[0] if isinstance(o, (tuple, list)) else o for o in outputs]), y, task, metric)


def classes(y: Tensor, output: Tensor | None = None) -> Tensor:
    """Integer labels from indices, one-hot rows or a column."""
    if y.ndim >= 2 and y.shape[1] > 1 and y.is_floating_point() and (output is None or output.shape == y.shape):
        return y.argmax(1)
    return y.flatten() if y.ndim == 2 and y.shape[1] == 1 else y


def measure(output: Tensor, y: Tensor, task: str, metric: str) -> float:
    """The score of these outputs; 0 where one of them is not finite or they do not answer the question."""
    if not bool(output.isfinite().all()):
        return 0.0
    if task == "regression":
        if output.numel() != y.numel():
            return 0.0
        output, y = output.flatten().double(), y.flatten().double()
        return float((1 - (output - y).square().mean() / y.var(unbiased=False)).clamp(0, 1))
    cut = 0.5 if bool((output >= 0).all() and (output <= 1).all()) else 0.0
    if task == "multilabel":
        return float(((output > cut) == (y > 0.5)).double().mean()) if output.shape == y.shape else 0.0
    y = classes(y, output)
    if output.ndim >= 2 and output.shape[1] > 1:
        guess = output.argmax(1).double()
    elif task == "classification":
        guess = output.flatten().round().double()
    else:
        guess = (output.flatten() > cut).double()
    if task == "binary":
        y = (y.flatten().double() > (y.min() + y.max()).double() / 2).double()
    hit = (guess == y).double()
    if metric == "balanced":
        return float(torch.stack([hit[y == c].mean() for c in y.unique()]).mean())
    return float(hit.mean())


def same_question(before: Case, after: Case, task: str) -> bool:
    """Does a cured case still ask for the same answers? New labels and another scale are allowed."""
    a, b = before["val"][1], after["val"][1]
    if len(a) != len(b) or not bool(b.double().isfinite().all()):
        return False
    if task == "regression":
        pair = torch.stack([a.flatten().double(), b.flatten().double()]) if a.numel() == b.numel() else None
        return pair is not None and float(torch.corrcoef(pair)[0, 1].abs()) > 0.98
    first, second = classes(a).flatten().tolist(), classes(b).flatten().tolist()
    if len(first) != len(second):
        return False
    return len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))
