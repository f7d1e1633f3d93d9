"""Results of the published settings that are kept with the package, one file each, with hardware and time.

They are shown beside the quick results, which anybody repeats in a minute; ``bench/lab_full.py`` makes them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
KEPT = ("id", "verdict", "swapped", "seconds", "setting", "versions")
OF_CHECKS = ("name", "about", "passed", "relation", "tolerance", "absolute", "worst")


def keep(result: Mapping[str, Any], hardware: str, folder: Path = FOLDER) -> Path:
    """Write what a full run of an experiment gave, without figure and source.

    Args:
        result: of ``lab.run`` with ``full``.
        hardware: on what it ran, in words.
        folder: where to.
    """
    folder.mkdir(exist_ok=True)
    checks = [{name: check[name] for name in OF_CHECKS} for check in result["checks"]]
    kept = {name: result[name] for name in KEPT} | {"hardware": hardware, "checks": checks}
    place = folder / f"{result['id'].lower()}.json"
    place.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return place


def kept(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """What was kept of an experiment, or None."""
    place = folder / f"{name.lower()}.json"
    return json.loads(place.read_text(encoding="utf-8")) if place.is_file() else None
