import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import (
    BinaryFocalLoss,
    BinaryHingeLoss,
    CrammerSingerLoss,
    CrossEntropy,
    FocalLoss,
    SmoothedLabelKL,
    WestonWatkinsLoss,
    build_loss,
    per_sample,
)

KINDS = [WestonWatkinsLoss, CrammerSingerLoss, FocalLoss, CrossEntropy, SmoothedLabelKL]
every = pytest.mark.parametrize("kind", KINDS)


def batch(n=12, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(n, classes, dtype=torch.float64, generator=generator), torch.arange(n) % classes


@every
def test_gradient_is_the_difference_quotients(kind):
    logits, label = batch()
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: kind(weight)(s, label), logits.requires_grad_())


@every
def test_onehot_targets_are_labels_and_mixtures_are_averages(kind):
    logits, label = batch()
    onehot = nn.functional.one_hot(label, 4).double()
    assert_close(kind()(logits, onehot), kind()(logits, label))
    other = label.roll(1)
    mixed = 0.3 * onehot + 0.7 * onehot.roll(1, 0)
    assert_close(kind()(logits, mixed), 0.3 * kind()(logits, label) + 0.7 * kind()(logits, other))


@every
def test_reductions_and_class_weights_are_torchs(kind):
    logits, label = batch()
    label[3] = -100
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    each = kind(weight, reduction="none")(logits, label)
    assert each[3] == 0
    assert_close(kind(weight, reduction="sum")(logits, label), each.sum())
    counted = label != -100
    assert_close(kind(weight)(logits, label), each.sum() / weight[label[counted]].sum())
    assert_close(kind(weight, reduction="none")(logits[counted], label[counted]), each[counted])


def test_without_focus_the_focal_loss_is_cross_entropy_in_every_convention():
    logits, label = batch()
    label[3] = -100
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    soft = logits.flip(0).softmax(1)
    for reduction in ("mean", "sum", "none"):
        ours, theirs = FocalLoss(weight, gamma=0, reduction=reduction), nn.CrossEntropyLoss(weight, reduction=reduction)
        assert_close(ours(logits, label), theirs(logits, label))
        assert_close(ours(logits, soft), theirs(logits, soft))


@every
@pytest.mark.parametrize("label", [[], [-100, -100]])
def test_nothing_to_learn_from_is_zero_with_zero_gradient(kind, label):
    logits = torch.full((len(label), 3), torch.nan, requires_grad=True)
    target = torch.tensor(label, dtype=torch.long)
    loss = kind()(logits, target)
    assert float(loss.detach()) == 0
    assert torch.autograd.grad(loss, logits)[0].count_nonzero() == 0
    assert nn.CrossEntropyLoss()(logits, target).isnan()  # control: torch's


@every
@pytest.mark.parametrize("soft", [False, True])
def test_classes_ruled_out_count_as_absent(kind, soft):
    logits, label = batch(classes=3)
    out = torch.cat([logits, torch.full((12, 2), -torch.inf, dtype=torch.float64)], 1).requires_grad_()
    target = nn.functional.one_hot(label, 5).double() if soft else label
    loss = kind()(out, target)
    assert_close(loss, kind()(logits, label))
    (gradient,) = torch.autograd.grad(loss, out)
    assert gradient.isfinite().all() and gradient[:, 3:].count_nonzero() == 0


@every
def test_a_true_class_ruled_out_costs_infinity(kind):
    assert float(kind()(torch.tensor([[-torch.inf, 0.0]]), torch.tensor([0]))) == torch.inf


@every
@settings(deadline=None)  # the first call is slow
@given(
    scores=st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=2, max_size=6),
    label=st.integers(0, 1),
)
def test_finite_logits_give_finite_losses_and_gradients(kind, scores, label):
    logits = torch.tensor([scores], requires_grad=True)
    loss = kind()(logits, torch.tensor([label]))
    assert loss.isfinite() and float(loss.detach()) >= 0
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()


@every
def test_plus_infinity_is_an_error_only_where_asked(kind):
    logits, label = torch.tensor([[0.0, torch.inf]]), torch.tensor([0])
    with pytest.raises(ValueError, match=r"1 of 2 logits are \+inf"):
        kind()(logits, label)
    assert not kind(strict=False)(logits, label).isfinite()


@every
def test_wrong_shapes_and_labels_are_named(kind):
    with pytest.raises(ValueError, match=r"logits \(2, 3\) do not fit targets \(3,\)"):
        kind()(torch.zeros(2, 3), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="label 3 is none of the 3 classes"):
        kind()(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="reduction is 'avg'"):
        kind(reduction="avg")


def test_a_recipe_names_them_with_its_class_weights():
    logits, label = batch()
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    for name, kind in (
        ("svm", WestonWatkinsLoss),
        ("crammer_singer", CrammerSingerLoss),
        ("focal", FocalLoss),
        ("kl", SmoothedLabelKL),
    ):
        loss = build_loss(name, class_weights=weight)
        assert type(loss) is kind and not loss.strict
        assert_close(loss(logits, label), kind(weight)(logits, label))
        assert per_sample(loss)(logits, label).shape == (12,)
    assert isinstance(build_loss("hinge"), BinaryHingeLoss) and isinstance(build_loss("binary_focal"), BinaryFocalLoss)


@pytest.mark.parametrize("name", ["svm", "crammer_singer", "focal", "kl"])
def test_a_linear_model_separates_what_is_separable(name):
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(60) % 3
    x = torch.eye(3)[label] * 4 + 0.3 * torch.randn(60, 3, generator=generator)
    weight = torch.zeros(3, 3, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        build_loss(name)(x @ weight.T, label).backward()
        optimizer.step()
    assert ((x @ weight.T).argmax(1) == label).all()
