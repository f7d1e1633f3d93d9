"""The final metrics of a run by task, on gathered predictions; scikit-learn's where it has them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from trainwell.errors import InputError

BINS = 15  # of the calibration error; Guo et al. 2017, arXiv:1706.04599, with equal mass instead of equal width


def classification_metrics(truth: np.ndarray, probability: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """Metrics of a classifier.

    Args:
        truth: class codes, shape (n,).
        probability: shape (n, classes), rows sum to one.
        answers: class codes that the model answers (by its threshold where binary).

    Returns:
        accuracy, balanced_accuracy (mean recall of the classes present), f1 (macro; of class 1 when there are two),
        auroc (one
        against the rest, macro; left out where a class is missing), log_loss (nats) and calibration_error.
    """
    from sklearn.metrics import f1_score, roc_auc_score

    classes = probability.shape[1]
    present = np.unique(truth)
    recalls = [float((answers[truth == c] == c).mean()) for c in present]
    average = "binary" if classes == 2 else "macro"
    metrics = {
        "accuracy": float((answers == truth).mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "f1": float(
            f1_score(truth, answers, average=average, labels=None if classes == 2 else present, zero_division=0)
        ),
        "log_loss": float(-np.log(np.clip(probability[np.arange(len(truth)), truth], 1e-12, None)).mean()),
        "calibration_error": calibration_error(probability.max(1), probability.argmax(1) == truth),
    }
    if len(present) == classes:
        scores = probability[:, 1] if classes == 2 else probability / probability.sum(1, keepdims=True)
        metrics["auroc"] = float(roc_auc_score(truth, scores, multi_class="ovr"))
    return metrics


def calibration_bins(
    confidence: np.ndarray, right: np.ndarray, bins: int = BINS
) -> list[tuple[float, float, float, float, int]]:
    """Bins of equal mass over the confidence: (low, high, mean confidence, accuracy, count), in rising order.

    Equal confidences share their accuracy, so that the order of the rows does not matter where a bin ends among them.
    """
    _, tie = np.unique(confidence, return_inverse=True)
    right = (np.bincount(tie, right) / np.bincount(tie))[tie]
    order = np.argsort(confidence, kind="stable")
    pieces = [piece for piece in np.array_split(order, min(bins, len(order))) if len(piece)]
    return [
        (float(confidence[p[0]]), float(confidence[p[-1]]), float(confidence[p].mean()), float(right[p].mean()), len(p))
        for p in pieces
    ]


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error Σ_b (n_b / n) · |accuracy_b − confidence_b| over bins of equal mass."""
    return float(
        sum(n * abs(a - c) for _, _, c, a, n in calibration_bins(confidence, right, bins)) / max(1, len(confidence))
    )


def multilabel_metrics(truth: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, float]:
    """accuracy over all labels, f1 (macro over labels), auroc (macro over labels that have both values)."""
    from sklearn.metrics import f1_score, roc_auc_score

    answers = (probability > threshold).astype(int)
    metrics = {
        "accuracy": float((answers == truth).mean()),
        "f1": float(f1_score(truth, answers, average="macro", zero_division=0)),
    }
    both = [k for k in range(truth.shape[1]) if 0 < truth[:, k].sum() < len(truth)]
    if both:
        metrics["auroc"] = float(np.mean([roc_auc_score(truth[:, k], probability[:, k]) for k in both]))
    return metrics


def regression_metrics(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """rmse, mae (in the target's unit) and r2 = 1 − Σ(ŷ−y)² / Σ(y−ȳ)², means over the targets (float64)."""
    truth, predicted = (np.asarray(a, dtype=np.float64).reshape(len(truth), -1) for a in (truth, predicted))
    error = predicted - truth
    spread = ((truth - truth.mean(0)) ** 2).sum(0)
    metrics = {"rmse": float(np.sqrt((error**2).mean())), "mae": float(np.abs(error).mean())}
    if bool((spread > 0).all()) and len(truth) > 1:
        metrics["r2"] = float((1 - (error**2).sum(0) / spread).mean())
    return metrics


def best_threshold(truth: np.ndarray, yes: np.ndarray) -> float:
    """The probability from which "yes" gives the best balanced accuracy; in the middle between two samples'
    probabilities.

    Args:
        truth: 0 or 1, shape (n,).
        yes: probability of 1, shape (n,).
    """
    order = np.argsort(yes, kind="stable")
    t, p = truth[order], yes[order]
    positives, negatives = max(1, int(t.sum())), max(1, int((1 - t).sum()))
    missed = np.concatenate([[0], np.cumsum(t)])  # positives below a cut after the i-th
    kept = np.concatenate([[0], np.cumsum(1 - t)])
    balanced = (1 - missed / positives + kept / negatives) / 2
    middle = (p[1:] + p[:-1]) / 2
    middle = np.where(middle > p[:-1], middle, p[1:])  # neighbouring floats have nothing between them
    cuts = np.concatenate([[p[0] / 2], middle, [(p[-1] + 1) / 2]])
    allowed = np.concatenate([[True], p[1:] > p[:-1], [True]])
    near = np.where(allowed, balanced - 1e-9 * np.abs(cuts - 0.5), -1)  # of equal ones the cut nearest to a half
    return float(cuts[int(np.argmax(near))])


def own_metric(function: Callable[..., Any], truth: np.ndarray, answers: np.ndarray) -> float:
    """The user's own metric of (truth, prediction)."""
    try:
        return float(function(truth, answers))
    except Exception as error:
        name = getattr(function, "__name__", "metric")
        raise InputError(
            f"Your metric {name} failed: {type(error).__name__}: {error}.",
            "It gets two arrays, truth and prediction (class codes or values), and must return a number.",
        ) from error
