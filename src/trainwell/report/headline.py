"""What came out, in plain words: the sentence at the top, how far to trust it, and the key figures."""

from dataclasses import dataclass

import numpy as np

from trainwell.report import words
from trainwell.report.results import Results
from trainwell.report.uncertainty import mean_and_margin, wilson

LEADING = {
    "classification": ("accuracy", "balanced_accuracy", "macro_f1", "f1"),
    "binary": ("accuracy", "balanced_accuracy", "f1", "auc", "roc_auc"),
    "multilabel": ("f1", "macro_f1", "accuracy", "exact_match"),
    "regression": ("r2", "rmse", "mae", "mse"),
    "reconstruction": ("mse", "mae"),
    "sequence": ("accuracy", "r2"),
}


@dataclass(frozen=True)
class Card:
    """One key figure: what it is, its value, a remark."""

    label: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Headline:
    """The outcome in one sentence, more sentences about it, and the row of key figures."""

    outcome: str
    sentences: tuple[str, ...]
    cards: tuple[Card, ...]


def headline(results: Results) -> Headline:
    """Return the top of the page."""
    part = judged_part(results)
    name = leading_metric(results, part)
    return Headline(
        _outcome(results, part, name), tuple(_sentences(results, part, name)), tuple(_cards(results, part, name))
    )


def judged_part(results: Results) -> str:
    """Return the part the headline speaks of: test if it has metrics, else validation, else training, else ""."""
    return next((part for part in ("test", "val", "train", *results.metrics) if results.metrics.get(part)), "")


def leading_metric(results: Results, part: str) -> str:
    """Return the name of the metric that says most about this task, "" without metrics."""
    measured = results.metrics.get(part, {})
    return next((name for name in (*LEADING[results.task], "loss", *measured) if name in measured), "")


def samples_of(results: Results, part: str) -> int | None:
    """Return how many samples the part has, None where nothing says so."""
    if results.data is not None and part in results.data.samples:
        return results.data.samples[part]
    return int(np.sum(results.confusion)) if results.confusion is not None else None


def _outcome(results: Results, part: str, name: str) -> str:
    if not name:
        return f"Trained for {len(results.epochs)} epochs" if results.epochs else "Nothing was measured"
    value = results.metrics[part][name]
    samples = samples_of(results, part)
    of = f"{words.count(samples)} {words.part(part)} samples" if samples is not None else f"the {words.part(part)} part"
    target = results.data.target if results.data is not None else ""
    if not np.isfinite(value):
        return f"The {words.label(name)} on {of} is {words.number(value)}: the training went wrong"
    if name == "accuracy" and results.task != "multilabel":
        return f"Right on {words.percent(value)} of {of}"
    if name == "r2" and value > 0:
        return f"Explains {words.percent(value)} of the variance of {target or 'the target'} on {of}"
    if name == "r2":
        return f"Predicts {target or 'the target'} no better than its mean on {of} (R² {words.number(value, 3)})"
    text = words.label(name)
    return f"{text[0].upper()}{text[1:]} {words.metric(name, value)} on {of}"


def _sentences(results: Results, part: str, name: str) -> list[str]:
    found = []
    samples = samples_of(results, part)
    if interval := accuracy_interval(results, part):
        low, high = map(words.percent, interval)
        found.append(
            f"Measured on {words.count(samples or 0)} samples, the true share lies between {low} and {high} "
            "(Wilson’s 95 % interval)."
        )
    if name == "accuracy" and (share := commonest_share(results, part)):
        found.append(f"Always answering “{share[0]}” would be right on {words.percent(share[1])}.")
    for residuals in results.residuals[:1]:
        truth, predicted = np.asarray(residuals.truth, np.float64), np.asarray(residuals.predicted, np.float64)
        miss, margin = mean_and_margin(np.abs(predicted - truth))
        if np.isfinite(miss):
            plain = float(np.mean(np.abs(truth - np.mean(truth))))
            found.append(
                f"The typical miss is {words.number(miss, 3)} ± {words.number(margin, 2)} (mean absolute error, 95 %); "
                f"always answering the mean, {words.number(float(np.mean(truth)), 3)}, would miss by "
                f"{words.number(plain, 3)}."
            )
    if part == "val" and name:
        found.append(
            "There is no test part: the validation part also picked the epoch, so this number flatters a little."
        )
    if part == "train" and name:
        found.append("There is neither test nor validation part: this says nothing about new data.")
    return found


def accuracy_interval(results: Results, part: str) -> tuple[float, float] | None:
    """Return Wilson's 95 % interval of the accuracy on ``part``, None where it or the number of samples is unknown."""
    accuracy, samples = results.metrics.get(part, {}).get("accuracy"), samples_of(results, part)
    if accuracy is None or not samples or results.task == "multilabel" or not 0 <= accuracy <= 1:
        return None
    return wilson(accuracy * samples, samples)


def commonest_share(results: Results, part: str) -> tuple[str, float] | None:
    """Return the commonest class of ``part`` and its share of the samples, the score of knowing nothing."""
    counts = results.data.class_counts.get(part, ()) if results.data is not None else ()
    if not counts and results.confusion is not None:
        counts = tuple(int(n) for n in np.sum(results.confusion, axis=1))
    if not sum(counts) or len(counts) != len(results.classes):
        return None
    first = max(range(len(counts)), key=counts.__getitem__)
    return results.classes[first], counts[first] / sum(counts)


def _cards(results: Results, judged: str, name: str) -> list[Card]:
    cards = []
    for part in ("test", "val", "train"):
        value = results.metrics.get(part, {}).get(name)
        if value is None:
            continue
        interval = accuracy_interval(results, part) if name == "accuracy" and part == judged else None
        remark = (
            f"{words.percent(interval[0])} to {words.percent(interval[1])}"
            if interval
            else _second(results, part, name)
        )
        cards.append(Card(f"{words.part(part).capitalize()} {words.label(name)}", words.metric(name, value), remark))
    if results.seconds is not None:
        epochs = f"{len(results.epochs)} epochs" if len(results.epochs) != 1 else "1 epoch"
        best = f"{epochs}, best {results.best_epoch}" if results.best_epoch is not None else epochs
        cards.append(Card("Time", words.duration(results.seconds), best if results.epochs else ""))
    if results.samples_per_second is not None:
        cards.append(Card("Speed", words.short(results.samples_per_second), "samples a second"))
    if results.parameters is not None:
        remark = words.count(results.parameters) if results.parameters >= 10_000 else ""
        cards.append(Card("Parameters", words.short(results.parameters), remark))
    if results.peak_bytes is not None:
        cards.append(Card("Memory peak", words.size(results.peak_bytes)))
    return cards


def _second(results: Results, part: str, name: str) -> str:
    """Return one more metric of the part as a remark: the loss of a classifier, the error of a regression."""
    measured = results.metrics[part]
    other = next((n for n in ("rmse", "mae", "loss") if n in measured and n != name), "")
    return (
        f"{words.label(other) if other == 'loss' else other.upper()} {words.metric(other, measured[other])}"
        if other
        else ""
    )
