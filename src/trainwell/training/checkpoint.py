"""Checkpoints: the whole state of a run, so that it continues bit for bit.

On disk a checkpoint is one file, written to a temporary name, flushed and renamed; the last two of the regular ones are
kept, and the one that a signal asked for until the next regular one. They are read with ``weights_only=True``: a file
that would run code is refused.
"""

import copy
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.errors import InputError
from trainwell.training.weights import write_atomically

FORMAT = 1
KEPT = 2


class Checkpoints:
    """The checkpoints of a run folder, or of memory where there is no folder."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder / "checkpoint" if folder else None
        self._held: list[dict[str, Any]] = []  # the regular ones of a run without a folder, oldest first
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob(".*.tmp"):
                left.unlink(missing_ok=True)

    def save(self, state: dict[str, Any], *, regular: bool = True) -> None:
        """Save the state; a regular one becomes the point that the run steps back to."""
        state = {**state, "format": FORMAT}
        if self.folder is None:
            self._held = [*self._held, copy.deepcopy(state)][-KEPT:] if regular else self._held
            return
        name = f"{'step' if regular else 'stopped'}-{state['step']:09d}.pt"
        write_atomically(self.folder / name, lambda temporary: torch.save(state, temporary))
        if regular:
            for old in self.files("step")[:-KEPT] + self.files("stopped"):
                old.unlink(missing_ok=True)

    def files(self, kind: str) -> list[Path]:
        """Files of the kind ``step`` or ``stopped``, oldest first."""
        return sorted(self.folder.glob(f"{kind}-*.pt")) if self.folder else []

    def steps(self) -> set[int]:
        """The steps of the regular states that are kept."""
        if self.folder is None:
            return {state["step"] for state in self._held}
        return {int(file.stem.split("-")[1]) for file in self.files("step")}

    def last_good(self, tried: int | None) -> dict[str, Any] | None:
        """The newest regular state, for stepping back.

        Args:
            tried: step of the state that the run stepped back to last. If it is still the newest, half the rate did not
                help: its weights may be on their way out already, and it is dropped where there is an older one.
        """
        if self.folder is None:
            if len(self._held) > 1 and self._held[-1]["step"] == tried:
                self._held.pop()
            return copy.deepcopy(self._held[-1]) if self._held else None
        regular = self.files("step")
        if len(regular) > 1 and int(regular[-1].stem.split("-")[1]) == tried:
            regular.pop().unlink(missing_ok=True)
        return read(regular[-1]) if regular else None

    def newest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest state that can be read, and a sentence about each newer file that could not.

        Raises:
            InputError: if there are files but none can be read.
        """
        files = sorted(self.files("step") + self.files("stopped"), key=lambda f: (f.stem.split("-")[1], f.stem))
        broken: list[InputError] = []
        for file in reversed(files):
            try:
                return read(file), [f"{error.message} An older checkpoint is used instead." for error in broken]
            except InputError as error:
                broken.append(error)
        if broken:
            raise broken[0]
        return None, []


def read(path: Path) -> dict[str, Any]:
    """Read one checkpoint file.

    Raises:
        InputError: if it is cut short, of another format, or holds anything but plain data and tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "it is empty")
        raise InputError(
            f"{path} cannot be read as a checkpoint ({reason[:120].rstrip('. ')}).",
            "It is cut short or not one of trainwell's; delete it to go on from an older one, or train anew.",
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else None
        raise InputError(f"{path} has checkpoint format {found}, this trainwell reads {FORMAT}.", "Train anew.")
    return state


def random_state(own: Sequence[torch.Generator] = ()) -> dict[str, Any]:
    """State of the global generators of torch, CUDA, Python and NumPy, and of ``own`` ones, as plain data."""
    state: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    state["own"] = [generator.get_state() for generator in own]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if "numpy" in sys.modules:
        import numpy as np

        kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - users' datasets draw from it
        state["numpy"] = [str(kind), torch.from_numpy(np.asarray(keys, dtype=np.int64)), *map(float, rest)]
    return state


def set_random_state(state: dict[str, Any], own: Sequence[torch.Generator] = ()) -> None:
    """Put the global generators and ``own`` ones back into a state that :func:`random_state` gave."""
    torch.set_rng_state(state["torch"])
    for generator, saved in zip(own, state["own"], strict=False):
        generator.set_state(saved)
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    if "numpy" in state:
        import numpy as np

        kind, keys, position, has_gauss, cached = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype("uint32"), int(position), int(has_gauss), cached))  # noqa: NPY002


def load_module(module: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Load a module's state, in its own memory layout."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"{origin}: the checkpoint is of another model ({str(error).splitlines()[-1].strip()}).",
            "Resume with the recipe that the run was started with.",
        ) from error


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's state with every tensor in its parameter's own strides.

    Fused optimizers on the CPU compute wrong numbers where strides differ, and ``load_state_dict`` shares memory with
    what it is given: both are why the tensors are copied.
    """
    optimizer.load_state_dict(copy.deepcopy(state))
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.dim() > 0:
                entries[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
