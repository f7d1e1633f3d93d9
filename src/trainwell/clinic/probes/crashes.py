"""Why a training step raises: the module that failed with what it was given, or loss and targets that do not fit.

What other probes of this phase explain (labels out of range, shapes and kinds of targets) is theirs; here are sizes
of layers, types of numbers, codes beyond a table.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from trainwell.clinic.asking import asked, own_loss
from trainwell.clinic.crash_words import crash as _crash
from trainwell.clinic.crash_words import cut_off, in_words, schedule_ends, unread, validation_fails
from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.head_and_loss import replace_module
from trainwell.clinic.cures.inputs import before
from trainwell.clinic.cures.targets import cast
from trainwell.clinic.duplicate import duplicate
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.first_step import FirstStep
from trainwell.clinic.probes.targets import per_sample
from trainwell.clinic.shaping import Cast, Shaped
from trainwell.clinic.subject import Subject
from trainwell.training.batches import mapped
from trainwell.training.program import Program, leaves
from trainwell.training.step import parts

PHASE, COST = "contract", 1.0
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_LATER: WeakKeyDictionary[Subject, list[Suspicion]] = WeakKeyDictionary()
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Explain the error of the first step."""
    yield from unread(subject)
    first = subject.first_step
    told = False
    with suppress(Exception):  # batches that cannot be had
        for suspicion in _of_the_step(subject, first):
            told = True
            yield suspicion
    if not told:
        yield from in_words(subject, first)
    if not first.error:
        if subject not in _LATER:
            _LATER[subject] = list(_later(subject))
        yield from _LATER[subject]


def _later(subject: Subject) -> Iterator[Suspicion]:
    """What raises after the first step."""
    yield from validation_fails(subject)
    with suppress(Exception):  # a schedule that cannot be run apart
        yield from schedule_ends(subject)


def _of_the_step(subject: Subject, first: FirstStep) -> Iterator[Suspicion]:
    if first.stage == "forward":
        yield from _in_forward(subject, first.error)
    elif first.stage in ("loss", "backward") and not cut_off(first.error):
        yield from _types(subject, first.error, first.output, first.y)


def _in_forward(subject: Subject, error: str) -> Iterator[Suspicion]:
    x = parts(subject.some_batches(1)[0])[0]
    path, given = failing(subject.program.model, x)
    module = subject.program.model.get_submodule(path) if path else subject.program.model
    own = next((p.dtype for p in subject.program.model.parameters() if p.is_floating_point()), torch.float32)
    floats = [leaf.dtype for leaf in leaves(x) if isinstance(leaf, Tensor)]
    if given is None:
        return
    shape = tuple(given.shape)
    if isinstance(module, nn.Embedding):
        yield from _beyond_table(subject, path, module, given, error)
    elif given.dtype != own and any(d != own and (d.is_floating_point or _typed(d, error)) for d in floats):
        cure = before(Cast(own), f"turn the inputs into {own}", f"model(x.to({own}))")
        yield _crash("train.X", f"Inputs are {floats[0]}, the model's weights {own}.", error, [cure])
    elif isinstance(module, nn.Linear) and shape[-1] != module.in_features:
        cures = _for_linear(subject, path, module, x, shape)
        takes = f"Layer {path or 'model'} takes {module.in_features} numbers"
        message = f"{takes} a sample, but is given {per_sample(shape[1:])}."
        yield _crash(path or "model", message, error, cures)
    elif isinstance(module, CONVOLUTIONS):
        message = f"Layer {path or 'model'} takes {module.in_channels} channels, but is given {per_sample(shape[1:])}."
        yield _crash(path or "model", message, error, _for_convolution(subject, path, module, x, given))
    elif isinstance(module, NORMS) and given.dim() > 1 and shape[1] != module.num_features:
        message = f"Layer {path} norms {module.num_features} features, but is given {per_sample(shape[1:])}."
        yield _crash(path, message, error, _replaced(subject, path, type(module)(shape[1])))
    else:
        yield _crash(path or "model", f"The forward pass fails in {path or 'the model'}: {error}", error, [])


def _typed(dtype: torch.dtype, error: str) -> bool:
    """Is this error about inputs of whole numbers?"""
    return dtype == torch.uint8 or "dtype" in error or "scalar type" in error


def failing(model: nn.Module, x: Any) -> tuple[str, Tensor | None]:
    """The path of the innermost module whose call raises on this batch, and the first tensor that it was given."""
    model = duplicate(model)
    model.train()
    open_calls: list[tuple[str, Any]] = []
    state = torch.get_rng_state()

    def entering(path: str) -> Any:
        return lambda module, args: open_calls.append((path, args[0] if args else None))

    handles = []
    for path, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(entering(path)))
        handles.append(module.register_forward_hook(lambda module, args, output: open_calls.pop() and None))
    try:
        with torch.no_grad():
            model(x)
    except Exception:  # the very error that is looked for
        path, given = open_calls[-1] if open_calls else ("", None)
        return path, given if isinstance(given, Tensor) else None
    finally:
        torch.set_rng_state(state)
    return "", None


def _for_linear(subject: Subject, path: str, module: nn.Linear, x: Any, shape: tuple[int, ...]) -> list[Cure]:
    inputs = tuple(x.shape[1:]) if isinstance(x, Tensor) else ()
    flat = math.prod(shape[1:])
    if shape[1:] == inputs and math.prod(inputs) == module.in_features and len(inputs) > 1:
        return [before(Shaped((flat,)), "flatten the inputs", "nn.Sequential(nn.Flatten(), model)")]
    if len(shape) > 2 and flat == module.in_features:
        flattened = nn.Sequential(nn.Flatten(), copy.deepcopy(module))
        return _wrapped(subject, path, flattened)
    if len(shape) > 3:  # a picture that nobody flattened, for a layer of another size
        return _replaced(subject, path, nn.Sequential(nn.Flatten(), _linear(subject, flat, module)))
    return _replaced(subject, path, _linear(subject, shape[-1], module))


