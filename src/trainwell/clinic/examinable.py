"""What an exam can look at: wrappers taken off, lazy modules sized, data bounded; the rest refused in one sentence."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from trainwell.clinic.duplicate import Memo, duplicate, optimizer_over
from trainwell.clinic.excerpt import SECONDS, Replay, excerpt
from trainwell.errors import InputError
from trainwell.training.batches import as_tensor, endless, source
from trainwell.training.modes import evaluating
from trainwell.training.program import Program, leaves
from trainwell.training.step import parts

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def examinable(program: Program) -> Program:
    """The program as it is examined: the model out of its wrappers, excerpts in place of datasets and loaders.

    Raises:
        InputError: for what cannot be examined.
    """
    _refuse_models(program.model)
    for part in ("train", "val"):
        _refuse_data(getattr(program, part), part, program.step is None)
    seconds = {"train": SECONDS, "val": SECONDS / 2}
    held = {part: excerpt(getattr(program, part), program.batch_size, part, most) for part, most in seconds.items()}
    for part, data in held.items():
        _refuse_batches(data, part, program)
    return unwrapped(replace(program, **held))


def unwrapped(program: Program) -> Program:
    """The program with the model inside ``torch.compile`` and ``DataParallel``, its lazy modules sized on a copy."""
    model = program.model
    while isinstance(model, WRAPPERS) or hasattr(model, "_orig_mod"):
        model = model.module if isinstance(model, WRAPPERS) else model._orig_mod  # type: ignore[assignment]
    if model is not program.model:
        program = replace(program, model=model)
    return _sized(program) if any(map(is_lazy, _tensors(model))) else program


@contextmanager
def as_usual() -> Iterator[None]:
    """Gradients on, compiled functions run as written; afterwards the global settings are what they were."""
    dtype, deterministic = torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()
    warn_only, anomaly = torch.is_deterministic_algorithms_warn_only_enabled(), torch.is_anomaly_enabled()
    flags = {name: getattr(torch.backends.cudnn, name) for name in ("benchmark", "deterministic")}
    try:
        compiles = "torch._dynamo" in sys.modules  # a second and more to import
        eager = torch.compiler.set_stance("force_eager") if compiles else nullcontext()
        with torch.inference_mode(False), torch.enable_grad(), eager:
            yield
    finally:
        torch.set_default_dtype(dtype)
        if (deterministic, warn_only) != (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ):
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.autograd.set_detect_anomaly(anomaly)
        for name, value in flags.items():
            if getattr(torch.backends.cudnn, name) != value:
                setattr(torch.backends.cudnn, name, value)


def _refuse_models(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise InputError(
            f"examine: the model is a {type(model).__name__}, no torch.nn.Module.", "Give the module that is trained."
        )
    for path, module in model.named_modules():
        where = f" ({path})" if path else ""
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(
                f"examine: the model{where} is compiled by torch.jit, whose layers cannot be looked into.",
                "Give the module that it was made of.",
            )
        if ".quantized" in type(module).__module__:
            raise InputError(
                f"examine: the model{where} is quantized: its weights take no gradient.",
                "Give the module before it was quantized.",
            )
    named = chain(model.named_parameters(), model.named_buffers())
    for name, tensor in named:
        if tensor.is_meta and not is_lazy(tensor):
            raise InputError(
                f"examine: {name} is on the meta device and has no values.",
                'Make it with model.to_empty(device="cpu"), and initialize it.',
            )
        if tensor.is_complex():
            raise InputError(f"examine: {name} is complex, and the exam reads real numbers.", "Examine a real model.")
        if type(tensor).__name__ == "DTensor":
            raise InputError(
                f"examine: {name} is split over several processes.", "Examine the model before it is sharded."
            )


def _refuse_data(data: Any, part: str, targets: bool) -> None:
    if data is None or isinstance(data, DataLoader | Dataset):
        if data is None and part == "train":
            raise InputError("examine: train is None.", "Give (X, y), a Dataset or a DataLoader.")
        return
    if not isinstance(data, tuple | list):
        raise InputError(
            f"examine: {part} is a {type(data).__name__}.", "Give (X, y) tensors or arrays, a Dataset or a DataLoader."
        )
    if targets and data[1] is None:
        raise InputError(f"examine: {part} is without targets.", "Give (X, y), or a step(model, batch) -> loss.")
    for name, piece in zip(("X", "y", "weight"), data, strict=False):
        for leaf in leaves(piece) if piece is not None else ():
            _refuse_leaf(leaf, f"{name} of {part}")


def _refuse_leaf(leaf: Any, name: str) -> None:
    try:
        tensor = as_tensor(leaf)
    except (TypeError, ValueError) as error:
        held = type(leaf[0]).__name__ if len(leaf) else type(leaf).__name__
        remedy = "Turn it into numbers, as codes of classes."
        raise InputError(f"examine: {name} holds {held}, no numbers.", remedy) from error
    if tensor.layout is not torch.strided or tensor.is_nested:
        raise InputError(f"examine: {name} is a sparse or nested tensor.", "Give x.to_dense().")
    if tensor.is_meta or tensor.is_complex():
        kind = "is on the meta device" if tensor.is_meta else "is complex"
        raise InputError(f"examine: {name} {kind}.", "Give real numbers.")


def _refuse_batches(data: Any, part: str, program: Program) -> None:
    """Batches of a form that no step of the program can take; those that cannot be read are a finding."""
    if not isinstance(data, Dataset | DataLoader):
        return
    try:
        if isinstance(data, DataLoader) and len(data) == 0:
            raise InputError(f"examine: {part} gives no batch.", "Is drop_last on with fewer samples than a batch?")
        batch = _first(data, program.batch_size)
    except InputError:
        raise
    except Exception:
        return
    if program.step is None and (not isinstance(batch, tuple | list) or len(batch) not in (2, 3)):
        held = f" with {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else ""
        raise InputError(
            f"examine: a batch of {part} is a {type(batch).__name__}{held}, not (x, y) or (x, y, weight).",
            "Give Program a step(model, batch) -> loss.",
        )
    if any(hasattr(entry, "_fields") for entry in (batch, *(batch if isinstance(batch, tuple | list) else ()))):
        raise InputError(f"examine: a batch of {part} is a named tuple.", "Let the dataset give plain tuples.")


def _first(data: Any, batch_size: int) -> Any:
    if isinstance(data, Replay):
        return next(iter(data))
    return next(iter(source(data, batch_size, False, 0, torch.device("cpu")).epoch(1)))


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    return chain(model.parameters(), model.buffers())


def _sized(program: Program) -> Program:
    """Lazy modules are sized by one batch, on a copy, as the user's own first pass would."""
    memo: Memo = {}
    model = duplicate(program.model, memo)
    optimizer = program.optimizer
    if isinstance(optimizer, Optimizer):
        optimizer = optimizer_over(optimizer, memo)
    try:
        data = excerpt(program.train, program.batch_size, "train")
        batch = next(endless(source(data, program.batch_size, False, 0, torch.device("cpu"))))
        with torch.no_grad(), evaluating(model):
            model(parts(batch)[0])
    except Exception as error:
        raise InputError(
            f"examine: the model has lazy layers, and its first pass fails: {type(error).__name__}: {error}.",
            "Run it once on a batch, so that its layers have their sizes.",
        ) from error
    if any(map(is_lazy, _tensors(model))):
        raise InputError("examine: a first pass leaves lazy layers without a size.", "Leave out what is not used.")
    return replace(program, model=model, optimizer=optimizer)
