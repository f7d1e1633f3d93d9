import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import BinaryHingeLoss, CrammerSingerLoss, WestonWatkinsLoss

S = torch.tensor([[1.0, 2.0, 0.0]], dtype=torch.float64)
Y = torch.tensor([0])


def test_reference_numbers():  # O12
    assert float(WestonWatkinsLoss()(S, Y)) == 2.0
    assert float(CrammerSingerLoss()(S, Y)) == 2.0
    assert float(WestonWatkinsLoss()(torch.zeros(1, 10), Y)) == 9.0
    assert float(CrammerSingerLoss()(torch.zeros(1, 10), Y)) == 1.0


def test_gradient_counts_the_margins_in_reach():
    logits = torch.tensor([[1.0, 2.0, 0.5, -3.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(WestonWatkinsLoss()(logits, Y), logits)
    assert_close(gradient, torch.tensor([[-2.0, 1.0, 1.0, 0.0]]))
    (gradient,) = torch.autograd.grad(CrammerSingerLoss()(logits, Y), logits)
    assert_close(gradient, torch.tensor([[-1.0, 1.0, 0.0, 0.0]]))


def test_the_decks_sign_cannot_learn():  # control: deck R's expansion, s_j + s_y + 1
    logits = S.clone().requires_grad_()
    wrong = (logits[0, 1:] + logits[0, 0] + 1).clamp_min(0).sum()
    assert float(wrong.detach()) == 6.0
    (misled,) = torch.autograd.grad(wrong, logits)
    (right,) = torch.autograd.grad(WestonWatkinsLoss()(logits, Y), logits)
    assert misled[0, 0] > 0 > right[0, 0]  # descent on the misprint lowers the true score


def test_torchs_loss_is_ours_over_the_number_of_classes():
    logits = 3 * torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    label = torch.arange(20) % 5
    assert_close(WestonWatkinsLoss(margin=0.7)(logits, label), 5 * nn.MultiMarginLoss(margin=0.7)(logits, label))


def test_two_classes_are_the_binary_hinge_of_the_difference():
    logits = 2 * torch.randn(30, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    label = torch.arange(30) % 2
    expected = BinaryHingeLoss()(logits[:, 1] - logits[:, 0], label)
    assert_close(WestonWatkinsLoss()(logits, label), expected)
    assert_close(CrammerSingerLoss()(logits, label), expected)


def test_binary_hinge_follows_its_formula_and_its_gradient():
    scores = torch.tensor([0.25, -3.0, 2.0, 0.5], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    assert_close(
        BinaryHingeLoss(reduction="none")(scores, target).detach(), (1 - (2 * target - 1) * scores.detach()).relu()
    )
    assert torch.autograd.gradcheck(lambda s: BinaryHingeLoss()(s, target), scores)


def test_minus_infinity_is_free_where_it_is_right_and_infinite_where_it_is_wrong():
    scores = torch.tensor([-torch.inf, 2.0], requires_grad=True)
    loss = BinaryHingeLoss(reduction="sum")(scores, torch.tensor([0.0, 0.0]))
    assert float(loss.detach()) == 3.0
    assert torch.autograd.grad(loss, scores)[0].tolist() == [0.0, 1.0]
    assert float(BinaryHingeLoss()(scores, torch.tensor([1.0, 0.0])).detach()) == torch.inf


def test_a_confident_right_answer_costs_nothing_and_a_shift_changes_nothing():
    logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    label = logits.argmax(1)
    for loss in (WestonWatkinsLoss(), CrammerSingerLoss()):
        assert float(loss(1e6 * logits, label)) == 0.0
        assert_close(loss(logits + 1000, label), loss(logits, label))


def test_errors():
    with pytest.raises(ValueError, match="margin is 0"):
        WestonWatkinsLoss(margin=0.0)
    with pytest.raises(ValueError, match=r"scores \(3,\).*targets \(2,\)"):
        BinaryHingeLoss()(torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match=r"\+inf"):
        BinaryHingeLoss()(torch.tensor([torch.inf]), torch.ones(1))
