import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.testing import assert_close

from trainwell.objectives import LOSSES, build_loss
from trainwell.objectives.losses import balanced_class_weights


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_a_mean_over_the_batch(name):  # all rows twice: the same loss
    torch.manual_seed(0)
    output = torch.randn(7, 3, dtype=torch.float64)
    target = torch.randint(3, (7,)) if name == "cross_entropy" else torch.rand(7, 3, dtype=torch.float64).round()
    loss = build_loss(name)
    assert_close(loss(output.repeat(2, 1), torch.cat([target, target])), loss(output, target), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("mse", lambda e: (e**2).mean()),
        ("l1", lambda e: np.abs(e).mean()),
        ("huber", lambda e: np.where(np.abs(e) < 1, e**2 / 2, np.abs(e) - 0.5).mean()),
    ],
)
def test_regression_losses_follow_their_formulas(name, formula):
    rng = np.random.default_rng(0)
    y, t = 2 * rng.standard_normal((2, 9, 2))
    found = build_loss(name)(torch.from_numpy(y), torch.from_numpy(t))
    assert float(found) == pytest.approx(formula(y - t), rel=1e-12)


def test_label_smoothing_spreads_the_target():
    logits, label, alpha = torch.randn(1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), 2, 0.3
    target = torch.full((4,), alpha / 4, dtype=torch.float64)
    target[label] += 1 - alpha
    expected = -(target * logits[0].log_softmax(0)).sum()
    assert_close(build_loss("cross_entropy", label_smoothing=alpha)(logits, torch.tensor([label])), expected)


def test_balanced_weights_are_scikit_learns_and_empty_classes_weigh_one():
    labels = np.repeat([0, 1, 2], [50, 30, 4])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    found = balanced_class_weights(torch.from_numpy(labels), 4).numpy()
    assert found[:3] * 3 / 4 == pytest.approx(expected * 3 / 4 * 3 / 4, rel=1e-6)  # ours counts the empty class too
    assert found[3] == 1.0
    totals = balanced_class_weights(torch.from_numpy(labels), 3)[torch.from_numpy(labels)]
    assert [float(totals[labels == c].sum()) for c in range(3)] == pytest.approx([28.0] * 3, rel=1e-6)


def test_unknown_loss_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'nll'.*cross_entropy"):
        build_loss("nll")
