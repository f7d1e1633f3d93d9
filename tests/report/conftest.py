"""Results of every kind of run, small and seeded: what the page has to cope with."""

from collections.abc import Callable

import numpy as np
import pytest

from trainwell.report import (
    CalibrationBin,
    ColumnRow,
    DataGlance,
    Example,
    LayerRow,
    Mistake,
    Pick,
    RateCurve,
    Residuals,
    Results,
    Roc,
)

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> $\\frac{1$ 图片 \x00 \udcff" + "A" * 200


def course(epochs: int, metric: str) -> tuple[tuple[dict[str, float], ...], tuple[dict[str, float], ...]]:
    """Return a plausible course of epochs and sampled steps."""
    by_epoch = tuple(
        {"epoch": e, "train_loss": 2 / e, "val_loss": 2 / e + 0.1, f"val_{metric}": 1 - 0.5 / e, "lr": 0.01 / e}
        for e in range(1, epochs + 1)
    )
    steps = tuple(
        {"step": s, "epoch": s / 20, "loss": 2 / (1 + s / 20), "lr": 1e-3, "grad_norm": 10.0 / (1 + s)}
        for s in range(0, 20 * epochs, 4)
    )
    return by_epoch, steps


def confusion(classes: int, samples: int) -> np.ndarray:
    """Return a matrix with ``samples`` of each class, one in ten of them taken for the next class."""
    wrong = samples // 10
    return (samples - wrong) * np.eye(classes, dtype=np.int64) + wrong * np.roll(np.eye(classes, dtype=np.int64), 1, 1)


def pictures() -> Results:
    rng = np.random.default_rng(0)
    epochs, steps = course(12, "accuracy")
    images = rng.integers(0, 256, (4, 3, 8, 8)).astype(np.uint8)
    block = [
        LayerRow("", "conv", "Conv2d", (8, 8, 8), (8, 8, 8), 576, "3 × 3"),
        LayerRow("", "activation", "ReLU", (8, 8, 8), (8, 8, 8)),
    ]
    return Results(
        "digits-3",
        "Tell which of 10 digits a picture shows",
        "classification",
        folder="runs/digits-3",
        created="21 November 2026, 09:14",
        notes=("Rate found: 0.0031.",),
        recipe_toml="[training]\nepochs = 12\n",
        environment={"python": "3.12"},
        data=DataGlance(
            "digits",
            "image",
            {"origin": "embedded"},
            {"train": 700, "val": 100, "test": 200},
            {"train": (70,) * 10, "test": (20,) * 10},
            examples=tuple(Example(image, str(i)) for i, image in enumerate(images)),
        ),
        layers=(*block * 5, LayerRow("head", "linear", "Linear", (512,), (10,), 5130)),
        parameters=8010,
        epochs=epochs,
        steps=steps,
        best_epoch=11,
        monitor="val_loss",
        metrics={"train": {"accuracy": 1.0}, "val": {"accuracy": 0.93}, "test": {"accuracy": 0.9, "loss": 0.345}},
        classes=tuple(map(str, range(10))),
        confusion=confusion(10, 20),
        calibration=(CalibrationBin(0.5, 0.75, 0.6, 0.5, 50), CalibrationBin(0.75, 1.0, 0.95, 0.99, 150)),
        mistakes=(Mistake("3", "8", 0.987, 0.012, "row 17", images[0]),),
        stages=(("reading", 1.0), ("training", 38.0)),
        picks=(Pick("precision", "float32", "bfloat16 is slower here", {"float32": 1.0, "bfloat16": 0.83}),),
        rate_search=RateCurve(np.geomspace(1e-6, 1, 30), np.linspace(2.3, 0.5, 30), 0.0031),
        peak_bytes=412_000_000,
        seconds=41.0,
        samples_per_second=12_345.0,
        commands=(("Train it again", "trainwell train digits --recipe runs/digits-3/recipe.toml"),),
    )


def binary() -> Results:
    epochs, steps = course(50, "accuracy")
    columns = (
        ColumnRow("survived", "target", True, "", 0, 2),
        ColumnRow("age", "number", True, "", 177, 88, "0.42 … 80, median 28"),
        ColumnRow("alive", "leak", False, "it tells the target", 0, 2),
    )
    return Results(
        "titanic-1",
        "Tell whether survived is 1",
        "binary",
        data=DataGlance("titanic.csv", "table", {}, {"test": 100}, {"test": (60, 40)}, columns, target="survived"),
        epochs=epochs,
        steps=steps,
        metrics={"test": {"accuracy": 0.8, "auc": 0.875}},
        classes=("no", "yes"),
        confusion=np.array([[50, 10], [10, 30]]),
        roc=Roc(np.array([0.0, 0.25, 1.0]), np.array([0.0, 1.0, 1.0]), 0.875),
        threshold=0.46,
        mistakes=(Mistake("yes", "no", 0.97, name="row 7", cells={"age": "41", "sex": "male"}),),
    )


def regression() -> Results:
    rng = np.random.default_rng(1)
    truth = rng.lognormal(8, 1, 3000)
    predicted = truth * rng.lognormal(0, 0.1, 3000)
    epochs, _ = course(5, "r2")
    return Results(
        "diamonds-2",
        "Predict price",
        "regression",
        data=DataGlance("diamonds.csv", "table", samples={"test": 3000}, target_values=truth, target="price"),
        epochs=epochs,
        metrics={"test": {"r2": 0.98, "rmse": 508.8}},
        residuals=(Residuals(truth, predicted, "price"),),
        mistakes=(Mistake("17742", "24197", name="row 3"),),
    )


def many_classes() -> Results:
    names = tuple(f"class number {i}" for i in range(100))
    return Results(
        "c100",
        "Many",
        "classification",
        classes=names,
        confusion=confusion(100, 10),
        metrics={"test": {"accuracy": 0.9}},
    )


def bare() -> Results:
    return Results("own", "Fit a program of your own", "reconstruction")


def hostile() -> Results:
    x = HOSTILE
    return Results(
        x,
        x,
        "classification",
        folder=x,
        created=x,
        notes=(x,),
        recipe_toml=x,
        environment={x: x},
        data=DataGlance(
            x,
            x,
            {x: x},
            {"train": 5, x: 2},
            {"train": (3, 2)},
            (ColumnRow(x, x, False, x, 3, 4, x),),
            (Example(np.zeros((5, 5), np.uint8), x, x),),
            np.array([1.0, np.nan]),
            x,
            (x,),
        ),
        layers=(LayerRow(x, x, x, (1,), (2,), 3, x),),
        incomplete=x,
        epochs=({"epoch": 1, "train_loss": np.nan, x: 3.0}, {"epoch": 2, "train_loss": 0.2, "val_loss": np.inf}),
        best_epoch=1,
        monitor=x,
        metrics={"test": {"accuracy": 0.5, x: 0.3}, x: {x: 1.0}},
        classes=(x, "b" + x),
        confusion=np.array([[1, 1], [0, 2]]),
        roc=Roc(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0.5),
        residuals=(Residuals(np.array([1.0, 2.0]), np.array([1.5, np.nan]), x),),
        mistakes=(Mistake(x, x, 0.9, None, x, None, {x: x}),),
        stages=((x, 1.0),),
        picks=(Pick(x, x, x, {x: 1.0}),),
        seconds=3.0,
        commands=((x, x),),
    )


KINDS: dict[str, Callable[[], Results]] = {
    f.__name__: f for f in (pictures, binary, regression, many_classes, bare, hostile)
}


@pytest.fixture(params=KINDS)
def results(request: pytest.FixtureRequest) -> Results:
    """Results of each kind in turn."""
    return KINDS[request.param]()


@pytest.fixture
def kinds() -> dict[str, Callable[[], Results]]:
    """Builders of results by name."""
    return KINDS
