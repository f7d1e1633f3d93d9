import math
import warnings

import pytest
import torch
from torch import nn

from trainwell.optim import METHODS, Closure, PolyakStep, StochasticLineSearch


def of(w, loss):
    """A closure of torch's convention for a function of one parameter."""

    def closure():
        w.grad = None
        value = loss(w)
        value.backward()
        return value.detach()

    return closure


def parameter(*values):
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def accepted(c, factor):
    """Is the step factor · 2(1 − c)/‖x‖² on ½(xᵀw − y)² the first one accepted?"""
    torch.manual_seed(3)
    x, w = torch.randn(20, dtype=torch.float64), parameter(*[0.0] * 20)
    edge = 2 * (1 - c) / float(x @ x)
    optimizer = StochasticLineSearch([w], lr=factor * edge, c=c, shrink=0.5)
    optimizer.step(of(w, lambda w: 0.5 * (x @ w - 2.0) ** 2))
    return optimizer.param_groups[0]["last_step"] == factor * edge


@pytest.mark.parametrize("c", [1e-4, 0.1, 0.5, 0.9])
def test_one_sample_is_accepted_up_to_its_edge(c):  # THEORY O07: t ≤ 2 (1 − c) / ‖x‖²
    assert accepted(c, 1 - 1e-9)
    assert not accepted(c, 1 + 1e-9)


def least_squares(noise, seed=0):
    torch.manual_seed(seed)
    x = torch.randn(500, 20, dtype=torch.float64)
    y = x @ torch.randn(20, dtype=torch.float64) + noise * torch.randn(500, dtype=torch.float64)
    return x, y


def excess(noise, batch, steps=500, c=0.1):
    """Mean excess of the full loss over the last half of the run."""
    x, y = least_squares(noise)
    best = torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
    full = lambda w: float(0.5 * (x @ w - y).square().mean())  # noqa: E731
    least, w, over = full(best), parameter(*[0.0] * 20), []
    optimizer = StochasticLineSearch([w], lr=2.0, c=c, shrink=0.5, reset="max")
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        rows = torch.randperm(500, generator=generator)[:batch]
        optimizer.step(of(w, lambda w, rows=rows: 0.5 * (x[rows] @ w - y[rows]).square().mean()))
        if step >= steps // 2:
            over.append(full(w.detach()) - least)
    return sum(over) / len(over)


def test_one_sample_suffices_where_the_model_interpolates_and_not_with_noise():  # O07 and its two controls
    assert excess(noise=0.0, batch=1) < 1e-3
    assert excess(noise=0.5, batch=1, c=0.5) > 0.02
    assert excess(noise=0.5, batch=500, steps=60) < 1e-9


@pytest.mark.parametrize("reset", ["grow", "keep", "max"])
def test_first_trial_follows_the_reset(reset):
    w = parameter(5.0)
    optimizer = StochasticLineSearch([w], lr=1.0, shrink=0.5, reset=reset, growth=4.0)
    closure = of(w, lambda w: 10 * w.square().sum())  # accepted up to (1 − c) / 10
    optimizer.step(closure)
    assert optimizer.param_groups[0]["last_step"] == 0.0625 and optimizer.param_groups[0]["trials"] == 5
    optimizer.step(closure)
    assert optimizer.param_groups[0]["trials"] - 5 == {"grow": 3, "keep": 1, "max": 5}[reset]


def test_every_step_lowers_the_batch_loss():
    torch.manual_seed(0)
    net, x, y = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)), torch.randn(64, 6), torch.randn(64, 3)
    optimizer = METHODS["sls"](net)
    closure = Closure.of(net, nn.MSELoss(), x, y)
    losses = [float(optimizer.step(closure)) for _ in range(100)]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.5 * losses[0]


def test_dropout_draws_the_same_masks_at_every_trial():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 32), nn.Dropout(0.5), nn.Linear(32, 1))
    x, y = torch.randn(16, 6), torch.randn(16, 1)
    optimizer = StochasticLineSearch(net.parameters(), lr=100.0)
    state = torch.get_rng_state()
    before = float(optimizer.step(Closure.of(net, nn.MSELoss(), x, y)))
    after_one = torch.get_rng_state()
    torch.set_rng_state(state)
    assert nn.MSELoss()(net(x), y).item() < before  # with the masks of that step
    assert torch.equal(torch.get_rng_state(), after_one)  # and the generator went on as after one forward pass


def test_where_minus_g_does_not_descend_the_parameters_stay():
    w = parameter(1.0, 2.0)

    def closure():
        value = w.detach().square().sum()
        w.grad = -2 * w.detach()  # the wrong sign
        return value

    optimizer = StochasticLineSearch([w], lr=1.0)
    with pytest.warns(RuntimeWarning, match=r"no descent direction of what the closure returns.*stay where they were"):
        optimizer.step(closure)
    assert w.tolist() == [1.0, 2.0] and optimizer.param_groups[0]["refused"] == 1


def test_at_a_minimum_to_rounding_nothing_moves_and_nothing_is_said():
    w = parameter(1e-12)
    optimizer = StochasticLineSearch([w], lr=1.0)
    optimizer.step(of(w, lambda w: 1.0 + w.square().sum()))
    assert abs(w.item()) <= 1e-12


