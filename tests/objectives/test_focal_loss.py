import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import BinaryFocalLoss, FocalLoss


def test_closed_form():
    p = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64)
    found = FocalLoss(gamma=1.5)(p.log() + 3, torch.tensor([1]))  # logits are free up to a constant
    assert float(found) == pytest.approx(-(0.8**1.5) * math.log(0.2), rel=1e-12)
    found = BinaryFocalLoss(gamma=2, alpha=0.25, reduction="none")(
        torch.logit(torch.tensor([0.9, 0.9], dtype=torch.float64)), torch.tensor([1.0, 0.0])
    )
    assert found.tolist() == pytest.approx([-0.25 * 0.01 * math.log(0.9), -0.75 * 0.81 * math.log(0.1)], rel=1e-12)


def test_what_is_right_at_nine_tenths_weighs_a_hundredth():
    logits = torch.tensor([[math.log(9.0), 0.0]], dtype=torch.float64)
    label = torch.tensor([0])
    assert float(FocalLoss()(logits, label) / nn.CrossEntropyLoss()(logits, label)) == pytest.approx(0.01, rel=1e-12)
    assert float(FocalLoss(gamma=0)(logits, label) / nn.CrossEntropyLoss()(logits, label)) == pytest.approx(
        1.0
    )  # control


def test_two_softmax_classes_are_one_sigmoid():
    logits = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    label = torch.arange(20) % 2
    assert_close(FocalLoss()(logits, label), BinaryFocalLoss()(logits[:, 1] - logits[:, 0], label))


def test_binary_gradient_and_its_cross_entropy_limit():
    logits = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.linspace(0, 1, 9, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: BinaryFocalLoss(alpha=0.25)(s, target), logits)
    assert_close(BinaryFocalLoss(gamma=0)(logits, target), nn.BCEWithLogitsLoss()(logits, target))


def test_the_tail_near_one_keeps_its_digits():  # 1 − p = 9.4e-14: exp(ln(1 − p)) is exact, 1 − exp(ln p) is not
    logits, label = torch.tensor([[30.0, 0.0]], dtype=torch.float64), torch.tensor([0])
    rest = math.exp(-30) / (1 + math.exp(-30))
    expected = rest * math.log1p(math.exp(-30))
    assert float(FocalLoss(gamma=1)(logits, label)) == pytest.approx(expected, rel=1e-12, abs=0)
    p = logits.softmax(1)[0, 0]
    assert float((1 - p) * -p.log()) != pytest.approx(expected, rel=1e-6, abs=0)  # control: the formula as printed


@given(
    score=st.floats(-(2.0**126), 2.0**126, width=32),
    target=st.sampled_from([0.0, 0.5, 1.0]),
    gamma=st.sampled_from([0, 0.5, 2]),
)
def test_binary_is_finite_for_finite_logits(score, target, gamma):
    logits = torch.tensor([score], requires_grad=True)
    loss = BinaryFocalLoss(gamma=gamma)(logits, torch.tensor([target]))
    assert loss.isfinite()
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()


@pytest.mark.parametrize("gamma", [0, 2])
def test_minus_infinity_off_target_and_no_elements(gamma):
    logits = torch.tensor([-torch.inf, 0.5], requires_grad=True)
    loss = BinaryFocalLoss(gamma=gamma)(logits, torch.tensor([0.0, 1.0]))
    assert loss.isfinite() and torch.autograd.grad(loss, logits)[0].isfinite().all()
    empty = torch.zeros(0, requires_grad=True)
    loss = BinaryFocalLoss(gamma=gamma)(empty, torch.zeros(0))
    loss.backward()
    assert float(loss.detach()) == 0


def test_errors():
    with pytest.raises(ValueError, match="gamma is -1"):
        FocalLoss(gamma=-1)
    with pytest.raises(ValueError, match="alpha is 2"):
        BinaryFocalLoss(alpha=2)
    with pytest.raises(ValueError, match="do not fit"):
        BinaryFocalLoss()(torch.zeros(2), torch.zeros(2, 1))
    with pytest.raises(ValueError, match=r"\+inf"):
        BinaryFocalLoss()(torch.tensor([torch.inf]), torch.zeros(1))
