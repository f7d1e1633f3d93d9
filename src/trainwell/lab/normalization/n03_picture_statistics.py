"""N03: pictures are centred by the mean image, by the mean of each channel, or by its mean and standard deviation.

The mean image has one number a pixel and channel, the mean over the N pictures; a channel's mean and standard deviation
are over N pictures and all H · W pixels. They are right if they equal the two-pass computation in float64: first the
mean, then the mean of (x − mean)². A stream too large for memory gives the same in one pass; chunks a and b merge by

    δ = μ_b − μ_a,   μ = μ_a + δ n_b/n,   M = M_a + M_b + δ² n_a n_b/n,   σ² = M/n.

The numbers that everybody uses for CIFAR-10 are those of the published files; of JPEG copies, as here, the standard
deviations differ in the third digit.

Decks: R M
Control: the formula E x² − (E x)² in float32. It subtracts two numbers of size (shift/σ)² to find 1, and loses all
digits of pixels shifted by 10⁴.
Source: Chan, Golub & LeVeque 1983, The American Statistician 37; Krizhevsky et al. 2012 (mean image); He et al. 2016.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainwell.data import Dataset, Moments, fit_scaling, load
from trainwell.lab.experiment import Check
from trainwell.theory.gaussian import Array

FORMULA = r"""
\mu_c = \frac{1}{NHW}\sum_{n,i,j} x_{ncij}, \quad \sigma_c^2 = \frac{1}{NHW}\sum_{n,i,j}\,(x_{ncij}-\mu_c)^2, \quad \mu_{cij} = \frac{1}{N}\sum_n x_{ncij}
\delta = \mu_b - \mu_a: \quad M = M_a + M_b + \delta^2\,\frac{n_a n_b}{n}, \quad \sigma^2 = M/n
"""  # noqa: E501 - a line of mathtext cannot be broken
SHIFTS = (0.0, 1.0, 10.0, 100.0, 1e3, 1e4)  # of pixels in [0, 1]
CHUNKS = (7, 100, 1000)  # pictures
LEVELS = 255
PIXELS = 32 * 32
UNIT = 2.0**-53  # rounding of float64
ALL = 50_000
KNOWN = ((0.49125, 0.48209, 0.44652), (0.24523, 0.24278, 0.26063))  # mean, std of the JPEG files, all 50 000


@dataclass(frozen=True)
class Setting:
    pictures: int
    shifted: int  # pictures in the part with shifts
    seed: int = 0


QUICK = Setting(pictures=1000, shifted=200)
FULL = Setting(pictures=ALL, shifted=10_000)


@dataclass(frozen=True)
class Measured:
    """What one run gives; distances are from the two-pass computation, largest over the numbers."""

    image: float  # of the mean image
    channels: Array  # of the channels' means and standard deviations, shape (2,)
    left: Array  # after scaling: mean image, channel means, channel standard deviations − 1; shape (3,)
    shifts: Array  # relative, of the standard deviations of shifted pixels, shape (shifts,)
    streamed: Array  # relative, of the mean and variance by chunks from those of one chunk, shape (chunks,)
    channel: Array  # means and standard deviations themselves, shape (2, channels)
    std: float  # smallest of them
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    dataset = _drawn(load("cifar10"), setting)
    pixels: np.ndarray = np.asarray(dataset.X[dataset.splits.train])
    image, mean, std = _fitted(dataset) if cause else _naive(pixels)
    exact_image = np.stack([pixels[:, c].mean(0, dtype=np.float64) for c in range(3)]) / LEVELS
    exact = np.array([_two_pass(pixels[:, c] / LEVELS) for c in range(3)])
    scaled = [(pixels[:, c] / LEVELS - mean[c]) / std[c] for c in range(3)]
    after = np.array([_two_pass(each) for each in scaled])
    centred = np.stack([(pixels[:, c] / LEVELS - image[c]).mean(0) for c in range(3)])
    columns = np.moveaxis(pixels[: setting.shifted], 1, -1)
    whole = Moments.of(columns.reshape(-1, 3))
    parts = [_streamed(columns, chunk) for chunk in CHUNKS]
    return Measured(
        float(np.abs(image - exact_image).max()),
        np.abs(np.stack([mean, std]) - exact.T).max(1),
        np.array([np.abs(centred).max(), np.abs(after[:, 0]).max(), np.abs(after[:, 1] - 1).max()]),
        np.array([_shift_error(columns, shift, cause) for shift in SHIFTS]),
        np.array([max(_relative(p.mean, whole.mean), _relative(p.variance(), whole.variance())) for p in parts]),
        np.stack([mean, std]),
        float(exact[:, 1].min()),
        setting,
    )


def _drawn(dataset: Dataset, setting: Setting) -> Dataset:
    """With this many of the published training pictures as its training part."""
    rows = np.concatenate([dataset.splits.train, dataset.splits.val])
    drawn = np.sort(np.random.default_rng(setting.seed).choice(rows, setting.pictures, replace=False))
    return replace(dataset, splits=replace(dataset.splits, train=drawn))


def _fitted(dataset: Dataset) -> tuple[Array, Array, Array]:
    """Mean image, and the channels' means and standard deviations, of the pixels over 255."""
    standard = fit_scaling(dataset, "standard", condition=False)
    mean = fit_scaling(dataset, "mean_channel", condition=False).offset.ravel()
    assert standard.scale is not None
    return fit_scaling(dataset, "center", condition=False).offset, mean, 1 / standard.scale.ravel()


