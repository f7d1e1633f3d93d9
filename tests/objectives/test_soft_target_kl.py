import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import SoftTargetKL, smoothed_labels


def pair(n=8, classes=5):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, n, classes, dtype=torch.float64, generator=generator)
    return 2 * a, b.softmax(1)


def test_it_is_torchs_over_rows_and_its_gradient_is_p_minus_t():
    logits, target = pair()
    logits.requires_grad_()
    assert_close(SoftTargetKL()(logits, target), nn.KLDivLoss(reduction="batchmean")(logits.log_softmax(1), target))
    assert torch.autograd.gradcheck(lambda s: SoftTargetKL()(s, target), logits)
    (gradient,) = torch.autograd.grad(SoftTargetKL(reduction="sum")(logits, target), logits)
    assert_close(gradient, logits.softmax(1) - target)


def test_label_smoothing_is_the_special_case():
    logits, _ = pair()
    label = torch.arange(8) % 5
    target = smoothed_labels(label, 5, 0.3, torch.float64)
    entropy = -(target * target.log()).sum(1).mean()
    expected = nn.CrossEntropyLoss(label_smoothing=0.3)(logits, label) - entropy
    assert_close(SoftTargetKL()(logits, target), expected)


def test_smoothed_minimum_has_the_reference_gap():  # G11: K = 10, α = 0.1
    target = smoothed_labels(torch.tensor([0]), 10, 0.1, torch.float64)
    gap = math.log(0.91 / 0.01)
    assert gap == pytest.approx(4.5109, abs=5e-5)
    best = gap * torch.eye(10, dtype=torch.float64)[:1]
    assert float(SoftTargetKL()(best, target)) == pytest.approx(0, abs=1e-12)
    assert float(nn.CrossEntropyLoss(label_smoothing=0.1)(best, torch.tensor([0]))) == pytest.approx(0.50029, abs=5e-6)
    certain = 50 * torch.eye(10, dtype=torch.float64)[:1]
    certain.requires_grad_()
    (gradient,) = torch.autograd.grad(SoftTargetKL()(certain, target), certain)
    assert gradient.tolist()[0] == pytest.approx([0.09] + [-0.01] * 9, abs=1e-12)


def test_it_is_never_negative_and_not_symmetric():
    logits, target = pair()
    forth = SoftTargetKL(reduction="none")(logits, target)
    back = SoftTargetKL(reduction="none")(target.log(), logits.softmax(1))
    assert (forth > 0).all() and (forth - back).abs().max() > 0.1
    assert_close(SoftTargetKL()(target.log(), target), torch.zeros((), dtype=torch.float64), atol=1e-12, rtol=0)


def test_large_ruled_out_and_missing_rows():
    logits = torch.tensor([[-1e30, 1e30, -torch.inf]], requires_grad=True)
    loss = SoftTargetKL()(logits, torch.tensor([[0.5, 0.5, 0.0]]))
    assert loss.isfinite() and torch.autograd.grad(loss, logits)[0].isfinite().all()
    assert float(SoftTargetKL()(logits, torch.tensor([[0.0, 0.5, 0.5]])).detach()) == torch.inf
    assert float(SoftTargetKL()(torch.zeros(0, 3), torch.zeros(0, 3))) == 0
    assert nn.KLDivLoss(reduction="batchmean")(torch.zeros(0, 3), torch.zeros(0, 3)).isnan()  # control: torch's


def test_errors():
    with pytest.raises(ValueError, match=r"row 1 of the target has sum 0\.9"):
        SoftTargetKL()(torch.zeros(2, 2), torch.tensor([[0.5, 0.5], [0.5, 0.4]]))
    with pytest.raises(ValueError, match=r"least entry -1"):
        SoftTargetKL()(torch.zeros(1, 2), torch.tensor([[2.0, -1.0]]))
    with pytest.raises(ValueError, match=r"\(2, 2\) do not fit targets \(2,\)"):
        SoftTargetKL()(torch.zeros(2, 2), torch.zeros(2))
    with pytest.raises(ValueError, match=r"\+inf"):
        SoftTargetKL()(torch.tensor([[torch.inf, 0]]), torch.tensor([[0.5, 0.5]]))
    with pytest.raises(ValueError, match=r"alpha is 1\.5"):
        smoothed_labels(torch.tensor([0]), 2, 1.5)
