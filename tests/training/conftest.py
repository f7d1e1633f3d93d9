"""Small data sets on disk, and one run of each kind that the tests of jobs share."""

import pathlib
from types import SimpleNamespace

import numpy as np
import pytest

from trainwell.training import Recipe, jobs

FAST = [
    "precision.dtype=float32",
    "precision.threads=1",
    "precision.channels_last=false",
    "model.name=mlp",
    "model.width=16",
    "model.depth=1",
    "training.batch_size=32",
    "training.epochs=4",
    "optimizer.lr=0.02",
    "optimizer.name=adamw",
    "output.report=false",
]


def fast(*changes: str) -> Recipe:
    """A recipe that measures and searches nothing."""
    return Recipe().override([*FAST, *changes])


def write_flowers(path: pathlib.Path, n: int = 240, seed: int = 0) -> pathlib.Path:
    """A table of two numbers (some cells empty), a colour and a kind that follows from them."""
    rng = np.random.default_rng(seed)
    length, width, colour = rng.normal(5, 1, n), rng.normal(3, 1, n), rng.choice(["red", "blue"], n)
    kind = np.where(length + (colour == "red") > 5.5, "tall", "small")
    lines = ["length,width,colour,kind,height"]
    for i in range(n):
        cell = "" if i % 17 == 5 else f"{width[i]:.3f}"
        height = 100 + 20 * length[i] + rng.normal()
        lines.append(f"{length[i]:.3f},{cell},{colour[i]},{kind[i]},{height:.2f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Finished runs: digits (images), flowers (a binary table) and heights (a regression on the same table)."""
    root = tmp_path_factory.mktemp("runs")
    table = write_flowers(root / "flowers.csv")
    patch = pytest.MonkeyPatch()
    patch.setenv("TRAINWELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    try:
        digits = jobs.train("digits", fast(f"output.folder={root / 'digits'}"))
        flowers = jobs.train(
            str(table), fast(f"output.folder={root / 'flowers'}", "data.target=kind", "data.drop=['height']")
        )
        heights = jobs.train(
            str(table),
            fast(f"output.folder={root / 'heights'}", "data.target=height", "data.drop=['kind']", "training.epochs=30"),
        )
    finally:
        patch.undo()
    return SimpleNamespace(root=root, table=table, digits=digits, flowers=flowers, heights=heights)
