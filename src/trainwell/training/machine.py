"""Device, threads and determinism for the time of a run; all put back afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from trainwell.errors import InputError
from trainwell.training.checkpoint import random_state, set_random_state
from trainwell.training.settings import Training


def resolve_device(name: str) -> torch.device:
    """The device of this name; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        InputError: if there is no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(
            f"training.device: no device is called {name!r}.", "Use auto, cpu, cuda, cuda:N or mps."
        ) from None
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise InputError(
            f"training.device: this machine has no {name}.", "Use auto or cpu; `trainwell doctor` says what is here."
        )
    return device


@contextmanager
def settled(training: Training, device: torch.device) -> Iterator[None]:
    """Threads, determinism and the random generators as the run needs them, and as before afterwards."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    benchmark = torch.backends.cudnn.benchmark
    random = random_state()
    if training.threads:
        torch.set_num_threads(training.threads)
    if training.deterministic:
        if device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        memory.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = not training.deterministic
    torch.manual_seed(training.seed)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        memory.fill_uninitialized_memory = fill
        torch.backends.cudnn.benchmark = benchmark
        set_random_state(random)
