"""The watch as a callback of Hugging Face's ``Trainer``; needs ``pip install transformers accelerate``.

Trainer(model, args, train_dataset=data, callbacks=[WatchCallback()])
"""

from typing import Any

import transformers

from trainwell.clinic.watching.pace import PROMISED
from trainwell.clinic.watching.watch import Told, Watch


class WatchCallback(transformers.TrainerCallback):
    """Watches the training of a model that computes its loss itself, as those of ``transformers`` do.

    Args:
        told: is given each finding, in place of a sentence on stderr.
        share: of a step's time that the watch may take.

    Attributes:
        watch: of the latest training; None before it.
    """

    def __init__(self, *, told: Told | None = None, share: float = PROMISED) -> None:
        self._told, self._share = told, share
        self.watch: Watch | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begin to watch."""
        model, optimizer, loader = given["model"], given["optimizer"], given.get("train_dataloader")
        self.watch = Watch(model, optimizer, None, loader, told=self._told, share=self._share).start()

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Watch no longer."""
        if self.watch is not None:
            self.watch.stop()
