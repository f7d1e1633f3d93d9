"""From a module to a ``Chain``: one forward pass in evaluation mode, watched from outside.

Two things are recorded in the order in which they run: calls of *leaf* modules (by forward hooks) and functions that
the model calls between them, such as ``F.relu`` or ``x + branch`` (by a ``TorchFunctionMode``). A leaf is a module
without children, one of torch's own layers (a parametrized ``nn.Linear`` has children), or one that never calls its
children (``nn.MultiheadAttention``). Additions and all that theory has no word for are of kind ``other``; functions
that only move numbers about are left out, unless they use a parameter. Of each step the chain says which steps'
outputs it reads (``nn.origins``), through whatever moved them about in between.
"""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from trainwell.nn.models.recurrent_layers import RecurrentLayer
from trainwell.nn.operations import OPAQUE, canonical_name, fans, function_step, kind_of
from trainwell.nn.origins import INPUT, Origins, tensors_in
from trainwell.theory.chain import Chain, Layer


def trace(model: nn.Module, example: Any) -> Chain:
    """Describe the layers that ``model`` runs on ``example``, in the order of execution.

    The model is left as it was: mode of every module, hooks, buffers, gradients and torch's random state.

    Args:
        model: any module.
        example: a batch of one or more samples: a tensor, or a tuple or dict of tensors, which is handed over whole
            where ``forward`` takes one argument and spread over the arguments where it takes several.

    Returns:
        The chain; where the forward pass fails, its layers up to there, and ``incomplete`` says why it ends.
    """
    model = getattr(model, "_orig_mod", model)
    watch = _Watch(model)
    failure = ""
    with watch.hooked(), _left_alone(model), watch:
        args, kwargs = _arguments(model, example)
        watch.origins.mark((args, kwargs), INPUT)
        try:
            model(*args, **kwargs)
        except Exception as error:  # whatever a stranger's forward raises is the answer, not our failure
            where = watch.stack[-1] if watch.stack and watch.stack[-1] else "the model itself"
            reason = (str(error).strip().splitlines() or ["no message"])[0]
            failure = f"The forward pass failed in {where}: {type(error).__name__}: {reason}"
    return Chain(tuple(watch.layers), failure or watch.unseen())


