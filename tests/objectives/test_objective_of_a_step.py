from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.nn import ArrayInput, Predictor
from trainwell.objectives import PENALTIES, Attack, CrossEntropy, Objective, each_sample


@dataclass
class Mixed:
    x: object
    y: torch.Tensor
    other: torch.Tensor
    share: torch.Tensor


def mixup(x, y, generator):
    order = torch.randperm(len(y), generator=generator)
    share = torch.tensor(0.7, dtype=torch.float64)
    return Mixed(torch.lerp(x[order], x, 0.7), y, y[order], share)


def problem(n=12):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    return net, torch.randn(n, 4, dtype=torch.float64), torch.arange(n) % 3


def test_without_parts_it_is_the_loss():
    net, x, y = problem()
    loss = nn.CrossEntropyLoss()
    assert torch.equal(Objective()(net, x, y, loss), loss(net(x), y))
    weight = torch.rand(len(y), dtype=torch.float64)
    each = nn.CrossEntropyLoss(reduction="none")(net(x), y)
    assert_close(Objective()(net, x, y, loss, weight=weight), (each * weight).sum() / weight.sum())
    assert float(Objective()(net, x, y, loss, weight=0 * weight).detach()) == 0


def test_mixed_samples_weigh_both_labels():
    net, x, y = problem()
    loss = nn.CrossEntropyLoss()
    torch.manual_seed(1)
    found = Objective(mix=mixup)(net, x, y, loss)
    torch.manual_seed(1)
    order = torch.randperm(len(y))
    output = net(0.7 * x + 0.3 * x[order])
    assert_close(found, 0.7 * loss(output, y) + 0.3 * loss(output, y[order]))
    assert (found - loss(output, y)).abs() > 1e-3  # control
    torch.manual_seed(1)
    ones = torch.ones(len(y), dtype=torch.float64)
    assert_close(Objective(mix=mixup)(net, x, y, loss, weight=ones), found)
    torch.manual_seed(1)
    by_sample = Objective(mix=lambda *a: Mixed(**{**vars(mixup(*a)), "share": 0.7 * ones}))
    assert_close(by_sample(net, x, y, loss), found)


def test_every_part_together_is_differentiable_and_random_numbers_are_the_global_ones():
    net, x, y = problem()
    parts = Objective(
        mix=mixup,
        attack=Attack("pgd_l2", 0.3, steps=2),
        penalties=tuple(PENALTIES[name](1e-3) for name in PENALTIES),
        label_noise=0.2,
        classes=3,
    )
    values = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        net.zero_grad()
        value = parts(net, x, y, nn.CrossEntropyLoss())
        value.backward()
        values.append((value.detach(), net[0].weight.grad.clone()))
    assert_close(values[0], values[1], rtol=0, atol=0)
    assert values[0][0] != values[2][0] and values[0][1].isfinite().all()


def test_noise_replaces_labels_by_other_classes_uniformly():
    n, rate = 40_000, 0.3
    y = torch.full((n,), 2)
    y[:100] = -100
    torch.manual_seed(0)
    noisy = Objective(label_noise=rate, classes=5)._with_noise(y)
    assert (noisy[:100] == -100).all()
    shares = torch.bincount(noisy[100:], minlength=5) / (n - 100)
    expected = torch.tensor([rate / 4, rate / 4, 1 - rate, rate / 4, rate / 4])
    assert ((shares - expected).abs() < 4 * (expected * (1 - expected) / n).sqrt()).all()
    assert Objective(classes=5)._with_noise(y) is y  # control


def test_attacked_samples_cost_more():
    net, x, y = problem()
    loss = nn.CrossEntropyLoss()
    clean = Objective()(net, x, y, loss)
    for name in ("fgsm", "pgd_linf", "pgd_l2"):
        assert Objective(attack=Attack(name, 0.2, steps=3))(net, x, y, loss) > clean


def test_slopes_of_a_predictor_are_those_by_its_standardized_inputs():
    torch.manual_seed(0)
    body = nn.Linear(4, 3)
    small = Predictor(ArrayInput([0.0] * 4, [1.0] * 4), body)
    large = Predictor(ArrayInput([5.0] * 4, [100.0] * 4), body)
    x, y, loss = torch.randn(6, 4), torch.arange(6) % 3, nn.CrossEntropyLoss()
    parts = Objective(penalties=(PENALTIES["jacobian_exact"](1.0), PENALTIES["input_gradient"](1.0)))
    assert parts.twice_differentiated and not Objective(penalties=(PENALTIES["l2"](1.0),)).twice_differentiated
    assert_close(parts(small, x, y, loss), parts(large, 5 + 100 * x, y, loss), rtol=1e-4, atol=1e-5)
    assert not small.prepare._forward_hooks and not x.requires_grad
    plain = parts(body, x, y, loss)  # a model without a part `prepare`: by x itself
    assert_close(plain, parts(small, x, y, loss))
    assert_close(parts(small, x, y, loss, forward=lambda x: small(x)), plain)


def test_the_forward_pass_runs_once_however_many_penalties():
    net, x, y = problem()
    calls = []
    net.register_forward_hook(lambda *_: calls.append(1))
    Objective(penalties=tuple(PENALTIES[name](1.0) for name in PENALTIES))(net, x, y, nn.CrossEntropyLoss())
    assert len(calls) == 1


def test_samples_losses_from_any_loss():
    output, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    expected = nn.CrossEntropyLoss(reduction="none")(output, y)
    plain = nn.CrossEntropyLoss()
    for loss in (plain, CrossEntropy(), lambda o, t: plain(o, t)):
        assert_close(each_sample(loss)(output, y), expected)


def test_bfloat16_stays_finite():
    net, x, y = problem()
    parts = Objective(attack=Attack("fgsm", 0.1), penalties=(PENALTIES["l1"](0.1), PENALTIES["jacobian"](0.1)))
    assert parts(net.bfloat16(), x.bfloat16(), y, nn.CrossEntropyLoss()).isfinite()


def test_errors():
    net, x, y = problem()
    with pytest.raises(ValueError, match=r"label_noise is 1\.0"):
        Objective(label_noise=1.0, classes=3)
    with pytest.raises(ValueError, match="with 0 classes"):
        Objective(label_noise=0.1)
    with pytest.raises(ValueError, match=r"shape \(12, 4\) of torch.float64"):
        Objective(label_noise=0.1, classes=3)(net, x, x, nn.MSELoss())
    slopes = Objective(penalties=(PENALTIES["jacobian"](1.0),))
    with pytest.raises(ValueError, match="the batch is dict"):
        slopes(net, {"numbers": x}, y, nn.CrossEntropyLoss())
