import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import PROXIMAL, proximal_hook

PENALTY = {  # R(u), independent of the maps; shape (2, 3)
    "l1": lambda u: np.abs(u).sum(),
    "l2": lambda u: 0.5 * (u**2).sum(),
    "elastic_net": lambda u: np.abs(u).sum() + 0.5 * (u**2).sum(),
    "group_lasso": lambda u: 3**0.5 * np.sqrt((u**2).sum(1)).sum(),
    "l0": lambda u: np.count_nonzero(u),
    "max_abs": lambda u: np.abs(u).max(),
    "nuclear": lambda u: np.linalg.svd(u, compute_uv=False).sum(),
    "nonnegative": lambda u: 0.0 if u.min() >= 0 else np.inf,
}
every = pytest.mark.parametrize("name", PROXIMAL)


def test_every_map_is_tested():
    assert set(PENALTY) == set(PROXIMAL)


@every
@pytest.mark.parametrize("t", [0.2, 1.0])
def test_a_numerical_search_finds_nothing_better(name, t):
    for seed in range(3):
        w = 1.5 * np.random.default_rng(seed).standard_normal((2, 3))
        found = PROXIMAL[name](torch.from_numpy(w), t).numpy()

        def objective(u, w=w):
            u = u.reshape(2, 3)
            return 0.5 * ((u - w) ** 2).sum() + t * PENALTY[name](u)

        at_found = objective(found)
        for start in (found, np.zeros((2, 3)), np.maximum(w, 0)):
            options = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-10, "fatol": 1e-12}
            best = minimize(objective, start.ravel() + 1e-3, method="Nelder-Mead", options=options).fun
            assert at_found <= best + 1e-9
        assert at_found < objective(w) or name in ("l0", "nonnegative")  # control: not moving at all


@every
@settings(deadline=None)  # the first call is slow
@given(values=st.lists(st.floats(-5, 5), min_size=12, max_size=12), t=st.floats(0, 3))
def test_maps_of_convex_penalties_bring_no_two_points_farther_apart(name, values, t):
    a, b = torch.tensor(values, dtype=torch.float64).view(2, 2, 3)
    p, q = PROXIMAL[name](a, t), PROXIMAL[name](b, t)
    if name != "l0":
        assert (p - q).square().sum() <= ((p - q) * (a - b)).sum() + 1e-9  # firmly nonexpansive
    assert p.isfinite().all() and p.norm() <= a.norm() + 1e-9
    if t == 0 and name != "nonnegative":
        assert_close(p, a, rtol=1e-9, atol=1e-12)


def test_counting_entries_keeps_one_where_it_is_worth_more_than_its_price():  # ½w² against t
    w, t = torch.linspace(-3, 3, 61, dtype=torch.float64), 0.7
    assert_close(PROXIMAL["l0"](w, t), torch.where(0.5 * w**2 > t, w, 0))


def test_hook_is_one_proximal_gradient_step_at_the_groups_rate():
    layer, other = nn.Linear(3, 2), nn.Linear(2, 2)
    net = nn.Sequential(layer, other)
    before = [w.weight.detach().clone() for w in (layer, other)]
    optimizer = torch.optim.SGD([{"params": layer.parameters(), "lr": 0.5}, {"params": other.parameters(), "lr": 0.1}])
    optimizer.register_step_post_hook(proximal_hook(net, "l1", 0.4))
    net(torch.ones(4, 3)).sum().backward()
    gradients = [w.weight.grad.clone() for w in (layer, other)]
    bias = layer.bias.detach() - 0.5 * layer.bias.grad
    optimizer.step()
    for module, w, g, lr in zip(net, before, gradients, (0.5, 0.1), strict=True):
        assert_close(module.weight.detach(), PROXIMAL["l1"](w - lr * g, lr * 0.4))
    assert_close(layer.bias.detach(), bias)  # biases are left alone


def test_proximal_descent_finds_the_lassos_zeros():  # min ½‖w − b‖² + λ|w|
    b = torch.tensor([[3.0, -1.0, 0.4, 0.1]], dtype=torch.float64)
    layer = nn.Linear(4, 1, bias=False).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    optimizer.register_step_post_hook(proximal_hook(layer, "l1", 0.5))
    for _ in range(300):
        optimizer.zero_grad()
        (0.5 * (layer.weight - b).square().sum()).backward()
        optimizer.step()
    assert_close(layer.weight.detach(), torch.tensor([[2.5, -0.5, 0.0, 0.0]], dtype=torch.float64))
    assert layer.weight.count_nonzero() == 2


def test_errors():
    with pytest.raises(ValueError, match="No proximal map is called 'tv'"):
        proximal_hook(nn.Linear(2, 2), "tv", 0.1)
    with pytest.raises(ValueError, match="strength is -1"):
        proximal_hook(nn.Linear(2, 2), "l1", -1)
