"""Scores against scikit-learn's."""

import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score

from trainwell.clinic.quality import codes, first_tensor, quality


def test_classes():
    output, y = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 4
    assert quality(output, y, "classification") == pytest.approx(accuracy_score(y, output.argmax(1)))
    one_hot = torch.nn.functional.one_hot(y, 4).float()
    assert quality(output, one_hot, "classification") == quality(output, y, "classification")
    assert quality(output, y[:, None], "classification") == quality(output, y, "classification")


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_binary_is_the_mean_recall(low):
    logits = torch.randn(80, 1, generator=torch.Generator().manual_seed(1))
    truth = (torch.arange(80) % 5 == 0).float()[:, None]
    expected = balanced_accuracy_score(truth.flatten(), logits.flatten() > 0)
    y = truth * (1 - low) + low
    assert quality(logits, y, "binary") == pytest.approx(expected)
    assert quality(torch.sigmoid(logits), y, "binary") == pytest.approx(expected)


def test_regression_is_r2_and_never_negative():
    y = torch.randn(60, 2, generator=torch.Generator().manual_seed(2))
    output = y + 0.3 * torch.randn(60, 2, generator=torch.Generator().manual_seed(3))
    assert quality(output, y, "regression") == pytest.approx(
        r2_score(y, output, multioutput="variance_weighted"), abs=1e-6
    )
    assert quality(10 + output, y, "regression") == 0.0
    assert quality(output[:, :1], y, "regression") == 0.0  # another shape answers another question


def test_what_is_not_finite_or_no_answer_is_zero():
    y = torch.tensor([0, 1])
    assert quality(torch.tensor([[0.0, float("nan")], [1.0, 2.0]]), y, "classification") == 0.0
    assert quality(torch.randn(2, 3), torch.ones(2, 2), "multilabel") == 0.0
    assert quality(torch.tensor([[3.0, -3.0]]), torch.tensor([[1.0, 0.0]]), "multilabel") == 1.0


def test_the_first_tensor_of_several_outputs():
    inner = torch.ones(1)
    assert first_tensor({"a": (inner, 2)}) is inner and codes(torch.tensor([[2], [1]])).tolist() == [2, 1]
