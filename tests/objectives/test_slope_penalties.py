import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import gradient_penalty, jacobian_norm


def network(inputs=4, outputs=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs)).double()


def inputs(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_exact_norm_is_that_of_the_full_jacobian():
    net, x = network(), inputs(5, 4)
    full = torch.func.vmap(torch.func.jacrev(net))(x)
    assert_close(jacobian_norm(net, x), full.square().sum((1, 2)).mean())
    assert_close(jacobian_norm(nn.Linear(4, 3).double().requires_grad_(False), x[:0]), x.new_zeros(()))


def test_of_a_linear_map_it_is_the_weight_penalty():
    layer = nn.Linear(4, 3).double()
    found = jacobian_norm(layer, inputs(5, 4))
    assert_close(found, layer.weight.square().sum())
    assert_close(torch.autograd.grad(found, layer.weight)[0], 2 * layer.weight.detach())


def test_projections_are_unbiased_and_gaussian_ones_of_unit_variance_too_large():
    net, x, generator = network(), inputs(2, 4), torch.Generator().manual_seed(0)
    exact = jacobian_norm(net, x)
    draws = torch.stack([jacobian_norm(net, x, projections=1, generator=generator).detach() for _ in range(600)])
    assert abs(draws.mean() - exact) < 4 * draws.std() / 600**0.5
    assert abs(3 * draws.mean() - exact) > 4 * 3 * draws.std() / 600**0.5  # control: K counted twice


def test_small_noise_moves_the_outputs_by_the_norm():
    net, x, sigma = network(), inputs(1, 4), 1e-3
    noise = sigma * inputs(20000, 4, seed=2)
    with torch.no_grad():
        moved = (net(x + noise) - net(x)).square().sum(1)
    assert abs(moved.mean() / sigma**2 - jacobian_norm(net, x)) < 4 * moved.std() / sigma**2 / 20000**0.5


def test_it_can_be_penalized_and_leaves_gradients_alone():
    net, x = network(), inputs(3, 4)
    with torch.no_grad():
        value = jacobian_norm(net, x)
    assert value > 0 and net[0].weight.grad is None and not x.requires_grad
    assert torch.autograd.gradcheck(lambda z: jacobian_norm(net, z), x.clone().requires_grad_())


def test_gradient_penalty_of_a_linear_critic_is_exact():
    critic = nn.Linear(4, 1).double()
    real, fake = inputs(6, 4), inputs(6, 4, seed=3)
    for slope in (0.0, 1.0):
        assert_close(gradient_penalty(critic, real, fake, slope=slope), (critic.weight.norm() - slope) ** 2)
    with torch.no_grad():
        critic.weight.div_(critic.weight.norm())
    assert float(gradient_penalty(critic, real, fake).detach()) < 1e-24
    assert float(gradient_penalty(lambda x: 2 * critic(x), real, fake).detach()) == pytest.approx(1)  # control


def test_gradient_penalty_looks_between_the_samples():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.square().sum((1, 2))

    real, fake, generator = torch.ones(50, 2, 3), torch.zeros(50, 2, 3), torch.Generator().manual_seed(0)
    found = gradient_penalty(critic, real, fake, generator=generator)
    u = seen[0][:, 0, 0]
    assert_close(seen[0], u[:, None, None].expand(-1, 2, 3))  # one u a pair
    assert u.min() >= 0 and u.max() <= 1 and u.std() > 0.2
    assert_close(found, (2 * 6**0.5 * u - 1).square().mean())
    assert float(gradient_penalty(lambda x: x.sum(1), torch.zeros(0, 3), torch.zeros(0, 3)).detach()) == 0
    flat = gradient_penalty(lambda x: 0 * x.sum(1), torch.ones(2, 3), torch.zeros(2, 3))
    assert float(flat.detach()) == 1  # no NaN at slope 0


def test_errors():
    with pytest.raises(ValueError, match="projections is 0"):
        jacobian_norm(network(), inputs(1, 4), projections=0)
    with pytest.raises(ValueError, match="one row a sample"):
        jacobian_norm(lambda x: x.sum(), inputs(2, 4))
    with pytest.raises(ValueError, match="no pairs"):
        gradient_penalty(network(), inputs(2, 4), inputs(3, 4))
    with pytest.raises(ValueError, match=r"gave \(2, 3\) for 2 samples"):
        gradient_penalty(network(), inputs(2, 4), inputs(2, 4))