def _naive(pixels: np.ndarray) -> tuple[Array, Array, Array]:
    """The same in one pass of float32."""
    x = pixels.astype(np.float32) / np.float32(LEVELS)
    image, mean = x.mean(0, dtype=np.float32), x.mean((0, 2, 3), dtype=np.float32)
    variance = np.square(x).mean((0, 2, 3), dtype=np.float32) - np.square(mean)
    return image.astype(float), mean.astype(float), np.sqrt(variance.astype(float))


def _two_pass(x: Array) -> tuple[float, float]:
    mean = x.mean()
    return float(mean), float(np.sqrt(np.square(x - mean).mean()))


def _streamed(columns: np.ndarray, chunk: int) -> Moments:
    """Of the channels of pictures (N, H, W, C), merged."""
    total: Moments | None = None
    for start in range(0, len(columns), chunk):
        part = Moments.of(columns[start : start + chunk].reshape(-1, columns.shape[-1]))
        total = part if total is None else total.merge(part)
    assert total is not None
    return total


def _shift_error(columns: np.ndarray, shift: float, cause: bool) -> float:
    """Relative error of the standard deviation of levels + 255 · shift, whole numbers that float32 holds exactly."""
    x = columns.astype(np.float32) + np.float32(LEVELS * shift)
    if cause:
        std = np.sqrt(_streamed(x, CHUNKS[1]).variance())
    else:
        mean = x.mean((0, 1, 2), dtype=np.float32)
        variance = np.square(x).mean((0, 1, 2), dtype=np.float32) - np.square(mean)
        std = np.sqrt(np.maximum(variance, 0).astype(float))
    return _relative(std, columns.reshape(-1, columns.shape[-1]).std(0, dtype=np.float64))


def _relative(value: Array, reference: Array) -> float:
    return float(np.abs(value / reference - 1).max())


def check(measured: Measured) -> list[Check]:
    shifted = measured.setting.shifted * PIXELS * UNIT
    rounding = "roundings of float64 by the pictures summed; float32 has 6e-8 each"
    sums = f"a rounding of float64 for each of the pixels summed: {shifted:.1g}"
    bound = max(1e-12, measured.setting.pictures * UNIT)
    checks = [
        Check("mean image − two-pass", measured.image, "at_most", 0.0, bound, "claim", rounding),
        Check("channel means, std − two-pass", measured.channels, "at_most", 0.0, bound, "claim", rounding),
        Check("after scaling: means, std − 1", measured.left, "at_most", 0.0, bound, "claim", rounding),
        Check("std of shifted pixels, relative", measured.shifts, "at_most", 0.0, shifted, "claim", sums),
        Check("by chunks − at once, relative", measured.streamed, "at_most", 0.0, shifted, "theory", sums),
    ]  # fmt: skip
    if measured.setting.pictures == ALL:
        why = "decoders of JPEG may differ by a level"
        checks.append(Check("mean, std of all", measured.channel, "equals", KNOWN, 1e-4, "theory", why, absolute=True))
    return checks


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    places = np.array([0.1, *SHIFTS[1:]])  # 0 has no place on a logarithmic axis
    bound = with_cause.setting.shifted * PIXELS * UNIT
    axes.plot(places, 2.0**-24 * (1 + (places / with_cause.std) ** 2), label="theory: a float32 rounding times (x/σ)²")
    axes.plot(places, np.full(len(places), bound), label="theory: a float64 rounding a pixel, at most")
    axes.plot(places, np.maximum(with_cause.shifts, 1e-17), "o", label="measured: chunks merged, float64")
    axes.plot(places, np.maximum(control.shifts, 1e-17), "s", label="measured: control, float32")
    axes.set(xlabel="shift of the pixels (full range is 1; the first point is 0)", xscale="log", yscale="log")
    axes.set_ylabel("relative error of the standard deviation")
