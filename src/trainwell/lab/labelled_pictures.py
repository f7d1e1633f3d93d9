"""Labelled pictures for the experiments: a random share of a known data set, standardized by its training part."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from trainwell.data import load
from trainwell.errors import InputError

LEVELS = 255.0


@dataclass(frozen=True)
class Pictures:
    """A training and a test part: X of shape (n, channels, height, width), float32; y of shape (n,), int64."""

    X: Tensor
    y: Tensor
    X_test: Tensor
    y_test: Tensor

    @property
    def flat(self) -> "Pictures":
        """The same with X of shape (n, features)."""
        return Pictures(self.X.flatten(1), self.y, self.X_test.flatten(1), self.y_test)


def labelled_pictures(
    name: str, n: int, n_test: int, seed: int, *, shrink: int = 1, classes: tuple[int, ...] = ()
) -> Pictures:
    """Draw ``n`` training and ``n_test`` test pictures without replacement.

    Args:
        name: ``digits`` (8×8, 1258 training pictures, always there), ``mnist``, ``cifar10``.
        n: training pictures.
        n_test: test pictures.
        seed: of the draw.
        shrink: pixels of a side that are averaged into one.
        classes: only pictures of these, relabelled 0, 1, … in this order; all, if none is named.

    Returns:
        Pixels less the mean and over the standard deviation of their channel in the drawn training part.

    Raises:
        InputError: if the data are not there, or are fewer than asked for.
    """
    dataset = load(name)
    generator = np.random.default_rng(seed)
    parts = []
    for rows, count in ((dataset.splits.train, n), (dataset.splits.test, n_test)):
        y = np.asarray(dataset.y)[rows]
        wanted = rows if not classes else rows[np.isin(y, classes)]
        if len(wanted) < count:
            raise InputError(f"{name} has {len(wanted)} pictures of that part, not {count}.", "Ask for fewer.")
        drawn = generator.choice(wanted, count, replace=False)
        X = torch.from_numpy(np.asarray(dataset.X[np.sort(drawn)])).float() / LEVELS
        codes = np.asarray(dataset.y)[np.sort(drawn)]
        codes = codes if not classes else np.array([classes.index(code) for code in codes])
        order = torch.from_numpy(generator.permutation(count))
        parts.append((avg_pool2d(X, shrink)[order], torch.from_numpy(codes.astype(np.int64))[order]))
    (X, y), (X_test, y_test) = parts
    mean, std = X.mean((0, 2, 3), keepdim=True), X.std((0, 2, 3), keepdim=True)
    return Pictures((X - mean) / std, y, (X_test - mean) / std, y_test)
