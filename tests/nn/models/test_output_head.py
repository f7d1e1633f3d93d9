"""Output heads: the gradient is the error, a perfect prediction has none, and wrong targets are named."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

import trainwell.nn as tn
from trainwell.nn.models.heads import TASKS

N, K, T = 6, 4, 3
LABELS = torch.tensor([0, 1, 2, 3, 1, 0])
TIMED = torch.arange(N * T).view(N, T) % K
BITS = (torch.arange(N * K).view(N, K) % 3 == 0).double()


def real() -> torch.Tensor:
    return torch.randn(N, K, dtype=torch.float64)


def one_hot(labels: torch.Tensor, classes: int = K) -> torch.Tensor:
    return F.one_hot(labels, classes).movedim(-1, 1).double()


CASES = {  # head, target as the loss takes it, target as an array of the output's shape, factor of the gradient
    "classification": lambda: (tn.output_head("classification", K), LABELS, one_hot(LABELS), 1 / N),
    "soft labels": lambda: (tn.output_head("classification", K), *[real().softmax(1)] * 2, 1 / N),
    "two classes": lambda: (tn.output_head("binary", 2), LABELS % 2, one_hot(LABELS % 2, 2), 1 / N),
    "one score": lambda: (tn.output_head("binary"), *[BITS[:, :1]] * 2, 1 / N),
    "multilabel": lambda: (tn.output_head("multilabel", K), *[BITS] * 2, 1 / (N * K)),
    "regression": lambda: (tn.output_head("regression", K), *[real()] * 2, 2 / (N * K)),
    "unit": lambda: (tn.output_head("reconstruction", K), *[real().sigmoid()] * 2, 1 / (N * K)),
    "real": lambda: (tn.output_head("reconstruction", K, range="real"), *[real()] * 2, 2 / (N * K)),
    "sequence": lambda: (tn.output_head("sequence", K), TIMED, one_hot(TIMED), 1 / (N * T)),
}


@pytest.fixture(params=CASES)
def case(request):
    torch.manual_seed(0)
    return CASES[request.param]()


def gradient(head: tn.Head, scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    scores = scores.clone().requires_grad_()
    (result,) = torch.autograd.grad(head.loss_class()(scores, target), scores)
    return result


def test_gradient_at_the_scores_is_prediction_minus_target(case):
    head, target, dense, factor = case
    scores = 3 * torch.randn_like(dense)
    head.check(scores, target)
    assert_close(gradient(head, scores, target), factor * (head.predict(scores) - dense), rtol=0, atol=1e-12)
    wrong = factor * (scores - dense) if head.activation != "identity" else factor * (scores.sigmoid() - dense)
    assert (gradient(head, scores, target) - wrong).abs().max() > 0.01  # control: another activation


def test_perfect_prediction_has_zero_gradient(case):
    head, target, dense, _ = case
    safe = dense.clamp(1e-30, 1 - 1e-16)
    scores = {"softmax": safe.log(), "sigmoid": safe.logit(), "identity": dense}[head.activation]
    assert_close(head.predict(scores), dense, rtol=0, atol=1e-12)
    assert gradient(head, scores, target).abs().max() < 1e-12


def test_squared_error_after_a_sigmoid_has_no_gradient_where_it_is_wrong_and_saturated():
    scores = torch.tensor([[-20.0]], dtype=torch.float64, requires_grad=True)
    target = torch.ones(1, 1, dtype=torch.float64)
    (bad,) = torch.autograd.grad(F.mse_loss(scores.sigmoid(), target), scores)
    assert bad.abs() < 1e-8 < 0.999 < gradient(tn.output_head("binary"), scores.detach(), target).abs()


def test_losses_are_names_that_a_recipe_knows_for_the_task(case):
    from trainwell.objectives.losses import LOSSES, build_loss

    head = case[0]
    assert type(build_loss(head.loss)) is head.loss_class
    if head.task in ("classification", "multilabel", "regression"):
        assert head.task in LOSSES[head.loss]
    assert head.why.endswith(".")


def test_one_score_is_the_difference_of_two():
    scores = torch.randn(5, 2, dtype=torch.float64)
    two = tn.output_head("binary", 2).predict(scores)[:, 1]
    assert_close(two, tn.output_head("binary").predict(scores[:, 1:] - scores[:, :1])[:, 0], rtol=0, atol=1e-12)


def test_binary_loss_has_the_minus_that_deck_m_lacks():
    p, y = torch.tensor([[0.2]], dtype=torch.float64), torch.tensor([[1.0]], dtype=torch.float64)
    assert_close(nn.BCEWithLogitsLoss()(p.logit(), y), -(y * p.log() + (1 - y) * (1 - p).log()).sum())


def test_ignored_labels_pass():
    head = tn.output_head("classification", K)
    assert head.check(torch.zeros(2, K), torch.tensor([0, -100])) is None
    with pytest.raises(ValueError):  # the control
        head.check(torch.zeros(2, K), torch.tensor([0, -1]))


def test_empty_batches_pass():
    for name, y in (("classification", torch.zeros(0, dtype=torch.int64)), ("classification", torch.zeros(0, K))):
        assert tn.output_head(name, K).check(torch.zeros(0, K), y) is None
    assert tn.output_head("multilabel", K).check(torch.zeros(0, K), torch.zeros(0, K)) is None
    with pytest.raises(ValueError):  # the control
        tn.output_head("multilabel", K).check(torch.zeros(0, K), torch.zeros(0, K + 1))


ints = torch.tensor
WRONG = [
    ("classification", K, torch.zeros(2, K), ints([0, 4]), "1 labels are out of range, such as 4; .*from 0 to 3"),
    ("classification", K, torch.zeros(2, K), ints([0, -1]), "such as -1"),
    ("classification", K, torch.zeros(2, 3), ints([0, 1]), r"gives shape \(2, 3\), the head needs \(N, 4\)"),
    ("classification", K, torch.zeros(2, K), ints([[0], [1]]), r"labels of shape \(2, 1\).*needs \(2,\)"),
    ("classification", K, torch.zeros(2, K), torch.zeros(2), "Labels must be integers"),
    ("classification", K, torch.zeros(2, K), torch.ones(2, K), "sum to 1"),
    ("classification", K, torch.zeros(1, K), torch.tensor([[-0.5, 1.5, 0, 0]]), "must be ≥ 0"),
    ("classification", K, torch.zeros(1, K), torch.full((1, K), torch.nan), "must be ≥ 0"),
    ("sequence", K, torch.zeros(2, 5, K), torch.zeros(2, 5, dtype=torch.int64), r"needs \(N, 4, T\)"),
    ("sequence", K, torch.zeros(2, K, 5), torch.full((2, 5), 7), "10 labels are out of range"),
    ("binary", 1, torch.zeros(2, 1), torch.zeros(2), "broadcast"),
    ("binary", 1, torch.zeros(2, 1), ints([[0], [1]]), "needs floating-point"),
    ("multilabel", 2, torch.zeros(1, 2), torch.tensor([[0.0, 2.0]]), "run from 0 to 2"),
    ("multilabel", 2, torch.zeros(1, 2), torch.tensor([[-0.1, 1.0]]), "run from -0.1"),
    ("reconstruction", 2, torch.zeros(1, 2), torch.tensor([[0.0, 255.0]]), 'range="real"'),
    ("regression", 1, torch.zeros(2, 1), torch.zeros(2), "broadcast"),
    ("regression", 1, torch.zeros(2, 1), torch.tensor([[0.0], [torch.nan]]), "1 targets are not finite"),
]


@pytest.mark.parametrize("task,classes,output,target,message", WRONG)
def test_wrong_targets_are_named(task, classes, output, target, message):
    with pytest.raises(ValueError, match=message):
        tn.output_head(task, classes).check(output, target)


@pytest.mark.parametrize(
    "call,message",
    [
        (lambda: tn.output_head("ranking", 3), "task='ranking'"),
        (lambda: tn.output_head("classification", 1), "classes=1.*Use 2 or more"),
        (lambda: tn.output_head("binary", 3), "Use 1 or 2"),
        (lambda: tn.output_head("regression", 0), "Use 1 or more"),
        (lambda: tn.output_head("reconstruction", 3, range="integer"), "range='integer'"),
    ],
)
def test_heads_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_every_task_has_a_case():
    assert {CASES[name]()[0].task for name in CASES} == set(TASKS)
