import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from trainwell.report import CalibrationBin, ClassScore, Results, words
from trainwell.report.scores import class_scores, confusion
from trainwell.report.uncertainty import expected_calibration_error, mean_and_margin, wilson


@pytest.mark.parametrize("right, samples", [(0, 1), (1, 1), (357, 360), (0, 50), (50, 50), (1, 10_000), (180, 200)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_is_scipys(right, samples, confidence):
    reference = binomtest(right, samples).proportion_ci(confidence, method="wilson")
    assert wilson(right, samples, confidence) == pytest.approx(tuple(reference), abs=1e-12)


def test_wilson_covers_about_as_often_as_it_says():  # property; 0.95 ± 4 standard errors of 4000 draws
    draws = np.random.default_rng(0).binomial(60, 0.9, 4000)
    covered = np.mean([low <= 0.9 <= high for low, high in (wilson(int(k), 60) for k in draws)])
    exact = sum(binomtest(k, 60, 0.9).statistic >= 0 and wilson(k, 60)[0] <= 0.9 <= wilson(k, 60)[1] for k in range(61))
    assert exact < 61 and abs(covered - 0.95) < 0.03


def test_wilson_refuses_what_is_no_share():
    for right, samples in ((1, 0), (5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="is no share"):
            wilson(right, samples)


def test_margin_of_the_mean_is_the_normal_one():
    values = np.random.default_rng(0).normal(3, 2, 10_000)
    mean, margin = mean_and_margin(values)
    assert mean == pytest.approx(values.mean(), rel=1e-12)
    assert margin == pytest.approx(1.959963984540054 * values.std(ddof=1) / 100, rel=1e-12)
    assert mean_and_margin(np.array([2.0])) == (2.0, 0.0)


def test_calibration_error_is_zero_only_when_calibrated():  # closed form and control
    def two(accuracy: float) -> list[CalibrationBin]:
        return [
            CalibrationBin(0.4, 0.6, 0.5, 0.5, 30),
            CalibrationBin(0.8, 1, 0.9, accuracy, 10),
            CalibrationBin(0, 0, 0, 0, 0),
        ]

    assert expected_calibration_error(two(0.9)) == 0
    assert expected_calibration_error(two(0.5)) == pytest.approx(0.1, abs=1e-12)
    assert expected_calibration_error([]) == 0


def test_class_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 5, 300), rng.integers(0, 6, 300)
    matrix = confusion_matrix(truth, predicted, labels=range(7))
    results = Results("a", "b", "classification", classes=tuple("abcdefg"), confusion=matrix)
    reference = precision_recall_fscore_support(truth, predicted, labels=range(7), zero_division=0)
    scores = class_scores(results)
    np.testing.assert_allclose(
        [[s.precision, s.recall, s.f1, s.support] for s in scores], np.transpose(reference), rtol=1e-12
    )


def test_given_scores_are_kept():
    given = (ClassScore("a", 0.1, 0.2, 0.3, 4),)
    assert class_scores(Results("a", "b", "multilabel", class_scores=given)) == given


def test_worst_pairs_come_by_count():
    matrix = np.array([[5, 3, 0], [1, 9, 0], [4, 0, 0]])
    shown = confusion(Results("a", "b", "classification", classes=("x", "y", "z"), confusion=matrix))
    assert shown is not None
    assert [(p.truth, p.predicted, p.count) for p in shown.pairs] == [("z", "x", 4), ("x", "y", 3), ("y", "x", 1)]
    assert (shown.right, shown.samples) == (14, 22)
    assert shown.cells[0][1].share == 3 / 8 and shown.heat == ""


@pytest.mark.parametrize(
    "said, text",
    [
        (words.percent(0.99167), "99.2 %"),
        (words.percent(1), "100 %"),
        (words.percent(0.99973), "99.97 %"),
        (words.percent(0), "0 %"),
        (words.percent(float("nan")), "–"),
        (words.number(5394.25), "5,394"),
        (words.number(-0.0123456), "−0.01235"),
        (words.number(0), "0"),
        (words.number(1e-9), "1e−9"),
        (words.number(float("-inf")), "−inf"),
        (words.number(123456789.0), "123,456,789"),
        (words.short(9999), "9,999"),
        (words.short(85_123), "85.1 k"),
        (words.short(1_234_567), "1.23 M"),
        (words.duration(0.81), "0.81 s"),
        (words.duration(41.3), "41 s"),
        (words.duration(59.7), "1 min 00 s"),
        (words.duration(192), "3 min 12 s"),
        (words.duration(3840), "1 h 04 min"),
        (words.size(412_000_000), "412 MB"),
        (words.size(12), "12 bytes"),
        (words.shape((3, 32, 32)), "3 × 32 × 32"),
        (words.shape(()), ""),
    ],
)
def test_numbers_in_words(said, text):
    assert said.replace("\N{NARROW NO-BREAK SPACE}", " ") == text
