"""``trainwell doctor``: what this machine can do, and what that means."""

import os
from pathlib import Path
from typing import Any

from trainwell.cli import machine, options, output
from trainwell.cli.display import shown
from trainwell.errors import JobError

FASTER, SLOWER = 1.3, 0.9  # ratios nearer to 1 are noise of the clock


def doctor(json: options.Json = False, traceback: options.Traceback = False) -> None:
    """Say what this machine can do.

    Versions, processor, memory, disks, GPUs, compiler, extras and data, and in plain words what they mean for training.
    Nothing is changed.

    Examples:

      trainwell doctor
      trainwell doctor --json > machine.json
    """
    with shown(quiet=True):
        facts = _facts()
    facts["advice"] = _advice(facts)
    if json:
        output.put_json(facts)
    else:
        output.put(*_lines(facts))


def _facts() -> dict[str, Any]:
    try:
        import torch
    except (ImportError, OSError) as error:
        raise JobError(
            f"torch cannot be imported ({str(error).splitlines()[0]}).",
            "Install it anew: pip install --force-reinstall torch.",
        ) from error
    from trainwell.data.cache import cache_folder

    return {
        "versions": machine.software(),
        "platform": machine.platform.platform(),
        "processor": machine.processor(),
        "threads": {"torch": torch.get_num_threads(), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")},
        "bf16_speed": machine.bf16_speed(),
        "memory": machine.memory(),
        "disk": machine.disks({"here": Path(), "cache": cache_folder()}),
        "devices": machine.devices(),
        "compiler": machine.compiler(),
        "extras": machine.extras(),
        "data": machine.data_folders(),
    }


def _lines(facts: dict[str, Any]) -> list[str]:
    versions, processor, threads = facts["versions"], facts["processor"], facts["threads"]
    main = "   ".join(f"{name} {versions[name]}" for name in ("trainwell", "python", "torch"))
    rest = "   ".join(f"{name} {versions[name] or 'missing'}" for name in versions if name not in main.split())
    rows = [["Versions", main], ["", rest], ["System", facts["platform"]]]
    units = f" ({', '.join(processor['units'])})" if processor["units"] else ""
    rows += [["Processor", f"{processor['model']}{units}"]]
    rows += [["Cores", f"{processor['cores']} usable, torch uses {threads['torch']} threads"]]
    rows += [["bfloat16", f"matrix products {facts['bf16_speed']:.2g}× as fast as in float32"]]
    rows += [["Memory", f"{_gib(facts['memory']['total'])}, {_gib(facts['memory']['available'])} available"]]
    rows += [["Disk", f"{place['path']} ({name}): {_gib(place['free'])} free"] for name, place in facts["disk"].items()]
    rows += [["GPU", f"{d['device']}: {d['model']}, {_gib(d['memory'])}"] for d in facts["devices"]] or [
        ["GPU", "none"]
    ]
    rows += [["Compiler", facts["compiler"] or "none"]]
    rows += [["Extras", ", ".join(f"{k} {'installed' if v else 'not installed'}" for k, v in facts["extras"].items())]]
    rows += [["Data", _data(facts["data"])]]
    labels = [[label if i == 0 or rows[i - 1][0] != label else "", text] for i, (label, text) in enumerate(rows)]
    return [*output.columns(labels, right=False), "", *(f"• {sentence}" for sentence in facts["advice"])]


def _advice(facts: dict[str, Any]) -> list[str]:
    """What the facts mean for training, in whole sentences."""
    return [*_on_speed(facts), *_on_room(facts), *_on_parts(facts)]


def _on_speed(facts: dict[str, Any]) -> list[str]:
    said = []
    if facts["devices"]:
        said.append(f"Training runs on {facts['devices'][0]['device']} unless you say --device cpu.")
    else:
        said.append(
            "There is no GPU that torch can use: training runs on the processor; small models and tables do well there."
        )
    ratio = facts["bf16_speed"]
    if ratio >= FASTER:
        said.append(f"bfloat16 pays on this processor: matrix products are {ratio:.1f} times as fast.")
    elif ratio <= SLOWER:
        said.append("bfloat16 is slower than float32 on this processor: stay with float32.")
    else:
        said.append("bfloat16 gains nothing on this processor: stay with float32.")
    threads, cores = facts["threads"]["torch"], facts["processor"]["cores"]
    if cores and threads < cores:
        named = facts["threads"]["OMP_NUM_THREADS"]
        why = f"OMP_NUM_THREADS={named} says so" if named else "it knows best about shared cores"
        said.append(f"torch uses {threads} of {cores} cores ({why}).")
    elif cores and threads > cores:
        said.append(f"torch uses {threads} threads on {cores} cores, which slows it: set OMP_NUM_THREADS={cores}.")
    return said


def _on_room(facts: dict[str, Any]) -> list[str]:
    said = []
    available = facts["memory"]["available"]
    if available is not None and available < 2:
        said.append(f"Only {_gib(available)} of memory are available: close other programs or take smaller batches.")
    for name, place in facts["disk"].items():
        if place["free"] is not None and place["free"] < 2:
            what = "the cache of decoded data" if name == "cache" else "runs"
            said.append(f"Only {_gib(place['free'])} are free for {what} in {place['path']}.")
    return said


def _on_parts(facts: dict[str, Any]) -> list[str]:
    said = []
    if facts["compiler"] is None:
        said.append("There is no C++ compiler: torch.compile does not work on the processor, all else does.")
    if not facts["extras"]["onnx"]:
        said.append("`trainwell export RUN model.onnx` needs: pip install 'trainwell[onnx]'.")
    data = facts["data"]
    if data["root"] is None:
        said.append("TRAINWELL_DATA is not set: known data sets other than digits are downloaded when first used.")
    elif not data["folders"]:
        said.append(f"TRAINWELL_DATA is {data['root']}, where there are no folders.")
    return said


def _data(data: dict[str, Any]) -> str:
    if data["root"] is None:
        return "TRAINWELL_DATA is not set"
    return f"{data['root']}: {', '.join(data['folders']) or 'no folders'}"


def _gib(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:.1f} GiB"
