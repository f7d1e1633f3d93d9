"""What a run leaves for its report: plain Python and NumPy values, no tensors and no modules.

Every field with a default may be left out, and the page then leaves out what it would have shown. All texts are plain
text (the page escapes them); all arrays are read, never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TASKS = ("classification", "binary", "multilabel", "regression", "reconstruction", "sequence")


@dataclass(frozen=True, eq=False)
class Example:
    """One picture of the training part.

    Args:
        image: uint8, shape (H, W) or (C, H, W) with C = 1 (gray), 3 (RGB) or 4 (RGBA); other C show their mean.
        label: its class, or its value as text.
        name: file or row it comes from.
    """

    image: NDArray[np.uint8]
    label: str = ""
    name: str = ""


@dataclass(frozen=True)
class ColumnRow:
    """One column of a table, also one that was left out (``used=False``, and ``why`` says the reason).

    Args:
        kind: number, category, flag, date, text, identifier, constant, leak, target, group, time or weight.
        missing: cells without a value.
        distinct: different values.
        summary: such as "0.2 … 5.01, median 0.7" or "Ideal 40 %, Premium 26 %, …".
    """

    name: str
    kind: str
    used: bool = True
    why: str = ""
    missing: int = 0
    distinct: int | None = None
    summary: str = ""


@dataclass(frozen=True, eq=False)
class DataGlance:
    """The data set in a few lines.

    Args:
        name: what the user called it: "digits", "house.csv".
        kind: image, table, array or sequence.
        source: where it comes from, label → value ("file", "checksum", "licence", "shape of a sample", …).
        samples: part ("train", "val", "test") → number of samples, in the order shown.
        class_counts: part → count of each class, in the order of ``Results.classes``.
        columns: all columns of a table, in file order.
        examples: pictures; the first 24 are shown.
        target_values: shape (N,), the target of a regression (any sample of it), for the histogram.
        target: name of the target.
        notes: sentences worth telling (rows skipped, labels mapped).
    """

    name: str
    kind: str
    source: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, int] = field(default_factory=dict)
    class_counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    columns: tuple[ColumnRow, ...] = ()
    examples: tuple[Example, ...] = ()
    target_values: NDArray[np.floating] | None = None
    target: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerRow:
    """One layer of the chain, in order of execution.

    Args:
        path: its place in the module ("body.blocks.3.conv1").
        kind: linear, conv, norm, activation, pool, flatten, embedding, dropout, input, output or other.
        name: class of the layer ("Conv2d").
        input_shape, output_shape: shapes of one sample, without the batch.
        detail: what else matters, short ("3 × 3, stride 2").
    """

    path: str
    kind: str
    name: str
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    parameters: int = 0
    detail: str = ""


@dataclass(frozen=True)
class CalibrationBin:
    """Predictions whose confidence lies in [low, high]: their mean confidence, the share that was right, how many."""

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, eq=False)
class Roc:
    """The receiver operating characteristic of a binary classifier.

    Args:
        false_positive_rate, true_positive_rate: shape (R,), from (0, 0) to (1, 1).
        area: area under it, in [0, 1].
    """

    false_positive_rate: NDArray[np.floating]
    true_positive_rate: NDArray[np.floating]
    area: float


@dataclass(frozen=True, eq=False)
class Residuals:
    """Truth and prediction of one target, in its own unit.

    Args:
        truth, predicted: shape (N,), of the part named.
        target: name of the target.
        part: which part they come from.
    """

    truth: NDArray[np.floating]
    predicted: NDArray[np.floating]
    target: str = ""
    part: str = "test"

    def __post_init__(self) -> None:
        if np.ndim(self.truth) != 1 or np.shape(self.truth) != np.shape(self.predicted):
            raise ValueError(
                f"Residuals of {self.target!r}: truth {np.shape(self.truth)} and predicted {np.shape(self.predicted)} "
                "must be vectors of the same length. Give one Residuals for each target."
            )


@dataclass(frozen=True)
class ClassScore:
    """How well one class (or one label of many) is found: all in [0, 1], ``support`` is its number of samples."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, eq=False)