class _Watch(TorchFunctionMode):
    """Collects the layers of one forward pass; ``stack`` holds the paths of the modules that are running."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.paths = {module: path for path, module in model.named_modules()}
        self.origins = Origins(model)
        self.layers: list[Layer] = []
        self.stack: list[str] = []
        self.counted: set[int] = set()
        self.running: list[nn.Module] = []  # the leaf that runs now, if any: what happens inside it is its own affair

    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        """Hook every module for the duration."""
        handles: list[RemovableHandle] = []
        try:
            for module in self.paths:
                handles.append(module.register_forward_pre_hook(self._enter, with_kwargs=True))
                handles.append(module.register_forward_hook(self._leave, with_kwargs=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.stack.append(self.paths[module])
        if not self.running and _is_leaf(module):
            self.running.append(module)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        path = self.stack.pop()
        if not self.running or self.running[-1] is not module:
            return
        self.running.pop()
        reads = self.origins.of((args, kwargs))
        if isinstance(module, nn.Identity):
            self.origins.pass_on("Identity", (args, kwargs), output)
            return
        fan_in, fan_out = fans(module)
        self._record(
            Layer(
                path,
                kind_of(module),
                type(module).__name__.removeprefix("Parametrized"),
                _sample_shape((args, kwargs)),
                _sample_shape(output),
                fan_in,
                fan_out,
                self._count(list(module.parameters())),
                _detail(module),
                reads or (INPUT,),
            ),
            output,
        )
        if not reads:  # a table read at places that do not depend on the sample
            for tensor in tensors_in(output):
                del self.origins.steps[tensor]
            self.origins.name(output, path)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        read = (args, kwargs or {})
        reads, owned = self.origins.of(read), self.origins.owned(read)
        output = func(*args, **(kwargs or {}))
        if self.running:
            return output
        parameters = [leaf for leaf in tensors_in(read) if isinstance(leaf, nn.Parameter)]
        shape_in, shape_out = _sample_shape(read), _sample_shape(output)
        kind, shown, detail = function_step(func, read, output)
        name = canonical_name(func)
        if kind in ("linear", "conv"):
            detail = " ".join(f"{role}={owner}" for role, owner in zip(("weight", "bias"), owned, strict=False))
        elif owned and name in ("add", "mul", "sub") and len(reads) == 1 and kind != "scale":
            kind, detail = "other", f"parameter={owned[0]}"
        if not any(True for _ in tensors_in(output)) or not (kind or parameters):
            self.origins.pass_on(name, read, output)
            return output
        path = ".".join(filter(None, (self.stack[-1] if self.stack else "", f"{name}()")))
        weights = [leaf for leaf in tensors_in(read) if not self.origins.of(leaf)]
        fan_in, fan_out = fans(weights[0], name) if weights else (0, 0)
        count = self._count(parameters)
        step = Layer(path, kind or "other", shown, shape_in, shape_out, fan_in, fan_out, count, detail, reads)
        self._record(step, output)
        return output

    def _record(self, layer: Layer, output: Any) -> None:
        self.origins.mark(output, len(self.layers))
        self.layers.append(layer)

    def _count(self, parameters: list[nn.Parameter]) -> int:
        new = {id(p): p.numel() for p in parameters if id(p) not in self.counted and p.requires_grad}
        self.counted |= set(new)
        return sum(new.values())

    def unseen(self) -> str:
        """Return a sentence that names the trainable parameters which the forward pass didn't use; "" if none."""
        names = [n for n, p in self.model.named_parameters() if p.requires_grad and id(p) not in self.counted]
        if not names:
            return ""
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"The forward pass did not show where it uses {', '.join(names[:3])}{more}."


@contextlib.contextmanager
def _left_alone(model: nn.Module) -> Iterator[None]:
    """Run in evaluation mode without gradients; then put back modes, buffers and torch's random state."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer._version, buffer.detach().clone())
        for module, _ in modes
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        for module, _ in modes:
            module.training = False
        with torch.random.fork_rng(devices), torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for module, name, buffer, version, before in buffers:
            module._buffers[name] = buffer
            if buffer._version != version:
                buffer.copy_(before)


def _arguments(model: nn.Module, example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Spread a tuple or dict over ``forward``'s arguments where it has enough of them; else hand it over whole."""
    if not isinstance(example, tuple | list | dict):
        return (example,), {}
    try:
        inspect.signature(model.forward).bind(example)
        whole = True
    except TypeError:
        whole = False
    positional = [
        p
        for p in inspect.signature(model.forward).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY)
    ]
    if isinstance(example, dict):
        return ((), dict(example)) if set(example) <= {p.name for p in positional} else ((example,), {})
    spread = not whole or 1 < len(example) <= len(positional)
    return (tuple(example), {}) if spread else ((example,), {})


def _is_leaf(module: nn.Module) -> bool:
    own_class = type(module).__mro__[1] if hasattr(module, "parametrizations") else type(module)
    known = own_class.__module__.startswith("torch.nn.modules") and kind_of(module) != "other"
    return known or isinstance(module, (*OPAQUE, RecurrentLayer)) or not any(True for _ in module.children())


def _detail(module: nn.Module) -> str:
    if isinstance(module, nn.MultiheadAttention):
        return f"{module.embed_dim}, heads={module.num_heads}, batch_first={module.batch_first}"
    return module.extra_repr()


def _sample_shape(value: Any) -> tuple[int, ...]:
    """Shape, without the batch, of the first tensor in ``value``."""
    first = next(tensors_in(value), None)
    return () if first is None else tuple(first.shape[1:])
