"""The final metrics against scikit-learn, slow versions and brute force."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn import metrics as reference

from trainwell.training.metrics import (
    best_threshold,
    calibration_bins,
    calibration_error,
    classification_metrics,
    multilabel_metrics,
    own_metric,
    regression_metrics,
)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("seed", range(3))
def test_classification_metrics_are_scikit_learns(classes, seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, 200)
    p = softmax(rng.standard_normal((200, classes)) + np.eye(classes)[truth], 1)
    answers = p.argmax(1)
    found = classification_metrics(truth, p, answers)
    average = "binary" if classes == 2 else "macro"
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, answers), rel=1e-12)
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(truth, answers), rel=1e-12)
    assert found["f1"] == pytest.approx(reference.f1_score(truth, answers, average=average), rel=1e-12)
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, p), rel=1e-9)
    score = p[:, 1] if classes == 2 else p
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(truth, score, multi_class="ovr"), rel=1e-12)


def test_a_class_that_is_missing_leaves_auroc_out_and_counts_nowhere():
    truth, p = np.array([0, 0, 1, 1]), softmax(np.eye(3)[[0, 0, 1, 1]], 1)
    found = classification_metrics(truth, p, p.argmax(1))
    assert "auroc" not in found and found["balanced_accuracy"] == 1.0 and found["f1"] == 1.0


def test_a_hopeless_probability_has_a_finite_log_loss():
    found = classification_metrics(np.array([0, 1]), np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([1, 1]))
    assert math.isfinite(found["log_loss"]) and found["log_loss"] > 10


def slow_calibration_error(confidence, right, bins):
    rows = sorted(zip(confidence, right, strict=True), key=lambda row: row[0])
    n, error, start = len(rows), 0.0, 0
    for b in range(bins):
        size = n // bins + (1 if b < n % bins else 0)
        part, start = rows[start : start + size], start + size
        if part:
            mean = sum(c for c, _ in part) / len(part)
            share = sum(r for _, r in part) / len(part)
            error += len(part) / n * abs(share - mean)
    return error


@pytest.mark.parametrize("n", [1, 5, 15, 16, 400])
def test_calibration_error_is_the_slow_versions(n):
    rng = np.random.default_rng(n)
    confidence, right = rng.random(n), rng.random(n) < 0.6
    assert calibration_error(confidence, right) == pytest.approx(
        slow_calibration_error(confidence, right, 15), rel=1e-9
    )


def test_who_is_right_as_often_as_he_says_is_calibrated_and_the_boaster_is_not():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 100_000)
    right = rng.random(100_000) < confidence
    assert calibration_error(confidence, right) < 0.01  # 15 bins of 6 667: standard error 0.006 each
    assert calibration_error(np.full(1000, 0.9), np.arange(1000) < 500) == pytest.approx(0.4, rel=1e-9)  # control


def test_bins_have_equal_mass_and_rise():
    bins = calibration_bins(np.random.default_rng(0).random(100), np.ones(100, bool), 7)
    assert [b[4] for b in bins] == [15, 15, 14, 14, 14, 14, 14]
    assert all(a[1] <= b[0] for a, b in pairwise(bins))


def test_multilabel_metrics_are_scikit_learns_and_skip_labels_without_both_values():
    rng = np.random.default_rng(0)
    truth, p = rng.integers(0, 2, (80, 3)), rng.random((80, 3))
    found = multilabel_metrics(truth, p, 0.4)
    assert found["accuracy"] == pytest.approx(1 - reference.hamming_loss(truth, p > 0.4), rel=1e-12)
    assert found["f1"] == pytest.approx(reference.f1_score(truth, p > 0.4, average="macro"), rel=1e-12)
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(truth, p), rel=1e-12)
    truth[:, 1] = 1
    kept = reference.roc_auc_score(truth[:, [0, 2]], p[:, [0, 2]])
    assert multilabel_metrics(truth, p, 0.4)["auroc"] == pytest.approx(kept, rel=1e-12)


@pytest.mark.parametrize("shape", [(90,), (90, 1), (90, 3)])
def test_regression_metrics_are_scikit_learns(shape):
    rng = np.random.default_rng(0)
    truth = 1e5 + rng.standard_normal(shape)
    predicted = (truth + rng.standard_normal(shape)).reshape(len(truth), -1)
    found, y = regression_metrics(truth, predicted), truth.reshape(len(truth), -1)
    assert found["rmse"] == pytest.approx(math.sqrt(reference.mean_squared_error(y, predicted)), rel=1e-9)
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(y, predicted), rel=1e-9)
    assert found["r2"] == pytest.approx(reference.r2_score(y, predicted), rel=1e-9)


def test_a_constant_target_has_no_r2():
    assert set(regression_metrics(np.ones(5), np.zeros((5, 1)))) == {"rmse", "mae"}


def balanced(truth, answers):
    """Balanced accuracy with exact fractions; a class without samples counts as half right."""
    parts = []
    for value in (0, 1):
        here = [a == value for t, a in zip(truth, answers, strict=True) if t == value]
        parts.append(Fraction(sum(here), len(here)) if here else None)
    return sum(p for p in parts if p is not None) / sum(p is not None for p in parts)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=2, max_size=30))
def test_best_threshold_is_as_good_as_brute_force(rows):
    truth, p = np.array([t for t, _ in rows]), np.array([v / 20 for _, v in rows])
    if len(set(truth.tolist())) < 2:
        return
    found = balanced(truth, p >= best_threshold(truth, p))
    cuts = [-1.0, 2.0, *np.unique(p), *(np.unique(p) + 1e-6)]
    assert found == max(balanced(truth, p >= cut) for cut in cuts)


def test_best_threshold_of_probabilities_in_float32_that_stand_side_by_side():
    low = np.float32(0.3)
    p = np.array([low, np.nextafter(low, np.float32(1))], dtype=np.float32)
    cut = best_threshold(np.array([0, 1]), p)
    assert (p >= cut).tolist() == [False, True]


def test_of_equally_good_thresholds_the_one_nearest_to_a_half_is_taken():
    assert best_threshold(np.array([0, 1]), np.array([0.2, 0.9])) == pytest.approx(0.55)
    assert best_threshold(np.array([1, 1, 1]), np.array([0.9, 0.8, 0.95])) == pytest.approx(0.4)


def test_own_metric_is_a_float():
    assert (
        own_metric(lambda truth, answer: np.float32((truth == answer).sum()), np.array([1, 2]), np.array([1, 3])) == 1.0
    )
