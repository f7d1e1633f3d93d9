"""Stop one run again and again, resume it each time, and compare the bytes with those of an undisturbed run.

    python bench/kills.py kill [--times 25] [--seed 0]      # kill -9 at random moments
    python bench/kills.py signals [--times 25] [--seed 0]   # SIGTERM or Ctrl-C, also outside training

Both runs start from one recipe with the measured picks written in; for ``signals`` the learning rate is left open,
so that it is
searched again. Prints every stop with the part of the run that it hit, and whether weights and metrics are equal in
the end.
"""

import argparse
import hashlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TRAIN = [sys.executable, "-m", "trainwell"]
COMPARED = ("model.safetensors", "best.safetensors", "metrics.jsonl")
LIMIT = 2.0  # seconds in which a signal must have stopped the run


def digest(folder: Path) -> list[str]:
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12] for name in COMPARED]


def command(recipe: Path, folder: Path) -> list[str]:
    if (folder / "recipe.toml").exists():
        return [*TRAIN, "resume", str(folder), "--quiet"]
    return [*TRAIN, "train", "--recipe", str(recipe), "-o", str(folder), "--quiet"]


def where(folder: Path) -> str:
    """The part of the run that was stopped, from what it left."""
    if not (folder / "metrics.jsonl").exists():
        return "before the first step" if folder.exists() else "start-up, data"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    if any(line["event"] == "final" for line in lines):
        return "report"
    return "evaluation" if (folder / "model.safetensors").exists() else "training"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("kill", "signals"))
    parser.add_argument("--times", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int, default=40)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    root = Path(tempfile.mkdtemp())
    recipe, reference, victim = root / "recipe.toml", root / "reference", root / "victim"
    first = [*TRAIN, "train", chosen.data, "--epochs", str(chosen.epochs), "--set", "training.checkpoint_every=37"]
    subprocess.run([*first, "-o", str(root / "first"), "--quiet"], check=True, capture_output=True)
    text = (root / "first" / "recipe.toml").read_text()
    recipe.write_text(re.sub(r"(?m)^lr = .*$", "", text) if chosen.mode == "signals" else text)
    begin = time.perf_counter()
    subprocess.run(command(recipe, reference), check=True, capture_output=True)
    whole, wanted = time.perf_counter() - begin, digest(reference)
    print(f"undisturbed: {whole:.1f} s, {' '.join(wanted)}", flush=True)

    stops, finished, wrong, slow = 0, 0, 0, 0
    places: Counter[str] = Counter()
    while True:
        process = subprocess.Popen(command(recipe, victim), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            limit = rng.uniform(0.5, whole) if stops < chosen.times else None
            _, errors = process.communicate(timeout=limit)
            if process.returncode:
                print(f"failed with {process.returncode}: {errors}")
                wrong += 1
                break
            finished += 1
            if digest(victim) != wanted:
                print(f"different: {digest(victim)}")
                wrong += 1
            if stops >= chosen.times:
                break
            shutil.rmtree(victim)
        except subprocess.TimeoutExpired:
            number = signal.SIGKILL if chosen.mode == "kill" else rng.choice([signal.SIGTERM, signal.SIGINT])
            begin = time.perf_counter()
            process.send_signal(number)
            process.communicate()
            took = time.perf_counter() - begin
            stops += 1
            slow += took > LIMIT
            places[where(victim)] += 1
            code = process.returncode
            wrong += chosen.mode == "signals" and code not in (128 + number, 0)
            print(
                f"{stops}: {number.name} after {limit:.1f} s ({where(victim)}): exit {code}, {took:.2f} s", flush=True
            )
    print(f"{stops} stops ({dict(places)}), {finished} runs compared, {wrong} wrong, {slow} slower than {LIMIT:g} s")
    shutil.rmtree(root)
    sys.exit(bool(wrong or slow))


if __name__ == "__main__":
    main()