class Mistake:
    """One sample the model got wrong (most confident first), or one of the largest residuals (largest first).

    Args:
        truth, predicted: names of the classes, or the values as text.
        probability: what the model gave the predicted class, in [0, 1].
        truth_probability: what it gave the true class.
        name: file or row of the sample.
        image: as in :class:`Example`.
        cells: column → value of a table's row, the columns worth showing.
    """

    truth: str
    predicted: str
    probability: float | None = None
    truth_probability: float | None = None
    name: str = ""
    image: NDArray[np.uint8] | None = None
    cells: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pick:
    """Something the engine chose.

    Args:
        name: "precision".
        value: "bfloat16".
        why: one sentence.
        measured: option → speed relative to the plain choice (1 = as fast, 2 = twice as fast), what was tried.
    """

    name: str
    value: str
    why: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RateCurve:
    """The search for a learning rate: ``rates`` and ``losses`` of shape (R,), and the rate that was picked."""

    rates: NDArray[np.floating]
    losses: NDArray[np.floating]
    picked: float


@dataclass(frozen=True)
class ExamGlance:
    """What the exam before the training found.

    Args:
        said: of each finding worth telling: (code, "error" or "warning", a sentence).
        applied: field of the recipe → the value that the exam gave it.
        cost: what it took, in words.
    """

    said: tuple[tuple[str, str, str], ...] = ()
    applied: Mapping[str, str] = field(default_factory=dict)
    cost: str = ""


@dataclass(frozen=True, eq=False)
class Results:
    """Everything the report shows.

    Args:
        title: name of the run, such as "digits-3".
        asked: what was asked, in plain words: "Tell which of 10 digits a picture shows".
        task: one of ``TASKS``.
        folder: the run folder, as the user would type it.
        created: date and time, as it shall be shown.
        notes: sentences worth telling ("column alive left out: …", "NaN at step 312: stepped back").
        recipe_toml: the whole recipe of the run.
        environment: name → version or value.
        exam: what was found before the training, None if nothing was looked at.
        incomplete: where the drawing of the model gives up, "" if nowhere.
        parameters: all trainable numbers of the model.
        epochs: one mapping an epoch: "epoch" (1-based), "train_loss", "val_loss", "val_accuracy", …, "lr"; non-finite
            values leave a gap.
        steps: sampled steps: "step", "epoch" (epochs done by then: 1.5 is the middle of the second), "loss", "lr",
            "grad_norm".
        best_epoch: whose weights were kept.
        monitor: the name in ``epochs`` that decided ("val_loss").
        metrics: part ("train", "val", "test") → name ("accuracy", "loss", "r2", "rmse", "mae", "auc", …) → value;
            shares in [0, 1].
        classes: names in the order of their codes.
        confusion: integers, shape (classes, classes): row = truth, column = prediction, of the part the headline is
            about (test, else val).
        class_scores: one a class or label; computed from ``confusion`` where left out.
        calibration: bins of confidence, in rising order.
        threshold: probability from which a binary model says "yes" (the second class).
        residuals: one a target.
        stages: what the time went to, in order: (name, seconds).
        peak_bytes: most memory used at once.
        seconds: the whole run.
        samples_per_second: training samples a second while training.
        commands: (what it does, the exact command line).
    """

    title: str
    asked: str
    task: str
    folder: str = ""
    created: str = ""
    notes: tuple[str, ...] = ()
    recipe_toml: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    data: DataGlance | None = None
    exam: ExamGlance | None = None
    layers: tuple[LayerRow, ...] = ()
    incomplete: str = ""
    parameters: int | None = None
    epochs: tuple[Mapping[str, float], ...] = ()
    steps: tuple[Mapping[str, float], ...] = ()
    best_epoch: int | None = None
    monitor: str = ""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    confusion: NDArray[np.integer] | None = None
    class_scores: tuple[ClassScore, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()
    roc: Roc | None = None
    threshold: float | None = None
    residuals: tuple[Residuals, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    stages: tuple[tuple[str, float], ...] = ()
    picks: tuple[Pick, ...] = ()
    rate_search: RateCurve | None = None
    peak_bytes: int | None = None
    seconds: float | None = None
    samples_per_second: float | None = None
    commands: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"Results: task {self.task!r} is none of {', '.join(TASKS)}.")
        if self.confusion is not None and np.shape(self.confusion) != (len(self.classes),) * 2:
            raise ValueError(
                f"Results: confusion has shape {np.shape(self.confusion)} but there are {len(self.classes)} classes. "
                "Give one row and one column for each class."
            )
        for part, counts in (self.data.class_counts if self.data is not None else {}).items():
            if len(counts) != len(self.classes):
                raise ValueError(
                    f"Results: class_counts of {part!r} has {len(counts)} numbers but there are {len(self.classes)} "
                    "classes. Give one count for each class."
                )
