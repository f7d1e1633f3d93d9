"""One step of a program: forward, loss, backward, clipping, optimizer, scheduler."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.errors import InputError, JobError
from trainwell.objectives.class_loss import ClassLoss
from trainwell.objectives.weighted import per_sample, weighted_mean
from trainwell.optim.clipping import clipper
from trainwell.optim.closure import Closure
from trainwell.training.batches import mapped
from trainwell.training.program import Program, leaves

SMALLEST_PART = 2  # samples: batch normalization cannot work with one


def floated(output: Any) -> Any:
    """Outputs in float32, so that the loss is computed outside the low precision."""
    if isinstance(output, Tensor):
        return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output
    return mapped(output, lambda t: t.float() if t.dtype in (torch.bfloat16, torch.float16) else t)


class Forward:
    """Loss (and output) of a batch, in the precision asked for.

    Args:
        program: whose loss or ``step`` is used.
        dtype: of the forward pass; with bfloat16 one autocast context a pass (a longer one would keep stale weights).
        device: where the batches are.
    """

    def __init__(self, program: Program, dtype: str, device: torch.device) -> None:
        self.program = program
        self._low = dtype == "bfloat16"
        self._device = device.type
        self._each = per_sample(program.loss)

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device, torch.bfloat16) if self._low else nullcontext()

    def output(self, model: nn.Module, x: Any) -> Any:
        """The model's output, in float32."""
        if not self._low:
            return model(x)
        with self._precision():
            output = model(x)
        return floated(output)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """What a training step minimizes: the mean loss of the batch, or the program's own objective."""
        if self.program.step is not None:
            with self._precision():
                return self.program.step(model, batch)
        x, y, *rest = parts(batch)
        weight = rest[0] if rest else None
        if self.program.objective is None:
            return self.loss_of(self.output(model, x), y, weight)
        given = {} if weight is None else {"weight": weight}
        return self.program.objective(model, x, y, self.program.loss, forward=lambda x: self.output(model, x), **given)

    def graph(self, model: nn.Module, batch: Any) -> tuple[Any, Callable[[Any], Tensor]]:
        """The outputs of the batch with their graph, and the loss as a function of outputs.

        Raises:
            InputError: for a program with its own ``step`` or ``objective``, whose loss is no function of outputs.
        """
        if self.program.step is not None or self.program.objective is not None:
            raise InputError(
                "fit: this method needs the loss as a function of the model's outputs, and the program has its own "
                f"{'step' if self.program.step is not None else 'objective'}.",
                "Use a method that needs gradients only, or leave penalties and mixing out.",
            )
        x, y, *rest = parts(batch)
        return self.output(model, x), lambda output: self.loss_of(output, y, rest[0] if rest else None)

    def loss_of(self, output: Any, y: Any, weight: Tensor | None) -> Tensor:
        """Mean loss, weighted by sample where weights are given: Σ wᵢ lᵢ / Σ wᵢ."""
        if weight is None:
            return self.program.loss(output, y)
        if self._each is None:
            return self.program.loss(output, y, weight)
        return weighted_mean(self._each(output, y), weight)

    def share(self, batch: Any) -> float:
        """What the mean loss of this batch divides by, so that means over pieces make up the mean over the whole.

        The sum of the sample weights; in cross-entropy that of the class weights of the targets that are not ignored;
        else the samples.
        """
        if self.program.step is not None:
            return float(batch_length(batch))
        _, y, *weight = parts(batch)
        if weight and weight[0] is not None:
            return float(weight[0].sum())
        loss = self.program.loss
        if not isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss | ClassLoss) or y.is_floating_point():
            return float(batch_length(batch))
        counted = y[y != loss.ignore_index]
        return float(len(counted) if loss.weight is None else loss.weight[counted].sum())


def parts(batch: Any) -> Any:
    """(x, y) or (x, y, weight) of a batch.

    Raises:
        InputError: if the batch is neither; such programs give their own ``step``.
    """
    if isinstance(batch, tuple | list) and len(batch) in (2, 3):
        return batch
    raise InputError(
        f"fit: a batch is a {type(batch).__name__}, not (x, y) or (x, y, weight).",
        "Give Program a step(model, batch) -> loss.",
    )


def batch_length(batch: Any) -> int:
    """Number of samples of a batch."""
    first: Any = batch
    while not isinstance(first, Tensor):
        first = leaves(first)[0]
    return len(first)


