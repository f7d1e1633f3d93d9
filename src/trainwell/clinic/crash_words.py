"""What keeps a program from running, in a sentence: data, arguments of model and loss, devices, the schedule."""

import copy
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.settings import stretch_schedule
from trainwell.clinic.excerpt import Excerpt, Replay
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.first_step import NO_GRADIENT, NO_TENSOR, FirstStep
from trainwell.clinic.meter import FORWARD
from trainwell.clinic.private import built
from trainwell.clinic.subject import Subject
from trainwell.training.batches import mapped
from trainwell.training.program import Program, leaves
from trainwell.training.step import Forward, parts

LOOKED = 20_000  # steps of a schedule


def crash(where: str, message: str, error: str, cures: list[Cure], code: str = "program-crashes") -> Suspicion:
    """What makes a program raise."""
    return Suspicion(
        code, where, message, {"error": error}, prior=0.9, certain=True, loss=1.0, cures=tuple(cures)
    )  # fmt: skip


def cut_off(error: str) -> bool:
    """Is it the loss that no gradient comes back from?"""
    return NO_GRADIENT in error or NO_TENSOR in error


def in_words(subject: Subject, first: FirstStep) -> Iterator[Suspicion]:
    """The sentence for an error of the first step that is about no size and no type."""
    error = first.error
    if not error:
        return
    if first.stage == "batch":
        if not _unread(subject.program.train):
            yield crash("train", f"A batch cannot be made: {_batch_words(error)}", error, [])
    elif first.stage == "optimizer":
        yield crash("optimizer", f"The optimizer cannot be made: {error}", error, [])
    elif cut_off(error):
        yield crash("loss", f"{error.partition(': ')[2].capitalize()}.", error, [])
    elif first.stage == "backward":
        yield crash("the backward pass", in_backward(error), error, [])
    elif first.stage == "loss":
        yield from _loss_words(subject, first)
    elif first.stage == "forward":
        yield from _forward_words(subject, first)


def unread(subject: Subject) -> Iterator[Suspicion]:
    """Samples that cannot be read."""
    for part in ("train", "val"):
        found = _unread(getattr(subject.program, part))
        if found:
            where, error = found
            text = f"{type(error).__name__}: {error}"
            yield crash(part, f"{where} of {part} cannot be read: {text}", text, [])


def validation_fails(subject: Subject) -> Iterator[Suspicion]:
    """Model or loss raise on validation samples, in evaluation mode, as they do not in training."""
    program, val = subject.program, subject.scored[1]
    if val is None or val.x is None or program.step is not None or _unread(program.val):
        return
    own = subject.fresh()
    x, y = (mapped(piece, lambda t: t[: program.batch_size]) for piece in (val.x, val.y))
    subject.meter.spend(FORWARD)
    where = "model"
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = own.model.eval()(x)
            where = "loss"
            if not _weighted(program):
                Forward(own, "float32", subject.device).loss_of(output, y, None)
    except Exception as error:
        text = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
        yield crash("val", f"Training runs, but on the validation samples the {where} fails: {text}", text, [])


def _weighted(program: Program) -> bool:
    return isinstance(program.train, tuple | list) and len(program.train) == 3


def schedule_ends(subject: Subject) -> Iterator[Suspicion]:
    """A schedule that raises before the training is at its end, as one of fixed length does."""
    given, steps = subject.program.scheduler, min(subject.steps, LOOKED)
    if given is None or getattr(given, "takes_loss", False):
        return
    scheduler = copy.deepcopy(given) if hasattr(given, "step") else given(built(subject.fresh()))
    if isinstance(scheduler, ReduceLROnPlateau) or getattr(scheduler, "takes_loss", False):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(steps):
            try:
                scheduler.step()
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
                message = f"The schedule ends after {step} steps and raises then, but the training has {subject.steps}."
                cures = [stretch_schedule(subject, step)] if step > 1 and subject.steps <= LOOKED else []
                yield crash("scheduler", message, text, cures)
                return


def _unread(data: Any) -> tuple[str, Exception] | None:
    held = data.dataset if isinstance(data, DataLoader) else data
    while not isinstance(held, Excerpt) and hasattr(held, "dataset"):
        held = held.dataset
    if isinstance(held, Excerpt) and held.broken:
        index = min(held.broken)
        more = f" (and {len(held.broken) - 1} more)" if len(held.broken) > 1 else ""
        return f"Sample {index}{more}", held.broken[index]
    if isinstance(data, Replay) and data.error is not None:
        return f"Batch {len(data.read)}", data.error
    return None


