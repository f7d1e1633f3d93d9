import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import (
    PENALTIES,
    Objective,
    binary_penalty,
    group_lasso,
    isometry_gap,
    largest_singular_value,
    orthogonality_penalty,
)

every = pytest.mark.parametrize("name", PENALTIES)


def matrix(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()


def penalty(name, model, strength=1.0, x=None):
    """The penalty alone: on inputs of which the loss is 0."""
    x = matrix(5, 4) if x is None else x
    loss = Objective(penalties=(PENALTIES[name](strength),))
    return loss(model, x, torch.zeros(len(x)), lambda output, y: output.sum() * 0)


OF_WEIGHT = {  # closed form by numpy-like algebra, independent of the code
    "l1": lambda w: w.abs().sum(),
    "l2": lambda w: 0.5 * (w**2).sum(),
    "elastic_net": lambda w: w.abs().sum() + 0.5 * (w**2).sum(),
    "group_lasso": lambda w: sum(w.shape[1] ** 0.5 * (row**2).sum() ** 0.5 for row in w),
    "orthogonality": lambda w: ((w.T @ w - torch.eye(w.shape[1])) ** 2).sum(),
    "double_orthogonality": lambda w: (
        ((w.T @ w - torch.eye(w.shape[1])) ** 2).sum() + ((w @ w.T - torch.eye(w.shape[0])) ** 2).sum()
    ),
    "binary": lambda w: ((1 - w**2) ** 2).sum(),
}


@pytest.mark.parametrize("name", OF_WEIGHT)
def test_of_weights_it_is_its_formula_summed_and_times_its_strength(name):
    net = network()
    expected = sum(OF_WEIGHT[name](net[i].weight.detach()) for i in (0, 3))
    assert_close(penalty(name, net).detach(), expected, rtol=1e-12, atol=0)
    assert_close(penalty(name, net, 0.3).detach(), 0.3 * expected, rtol=1e-12, atol=0)


@every
def test_a_gradient_reaches_the_weights_and_nothing_reaches_biases_and_norms_unless_by_slopes(name):
    net = network()
    x = matrix(5, 4)
    value = PENALTIES[name](2.0)
    loss = Objective(penalties=(value,))(net, x, torch.zeros(5, 3, dtype=torch.float64), nn.MSELoss())
    (loss - nn.MSELoss()(net(x), torch.zeros(5, 3, dtype=torch.float64))).backward()
    assert net[0].weight.grad.abs().max() > 1e-6
    if not value.needs_inputs and name != "activity":
        assert net[0].bias.grad.abs().max() < 1e-12 and net[1].weight.grad.abs().max() < 1e-12


@pytest.mark.parametrize("of", [group_lasso, binary_penalty])
def test_gradients_are_difference_quotients(of):
    assert torch.autograd.gradcheck(of, matrix(3, 4).requires_grad_())


def test_a_row_of_zeros_has_gradient_zero_in_the_group_lasso():
    layer = nn.Linear(3, 2, bias=False)
    nn.init.zeros_(layer.weight)
    penalty("group_lasso", layer, x=torch.zeros(1, 3)).backward()
    assert layer.weight.grad.count_nonzero() == 0


def test_both_sides_of_orthogonality_are_twice_one_and_a_constant():
    for shape in ((5, 3), (3, 5)):
        w = matrix(*shape).requires_grad_()
        one, both = orthogonality_penalty(w), orthogonality_penalty(w, double_sided=True)
        assert_close(*(torch.autograd.grad(v, w)[0] for v in (2 * one, both)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 3, 3, 3)])
