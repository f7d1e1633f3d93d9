"""Fit a scaling on the training rows of a data set, in streamed passes of bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from trainwell.data.covariance import Covariance
from trainwell.data.dataset import Dataset
from trainwell.data.measured import chunks, deviation, of_levels
from trainwell.data.moments import Moments
from trainwell.data.quantiles import float_quantiles, level_quantiles
from trainwell.data.scaling import SCALINGS, Scaling, refuse_what_is_not_finite
from trainwell.data.streamed_covariance import covariance_of
from trainwell.data.whitening_fit import WHITENINGS, check_options, condition_number, rotation
from trainwell.errors import InputError

CONDITION_UP_TO = 512
"""Features up to which κ is measured for the scalings feature by feature too, which need no covariance themselves."""


def fit_scaling(
    dataset: Dataset,
    name: str,
    *,
    eps: float = 1e-10,
    components: float | None = None,
    condition: bool | None = None,
) -> Scaling:
    """Fit one of SCALINGS on the training rows alone.

    Args:
        dataset: any kind; of a table the numbers.
        name: see :mod:`trainwell.data.scaling`.
        eps: share of the largest eigenvalue added to all, for pca_whiten, zca and cholesky; > 0. 1e-10 makes the
            covariance the identity to 1e-10 κ, so to 1 % at κ = 1e8; a larger ε damps what is mostly noise.
        components: how many directions pca and pca_whiten keep (int) or which share of the variance (float).
        condition: measure κ before and after; None: where a covariance is needed or there are at most 512 features.

    Raises:
        InputError: for an unknown name, ε ≤ 0, more components than rows or directions, training rows in which nothing
            varies, or values that are not finite.
    """
    if name not in SCALINGS:
        raise InputError(f"No scaling is called {name!r}.", f"Choose one of {', '.join(SCALINGS)}.")
    check_options(name, eps, components)
    if not len(dataset.splits.train):
        raise InputError(f"{dataset.name} has no training rows to fit {name} on.", "Leave rows for training.")
    measured = _Training(dataset, name)
    if name in WHITENINGS:
        return _whitened(measured, name, eps, components)
    offset, scale = measured.offset_and_scale()
    scaling = Scaling(name, measured.shape, measured.shape, offset, measured.unit, scale, fill=measured.fill)
    wanted = measured.features <= CONDITION_UP_TO if condition is None else condition
    return _with_condition(scaling, measured.covariance()) if wanted and measured.features else scaling


class _Training:
    """The numeric training rows of a data set: which axes are features, and what is streamed over them."""

    def __init__(self, dataset: Dataset, name: str) -> None:
        table = isinstance(dataset.X, dict)
        self.X: np.ndarray = dataset.X["numbers"] if isinstance(dataset.X, dict) else dataset.X
        self.rows, self.name = dataset.splits.train, name
        self.shape = tuple(self.X.shape[1:])
        self.levels = self.X.dtype == np.uint8
        self.unit = 255.0 if self.levels else 1.0
        self.sequence = dataset.kind == "sequence"
        self.per_channel = self.X.ndim == 4
        self.fill = self._medians() if table else None
        self.features = int(np.prod(self.shape[-1:] if self.sequence else self.shape))

    def _medians(self) -> np.ndarray:
        """As ``statistics`` finds them, so that the model's gaps are filled with what was fitted."""
        medians = np.zeros(self.X.shape[1])
        for i in range(len(medians)):
            values = self.X[self.rows, i].astype(np.float64)
            values = values[~np.isnan(values)]
            medians[i] = np.quantile(values, 0.5) if len(values) else 0.0
        return medians

    def stream(self) -> Iterator[np.ndarray]:
        """Chunks (n, …), what is not finite refused; gaps of tables stay NaN."""
        for chunk in chunks(self.X, self.rows):
            if not self.levels:
                gap = np.isnan(chunk) if self.fill is not None else False
                refuse_what_is_not_finite(np.where(gap, 0, chunk) if self.fill is not None else chunk, self.name)
            yield chunk

    def by_channel(self) -> Iterator[np.ndarray]:
        """Chunks (m, C): one column a channel or feature."""
        for chunk in self.stream():
            moved = np.moveaxis(chunk, 1, -1) if self.per_channel else chunk
            yield moved.reshape(-1, moved.shape[-1])

    def covariance(self) -> Covariance:
        """Of x, gaps filled; the features of sequences at all times."""

        def as_features(chunk: np.ndarray) -> np.ndarray:
            if self.fill is not None:
                return np.where(np.isnan(chunk), self.fill, chunk)
            return chunk.reshape(-1 if self.sequence else len(chunk), self.features)

        return covariance_of(self.X, self.rows, as_features).divided_by(self.unit)

    def offset_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the scalings feature by feature; shaped to broadcast to one sample."""
        if self.name == "none":
            offset, spread = np.zeros(self._columns()), np.ones(self._columns())
        elif self.name == "center" and (self.per_channel or self.levels):
            mean = self._merged(lambda chunk: Moments.of(chunk), self.stream()).mean / self.unit
            return mean, np.ones(mean.shape)
        elif self.name == "minmax":
            offset, spread = self._range()
        elif self.name == "robust":
            offset, spread = self._quartiles()
        else:
            offset, spread = self._mean_and_deviation()
            spread = spread if self.name == "standard" else np.ones_like(spread)
        shape = (-1, 1, 1) if self.per_channel else (-1,)
        return offset.reshape(shape), 1 / spread.reshape(shape)

    def _columns(self) -> int:
        return self.shape[0] if self.per_channel else self.shape[-1]

    @staticmethod
    def _merged(part: Callable[[np.ndarray], Moments], stream: Iterator[np.ndarray]) -> Moments:
        total: Moments | None = None
        for chunk in stream:
            total = part(chunk) if total is None else total.merge(part(chunk))
        assert total is not None
        return total

    def _mean_and_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        if self.levels:
            return of_levels(self.X, self.rows)
        moments = self._merged(Moments.of, self.by_channel())
        return moments.mean, deviation(moments)

    def _range(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.full(self._columns(), np.inf), np.full(self._columns(), -np.inf)
        for chunk in self.by_channel():
            low = np.fmin(low, np.fmin.reduce(chunk, axis=0))
            high = np.fmax(high, np.fmax.reduce(chunk, axis=0))
        low, high = np.where(low <= high, low, 0.0), np.where(low <= high, high, 0.0)
        self._refuse_constant(high - low)
        return low / self.unit, np.where(high > low, (high - low) / self.unit, 1.0)

    def _quartiles(self) -> tuple[np.ndarray, np.ndarray]:
        q = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
        if self.levels:
            found = level_quantiles(self.stream(), q)
        else:
            found = float_quantiles(self.by_channel, self._columns(), q)
        self._refuse_constant(found[:, 4] - found[:, 0])
        spread = (found[:, 3] - found[:, 1]) / self.unit
        return found[:, 2] / self.unit, np.where(spread > 0, spread, 1.0)

    def _refuse_constant(self, spread: np.ndarray) -> None:
        if spread.size and not (spread > 0).any():
            raise InputError(
                f"{self.name}: none of the {spread.size} features varies in the training part.",
                "Give features that vary.",
            )


def _whitened(measured: _Training, name: str, eps: float, components: float | None) -> Scaling:
    if not measured.features:
        raise InputError(f"{name} needs numbers, and this table has none.", "Use the scaling standard.")
    if isinstance(components, int) and components > min(len(measured.rows), measured.features):
        raise InputError(
            f"{name}: components={components} of {len(measured.rows)} training rows and {measured.features} features.",
            "Use no more components than the smaller of the two.",
        )
    found = measured.covariance()
    rotated = rotation(found, name, eps=eps, components=components)
    axes = measured.shape[-1:] if measured.sequence else measured.shape
    kept = (*measured.shape[: len(measured.shape) - len(axes)], len(rotated.matrix))
    return Scaling(
        name=name,
        shape=measured.shape,
        output_shape=measured.shape if name in ("zca", "cholesky") else kept,
        offset=found.mean.reshape(axes),
        unit=measured.unit,
        matrix=rotated.matrix,
        inverse_matrix=rotated.inverse,
        fill=measured.fill,
        condition_before=rotated.condition_before,
        condition_after=rotated.condition_after,
        zero_directions=rotated.zero_directions,
        explained=rotated.explained,
    )


def _with_condition(scaling: Scaling, found: Covariance) -> Scaling:
    """With κ of Σ and of D Σ D, D the diagonal of scales."""
    assert scaling.scale is not None
    covariance = found.covariance()
    full = scaling.scale if len(found.mean) == scaling.scale.size else np.broadcast_to(scaling.scale, scaling.shape)
    d = full.reshape(-1)
    before, zero = condition_number(np.linalg.eigvalsh(covariance))
    after, _ = condition_number(np.linalg.eigvalsh(covariance * np.outer(d, d)))
    return replace(scaling, condition_before=before, condition_after=after, zero_directions=zero)
