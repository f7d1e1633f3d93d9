"""The watch in trainwell's own engine: a callback ``f(event, state)`` of its runs."""

from typing import Any

from torch import nn

from trainwell.clinic.watching.pace import PROMISED
from trainwell.clinic.watching.watch import Told, Watch
from trainwell.training.state import State


class WatchedRun:
    """Watches a run: ``tw.fit(program, callbacks=[WatchedRun(loss=program.loss)])``.

    Args:
        loss: the program's, if it is a module: it is seen where the engine calls it. Without it the loss is read after
            each step, and what goes wrong in the net is found by its gradients.
        loader: the program's training loader, where it has one.
        told: is given each finding, in place of a sentence on stderr.
        share: of a step's time that it may take.

    Attributes:
        watch: of the latest run; None before one begins.
    """

    def __init__(
        self, loss: Any = None, loader: Any = None, *, told: Told | None = None, share: float = PROMISED
    ) -> None:
        self._loss = loss if isinstance(loss, nn.Module) else None
        self._loader, self._told, self._share = loader, told, share
        self.watch: Watch | None = None

    def __call__(self, event: str, state: State) -> None:
        if event == "run_start" and state.model is not None and state.optimizer is not None:
            if self.watch is not None:
                self.watch.stop()
            self.watch = Watch(
                state.model, state.optimizer, self._loss, self._loader, told=self._told, share=self._share
            ).start()
        elif self.watch is None:
            return
        elif event == "step_end" and self._loss is None and state.loss is not None:
            self.watch.observe(state.loss)
        elif event == "run_end":
            self.watch.stop()
