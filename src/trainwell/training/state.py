"""What callbacks see: where the run stands, and a way to stop it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer


def _nobody(text: str) -> None:
    """A state without a teller: nobody listens."""


EVENTS = (
    "stage",
    "message",
    "run_start",
    "epoch_start",
    "step_end",
    "validation_start",
    "validation_end",
    "checkpoint_saved",
    "stepped_back",
    "run_end",
)


@dataclass
class State:
    """Where the run stands; callbacks ``f(event, state)`` may read all of it and call :meth:`stop`."""

    epoch: int = 0  # from 1
    epochs: int = 0
    step: int = 0  # optimizer steps done in the whole run
    steps: int = 0
    step_in_epoch: int = 0
    steps_per_epoch: int = 0
    batch_size: int = 0
    lr: float = 0.0
    loss: Tensor | None = None  # of the last batch, detached: .item() waits for the device
    metrics: dict[str, float] = field(default_factory=dict)  # of the latest epoch
    best_epoch: int | None = None
    text: str = ""  # of the events stage and message
    fraction: float | None = None  # of a stage, in 0 … 1
    folder: Path | None = None
    model: nn.Module | None = None
    optimizer: Optimizer | None = None
    seconds: float = 0.0
    stopping: bool = False
    say: Callable[[str], None] = _nobody  # a sentence of a callback's own, for the bar, the log and the report

    def stop(self) -> None:
        """End the run after this step, as if it were the last: validated, saved, reported."""
        self.stopping = True


Callback = Callable[[str, State], Any]


class Teller:
    """Tells callbacks what happens, and keeps the sentences for log and report."""

    def __init__(self, callbacks: Iterable[Callback] = (), state: State | None = None) -> None:
        self.callbacks = tuple(callbacks)
        self.state = state or State()
        self.state.say = self.say
        self.messages: list[str] = []

    def tell(self, event: str) -> None:
        """Call every callback with the event."""
        for callback in self.callbacks:
            callback(event, self.state)

    def say(self, text: str) -> None:
        """A sentence for the user."""
        self.messages.append(text)
        self.state.text = text
        self.tell("message")

    def stage(self, text: str, fraction: float | None = None) -> None:
        """A lasting part of the work that is not training."""
        self.state.text, self.state.fraction = text, fraction
        self.tell("stage")
