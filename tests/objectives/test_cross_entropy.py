import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import BinaryFocalLoss, BinaryHingeLoss, BinaryLoss, CrossEntropy, SmoothedLabelKL, build_loss


def batch(n=9, classes=4):
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(n, classes, dtype=torch.float64, generator=generator), torch.arange(n) % classes


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_where_torchs_is_defined_the_values_and_gradients_are_torchs(smoothing, reduction, weighted):
    logits, label = batch()
    label[3] = -100
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64) if weighted else None
    soft = logits.flip(0).softmax(1)
    for target in (label, soft):
        results = []
        for kind in (CrossEntropy, nn.CrossEntropyLoss):
            s = logits.clone().requires_grad_()
            value = kind(weight, reduction=reduction, label_smoothing=smoothing)(s, target)
            results.append((value.detach(), torch.autograd.grad(value.sum(), s)[0]))
        assert_close(results[0], results[1], rtol=1e-12, atol=1e-14)


def test_a_class_ruled_out_of_a_soft_target_counts_as_absent_and_torch_gives_nan():
    logits, target = torch.tensor([[1.0, 2.0, -torch.inf]]), torch.tensor([[0.25, 0.75, 0.0]])
    assert_close(CrossEntropy()(logits, target), CrossEntropy()(logits[:, :2], target[:, :2]))
    assert nn.CrossEntropyLoss()(logits, target).isnan()  # control


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0])
def test_divergence_from_smoothed_labels_is_smoothed_cross_entropy_less_their_entropy(alpha):
    logits, label = batch()
    target = torch.full((4,), alpha / 4, dtype=torch.float64)
    target[0] += 1 - alpha
    entropy = -torch.xlogy(target, target).sum()
    logits.requires_grad_()
    ours, theirs = (
        SmoothedLabelKL(alpha=alpha)(logits, label),
        nn.CrossEntropyLoss(label_smoothing=alpha)(logits, label),
    )
    assert_close(ours, theirs - entropy, rtol=1e-12, atol=1e-14)
    assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits), rtol=1e-12, atol=1e-14)
    assert_close(build_loss("kl", label_smoothing=alpha)(logits, label), ours)
    exact = target[None].log().clamp_min(-1e6)
    assert float(SmoothedLabelKL(alpha=alpha)(exact, torch.tensor([0]))) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", [BinaryFocalLoss, BinaryHingeLoss])
def test_binary_losses_share_one_frame(kind):
    scores = torch.tensor([2.0, -1.0, -torch.inf], requires_grad=True)
    loss = kind(reduction="none")
    assert isinstance(loss, BinaryLoss)
    values = loss(scores, torch.tensor([1.0, 0.0, 0.0]))
    assert_close(values[:1], loss.of_score(scores[:1]))
    assert_close(values[1:], loss.of_score(-scores[1:]))
    assert torch.autograd.grad(values[:2].sum(), scores)[0].isfinite().all()
    swapped = kind(reduction="none")(-scores[:2], torch.tensor([0.0, 1.0]))
    assert_close(swapped, values[:2])
    assert float(kind()(scores[:0], torch.zeros(0)).detach()) == 0


@pytest.mark.parametrize("kind", [CrossEntropy, SmoothedLabelKL, BinaryHingeLoss])
def test_not_strict_it_compiles_in_one_graph(kind):
    torch.compiler.reset()
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    target = logits.round().clamp(0, 1) if kind is BinaryHingeLoss else torch.arange(6) % 3
    loss = kind(strict=False)
    assert_close(torch.compile(loss, fullgraph=True, backend="aot_eager")(logits, target), loss(logits, target))
    torch.compiler.reset()


def test_errors():
    with pytest.raises(ValueError, match=r"label_smoothing is 1\.5"):
        CrossEntropy(label_smoothing=1.5)
    with pytest.raises(ValueError, match="alpha is -1"):
        SmoothedLabelKL(alpha=-1)
    with pytest.raises(ValueError, match=r"BinaryHingeLoss: scores \(2,\) do not fit targets \(3,\)"):
        BinaryHingeLoss()(torch.zeros(2), torch.zeros(3))