def test_enough_power_iterations_find_the_exact_spectral_norms(shape):
    w = matrix(*shape).requires_grad_()
    s = torch.linalg.svdvals(w.flatten(1))
    generator = torch.Generator().manual_seed(1)
    largest = largest_singular_value(w, iterations=2000, generator=generator)
    gap = isometry_gap(w, iterations=2000, generator=generator)
    assert_close(largest, s.max(), rtol=1e-9, atol=0)
    assert_close(gap, (s.square() - 1).abs().max(), rtol=1e-9, atol=0)
    small = matrix(*shape) * 0.05  # the gap is now on the other side of 1
    exact = (torch.linalg.svdvals(small.flatten(1)).square() - 1).abs().max()
    found = isometry_gap(small, iterations=2000, generator=generator)
    assert_close(found, exact, rtol=1e-3, atol=0)  # all eigenvalues near −1: they part slowly
    (found,) = torch.autograd.grad(largest, w)
    (expected,) = torch.autograd.grad(s.max(), w)
    assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_few_iterations_are_never_above_and_ten_are_near():
    ratios = torch.empty(20, 2)
    for seed in range(20):
        w = matrix(64, 64, seed=seed)
        exact, generator = torch.linalg.matrix_norm(w, 2), torch.Generator().manual_seed(seed)
        ratios[seed] = torch.stack(
            [largest_singular_value(w, iterations=n, generator=generator) / exact for n in (1, 10)]
        )
        gap = (torch.linalg.svdvals(w).square() - 1).abs().max()
        found, twice = (
            isometry_gap(w, generator=torch.Generator().manual_seed(seed), **options)
            for options in ({}, {"iterations": 2})
        )
        assert found == twice <= gap * (1 + 1e-12)
    assert ratios.max() <= 1 and ratios[:, 1].min() > 0.85 and ratios[:, 1].mean() > 0.95
    assert ratios[:, 0].mean() < 0.9  # control: one iteration is not enough
    assert float(isometry_gap(torch.linalg.qr(w).Q)) < 1e-12 < float(isometry_gap(2 * torch.linalg.qr(w).Q))


def test_spectral_penalties_of_the_table():
    layer = nn.Linear(3, 3, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.diag(torch.tensor([3.0, 0.1, 0.1])))
    x = torch.zeros(1, 3, dtype=torch.float64)
    assert float(penalty("spectral_norm", layer, x=x).detach()) == pytest.approx(4.5, rel=1e-9)
    assert float(penalty("spectral_isometry", layer, x=x).detach()) == pytest.approx(8, rel=0.05)


def test_slopes_of_a_linear_model_are_its_weights():
    layer, x = nn.Linear(4, 3).double(), matrix(7, 4)
    half = 0.5 * layer.weight.square().sum()
    assert_close(penalty("jacobian_exact", layer, x=x), half)
    assert_close(penalty("jacobian_exact", layer, x=x), penalty("l2", layer, x=x))  # L2 itself
    torch.manual_seed(0)
    draws = torch.stack([penalty("jacobian", layer, x=x).detach() for _ in range(400)])
    assert abs(draws.mean() - half) < 4 * draws.std() / 20
    target = matrix(7, 3, seed=1)
    loss = Objective(penalties=(PENALTIES["input_gradient"](1.0),))(layer, x, target, nn.MSELoss())
    residual = (layer(x) - target).detach()
    slope = (2 / 3 * residual @ layer.weight).square().sum(1).mean()  # ∂ℓ_i/∂x_i of ℓ_i = mean over 3 outputs
    assert_close(loss, nn.MSELoss()(layer(x), target) + slope)


def test_activity_is_the_mean_square_of_the_outputs():
    layer, x = nn.Linear(4, 3).double(), matrix(7, 4)
    assert_close(penalty("activity", layer, x=x), layer(x).square().mean())


def test_binary_weights_cost_nothing_and_descent_ends_there():
    layer = nn.Linear(20, 20, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        penalty("binary", layer, x=torch.zeros(1, 20)).backward()
        optimizer.step()
    assert_close(layer.weight.detach().abs(), torch.ones(20, 20))


def test_l2_in_the_loss_is_decay_for_plain_sgd():
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    second.load_state_dict(first.state_dict())
    x, y = torch.randn(5, 3), torch.randn(5, 2)
    Objective(penalties=(PENALTIES["l2"](0.1),))(first, x, y, nn.MSELoss()).backward()
    nn.MSELoss()(second(x), y).backward()
    torch.optim.SGD(first.parameters(), lr=0.5).step()
    torch.optim.SGD([{"params": [second.weight], "weight_decay": 0.1}, {"params": [second.bias]}], lr=0.5).step()
    assert_close(first.state_dict(), second.state_dict())


@every
def test_a_model_trains_with_it(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x, y = torch.randn(30, 4), torch.arange(30) % 3
    parts, optimizer = Objective(penalties=(PENALTIES[name](1e-2),)), torch.optim.SGD(net.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = parts(net, x, y, nn.CrossEntropyLoss())
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_errors():
    with pytest.raises(ValueError, match="l1: the penalty's strength is -1"):
        PENALTIES["l1"](-1)
    with pytest.raises(ValueError, match="no matrix"):
        isometry_gap(torch.zeros(3))
    with pytest.raises(ValueError, match="iterations is 0"):
        largest_singular_value(torch.zeros(3, 3), iterations=0)
