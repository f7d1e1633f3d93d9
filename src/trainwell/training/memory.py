"""Memory of this process: how much it held at most, and giving back what was freed."""

import ctypes
import sys


def peak_bytes() -> int | None:
    """Most memory that this process held at once, where the system tells."""
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
