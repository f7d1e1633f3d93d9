"""The watch as a callback of Lightning: ``Trainer(callbacks=[WatchCallback()])``; needs ``pip install lightning``."""

from typing import Any

import lightning
from torch import Tensor, nn

from trainwell.clinic.watching.pace import PROMISED
from trainwell.clinic.watching.watch import Told, Watch


class WatchCallback(lightning.Callback):
    """Watches the training of a ``LightningModule``.

    Watched is the one module with weights inside it, where there is one (``self.model``), else the whole: a
    ``training_step`` need not call the ``forward`` of the whole.

    Args:
        told: is given each finding, in place of a sentence on stderr.
        share: of a step's time that the watch may take.

    Attributes:
        watch: of the latest training; None before it.
    """

    def __init__(self, *, told: Told | None = None, share: float = PROMISED) -> None:
        super().__init__()
        self._told, self._share = told, share
        self.watch: Watch | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to watch."""
        loader = trainer.train_dataloader
        self.watch = Watch(
            watched_part(pl_module), trainer.optimizers, None, loader, told=self._told, share=self._share
        )
        self.watch.start()

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        """Show the watch the loss."""
        if self.watch is not None:
            self.watch.observe(loss)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Watch no longer."""
        if self.watch is not None:
            self.watch.stop()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Watch no longer."""
        self.on_train_end(trainer, pl_module)


def watched_part(whole: nn.Module) -> nn.Module:
    """The one part that holds all weights and is called as a module; else the whole."""
    parts = [part for part in whole.children() if next(part.parameters(), None) is not None]
    own = next(whole.parameters(recurse=False), None)
    if len(parts) == 1 and own is None and not isinstance(parts[0], nn.ModuleList | nn.ModuleDict):
        return parts[0]
    return whole
