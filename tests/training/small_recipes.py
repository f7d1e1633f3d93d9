"""A recipe that trains in a second, and a small table to train on."""

import pathlib

import numpy as np

from trainwell.training import Recipe

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