def _batch_words(error: str) -> str:
    if "equal size" in error:
        return f"samples have different shapes, and only a collate_fn that pads them makes a batch ({error})."
    return error


def in_backward(error: str) -> str:
    """The error of a backward pass in plain words."""
    if "modified by an inplace operation" in error:
        found = re.search(r"output \d+ of (\w+?)(Backward\d*)?[,\s]", error)
        what = f"the output of {found[1]}" if found else "a tensor"
        return f"The backward pass needs {what}, which was changed in place: write h = h + 1 for h += 1 and the like."
    if "second time" in error:
        return "A step reaches back into the graph of the step before: detach what the model keeps (h = h.detach())."
    return f"The backward pass fails: {error}"


def _forward_words(subject: Subject, first: FirstStep) -> Iterator[Suspicion]:
    error, program = first.error, subject.program
    if program.step is not None or program.objective is not None:
        name = "step" if program.step is not None else "objective"
        yield crash(name, f"The program's own {name} fails: {error}", error, [])
        return
    x = parts(subject.some_batches(1)[0])[0]
    wanted = _arguments(program.model.forward)
    if "argument" in error and wanted is not None and len(wanted) > 1:
        given = f"a {type(x).__name__} of {len(leaves(x))}" if isinstance(x, tuple | list | Mapping) else "a tensor"
        message = (
            f"The model's forward takes {len(wanted)} inputs ({', '.join(wanted)}), but a program calls model(X), and "
            f"X is {given}: let forward take one tuple or dict."
        )
        yield crash("model", message, error, [])
    elif "device" in error:
        yield from _device_words(subject, x, error)
    else:
        yield crash("model", f"The forward pass fails: {error}", error, [])


def _loss_words(subject: Subject, first: FirstStep) -> Iterator[Suspicion]:
    error, loss = first.error, subject.program.loss
    if first.output is None:
        yield crash("model", "The model's forward gives nothing (None): it has to end in return.", error, [])
        return
    wanted = _arguments(loss.forward if isinstance(loss, nn.Module) else loss)
    if "argument" in error and wanted is not None and len(wanted) != 2:
        message = (
            f"The loss takes {len(wanted)} arguments ({', '.join(wanted)}), but a program calls it with two arguments, "
            "the model's output and the targets: give Program a step(model, batch) -> loss."
        )
        yield crash("loss", message, error, [])
    elif "device" in error and isinstance(loss, nn.Module) and isinstance(first.output, Tensor):
        there = {str(t.device) for t in chain(loss.parameters(), loss.buffers())} - {str(first.output.device)}
        if there:
            message = f"The loss has weights on {', '.join(sorted(there))}, outputs are on {first.output.device}."
            yield crash("loss", message, error, [_loss_to(first.output.device, there)])
    else:
        yield crash("loss", f"The loss fails: {error}", error, [])


def _loss_to(device: torch.device, there: set[str]) -> Cure:
    def apply(program: Program) -> Program:
        loss: Any = copy.deepcopy(program.loss)
        return replace(program, loss=loss.to(device))

    before = f"on {', '.join(sorted(there))}"
    return Cure("put the loss where the model is", (Change("loss", before, f'loss.to("{device}")'),), apply)


def _device_words(subject: Subject, x: Any, error: str) -> Iterator[Suspicion]:
    places: dict[str, str] = {}
    for name, tensor in chain(subject.program.model.named_parameters(), subject.program.model.named_buffers()):
        places.setdefault(str(tensor.device), name)
    if len(places) > 1:
        held = " and ".join(f"{name} on {place}" for place, name in places.items())
        yield crash("model", f"The model lies on several devices ({held}), and nothing moves the signal.", error, [])
    else:
        there = next(iter(places), "cpu")
        message = f"The model is on {there}, but its forward pass makes a tensor elsewhere: give it device=x.device."
        yield crash("model", message, error, [])


def _arguments(function: Any) -> list[str] | None:
    """Names of the positional arguments that a call must give."""
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    fixed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in known if p.kind in fixed and p.default is inspect.Parameter.empty]
