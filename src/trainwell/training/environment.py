"""What a run was made with: versions, machine, and where the data came from."""

import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("trainwell", "torch", "numpy", "scipy", "scikit-learn", "pyarrow", "pillow", "safetensors", "pydantic")


def environment(dataset: Any) -> str:
    """JSON of versions, machine and provenance, without clock times."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    content = {
        "format": 1,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "packages": found,
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
        "data": {"name": dataset.name, "kind": dataset.kind, "samples": len(dataset), **dataset.provenance},
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()
