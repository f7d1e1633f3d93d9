"""Where a NaN or an infinite value comes from, followed operation by operation through a pass that is done again.

Every tensor that is not finite has an origin: that of the first operand that was not finite, or, if all were, the
operation that made it. So where the loss is not finite, its origin is the operation that began it, whatever else in the
net is not finite without doing harm, as the −∞ of a mask that a softmax takes away. A NaN that an operation makes of
such a mask begins there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainwell.clinic.watching.replay import Again, CannotReplay, Replay, first_tensor, tensors_of
from trainwell.clinic.watching.seen import Pass, plain_path

FILLS = ("masked_fill", "masked_fill_", "full", "full_like", "fill", "fill_", "new_full", "scalar_tensor", "lift_fresh")
LOSS = "the loss"


@dataclass(frozen=True)
class Origin:
    """Where a value that is not finite began.

    Attributes:
        kind: ``batch``, ``targets``, ``weights``, ``buffer``, ``operation`` or ``gradient``.
        where: path of the layer, or name of the parameter or argument.
        operation: name in ATen (of which it is the derivative, for a gradient), or "".
        value: ``nan`` or ``inf``.
        samples: places along the first dimension, at most eight.
    """

    kind: str
    where: str
    operation: str
    value: str
    samples: tuple[int, ...] = ()


def origin_of(replay: Replay, one: Pass) -> Origin | None:
    """The origin of a loss that is not finite; None where everything is finite when the pass is done again.

    Raises:
        CannotReplay: if it cannot be done again.
    """
    trackers: list[Tracker] = []

    @contextmanager
    def around(net: nn.Module, batch: Any, loss: Any) -> Iterator[None]:
        tracker = Tracker(net, batch, loss)
        trackers.append(tracker)
        with tracker:
            yield

    with replay.again(one, around) as again:
        result = again.loss if again.loss is not None else first_tensor(again.output)
        found = None if result is None else trackers[0].origin(result)
        if found is not None or again.loss is not None:
            return found
        return next((o for t in tensors_of(again.output) if (o := trackers[0].origin(t))), None)


class Tracker(TorchDispatchMode):
    """Follows what is not finite through the operations of a forward pass.

    Args:
        net: whose layers are named.
        batch, loss: arguments of the net, and of the loss.
    """

    def __init__(self, net: nn.Module, batch: Any, loss: Any) -> None:
        super().__init__()
        self._origins: dict[int, Origin] = {}
        self._masks: set[int] = set()  # storages whose −∞ are meant
        self._stack: list[str] = []
        self._handles: list[Any] = []
        self._net = net
        self._known(batch, "batch", "the batch", masks=True)
        self._known(loss, "targets", "the targets", masks=True)
        for name, p in net.named_parameters():
            self._known(p, "weights", name, masks=False)
        for name, buffer in net.named_buffers():
            self._known(buffer, "buffer", name, masks=True)

    def __enter__(self) -> "Tracker":
        for path, module in self._net.named_modules():
            self._handles.append(module.register_forward_pre_hook(self._entering(path)))
            self._handles.append(module.register_forward_hook(self._leaving, always_call=True))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for handle in self._handles:
            handle.remove()

    def origin(self, tensor: Tensor) -> Origin | None:
        """Of a tensor that is not finite; None if it is finite."""
        if _state(tensor) == "":
            return None
        return self._origins.get(_storage(tensor)) or Origin("operation", "", "", _state(tensor))

    def _entering(self, path: str) -> Any:
        def enter(module: nn.Module, args: Any) -> None:
            self._stack.append(plain_path(path))

        return enter

    def _leaving(self, module: nn.Module, args: Any, output: Any) -> None:
        self._stack.pop()

    def _known(self, values: Any, kind: str, where: str, *, masks: bool) -> None:
        for tensor in tensors_of(values):
            state = _state(tensor)
            if state and masks and _only_minus(tensor):
                self._masks.add(_storage(tensor))
            if state:
                self._origins[_storage(tensor)] = Origin(kind, where, "", state, _rows(tensor))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        read = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        bad = [(t, state) for t in read if (state := _state(t))]
        keys = {_storage(t) for t in read}
        before = {_storage(t): self._origins.get(_storage(t)) for t, _ in bad}
        out = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name in ("empty", "empty_like", "new_empty", "empty_strided"):  # whatever was in the memory
            return out
        for tensor in tensors_of(out):
            self._follow(tensor, name, bad, before, aliases=_storage(tensor) in keys)
        return out

    def _follow(self, tensor: Tensor, name: str, bad: Any, before: Any, *, aliases: bool) -> None:
        state, key = _state(tensor), _storage(tensor)
        if not state:
            if not aliases:  # a finite part of a tensor says nothing of the rest of it
                self._origins.pop(key, None)
                self._masks.discard(key)
            return
        masked = bool(bad) and all(_storage(t) in self._masks for t, _ in bad)
        here = Origin("operation", self._stack[-1] if self._stack else LOSS, name, state, _rows(tensor))
        if bad and not (masked and state == "nan"):
            self._origins[key] = next((o for t, _ in bad if (o := before[_storage(t)])), here)
        else:
            self._origins[key] = here
        if (masked or (not bad and name in FILLS)) and _only_minus(tensor):
            self._masks.add(key)
        else:
            self._masks.discard(key)


def gradient_origin(replay: Replay, one: Pass) -> Origin | None:
    """The origin of a gradient that is not finite where the loss is; None if none is when it is done again.

    Raises:
        CannotReplay: if it cannot be done again, or its loss is not known.
    """
    owners: dict[Any, str] = {}

    @contextmanager
    def around(net: nn.Module, batch: Any, loss: Any) -> Iterator[None]:
        handles = [
            module.register_forward_hook(_owning(owners, plain_path(path))) for path, module in net.named_modules()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    with replay.again(one, around) as again:
        if again.loss is None or again.loss.grad_fn is None:
            raise CannotReplay("the loss is not computed from the net's output alone")
        return _backward(again, owners)


def _backward(again: Again, owners: dict[Any, str]) -> Origin | None:
    found: list[Origin] = []

    def watch(node: Any) -> None:
        def look(made: Any, given: Any) -> None:
            states = [(t, s) for t in made if isinstance(t, Tensor) and (s := _state(t))]
            if found or not states or any(_state(t) for t in given if isinstance(t, Tensor)):
                return
            name = node.name().partition("Backward")[0]
            found.append(Origin("gradient", owners.get(node, LOSS), name.lower(), states[0][1]))

        node.register_hook(look)

    assert again.loss is not None
    for node in _graph(again.loss.grad_fn):
        watch(node)
    again.loss.backward()
    return found[0] if found else None


def _graph(root: Any) -> list[Any]:
    """All nodes of a graph but those that gather gradients."""
    seen: dict[Any, None] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen or node.name().endswith("AccumulateGrad"):
            continue
        seen[node] = None
        waiting.extend(child for child, _ in node.next_functions)
    return list(seen)


def _owning(owners: dict[Any, str], path: str) -> Any:
    """Give the nodes between a layer's inputs and outputs, that no layer inside it has, to this layer."""

    def own(module: nn.Module, args: Any, output: Any) -> None:
        given = {t.grad_fn for t in tensors_of(args)}
        waiting = [t.grad_fn for t in tensors_of(output)]
        passed = set()
        while waiting:
            node = waiting.pop()
            if node is None or node in given or node in passed or node.name().endswith("AccumulateGrad"):
                continue
            passed.add(node)
            owners.setdefault(node, path)
            waiting.extend(child for child, _ in node.next_functions)

    return own


def _state(tensor: Tensor) -> str:
    """``nan``, ``inf`` or "" for a finite tensor."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.numel() == 0 or tensor.layout != torch.strided:
        return ""
    if bool(torch.isfinite(tensor).all()):
        return ""
    return "nan" if bool(torch.isnan(tensor).any()) else "inf"


def _only_minus(tensor: Tensor) -> bool:
    """Whether −∞ is all that is not finite."""
    return not bool(tensor.isnan().any() | torch.isposinf(tensor).any())


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _rows(tensor: Tensor) -> tuple[int, ...]:
    if tensor.dim() == 0:
        return ()
    bad = (~torch.isfinite(tensor)).reshape(len(tensor), -1).any(1)
    return tuple(bad.nonzero().flatten()[:8].tolist())
