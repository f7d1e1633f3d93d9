"""What the probes may look at: a private copy of the program, samples of its data, and runs that are made once.

Nothing here touches the user's program. A probe asks for what it needs; what several ask for is measured once.
"""

from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from trainwell.clinic.cure import Cure
from trainwell.clinic.duplicate import duplicate
from trainwell.clinic.first_step import FirstStep, first_step
from trainwell.clinic.meter import FORWARD, Meter
from trainwell.clinic.private import built, parameters_covered, private
from trainwell.clinic.rehearsal import Rehearsal, rate_multipliers, rehearse
from trainwell.clinic.sampling import SCORED, Sample, gathered, nothing, spied
from trainwell.nn.tracer import trace
from trainwell.theory.chain import Chain
from trainwell.training.batches import all_steps, endless, mapped, source
from trainwell.training.program import Program, targets_of
from trainwell.training.step import parts

OPENING, WHOLE = 30, 50  # steps of the two rehearsals at effort 1
FEWEST, BATCHES = 64, 24  # samples of each part that are scored: of small batches at most so many
LARGE = 20_000_000  # parameters of a model whose trained copies are not kept
LOOKED_AT = 10_000  # steps of a schedule
AGAIN = 7_919  # between the seeds of two rehearsals of one thing
ROWS = 20_000  # of the data that the data probes look at


