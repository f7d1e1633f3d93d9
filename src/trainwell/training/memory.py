"""Memory of this process: how much it held at most, and giving back what was freed."""

import ctypes
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np


def peak_bytes() -> int | None:
    """Most memory that this process held at once, where the system tells.

    On Linux it is read from /proc: ``ru_maxrss`` begins with that of the process which started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        found = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")]
        if found:
            return int(found[0].split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(used if sys.platform == "darwin" else used * 1024)


def give_back() -> None:
    """Return freed memory to the system; glibc keeps it otherwise, and layouts tried in turn would add up."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        except (OSError, AttributeError):
            return  # another C library


def release_pages(array: np.ndarray) -> None:
    """Let the system drop a memory-mapped file's pages from this process; they are read again when they are needed."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)
