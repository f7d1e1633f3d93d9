"""What the watch knows of a loop: the window from one optimizer step to the next, and what came before.

A *window* begins where an optimizer step ends and ends with the next one. In it lie the forward passes of the net, the
calls of the loss, the backward passes, and the wait for the data. A *pass* is a forward of the net with gradients, and
what is needed to do it again; it holds the batch, never an output or a graph.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.clinic.watching.look import Look
from trainwell.clinic.watching.replay import Replay

REMEMBERED = 64  # windows whose losses and waits are kept
MOST_PASSES = 8  # of a window that are kept whole
HOPELESS = frozenset({"nonfinite-loss", "input-nonfinite"})  # once one was found, no number means anything


@dataclass(slots=True)
class Pass:
    """A forward of the net with gradients, and the loss that was computed of it.

    Attributes:
        number: of the batch, from 1.
        args, kwargs: of the net.
        random: state of torch's generator before it.
        autocast: device type and dtype, or None.
        training: mode of the net.
        pointer, size: where the output lies and its number of elements, to know it again in the call of the loss.
        loss_args, loss_kwargs: of the loss; None in the place of the net's output.
        place, shape: which argument the output was, and its shape there; None if it was none of them.
        loss: value, nan before it is known.
    """

    number: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    random: Tensor
    autocast: tuple[str, torch.dtype] | None
    training: bool
    pointer: int = 0
    size: int = -1
    loss_args: tuple[Any, ...] | None = None
    loss_kwargs: dict[str, Any] = field(default_factory=dict)
    place: int | None = None
    shape: torch.Size | None = None
    loss: float = float("nan")


@dataclass(slots=True)
class Window:
    """What happened since the last optimizer step.

    Attributes:
        began: seconds of the clock at its begin.
        waited: seconds until the first forward; None before it.
        timed: whether its begin was not ahead of the device.
        whole: whether it was seen from its begin.
        passes: the latest ``MOST_PASSES`` of them.
        forwards, in_eval: forwards with gradients, and those of them with the net in evaluation mode.
        unlearned: forwards without gradients, with the net in training mode.
        unlearned_losses: losses that were computed without gradients after such forwards.
        losses: of the forwards with gradients.
        clean: for backward passes that were looked at, whether gradients were zero where it began.
    """

    began: float
    waited: float | None = None
    timed: bool = True
    whole: bool = True
    passes: list[Pass] = field(default_factory=list)
    forwards: int = 0
    in_eval: int = 0
    unlearned: int = 0
    unlearned_losses: int = 0
    losses: list[float] = field(default_factory=list)
    clean: list[bool] = field(default_factory=list)


@dataclass
class Seen:
    """All that alarms may look at.

    Attributes:
        net, optimizers, loader: as given; the loader may be None.
        replay: computes things of a pass again, on a copy.
        names: path of each parameter of the net, by its id.
        loss_known: whether losses are seen.
        step: number of the optimizer step that ends the window, from 1.
        batches: forwards with gradients so far.
        window: that is judged.
        look: what the close look at this window saw; None where there was none.
        first_loss: of the first window; None before it.
        losses: mean loss of the latest windows.
        spoken: codes of the findings so far.
        wanted: a close look at the next window is wanted, whatever it costs.
    """

    net: nn.Module
    optimizers: tuple[Optimizer, ...]
    loader: Any
    replay: Replay
    names: dict[int, str]
    window: Window
    loss_known: bool = False
    step: int = 1
    batches: int = 0
    look: Look | None = None
    first_loss: float | None = None
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    spoken: set[str] = field(default_factory=set)
    wanted: bool = False

    @property
    def hopeless(self) -> bool:
        """Whether the loss or a gradient was not finite."""
        return not HOPELESS.isdisjoint(self.spoken)

    @property
    def rates(self) -> dict[int, float]:
        """Learning rate of each parameter that an optimizer holds, by its id."""
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        return {id(p): float(group.get("lr", 1.0)) for group in groups for p in group["params"]}

    def batch(self, one: Pass | None = None) -> str:
        """A batch in words: ``batch 312``; of the latest pass if none is given."""
        number = self.batches if one is None else one.number
        try:
            length = len(self.loader) if self.loader is not None else 0
        except TypeError:
            length = 0
        if not length:
            return f"batch {number}"
        epoch, place = divmod(number - 1, length)
        return f"batch {place + 1} of {length} in epoch {epoch + 1}"


def named_parameters(net: nn.Module) -> dict[int, str]:
    """Path of each parameter by its id, without what wrappers put before it."""
    return {id(p): plain_path(name) for name, p in net.named_parameters()}


def plain_path(name: str) -> str:
    """A path without the prefixes of ``DataParallel`` and compiled modules."""
    for prefix in ("_orig_mod.", "module."):
        name = name.removeprefix(prefix)
    return name


def keep_arguments(one: Pass, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Keep the arguments of the loss, without the net's output and without any graph."""
    kept: list[Any] = []
    for place, value in enumerate(args):
        if isinstance(value, Tensor):
            if one.place is None and value.numel() == one.size and value.data_ptr() == one.pointer:
                one.place, one.shape = place, value.shape
                kept.append(None)
                continue
            value = value.detach()
        kept.append(value)
    one.loss_args = tuple(kept)
    one.loss_kwargs = {k: v.detach() if isinstance(v, Tensor) else v for k, v in kwargs.items()}
