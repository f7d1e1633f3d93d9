"""What range tests see on the data sets at hand: where the loss falls, where it turns, and the suggested rate, for
several seeds.

    TRAINWELL_DATA=… python bench/rates.py [digits penguins titanic diamonds mnist cifar10]

The margin in ``optim/range_test.py`` was chosen so that the suggestions lie near the rates that train best
(``bench/defaults.md``).
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainwell.optim import suggest_rate
from trainwell.optim.range_test import smoothed
from trainwell.training import Recipe, jobs
from trainwell.training.build import build_program
from trainwell.training.defaults import resolve
from trainwell.training.rate import search_rate
from trainwell.training.state import Teller

TARGETS = {"penguins": "species", "titanic": "survived", "diamonds": "price"}


def main() -> None:
    root = Path(os.environ.get("TRAINWELL_DATA", "."))
    for name in sys.argv[1:] or ["digits", "penguins", "titanic", "diamonds"]:
        source = str(root / "tabular" / f"{name}.csv") if name in TARGETS else name
        target = [f"data.target={TARGETS[name]}"] if name in TARGETS else []
        recipe = Recipe().override([*target, f"data.source={source}", "optimizer.lr=0.001"])
        dataset = jobs.read_data(recipe, Teller())
        program = replace(build_program(resolve(recipe, dataset), dataset), scheduler=None)
        low = "bfloat16" if dataset.kind == "image" else "float32"
        for seed in range(3):
            search = search_rate(program, seed=seed, device="cpu", dtype=low, channels_last=dataset.kind == "image")
            curve = smoothed(search.losses)
            print(
                f"{name} seed {seed}: loss {curve[0]:.3f}, lowest {curve.min():.3f} at "
                f"{search.rates[int(np.argmin(curve))]:.2g}, one test {suggest_rate(search.rates, search.losses):.2g}, "
                f"suggested {search.suggestion:.2g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
