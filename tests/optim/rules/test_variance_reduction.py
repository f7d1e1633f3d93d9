"""SVRG on least squares: unbiased steps, linear convergence where SGD has a floor."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import METHODS, Closure

N, D = 40, 3
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(N, D, dtype=torch.float64, generator=GENERATOR)
Y = X @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + torch.randn(N, dtype=torch.float64, generator=GENERATOR)
BEST = torch.linalg.lstsq(X, Y).solution


def closure(w, rows=slice(None)):
    return Closure([w], lambda: (X[rows] @ w, lambda output: (output - Y[rows]).square().mean() / 2))


def train(name, steps=2000):
    w = nn.Parameter(torch.zeros(D, dtype=torch.float64))
    optimizer = METHODS[name]([{"params": [w]}], 0.05, **({"period": 80} if name == "svrg" else {}))
    generator = torch.Generator().manual_seed(1)
    for row in torch.randint(N, (steps,), generator=generator).tolist():
        if name == "svrg":
            if optimizer.due:
                optimizer.anchor(closure(w))
            optimizer.step(closure(w, slice(row, row + 1)))
        else:
            closure(w, slice(row, row + 1))()
            optimizer.step()
    return (w.detach() - BEST).norm().item()


def test_converges_to_the_optimum_at_a_constant_rate():
    assert train("svrg") < 1e-9


def test_sgd_stays_at_its_noise_floor():  # control
    assert train("gd") > 0.05


def test_a_step_is_the_corrected_gradient_and_their_mean_is_the_full_one():
    w = nn.Parameter(torch.ones(D, dtype=torch.float64))
    anchor, moved = w.detach().clone(), torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64)
    optimizer = METHODS["svrg"]([{"params": [w]}], 0.1)
    optimizer.anchor(closure(w))
    corrected = []
    for row in range(N):
        with torch.no_grad():
            w.copy_(moved)
        loss = optimizer.step(closure(w, slice(row, row + 1)))
        assert_close(loss, (X[row] @ moved - Y[row]) ** 2 / 2)
        expected = X[row] * (X[row] @ (moved - anchor)) + X.T @ (X @ anchor - Y) / N
        assert_close(w.grad, expected, rtol=1e-10, atol=1e-12)
        assert_close(w.detach(), moved - 0.1 * expected, rtol=1e-10, atol=1e-12)
        corrected.append(w.grad)
    assert_close(torch.stack(corrected).mean(0), X.T @ (X @ moved - Y) / N, rtol=1e-10, atol=1e-12)


def test_dropout_draws_the_same_masks_at_both_points():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.Dropout(0.5), nn.Linear(32, 1))
    optimizer, inputs, masks = METHODS["svrg"](model, 0.01), torch.randn(4, 8), []
    whole = Closure.of(model, lambda output, y: output.square().mean(), inputs, None)
    optimizer.anchor(whole)
    model[1].register_forward_hook(lambda module, given, output: masks.append(output == 0))
    optimizer.step(whole)
    optimizer.step(whole)
    assert torch.equal(masks[0], masks[1]) and torch.equal(masks[2], masks[3])
    assert not torch.equal(masks[1], masks[2])  # the next step draws others


def test_weights_are_put_back_where_the_pass_at_the_anchor_fails():
    w = nn.Parameter(torch.ones(D, dtype=torch.float64))
    optimizer = METHODS["svrg"]([{"params": [w]}], 0.1)
    optimizer.anchor(closure(w))
    optimizer.step(closure(w))
    before = w.detach().clone()

    def failing():
        raise FloatingPointError

    with pytest.raises(FloatingPointError):
        optimizer.step(failing)
    assert torch.equal(w.detach(), before)


def test_without_an_anchor_it_says_so():
    w = nn.Parameter(torch.zeros(D, dtype=torch.float64))
    with pytest.raises(RuntimeError, match=r"no anchor. Call optimizer\.anchor"):
        METHODS["svrg"]([{"params": [w]}]).step(closure(w))