def split(batch: Any, pieces: int) -> list[Any]:
    """The batch in nearly equal pieces along the samples, none smaller than ``SMALLEST_PART`` unless the batch is."""
    n = batch_length(batch)
    pieces = min(pieces, max(1, n // SMALLEST_PART))
    bounds = [round(i * n / pieces) for i in range(pieces + 1)]
    return [mapped(batch, lambda t, a=a, b=b: t[a:b]) for a, b in pairwise(bounds) if b > a]


def out_of_memory(error: BaseException) -> bool:
    """Was this error a lack of memory?"""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in text or "can't allocate memory" in text


class EngineClosure(Closure):
    """A closure whose loss and gradients the engine computes: in pieces, in the precision asked for, unclipped."""

    def __init__(self, parameters: list[nn.Parameter], stepper: "Stepper", batch: Any) -> None:
        super().__init__(parameters, partial(stepper.forward.graph, stepper.model, batch))
        self._stepper, self._batch = stepper, batch

    def __call__(self) -> Tensor:
        with torch.enable_grad():
            return self._stepper.gradient(self._batch)

    def loss(self) -> Tensor:
        return self._stepper.forward.loss(self._stepper.model, self._batch)


class Stepper:
    """Trains a model by one batch at a time.

    Args:
        forward: gives the loss.
        model, optimizer, scheduler: are changed.
        clip_grad: largest global norm, or an ``optim.Clipper``; None leaves the gradient.
        accumulate: pieces that a batch is computed in, each weighted by its share: the gradient is that of the batch.
        say: is told when memory ran out and the pieces were made smaller.
    """

    def __init__(
        self,
        forward: Forward,
        model: nn.Module,
        optimizer: Optimizer,
        scheduler: Any,
        *,
        clip_grad: Any,
        accumulate: int,
        say: Callable[[str], None],
    ) -> None:
        self.forward, self.model, self.optimizer, self.scheduler = forward, model, optimizer, scheduler
        self.clipper = clipper("norm", clip_grad) if isinstance(clip_grad, float | int) else clip_grad
        self.accumulate, self._say = accumulate, say
        self.everything: Callable[[], Iterable[Any]] | None = None
        self._parameters = list(model.parameters())
        self._anchors, self._takes_loss = hasattr(optimizer, "due"), getattr(scheduler, "takes_loss", False)
        needs: frozenset[str] = getattr(optimizer, "needs", frozenset())
        self._closure = bool(needs & {"closure", "outputs"}) or isinstance(optimizer, torch.optim.LBFGS)

    def __call__(self, batch: Any, measure: bool = False) -> tuple[Tensor, Tensor | None]:
        """Take one step; returns the detached loss and, when clipping or ``measure``, the gradient's norm before it."""
        if self._anchors and self.optimizer.due:  # type: ignore[attr-defined]
            self.optimizer.anchor(self._full_gradient)  # type: ignore[attr-defined]
        if self._closure:
            found: Any = self.optimizer.step(EngineClosure(self._parameters, self, batch))  # type: ignore[arg-type]
            loss = torch.as_tensor(found).detach()
            norm = self._norm() if measure else None
        else:
            loss = self.gradient(batch)
            norm = None
            if self.clipper is not None:
                norm = self.clipper(self._parameters)
            elif measure:
                norm = self._norm()
            self.optimizer.step()
        if self._takes_loss:
            self.scheduler.step(loss)
        elif self.scheduler is not None:
            self.scheduler.step()
        return loss, norm

    def _full_gradient(self) -> Tensor:
        """Fill the gradients with those of the mean loss over all samples; returns that loss.

        Raises:
            InputError: where the samples can be drawn only once (a ``DataLoader`` with an order of its own).
        """
        if self.everything is None:
            raise InputError("This method needs a pass over all samples.", "Give the data as tensors or a Dataset.")
        sums: list[Tensor | None] = [None] * len(self._parameters)
        loss, total = torch.zeros(()), 0.0
        for batch in self.everything():
            share = self.forward.share(batch)
            value = self.gradient(batch)
            loss, total = loss.to(value.device) + share * value, total + share
            for i, parameter in enumerate(self._parameters):
                if parameter.grad is not None:
                    before = sums[i]
                    sums[i] = share * parameter.grad if before is None else before + share * parameter.grad
        for parameter, gradient in zip(self._parameters, sums, strict=True):
            parameter.grad = None if gradient is None else gradient / total
        return loss / total

    def _norm(self) -> Tensor:
        return nn.utils.get_total_norm([p.grad for p in self._parameters if p.grad is not None])

    def gradient(self, batch: Any) -> Tensor:
        """Fill the gradients and return the detached loss, in as many pieces as memory asks for."""
        while True:
            try:
                return self._gradient(batch)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                self._halve(batch, error)

    def _gradient(self, batch: Any) -> Tensor:
        for parameter in self._parameters:
            parameter.grad = None
        if self.accumulate == 1:
            loss = self.forward.loss(self.model, batch)
            loss.backward()
            return loss.detach()
        whole, total = self.forward.share(batch), torch.zeros((), dtype=torch.float32)
        for piece in split(batch, self.accumulate):
            part = self.forward.share(piece)
            if part == 0 < whole:
                continue  # all its targets are ignored: its own mean is 0 / 0
            share = self.forward.loss(self.model, piece) * (part / whole if whole else 1.0)
            share.backward()
            total = total.to(share.device) + share.detach()
        return total

    def _halve(self, batch: Any, error: RuntimeError) -> None:
        n = batch_length(batch)
        if n // self.accumulate <= SMALLEST_PART:
            raise JobError(
                f"Memory ran out with {min(n, SMALLEST_PART)} samples at a time.",
                "Use a smaller model or smaller inputs, or another device.",
            ) from error
        self.accumulate *= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._say(
            f"Memory ran out: the batch of {n} is now computed in {self.accumulate} parts (training.accumulate); "
            "the gradient stays that of the whole batch."
        )
