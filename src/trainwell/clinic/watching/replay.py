"""A pass done again on a copy of the net: nothing of the user's is touched, and the random state is put back."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainwell.training.batches import mapped
from trainwell.training.trial import untouched

if TYPE_CHECKING:
    from trainwell.clinic.watching.seen import Pass

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class CannotReplay(Exception):
    """The pass cannot be done again; the text says why."""


@dataclasses.dataclass(frozen=True)
class Again:
    """A pass that was done again.

    Attributes:
        net: the copy.
        output: of it.
        loss: with its graph; None where it cannot be computed from the output.
    """

    net: nn.Module
    output: Any
    loss: Tensor | None


class Replay:
    """Does passes again.

    Args:
        net: is copied for every replay, with its weights and modes as they are then.
        loss: callable that was given for it, or None.
    """

    def __init__(self, net: nn.Module, loss: Any) -> None:
        self._net, self._loss = net, loss

    def copied(self) -> nn.Module:
        """A copy of the net without the hooks of others.

        Raises:
            CannotReplay: for a net that cannot be copied.
        """
        net: nn.Module = self._net
        while isinstance(inner := getattr(net, "_orig_mod", getattr(net, "module", None)), nn.Module):
            if type(net).__module__.partition(".")[0] != "torch":
                break
            net = inner
        if any("forward" in vars(module) for module in net.modules()):
            raise CannotReplay("a forward of the net was replaced, which a copy would share")
        try:
            copied = copy.deepcopy(net)
        except Exception as error:  # whatever a user's module raises
            raise CannotReplay(f"the net cannot be copied ({_line(error)})") from error
        for module in copied.modules():
            for name in HOOKS:
                hooks = getattr(module, name, None) or {}
                for key in [k for k, hook in hooks.items() if not _of_torch(hook)]:
                    del hooks[key]
        return copied

    @contextmanager
    def again(self, one: "Pass", around: Any = None, weights: Sequence[Tensor] | None = None) -> Iterator[Again]:
        """Do a pass again with gradients, in the same mode, precision and random state.

        Args:
            one: the pass.
            around: ``around(copy, batch, loss arguments)`` gives a context that is entered for the computation.
            weights: of the copy, in the order of its parameters; those of the net if None.

        Raises:
            CannotReplay: if the net cannot be copied, or raises.
        """
        with untouched(), torch.enable_grad():
            net = self.copied()
            for p, value in zip(net.parameters(), weights or (), strict=False):
                p.data.copy_(value)
            args, kwargs = mapped(one.args, _own), mapped(one.kwargs, _own)
            loss_args = None if one.loss_args is None else mapped(one.loss_args, _own)
            loss_kwargs = mapped(one.loss_kwargs, _own)
            torch.set_rng_state(one.random)
            context = nullcontext() if around is None else around(net, (args, kwargs), (loss_args, loss_kwargs))
            try:
                with context, nullcontext() if one.autocast is None else torch.autocast(*one.autocast):
                    output = net(*args, **kwargs)
                    loss = self._loss_of(one, output, loss_args, loss_kwargs)
            except Exception as error:
                raise CannotReplay(f"the pass fails when it is done again ({_line(error)})") from error
            yield Again(net, output, loss)

    def loss_now(self, one: "Pass", weights: Sequence[Tensor] | None = None) -> float | None:
        """Loss of a pass with the weights as they are now, or others; None where it cannot be computed again."""
        if not one.random.numel() or (one.place is None and self._loss is not None):
            return None
        try:
            with self.again(one, weights=weights) as again:
                return None if again.loss is None else float(again.loss.detach())
        except CannotReplay:
            return None

    def _loss_of(self, one: "Pass", output: Any, args: Any, kwargs: Any) -> Tensor | None:
        own = own_loss(output)
        if own is not None and args is None:
            return own
        first = first_tensor(output)
        if args is None or one.place is None or one.shape is None or first is None or self._loss is None:
            return None
        args = list(args)
        args[one.place] = first.reshape(one.shape)
        loss = self._loss
        if isinstance(loss, nn.Module):
            loss = copy.deepcopy(loss)
            loss._forward_hooks.clear()
        value = loss(*args, **kwargs)
        return value.mean() if isinstance(value, Tensor) else None


def own_loss(output: Any) -> Tensor | None:
    """The loss that a model computes itself, as those of ``transformers`` do."""
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    return loss if isinstance(loss, Tensor) and loss.dim() == 0 else None


def first_tensor(output: Any) -> Tensor | None:
    """The first tensor of an output that may be a tuple, a mapping or an object with tensors."""
    return next(tensors_of(output), None)


def tensors_of(value: Any) -> Iterator[Tensor]:
    """All tensors of a value, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_of(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_of(part)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield from tensors_of(getattr(value, entry.name))


def _own(tensor: Tensor) -> Tensor:
    """The same values apart from any graph."""
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


def _of_torch(hook: Any) -> bool:
    return type(hook).__module__.partition(".")[0] == "torch"


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
