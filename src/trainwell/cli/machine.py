"""What this machine is made of, as plain values: every fact is None where it cannot be known."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

PARTS = ("torch", "numpy", "scipy", "scikit-learn", "pyarrow", "safetensors", "pydantic", "matplotlib", "pillow")
EXTRAS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "tensorboard": ("tensorboard",)}
COMPILERS = ("c++", "g++", "clang++", "cl")
UNITS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "bf16")
MATRIX, REPEATS = 1024, 5
GIB = 2**30


def software() -> dict[str, str | None]:
    """Versions of trainwell, Python and the parts that matter."""
    from trainwell import __version__

    return {"trainwell": __version__, "python": platform.python_version(), **{part: version(part) for part in PARTS}}


def version(distribution: str) -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def extras() -> dict[str, bool]:
    """Whether each optional extra is installed with all its parts."""
    return {name: all(importlib.util.find_spec(part) is not None for part in parts) for name, parts in EXTRAS.items()}


def processor() -> dict[str, Any]:
    """Model, cores that this process may use, and the units that speed up low precision."""
    facts = _linux_processor() if sys.platform == "linux" else {}
    if sys.platform == "darwin":
        facts = {"model": _told(["sysctl", "-n", "machdep.cpu.brand_string"])}
    flags = facts.pop("flags", set())
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "model": facts.get("model") or platform.processor() or platform.machine(),
        "cores": usable,
        "units": [unit for unit in UNITS if unit in flags],
    }


def _linux_processor() -> dict[str, Any]:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    halves = (line.partition(":") for line in lines)
    fields = {name.strip(): value.strip() for name, colon, value in halves if colon}
    return {
        "model": fields.get("model name"),
        "flags": set((fields.get("flags") or fields.get("Features", "")).split()),
    }


def memory() -> dict[str, float | None]:
    """Gibibytes of memory: in the machine, and free for use now."""
    facts: dict[str, float | None] = {"total": None, "available": None}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        facts["total"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    limit = _number_in(Path("/sys/fs/cgroup/memory.max"))
    if limit is not None and facts["total"] is not None:
        facts["total"] = min(facts["total"], limit / GIB)
    for line in _lines_of(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            facts["available"] = int(line.split()[1]) * 1024 / GIB
    return facts


def disks(places: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Path and free gibibytes of each place; of a folder that does not exist yet, those of the nearest parent."""
    facts = {}
    for name, place in places.items():
        there = next((p for p in (place.absolute(), *place.absolute().parents) if p.exists()), None)
        facts[name] = {"path": place.absolute(), "free": None if there is None else shutil.disk_usage(there).free / GIB}
    return facts


def devices() -> list[dict[str, Any]]:
    """Devices beside the CPU, as torch sees them."""
    import torch

    found: list[dict[str, Any]] = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        with torch.cuda.device(index):
            bf16 = torch.cuda.is_bf16_supported()
        found.append(
            {"device": f"cuda:{index}", "model": properties.name, "memory": properties.total_memory / GIB, "bf16": bf16}
        )
    if torch.backends.mps.is_available():
        found.append({"device": "mps", "model": "Apple GPU", "memory": None, "bf16": None})
    return found


def compiler() -> str | None:
    """The C++ compiler that ``torch.compile`` needs on a CPU."""
    named = os.environ.get("CXX")
    return next((path for path in map(shutil.which, (*([named] if named else []), *COMPILERS)) if path), None)


def data_folders() -> dict[str, Any]:
    """$TRAINWELL_DATA and the folders in it."""
    root = os.environ.get("TRAINWELL_DATA")
    if not root:
        return {"root": None, "folders": []}
    place = Path(root)
    return {"root": place, "folders": sorted(p.name for p in place.iterdir() if p.is_dir()) if place.is_dir() else []}


def bf16_speed() -> float:
    """How many times faster the CPU multiplies matrices in bfloat16 than in float32 (best of a few, interleaved)."""
    import torch

    a = torch.randn(MATRIX, MATRIX, generator=torch.Generator().manual_seed(0))
    low = a.bfloat16()
    best = {"f32": float("inf"), "bf16": float("inf")}
    for _ in range(REPEATS):
        best["f32"] = min(best["f32"], _seconds(lambda: a @ a))
        best["bf16"] = min(best["bf16"], _seconds(lambda: low @ low))
    return best["f32"] / best["bf16"]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _told(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def _lines_of(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _number_in(path: Path) -> int | None:
    lines = _lines_of(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None
