"""Results that need not be measured again, each under a hash of all that it depends on.

That is: the experiment's source, the source of every module of trainwell that it imports, directly or through others,
its settings, the frame that judges and draws, and the versions of Python, NumPy, SciPy, matplotlib and torch.
"""

import ast
import hashlib
import json
import os
import platform
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trainwell.data.cache import cache_folder

ROOT = Path(__file__).parents[1]
FRAME = ("experiment.py", "single.py")
LIBRARIES = ("numpy", "scipy", "matplotlib", "torch")


def versions() -> dict[str, str]:
    """Of Python and of the libraries that measure and draw."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def key(source: Path, setting: Any, sabotage: bool) -> str:
    """The name of the result of this experiment, as its source and all that it imports are now."""
    digest = hashlib.sha256(json.dumps([asdict(setting), sabotage, versions()], sort_keys=True, default=str).encode())
    frame = [ROOT / "lab" / name for name in FRAME]
    for path in [*sorted(sources(source)), *frame]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]


def sources(path: Path) -> set[Path]:
    """This file and every file of trainwell that it imports, directly or through others."""
    found: set[Path] = set()
    left = [path.resolve()]
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            left += [imported for name in _imports(file.read_text(encoding="utf-8")) for imported in _files(*name)]
    return found


def recall(name: str) -> dict[str, Any] | None:
    """The result of this name, or None if there is none that can be read."""
    try:
        return json.loads(_place(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def remember(name: str, result: dict[str, Any]) -> None:
    """Keep a result, in one piece: a process that is killed leaves none."""
    place = _place(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f".{place.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(result), encoding="utf-8")
    os.replace(unfinished, place)


def _place(name: str) -> Path:
    return cache_folder() / "lab" / f"{name}.json"


def _imports(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Modules of trainwell that a source imports, each with the names it takes."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom | ast.Import)]
    taken = [
        (node.module or "", tuple(a.name for a in node.names)) for node in nodes if isinstance(node, ast.ImportFrom)
    ]
    whole = [(a.name, ()) for node in nodes if isinstance(node, ast.Import) for a in node.names]
    return [name for name in [*taken, *whole] if name[0].split(".")[0] == "trainwell"]


def _files(module: str, names: tuple[str, ...]) -> list[Path]:
    """The files behind ``from module import names``; of a lazy room, those that define the names."""
    place = ROOT.joinpath(*module.split(".")[1:])
    if place.with_suffix(".py").is_file():
        return [place.with_suffix(".py")]
    table = _table(place / "__init__.py")
    inside = [place / f"{table.get(name, name)}.py" for name in names]
    return [place / "__init__.py", *(path for path in inside if path.is_file())]


@cache
def _table(package: Path) -> dict[str, str]:
    """Public name → module of a lazy room."""
    tables = [node for node in ast.walk(ast.parse(package.read_text(encoding="utf-8"))) if isinstance(node, ast.Dict)]
    return ast.literal_eval(tables[0]) if tables else {}