def _linear(subject: Subject, inputs: int, module: nn.Linear) -> nn.Linear:
    state = torch.get_rng_state()
    torch.manual_seed(subject.seed)
    made = nn.Linear(inputs, module.out_features, module.bias is not None)
    torch.set_rng_state(state)
    return made


def _for_convolution(subject: Subject, path: str, module: Any, x: Any, given: Tensor) -> list[Cure]:
    axes, shape = module.weight.dim(), tuple(given.shape)
    raw = isinstance(x, Tensor) and tuple(x.shape) == shape
    if raw and given.dim() == axes - 1 and module.in_channels == 1:
        cure = Shaped((1, *shape[1:]))
        return [before(cure, "give the inputs an axis of one channel", "model(x.unsqueeze(1))")]
    if raw and given.dim() == axes and shape[-1] == module.in_channels != shape[1]:
        order = (0, axes - 1, *range(1, axes - 1))
        return [before(Shaped(axes=order), "put the channels on the second axis", f"model(x.permute({order}))")]
    if raw and given.dim() == 2 and module.in_channels and axes == 4:
        side = math.isqrt(shape[1] // module.in_channels)
        if side * side * module.in_channels == shape[1]:
            source = f"model(x.reshape(-1, {module.in_channels}, {side}, {side}))"
            return [before(Shaped((module.in_channels, side, side)), "give the inputs the shape of pictures", source)]
    if given.dim() == axes and module.groups == 1 and isinstance(module.padding, tuple):
        state = torch.get_rng_state()
        torch.manual_seed(subject.seed)
        made = type(module)(
            shape[1], module.out_channels, module.kernel_size, module.stride, module.padding, module.dilation,
            bias=module.bias is not None,
        )  # fmt: skip
        torch.set_rng_state(state)
        return _replaced(subject, path, made)
    return []


def _beyond_table(subject: Subject, path: str, module: nn.Embedding, given: Tensor, error: str) -> Iterator[Suspicion]:
    if given.is_floating_point():
        cure = before(_Whole(), "turn the inputs into whole numbers", "model(x.long())")
        yield _crash("train.X", f"Table {path} is read at whole numbers, inputs are {given.dtype}.", error, [cure])
        return
    every = [leaf for leaf in leaves(subject.train.x) if not leaf.is_floating_point()]
    if subject.val is not None:
        every += [leaf for leaf in leaves(subject.val.x) if not leaf.is_floating_point()]
    low, high = min(int(t.min()) for t in every), max(int(t.max()) for t in every)
    message = f"Table {path} has rows 0 … {module.num_embeddings - 1}, but inputs run from {low} to {high}."
    cures: list[Cure] = []
    if low >= 0:
        state = torch.get_rng_state()
        torch.manual_seed(subject.seed)
        cures = _replaced(subject, path, nn.Embedding(high + 1, module.embedding_dim, module.padding_idx))
        torch.set_rng_state(state)
    yield _crash(path, message, error, cures)


class _Whole(nn.Module):
    """Whole numbers in place of floats."""

    layer_kind = "input"

    def forward(self, x: Any) -> Any:
        return mapped(x, lambda t: t.long())


def _replaced(subject: Subject, path: str, module: nn.Module) -> list[Cure]:
    """Another module in its place, unless it is the whole model."""
    name = f"{type(module).__name__} of the size that it is given"
    return [replace_module(subject, path, module, name)] if path else []


def _wrapped(subject: Subject, path: str, module: nn.Module) -> list[Cure]:
    """The same layer behind a flattening, its parameters named as before: it flattens in a hook of its own."""
    if not path:
        return []

    def apply(program: Program) -> Program:
        layer = program.model.get_submodule(path)
        layer.register_forward_pre_hook(_flatten)
        return program

    change = Change(f"model.{path}", "layer", f"nn.Sequential(nn.Flatten(), {module[-1]!r})")  # type: ignore[index]
    return [Cure("flatten what the layer is given", (change,), apply)]


def _flatten(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (args[0].flatten(1), *args[1:])


def _types(subject: Subject, error: str, output: Any, y: Any) -> Iterator[Suspicion]:
    """Targets of a type that the loss does not take: tried on the loss itself."""
    if not isinstance(output, Tensor) or not isinstance(y, Tensor) or ("scalar" in error and "grad" in error):
        return
    whole = not y.is_floating_point() or bool((y == y.round()).all())
    wanted = [torch.long] if y.is_floating_point() and whole else []
    wanted = (
        [torch.long, output.dtype]
        if y.dtype in (torch.int32, torch.uint8, torch.int8, torch.int16, torch.bool)
        else wanted
    )
    if y.dtype == torch.long or (y.is_floating_point() and y.dtype != output.dtype):
        wanted = [output.dtype]
    for dtype in wanted:
        if not _runs(subject, output, y.to(dtype)):
            continue
        kind = "whole numbers, the codes of classes" if dtype == torch.long else f"targets of {dtype}"
        message = f"Targets are {y.dtype}, but the loss wants {kind}."
        yield _crash("train.y", message, error, [cast(dtype, y.dtype)])
        return


def _runs(subject: Subject, output: Tensor, y: Tensor) -> bool:
    try:
        z = output.detach().clone().requires_grad_()
        asked(own_loss(subject.program.loss), z, y).backward()
    except IndexError:  # of a label out of range: the type is right
        return True
    except Exception:
        return False
    return True
