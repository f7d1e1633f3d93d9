"""The weights of the best epoch: in memory while the run goes on, on disk beside the checkpoints that refer to them.

A kept checkpoint must find the best weights of its own time, also when a better epoch came after it; so each best epoch
has a file of its own, and a file goes when no kept checkpoint refers to it.
"""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from trainwell.training.best import Best
from trainwell.training.weights import read_weights, save_weights


class BestWeights:
    """Copies of the weights of the best epochs.

    Args:
        best: says which epoch is the best.
        folder: of the checkpoints; None keeps them in memory.
    """

    def __init__(self, best: Best, folder: Path | None) -> None:
        self.best, self.folder = best, folder
        self.weights: dict[str, Tensor] | None = None
        self._referred: dict[int, int] = {}  # step of each kept checkpoint → the best epoch of its time
        self._held: dict[int, dict[str, Tensor]] = {}  # by epoch, where there is no folder
        self._new = False  # not in a file yet

    def offer(self, epoch: int, scores: dict[str, float], model: nn.Module) -> bool:
        """Copy the model's weights if this epoch is the best so far; returns whether it is."""
        better = self.best.offer(epoch, scores)
        if better and scores:
            self.weights, self._new = copied(model), True
        return better

    def save(self, step: int | None) -> None:
        """Save them for a checkpoint; ``step`` is that of a regular one, which will refer to them."""
        file = self._file()
        if file and self.weights and (self._new or not file.exists()):
            save_weights(self.weights, file)
            self._new = False
        elif self.weights and self.best.epoch is not None:
            self._held[self.best.epoch] = self.weights
        if step is not None:
            self._referred[step] = self.best.epoch or 0

    def forget(self, kept: set[int]) -> None:
        """Leave the weights that the kept checkpoints (by step) refer to, and no others."""
        self._referred = {step: epoch for step, epoch in self._referred.items() if step in kept}
        epochs = set(self._referred.values())
        self._held = {epoch: held for epoch, held in self._held.items() if epoch in epochs}
        for file in self.folder.glob("best-*.safetensors") if self.folder else ():
            if int(file.stem.split("-")[1]) not in epochs:
                file.unlink(missing_ok=True)

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {**self.best.state(), "referred": dict(self._referred)}

    def load(self, state: dict[str, Any]) -> None:
        """From the checkpoint."""
        same, self._new = self.best.epoch == state["epoch"], False
        self.best.load(state)
        self._referred = dict(state["referred"])
        if not same:
            file = self._file()
            found = read_weights(file) if file and file.exists() else None
            self.weights = found or self._held.get(self.best.epoch or 0)

    def _file(self) -> Path | None:
        if self.folder is None or self.best.epoch is None:
            return None
        return self.folder / f"best-{self.best.epoch:05d}.safetensors"


def copied(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's state on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}
