"""Numbers as one says them: shares in percent, counts with separators, seconds as minutes, bytes as megabytes."""

import math
from collections.abc import Sequence

NARROW = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
NOTHING = "–"

LABELS = {
    "accuracy": "accuracy",
    "auc": "area under ROC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "brier": "Brier score",
    "ece": "calibration error",
    "exact_match": "all labels right",
    "f1": "F1",
    "grad_norm": "gradient norm",
    "loss": "loss",
    "lr": "learning rate",
    "macro_f1": "macro F1",
    "mae": "mean absolute error",
    "median_absolute_error": "median absolute error",
    "mse": "mean squared error",
    "r2": "R²",
    "rmse": "root mean squared error",
    "roc_auc": "area under ROC",
    "top5_accuracy": "top-5 accuracy",
}
PARTS = {"train": "training", "val": "validation", "test": "test"}
SHARES = ("accuracy", "balanced_accuracy", "exact_match", "top5_accuracy")


def label(name: str) -> str:
    """Return the plain name of a metric; an unknown one loses its underscores."""
    return LABELS.get(name, name.replace("_", " "))


def part(name: str) -> str:
    """Return the plain name of a part of the data: "val" is "validation"."""
    return PARTS.get(name, name)


def number(value: float, digits: int = 4) -> str:
    """Return ``value`` with ``digits`` significant digits, at least all of its integer part up to a million.

    Example:
        >>> number(0.0123456), number(5394.25), number(2.5e-9), number(float("nan"))
        ('0.01235', '5,394', '2.5e−9', 'nan')
    """
    if not math.isfinite(value):
        return str(value).replace("-", MINUS)
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 9:
        text = f"{value:,.{max(0, digits - 1 - exponent)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"
    return text.replace("-", MINUS)


def percent(share: float) -> str:
    """Return a share in percent, one decimal, two where one would round it to 0 or 100.

    Example:
        >>> percent(0.99167), percent(1), percent(0.99973)
        ('99.2\u202f%', '100\u202f%', '99.97\u202f%')
    """
    if not math.isfinite(share):
        return NOTHING
    rounds_away = 0 < share < 0.0005 or 0.9995 <= share < 1
    text = f"{100 * share:.{2 if rounds_away else 1}f}"
    return ("100" if share == 1 else "0" if share == 0 else text.replace("-", MINUS)) + NARROW + "%"


def metric(name: str, value: float) -> str:
    """Return the value of a metric as its kind is written: accuracies in percent, all else as a number."""
    return percent(value) if name in SHARES else number(value)


def count(value: int) -> str:
    """Return a whole number with separators of thousands."""
    return f"{value:,}"


def short(value: float) -> str:
    """Return a count to three digits: 85.1 k, 1.23 M."""
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= factor:
            return f"{value / min(factor, 1e3 if unit == 'k' else factor):.3g}{NARROW}{unit}"
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Return a time as one says it: 0.8 s, 41 s, 3 min 12 s, 1 h 04 min."""
    if seconds < 9.95:
        return f"{seconds:.2g}{NARROW}s" if seconds < 1 else f"{seconds:.1f}{NARROW}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NARROW}s"
    if whole < 3600:
        return f"{whole // 60}{NARROW}min {whole % 60:02d}{NARROW}s"
    return f"{whole // 3600}{NARROW}h {whole % 3600 // 60:02d}{NARROW}min"


def size(number_of_bytes: float) -> str:
    """Return a size in bytes, kB, MB or GB (powers of 1000)."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number_of_bytes >= factor:
            return f"{number_of_bytes / factor:.3g}{NARROW}{unit}"
    return f"{number_of_bytes:.0f} bytes"


def shape(sizes: Sequence[int]) -> str:
    """Return a shape as 3 × 32 × 32; "" for none."""
    return f"{NARROW}×{NARROW}".join(count(int(n)) for n in sizes)