def test_a_trial_that_is_not_finite_is_shortened():
    w = parameter(1.0)
    optimizer = StochasticLineSearch([w], lr=100.0)
    optimizer.step(of(w, barrier))
    assert 0 < w.item() < 1 and math.isfinite(barrier(w).item())


def barrier(w):
    """2w² − log w: nan left of 0."""
    return (2 * w.square() - torch.log(w)).sum()


def test_an_error_in_the_closure_restores_the_parameters():
    w, calls = parameter(1.0), []

    def closure():
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("data")
        w.grad = 2 * w.detach()
        return w.detach().square().sum()

    with pytest.raises(KeyError):
        StochasticLineSearch([w], lr=1.0).step(closure)
    assert w.item() == 1.0


@pytest.mark.parametrize("cls", [PolyakStep, StochasticLineSearch])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_said_and_nothing_moves(cls, value):
    w = parameter(1.0)
    with pytest.raises(RuntimeError, match=r"the loss is (nan|inf).*stay where they were"):
        cls([w]).step(of(w, lambda w: w.sum() * value))
    assert w.item() == 1.0
    with pytest.raises(RuntimeError, match="call step"):
        cls([w]).step()


@pytest.mark.parametrize("name", ["polyak", "sls"])
def test_state_goes_round_and_the_run_goes_on_bit_for_bit(name):
    x, y = least_squares(0.0)

    def go(optimizer, w, start, stop):
        for step in range(start, stop):
            rows = slice(step * 20, step * 20 + 20)
            optimizer.step(of(w, lambda w, rows=rows: 0.5 * (x[rows] @ w - y[rows]).square().mean()))

    straight = parameter(*[0.0] * 20)
    first = METHODS[name]([straight], growth=1.5)
    go(first, straight, 0, 10)
    again = nn.Parameter(straight.detach().clone())
    second = METHODS[name]([again], lr=0.1)
    second.load_state_dict(first.state_dict())
    go(first, straight, 10, 20)
    go(second, again, 10, 20)
    assert torch.equal(straight, again)


def test_polyak_is_its_formula():
    w = parameter(3.0, -1.0)
    scale = torch.tensor([1.0, 4.0], dtype=torch.float64)
    for c, bound in ((1.0, math.inf), (0.5, math.inf), (0.5, 0.1)):
        before = w.detach().clone()
        loss, g = float(0.5 * (scale * before**2).sum()) + 2.0, scale * before
        step = min((loss - 2.0) / (c * float(g @ g)), bound)
        PolyakStep([w], lr=bound, f_star=2.0, c=c).step(of(w, lambda w: 0.5 * (scale * w.square()).sum() + 2.0))
        assert torch.allclose(w.detach(), before - step * g, rtol=1e-12, atol=0)


def test_polyaks_own_step_never_moves_away_from_the_minimum():  # on a quadratic from c = ¼ on
    def distances(c):
        w = parameter(1.0, 1.0, 1.0)
        scale = torch.tensor([1.0, 5.0, 30.0], dtype=torch.float64)
        optimizer, found = PolyakStep([w], lr=math.inf, c=c), []
        for _ in range(40):
            optimizer.step(of(w, lambda w: 0.5 * (scale * w.square()).sum()))
            found.append(float(w.detach().norm()))
        return found

    assert all(b <= a for a, b in zip(distances(1.0), distances(1.0)[1:], strict=False))
    assert any(b > a for a, b in zip(distances(0.2), distances(0.2)[1:], strict=False))


def test_smoothing_bounds_the_growth_of_the_step():
    w = parameter(2.0)
    optimizer = PolyakStep([w], lr=0.01, growth=2.0)
    closure = of(w, lambda w: 0.05 * w.square().sum())
    optimizer.step(closure)
    optimizer.param_groups[0]["lr"] = 10.0
    lengths = []
    for _ in range(3):
        optimizer.step(closure)
        lengths.append(optimizer.param_groups[0]["last_step"])
    assert lengths == pytest.approx([0.02, 0.04, 0.08])


def test_a_loss_below_f_star_is_said():
    w = parameter(1.0)
    with pytest.raises(RuntimeError, match=r"the loss 1 is below f_star=3"):
        PolyakStep([w], f_star=3.0).step(of(w, lambda w: w.square().sum()))
    assert w.item() == 1.0


@pytest.mark.parametrize("options", [{"c": 0.0}, {"growth": 0.5}, {"lr": -1.0}])
def test_options_out_of_range_are_refused(options):
    for cls in (PolyakStep, StochasticLineSearch):
        with pytest.raises(ValueError, match="must be"):
            cls([parameter(1.0)], **options)
    with pytest.raises(ValueError, match="grow, keep or max"):
        StochasticLineSearch([parameter(1.0)], reset="never")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_lower_types_train(dtype):
    for name in ("polyak", "sls"):
        w = nn.Parameter(torch.linspace(-2, 2, 8, dtype=dtype))
        optimizer = METHODS[name]([w])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            losses = [float(optimizer.step(of(w, lambda w: w.square().sum()))) for _ in range(20)]
        assert losses[-1] < 0.01 * losses[0] and w.dtype == dtype
