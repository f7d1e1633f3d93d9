"""What the probes may look at: a private copy of the program, samples of its data, and runs that are made once.

Nothing here touches the user's program. A probe asks for what it needs; what several ask for is measured once.
"""

import copy
import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from trainwell.clinic.cure import Cure
from trainwell.clinic.meter import FORWARD, Meter
from trainwell.clinic.private import built, parameters_covered, private
from trainwell.clinic.rehearsal import Rehearsal, Sample, rehearse
from trainwell.nn.tracer import trace
from trainwell.theory.chain import Chain
from trainwell.training.batches import all_steps, endless, mapped, source
from trainwell.training.modes import frozen, set_training
from trainwell.training.program import Program
from trainwell.training.step import Forward, parts

OPENING, WHOLE = 30, 50  # steps of the two rehearsals at effort 1
ROWS = 20_000  # of the data that the data probes look at


@dataclass(frozen=True)
class FirstStep:
    """One forward and backward pass in training mode, on a copy.

    Attributes:
        error: what was raised, ``IndexError: Target 3 is out of bounds.``, or "".
        stage: where: ``batch``, ``forward``, ``loss``, ``backward``, ``optimizer`` or "".
        output: the model's, detached; None where there is none.
        y: targets of the batch.
        loss: its value, nan where there is none.
        gradients: by parameter name; a parameter without a gradient is absent.
    """

    error: str
    stage: str
    output: Any
    y: Any
    loss: float
    gradients: dict[str, Tensor]


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
        self.task = program.guessed_task()

    # the data

    @cached_property
    def train(self) -> Sample:
        """Training samples as tensors: ``.x`` (a tensor, or a tuple or dict of them) and ``.y``, up to ``ROWS``."""
        return Sample(self.program.train, self.program.batch_size, ROWS)

    @cached_property
    def val(self) -> Sample | None:
        """Validation samples likewise, or None."""
        return None if self.program.val is None else Sample(self.program.val, self.program.batch_size, ROWS)

    @cached_property
    def scored(self) -> tuple[Sample, Sample | None]:
        """Samples of both parts for the scores."""
        val = self.program.val
        return Sample(self.program.train, self.program.batch_size), (
            None if val is None else Sample(val, self.program.batch_size)
        )

    @cached_property
    def scoring(self) -> float:
        """Passes that a score of both parts costs."""
        return FORWARD * sum(part.batches for part in self.scored if part is not None)

    @cached_property
    def batches(self) -> Any:
        """The program's batches, see ``training.batches.source``; ``.n`` samples, ``.batches`` an epoch."""
        device = next((p.device for p in self.program.model.parameters()), torch.device("cpu"))
        return source(self.program.train, self.program.batch_size, self.program.shuffle, self.seed, device)

    def some_batches(self, count: int) -> list[Any]:
        """The first batches that the program trains on."""
        stream = endless(self.batches)
        return [next(stream) for _ in range(count)]

    @cached_property
    def steps(self) -> int:
        """Of the whole training."""
        return all_steps(self.program, self.batches)

    # the model, before training

    def fresh(self) -> Program:
        """A private copy to train or to change."""
        return private(self.program)

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """The program's optimizer over a copy of its model: to read its settings."""
        return built(self.fresh())

    @cached_property
    def covered(self) -> set[str]:
        """Names of the parameters that the optimizer moves."""
        return parameters_covered(self.fresh())

    @cached_property
    def chain(self) -> Chain:
        """The layers that two samples run through (no pass worth counting)."""
        x = mapped(parts(self.some_batches(1)[0])[0], lambda t: t[:2])
        return trace(copy.deepcopy(self.program.model), x)

    @cached_property
    def first_step(self) -> FirstStep:
        """See :class:`FirstStep`; one pass."""
        self.meter.spend(1.0)
        return _first_step(self.fresh(), self.batches, self.seed)

    # its training

    @cached_property
    def opening(self) -> Rehearsal:
        """The first steps of the training, as they are."""
        return self.rehearse(steps=round(OPENING * self.effort), share=0.0)

    @cached_property
    def whole(self) -> Rehearsal:
        """The whole training in few steps."""
        return self.rehearse(steps=round(WHOLE * self.effort), share=1.0, looks=2)

    def rehearse(self, cure: Cure | None = None, **how: Any) -> Rehearsal:
        """Train a copy, cured or not; arguments of ``rehearsal.rehearse``: ``steps``, ``share``, ``looks`` …"""
        program = self.fresh() if cure is None else self._applied(cure)
        if cure is not None:
            other = replace(self.program, train=program.train, val=program.val)
            same = other.train is self.program.train and other.val is self.program.val
            scored = self.scored if same else Subject(other, self.meter).scored
        else:
            scored = self.scored
        return rehearse(program, self.task, self.meter, parts=scored, seed=self.seed, **how)

    def cured(self, cure: Cure) -> "Subject":
        """The subject that the cure makes of this one."""
        return Subject(self._applied(cure), self.meter, seed=self.seed, effort=self.effort)

    def _applied(self, cure: Cure) -> Program:
        """The cured program; what the cure draws follows from the seed alone."""
        torch.manual_seed(self.seed)
        return cure.apply(self.fresh())


def _first_step(program: Program, batches: Any, seed: int) -> FirstStep:
    torch.manual_seed(seed)
    output, y, loss, stage = None, None, math.nan, "batch"
    device = next((p.device for p in program.model.parameters()), torch.device("cpu"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            batch = next(endless(batches))
            stage = "forward"
            set_training(program.model, frozen(program.model))
            forward = Forward(program, "float32", device)
            if program.step is not None or program.objective is not None:
                value = forward.loss(program.model, batch)
            else:
                x, y, *weight = parts(batch)
                output = program.model(x)
                stage = "loss"
                value = forward.loss_of(output, y, weight[0] if weight else None)
            loss = float(value)
            stage = "backward"
            value.backward()
            stage = "optimizer"
            built(program)
            stage = ""
        except Exception as error:  # whatever a sick program raises is what we ask for
            text = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
            return FirstStep(text, stage, _detached(output), y, loss, {})
    gradients = {name: p.grad for name, p in program.model.named_parameters() if p.grad is not None}
    return FirstStep("", "", _detached(output), y, loss, gradients)


def _detached(output: Any) -> Any:
    return mapped(output, lambda t: t.detach())
