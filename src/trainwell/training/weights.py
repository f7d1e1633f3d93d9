"""Weights on disk: safetensors, written atomically, read without running anything."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from trainwell.errors import InputError, JobError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file beside ``path``, flush it to the disk, and rename it over ``path``.

    Whatever happens, ``path`` is either as before or complete.

    Raises:
        JobError: if the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch and safetensors report a full disk as RuntimeError
        temporary.unlink(missing_ok=True)
        raise JobError(
            f"{path} could not be written: {getattr(error, 'strerror', None) or str(error).splitlines()[0]}.",
            "Make room or name another folder with -o; what was saved before is untouched.",
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, UTF-8."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows has no folder to flush
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def distinct(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state dict without those that share their memory with an earlier one (tied weights)."""
    seen: set[tuple[int, tuple[int, ...]]] = set()
    kept = {}
    for name, tensor in state.items():
        key = (tensor.data_ptr(), tuple(tensor.shape))
        if tensor.numel() and key in seen:
            continue
        seen.add(key)
        kept[name] = tensor
    return kept


def save_weights(state: dict[str, Tensor], path: Path) -> None:
    """Save a state dict as safetensors; equal weights give equal bytes."""
    from safetensors.torch import save_file

    tensors = {name: t.detach().cpu().contiguous() for name, t in distinct(state).items()}
    write_atomically(path, lambda temporary: save_file(tensors, str(temporary), metadata={"format": "pt"}))


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights that :func:`save_weights` wrote into a model of the same structure.

    Raises:
        InputError: if the file is missing, cut short, not safetensors, or of another model.
    """
    copy_weights(model, read_weights(path), str(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Name the folder of a run that has finished at least one epoch.")
    try:
        return load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path} holds no weights: {str(error).splitlines()[0]}.",
            "It is cut short or not a safetensors file (pickles are refused, they can run code); restore it "
            "from a copy.",
        ) from error


def copy_weights(model: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Copy tensors into a model whose own state dict must fit, tied ones apart."""
    own = model.state_dict()
    allowed = own.keys() - distinct(own).keys()
    missing = own.keys() - state.keys() - allowed
    unknown = state.keys() - own.keys()
    wrong = [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape]
    if missing or unknown or wrong:
        names = sorted(missing | unknown | set(wrong))
        raise InputError(
            f"{origin} is of another model: {len(names)} tensors are missing, unknown or of another shape, "
            f"first {names[0]}.",
            "Use the recipe that the weights were trained with.",
        )
    with torch.no_grad():
        for name, tensor in state.items():
            own[name].copy_(tensor)
