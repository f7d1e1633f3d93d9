"""A program's training in few steps.

*Opening*: its first steps as they are. *Whole*: all T of them in N ≤ T steps, each at T/N times its rate. Gradient flow
dw/dt = −∇L is followed for the same time Σ η either way, for as long as the larger rate is stable; so the loss at
the end tells what the full training would have learned (too little time is too little time), at N/T of its price.
Where the larger rate is not stable the program has time in plenty, and the longest factor that is stable is taken.
"""

import copy
import itertools
import math
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.clinic.finding import NOTABLE
from trainwell.clinic.meter import FORWARD, Meter
from trainwell.clinic.private import built
from trainwell.clinic.quality import first_tensor, quality
from trainwell.clinic.sampling import Sample
from trainwell.training.batches import all_steps, endless, mapped, source
from trainwell.training.modes import evaluating, frozen, set_training
from trainwell.training.program import Program, leaves
from trainwell.training.step import Forward, Stepper

GOOD = 0.9  # score
EXPLODED = 1e6
FOLLOWED = 0.3  # momentum of running statistics
LONG = 0.95  # momentum that remembers more than twenty steps


@dataclass
class Rehearsal:
    """What a run gave.

    Attributes:
        losses: of the batches, up to and with the first that is not finite.
        norms: of the gradients.
        looks: (step, score on training samples, score on validation samples or nan).
        model: as trained.
        factor: k = T/N, how much faster than the program it went.
        steps: N that were asked for; fewer losses mean that it broke off.
        error: what a step raised, or "".
    """

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    looks: list[tuple[int, float, float]] = field(default_factory=list)
    model: nn.Module | None = None
    factor: float = 1.0
    steps: int = 0
    error: str = ""

    @property
    def finite(self) -> bool:
        """Whether it came to its end with finite losses that did not explode."""
        if self.error or len(self.losses) < self.steps or not self.losses:
            return False
        return all(map(math.isfinite, self.losses)) and self.losses[-1] < EXPLODED * max(1.0, abs(self.losses[0]))

    @property
    def train_score(self) -> float:
        """At the end; 0 for a run that broke off."""
        return self.looks[-1][1] if self.looks and self.finite else 0.0

    @property
    def score(self) -> float:
        """On validation samples where there are some, else on training samples."""
        if not self.looks or not self.finite:
            return 0.0
        return self.looks[-1][1] if math.isnan(self.looks[-1][2]) else self.looks[-1][2]

    @property
    def good(self) -> bool:
        """Whether both scores are so high that nothing need be looked for in the training."""
        return min(self.train_score, self.score) >= GOOD

    @property
    def flawless(self) -> bool:
        """Whether both scores are so high that no cure could gain what matters."""
        return min(self.train_score, self.score) > 1 - NOTABLE


def rehearse(
    program: Program,
    task: str,
    meter: Meter,
    *,
    steps: int,
    share: float,
    parts: tuple[Sample, Sample | None],
    seed: int = 0,
    looks: int = 1,
) -> Rehearsal:
    """Train a private program, in place, for some steps; torch's global generator is seeded.

    Args:
        program: of ``private``; its model is trained.
        task: of the score.
        meter: is charged.
        steps: to take at most; never more than the program's own.
        share: of the whole training that is pressed into these steps, 1 for all of it; as it is where that is fewer
            than ``steps`` (0: the opening).
        parts: training and validation samples to score.
        seed: of the order of the samples and of dropout.
        looks: scores to take, evenly spread; the last at the end.
    """
    torch.manual_seed(seed)
    device = next((p.device for p in program.model.parameters()), torch.device("cpu"))
    batches = source(program.train, program.batch_size, program.shuffle, seed, device)
    every = all_steps(program, batches)
    steps = max(1, min(steps, every))
    k = max(1.0, share * every / steps)
    found = Rehearsal(model=program.model, steps=steps, factor=k)
    multipliers = compressed(rate_multipliers(program, round(k * steps)), steps) * k
    set_training(program.model, frozen(program.model))
    optimizer = built(program)
    stretch = _shorten_memory(optimizer, k)
    _hurry_statistics(program.model, k)
    base = [float(group["lr"]) * by for group, by in zip(optimizer.param_groups, stretch, strict=True)]
    stepper = Stepper(
        Forward(replace(program, scheduler=None), "float32", device),
        program.model, optimizer, None, clip_grad=program.clip_grad, accumulate=1, say=lambda text: None,
    )  # fmt: skip
    due = {round(place) for place in np.linspace(0, steps, looks + 1)[1:]}
    stream = endless(batches)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(steps):
            for group, rate in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = rate * multipliers[step]
            try:
                loss, norm = stepper(next(stream), measure=True)
            except Exception as error:  # a sick program may raise anything: that is what we want to know
                found.error = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:300]
                break
            meter.spend(1.0)
            found.losses.append(float(loss))
            found.norms.append(float(norm) if norm is not None else math.nan)
            if not math.isfinite(found.losses[-1]) or abs(found.losses[-1]) > EXPLODED * max(1.0, abs(found.losses[0])):
                break
            if step + 1 in due:
                train, val = (_score(program.model, part, task, meter) for part in parts)
                found.looks.append((step + 1, train, val))
    return found


