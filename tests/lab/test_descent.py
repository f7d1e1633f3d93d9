"""Plain SGD of the experiments: torch's rule by hand, a pass is every sample once, divergence ends it."""

import math

import pytest
import torch
from torch import nn

from trainwell.lab.descent import accuracy, descend, mean_and_error


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_full_batches_follow_the_rule_with_momentum_and_decay():
    X, y = torch.randn(6, 3, generator=seeded()), torch.randn(6, 1, generator=seeded(1))
    model = nn.Linear(3, 1, bias=False)
    w = torch.zeros(1, 3)
    nn.init.zeros_(model.weight)
    losses = descend(
        model,
        X,
        y,
        rate=0.1,
        steps=4,
        batch=6,
        generator=seeded(2),
        loss=nn.functional.mse_loss,
        momentum=0.5,
        decay=0.01,
    )
    buffer = torch.zeros_like(w)
    for loss in losses:
        residual = X @ w.T - y
        assert loss == pytest.approx(float(residual.square().mean()), rel=1e-5)
        buffer = 0.5 * buffer + 2 / 6 * residual.T @ X + 0.01 * w
        w = w - 0.1 * buffer
    torch.testing.assert_close(model.weight.detach(), w)


def test_every_pass_takes_every_sample_once():
    seen = []

    def loss(output, target):
        seen.append(target.flatten())
        return output.square().mean()

    X = torch.arange(6.0)[:, None]
    descend(nn.Linear(1, 1), X, X, rate=0.0, steps=6, batch=2, generator=seeded(), loss=loss)
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert first.sort().values.equal(X.flatten()) and second.sort().values.equal(X.flatten())
    assert not first.equal(second)


def test_a_loss_that_is_not_finite_ends_it():
    model = nn.Linear(2, 2)
    X, y = torch.randn(8, 2, generator=seeded()), torch.randn(8, 2, generator=seeded(1))
    losses = descend(model, X, y, rate=1e20, steps=50, batch=8, generator=seeded(), loss=nn.functional.mse_loss)
    assert len(losses) < 50 and not math.isfinite(losses[-1]) and all(map(math.isfinite, losses[:-1]))


def test_accuracy_counts_only_finite_outputs():
    model = nn.Linear(2, 2, bias=False)
    model.weight.data = torch.eye(2)
    X = torch.tensor([[2.0, 1.0], [1.0, 2.0], [float("nan"), 1.0], [1.0, 2.0]])
    assert accuracy(model, X, torch.tensor([0, 1, 0, 0]), batch=3) == 0.5


def test_mean_and_standard_error():
    mean, error = mean_and_error([1.0, 2.0, 3.0])
    assert mean == 2.0 and error == pytest.approx(1 / math.sqrt(3))