class Subject:
    """A program under examination.

    Args:
        program: the user's, or one cured in part; it is copied.
        meter: counts what is spent.
        seed: of all that is drawn.
        effort: factor on the length of the rehearsals.
    """

    def __init__(self, program: Program, meter: Meter, *, seed: int = 0, effort: float = 1.0) -> None:
        self.program, self.meter, self.seed, self.effort = private(program), meter, seed, effort
        self.task = program.task or self._guessed()
        self._slower: Rehearsal | None = None
        self.slower_share = 0.0  # of the whole training that the slower rehearsal took, where it was made
        self.unasked: list[str] = []  # probes that failed on this program, and how

    def _guessed(self) -> str:
        if isinstance(self.program.train, tuple | list):
            return _guessed(self.program)
        with suppress(Exception):  # batches of a form of their own
            return _guessed(replace(self.program, train=(self.train.x, self.train.y)))
        return self.program.guessed_task()

    # the data

    @cached_property
    def device(self) -> torch.device:
        """Of the model."""
        return next((p.device for p in self.program.model.parameters()), torch.device("cpu"))

    @cached_property
    def train(self) -> Sample:
        """Training samples as tensors: ``.x`` (a tensor, or a tuple or dict of them) and ``.y``, up to ``ROWS``."""
        return gathered(self.program.train, self.program.batch_size, ROWS, self.device)

    @cached_property
    def val(self) -> Sample | None:
        """Validation samples likewise, or None."""
        if self.program.val is None:
            return None
        return gathered(self.program.val, self.program.batch_size, ROWS, self.device)

    @cached_property
    def scored(self) -> tuple[Sample, Sample | None]:
        """Samples of both parts for the scores."""
        program, size = self.program, self.program.batch_size
        most = min(SCORED, max(FEWEST, BATCHES * size))
        return self._scored(program.train, most), None if program.val is None else self._scored(program.val, most)

    def _scored(self, data: Any, most: int) -> Sample:
        if self.program.step is not None:
            with suppress(Exception):  # a step that calls its model with several things
                return spied(self.fresh(), data, most, self.device)
        try:
            return gathered(data, self.program.batch_size, most, self.device)
        except Exception:  # batches of a form of their own, or a dataset that breaks
            return nothing()

    @cached_property
    def scoring(self) -> float:
        """Passes that a score of both parts costs."""
        return FORWARD * sum(part.batches for part in self.scored if part is not None)

    @cached_property
    def batches(self) -> Any:
        """The program's batches, see ``training.batches.source``; ``.n`` samples, ``.batches`` an epoch."""
        return source(self.program.train, self.program.batch_size, self.program.shuffle, self.seed, self.device)

    def some_batches(self, count: int) -> list[Any]:
        """The first batches that the program trains on."""
        stream = endless(self.batches)
        return [next(stream) for _ in range(count)]

    @cached_property
    def steps(self) -> int:
        """Of the whole training."""
        return all_steps(self.program, self.batches)

    # the model, before training

    def module(self, path: str) -> nn.Module | None:
        """The module of the program's own model at this path; None where there is none, as of a call of a function."""
        try:
            return self.program.model.get_submodule(path)
        except AttributeError:
            return None

    def fresh(self) -> Program:
        """A private copy to train or to change."""
        return private(self.program)

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """The program's optimizer over a copy of its model: to read its settings."""
        return built(self.program if self.large else self.fresh())

    @cached_property
    def large(self) -> bool:
        """Too large to keep copies of."""
        return sum(p.numel() for p in self.program.model.parameters()) > LARGE

    @cached_property
    def rates(self) -> np.ndarray:
        """The rate of each step, of the first ``LOOKED_AT``, as the schedule has it."""
        rate = float(self.optimizer.param_groups[0]["lr"])
        return rate * rate_multipliers(self.program, max(1, min(self.steps, LOOKED_AT)))

    @cached_property
    def covered(self) -> set[str]:
        """Names of the parameters that the optimizer moves."""
        return parameters_covered(self.fresh())

    @cached_property
    def chain(self) -> Chain:
        """The layers that two samples run through (no pass worth counting)."""
        batch = self.some_batches(1)[0]
        if self.program.step is not None and not (isinstance(batch, tuple | list) and len(batch) in (2, 3)):
            return Chain((), "The forward pass failed to be seen: only the program's step knows the model's inputs.")
        return trace(duplicate(self.program.model), self.two_inputs)

    @cached_property
    def two_inputs(self) -> Any:
        """What the model is called with for the first two samples that it trains on."""
        return mapped(parts(self.some_batches(1)[0])[0], lambda t: t[:2])

    @cached_property
    def first_step(self) -> FirstStep:
        """See :class:`FirstStep`; one pass."""
        try:
            batches = self.batches
        except Exception as error:
            return FirstStep.failed(error, "batch")
        self.meter.spend(1.0)
        return first_step(self.fresh(), batches, self.seed)

    # its training

    @cached_property
    def opening(self) -> Rehearsal:
        """The first steps of the training, as they are."""
        return self.rehearse(steps=round(OPENING * self.effort), share=0.0)

    @cached_property
    def whole(self) -> Rehearsal:
        """The whole training in few steps."""
        return self.rehearse(steps=round(WHOLE * self.effort), share=1.0, looks=2)

    @cached_property
    def longer(self) -> Rehearsal:
        """Twice as many first steps as the opening's, as they are: whether the training goes on or has come to rest."""
        return self.rehearse(steps=round(2 * OPENING * self.effort), share=0.0, looks=2)

    def slower(self, share: float) -> Rehearsal:
        """As much of the whole training as is stable in as few steps; made once."""
        if self._slower is None:
            self._slower, self.slower_share = self.rehearse(steps=round(WHOLE * self.effort), share=share), share
        return self._slower

    @property
    def hurt_by_hurry(self) -> float:
        """Score that the slower rehearsal has beyond that of the whole training, where it was made, else 0."""
        slower, whole = self._slower, self.__dict__.get("whole")
        if slower is None or whole is None or not slower.finite:
            return 0.0
        return max(0.0, (slower.score + slower.train_score - whole.score - whole.train_score) / 2)

    @property
    def runs(self) -> list[Rehearsal]:
        """What was made of the program as it is so far, the shorter training first."""
        known = [self.__dict__.get("opening"), self._slower, self.__dict__.get("whole")]
        return [run for run in known if run is not None]

    def rehearse(self, cure: Cure | None = None, *, again: int = 0, **how: Any) -> Rehearsal:
        """Train a copy, cured or not.

        Args:
            cure: applied first.
            again: another order of the samples for each.
            how: arguments of ``rehearsal.rehearse``: ``steps``, ``share``, ``looks`` …
        """
        program = self.fresh() if cure is None else self._applied(cure)
        if cure is not None:
            other = replace(self.program, train=program.train, val=program.val)
            same = other.train is self.program.train and other.val is self.program.val
            scored = self.scored if same else Subject(other, self.meter).scored
        else:
            scored = self.scored
        run = rehearse(program, self.task, self.meter, parts=scored, seed=self.seed + AGAIN * again, **how)
        if self.large:
            run.model = None
        return run

    def cured(self, cure: Cure) -> "Subject":
        """The subject that the cure makes of this one."""
        return Subject(self._applied(cure), self.meter, seed=self.seed, effort=self.effort)

    def _applied(self, cure: Cure) -> Program:
        """The cured program; what the cure draws follows from the seed alone."""
        torch.manual_seed(self.seed)
        return cure.apply(self.fresh())


def _guessed(program: Program) -> str:
    """The task by loss and targets; rows of zeros with a single one are classes, whatever the loss makes of them."""
    task, y = program.guessed_task(), targets_of(program.train)
    if task in ("regression", "multilabel") and y is not None and y.dim() == 2 and y.shape[1] > 2:
        some = y[:ROWS]
        if bool(((some == 0) | (some == 1)).all() and (some.sum(1) == 1).all()):
            return "classification"
    return task