def _shorten_memory(optimizer: Any, k: float) -> list[float]:
    """Let a long momentum forget k times as fast, as its gradients come k times as fast; factors on the rates.

    A memory of 1/(1 − μ) steps that is long beside the rehearsal would never come to its speed there. With
    1 − μ' = k (1 − μ) and the same η/(1 − μ) for each unit of time, the equation of motion is the same.
    """
    stretch = []
    for group in optimizer.param_groups:
        betas, plain = group.get("betas"), float(group.get("momentum") or 0.0)
        memory = plain or (float(betas[0]) if betas else 0.0)
        shorter = max(LONG, 1.0 - k * (1.0 - memory))
        if memory <= LONG or k <= 1.0:
            stretch.append(1.0)
        elif plain:
            group["momentum"] = shorter
            stretch.append((1.0 - shorter) / (1.0 - memory))
        else:  # Adam's moments are means: the speed does not depend on how long they remember
            group["betas"] = (shorter, *betas[1:])
            stretch.append(1.0)
    return stretch


def _hurry_statistics(model: nn.Module, k: float) -> None:
    """Let running statistics follow weights that move k times as fast: 1 − m' = (1 − m)ᵏ.

    Up to ``FOLLOWED``: those of a batch or two alone would be noise that the program does not have.
    """
    for module in model.modules() if k > 1.0 else ():
        if isinstance(module, _BatchNorm) and module.momentum is not None and 0 < module.momentum < FOLLOWED:
            module.momentum = min(FOLLOWED, 1.0 - (1.0 - module.momentum) ** k)


def rate_multipliers(program: Program, steps: int) -> np.ndarray:
    """The schedule's factor on the rate at each of the first steps, shape (steps,); 1 where it follows the loss."""
    if program.scheduler is None:
        return np.ones(steps)
    try:
        if hasattr(program.scheduler, "step"):
            scheduler = copy.deepcopy(program.scheduler)
            before = float(scheduler.optimizer.param_groups[0]["lr"])
        else:
            optimizer = built(replace(program, model=copy.deepcopy(program.model)))
            before = float(optimizer.param_groups[0]["lr"])  # some schedules put their own in its place
            scheduler = program.scheduler(optimizer)
        if getattr(scheduler, "takes_loss", False) or isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            return np.ones(steps)
        group, found = scheduler.optimizer.param_groups[0], np.ones(steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for step in range(steps):
                found[step] = float(group["lr"]) / (before or 1.0)
                scheduler.step()
        return found
    except Exception:  # a schedule of the user's own that cannot be run apart
        return np.ones(steps)


def compressed(values: np.ndarray, steps: int) -> np.ndarray:
    """Means over ``steps`` equal windows: the same time Σ η in fewer steps."""
    if len(values) <= steps:
        return values
    ends = np.round(np.linspace(0, len(values), steps + 1)).astype(int)
    return np.array([values[a:b].mean() for a, b in itertools.pairwise(ends)])


@torch.no_grad()
def answers(model: nn.Module, x: Any, size: int = 256) -> Tensor:
    """The model's predictions in evaluation mode, a chunk of samples at a time."""
    n = len(leaves(x)[0])
    with evaluating(model):
        return torch.cat([first_tensor(model(mapped(x, lambda t, a=a: t[a : a + size]))) for a in range(0, n, size)])


def _score(model: nn.Module, part: Sample | None, task: str, meter: Meter) -> float:
    if part is None:
        return math.nan
    state = torch.get_rng_state()
    try:
        score = quality(answers(model, part.x), part.y, task)
    except Exception:  # what cannot be predicted answers nothing
        score = 0.0
    torch.set_rng_state(state)
    meter.spend(FORWARD * part.batches)
    return score
