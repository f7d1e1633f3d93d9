"""What linear and nonlinear maps of the inputs can answer: exact for lines, apart for curves, None for no numbers."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_circles
from sklearn.linear_model import Ridge

from trainwell.clinic.readout import RIDGES, read_out


def drawn(n: int, features: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, features, generator=torch.Generator().manual_seed(seed))


def halves(x: torch.Tensor, y: torch.Tensor) -> tuple:
    n = len(x) // 2
    return (x[:n], y[:n]), (x[n:], y[n:])


def test_a_linear_question_needs_no_more_than_a_line():
    x = drawn(800, 5)
    found = read_out(*halves(x, x @ torch.arange(1.0, 6.0)[:, None] + 3.0), "regression")
    assert found.linear > 0.999 and abs(found.nonlinear - found.linear) < 0.01


def test_circles_need_a_nonlinearity():
    x, y = make_circles(800, noise=0.05, factor=0.5, random_state=0)
    for target, task in ((torch.tensor(y), "classification"), (torch.tensor(y)[:, None].float(), "binary")):
        found = read_out(*halves(torch.tensor(x, dtype=torch.float32), target), task)
        assert found.linear < 0.65 and found.nonlinear > 0.95


def test_the_linear_score_is_that_of_scikit_learn():
    x = drawn(600, 4)
    y = x.square().sum(1, keepdim=True) + x[:, :1]
    train, val = halves(x, y)
    mean, deviation = train[0].mean(0), train[0].std(0)
    fits = [
        Ridge(ridge * len(train[0])).fit(((train[0] - mean) / deviation).numpy(), train[1].numpy()) for ridge in RIDGES
    ]
    scores = [fit.score(((val[0] - mean) / deviation).numpy(), val[1].numpy()) for fit in fits]
    assert read_out(train, val, "regression").linear == pytest.approx(max(0.0, *scores), abs=1e-4)


@pytest.mark.parametrize(
    "x",
    [torch.zeros(50, 3, dtype=torch.long), drawn(50, 4000), torch.full((50, 3), torch.nan)],
    ids=["codes", "wide", "nan"],
)
def test_what_is_no_table_of_numbers_has_no_score(x):
    y = torch.as_tensor(np.arange(50) % 2)
    assert read_out((x, y), (x, y), "classification") is None
