"""The Fisher information of each likelihood: exact, drawn and empirical."""

import pytest
import torch
from exact_matrices import DOUBLE, exact_ggn, inputs, jacobian, labels, sample_gradients, small_net, values
from torch import nn
from torch.testing import assert_close
from torch.utils.data import DataLoader, TensorDataset

from trainwell.curvature import Fisher, GaussNewton
from trainwell.errors import InputError

CASES = {
    "softmax": (nn.CrossEntropyLoss(), labels()),
    "bernoulli": (nn.BCEWithLogitsLoss(), (values(12, 3) > 0).to(DOUBLE)),
    "gaussian": (nn.MSELoss(), values(12, 3)),
}


@pytest.mark.parametrize("case", CASES)
def test_exact_fisher_is_the_gauss_newton_matrix(case):
    (loss, y), net, x = CASES[case], small_net(), inputs()
    assert_close(Fisher(net, loss, (x, y)).dense(), exact_ggn(net, loss, x, y), rtol=0, atol=1e-12)


def test_exact_softmax_fisher_is_the_expectation_over_labels():
    net, x, loss = small_net(), inputs(), nn.CrossEntropyLoss()
    p, total = net(x).softmax(1).detach(), 0.0
    for label in range(3):
        g = sample_gradients(net, loss, x, torch.full((12,), label))
        total = total + (g * p[:, label : label + 1]).T @ g / 12
    assert_close(Fisher(net, loss, (x, labels())).dense(), total, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_drawn_fisher_is_unbiased_within_four_standard_errors(case):
    (loss, y), net, x = CASES[case], small_net(), inputs()
    exact = Fisher(net, loss, (x, y))
    v = values(exact.size, seed=8)
    draws = torch.stack([
        v @ (Fisher(net, loss, (x, y), kind="monte-carlo", draws=5, generator=torch.Generator().manual_seed(s)) @ v)
        for s in range(120)
    ])  # fmt: skip
    assert abs(draws.mean() - v @ (exact @ v)) < 4 * draws.std() / 120**0.5


def test_drawn_fisher_improves_as_one_over_root_draws_and_is_one_fixed_matrix():
    net, x, y, loss = small_net(), inputs(), labels(), nn.CrossEntropyLoss()
    exact = Fisher(net, loss, (x, y)).dense()
    error = {}
    for draws in (10, 1000):
        found = []
        for seed in range(10):
            generator = torch.Generator().manual_seed(seed)
            operator = Fisher(net, loss, (x, y), kind="monte-carlo", draws=draws, generator=generator)
            matrix = operator.dense()
            assert torch.equal(matrix, operator.dense())
            assert_close(matrix, matrix.T, rtol=0, atol=1e-13)
            assert torch.equal(generator.get_state(), torch.Generator().manual_seed(seed).get_state())
            found.append((matrix - exact).norm())
        error[draws] = torch.stack(found).square().mean().sqrt()
    assert 7 < error[10] / error[1000] < 14  # √100; 10 seeds


def test_drawn_fisher_over_a_shuffling_loader_is_one_matrix_too():
    loader = DataLoader(TensorDataset(inputs(), labels()), batch_size=5, shuffle=True)
    operator = Fisher(small_net(), nn.CrossEntropyLoss(), loader, kind="monte-carlo")
    with torch.random.fork_rng(devices=[]):
        first = operator.dense()
        torch.rand(7)
        assert torch.equal(operator.dense(), first)


@pytest.mark.parametrize("case", ["softmax", "gaussian"])
def test_empirical_fisher_is_the_mean_outer_product_of_sample_gradients(case):
    (loss, y), net, x = CASES[case], small_net(), inputs()
    gradients = sample_gradients(net, loss, x, y)
    found = Fisher(net, loss, [(x[:7], y[:7]), (x[7:], y[7:])], kind="empirical").dense()
    assert_close(found, gradients.T @ gradients / 12, rtol=0, atol=1e-12)
    assert torch.linalg.eigvalsh(found).min() > -1e-12


def test_empirical_is_not_exact_at_wrong_labels_and_is_where_the_model_is_right():  # control
    net, loss, x = small_net(), nn.CrossEntropyLoss(), inputs(3000)
    exact = Fisher(net, loss, (x, labels(3000))).dense()
    size = exact.norm()
    wrong = (
        net(x).argmin(1),
        net(x).detach().softmax(1).multinomial(1, generator=torch.Generator().manual_seed(0))[:, 0],
    )
    away, near = (float((Fisher(net, loss, (x, y), kind="empirical").dense() - exact).norm() / size) for y in wrong)
    assert away > 0.3 and near < 0.1


def test_noise_variance_scales_the_gaussian_fisher():
    net, x, y = small_net(), inputs(), values(12, 3)
    j = jacobian(net, x).flatten(0, 1)
    assert_close(Fisher(net, nn.MSELoss(), (x, y), variance=0.25).dense(), j.T @ j / (0.25 * 12), rtol=0, atol=1e-12)
    default, half = (Fisher(net, nn.MSELoss(), (x, y), variance=v, kind="empirical").dense() for v in (None, 3.0))
    assert_close(half, default / 4)  # s² is 3/2 by default: twice as much noise


def test_labels_at_many_positions_and_ignored_ones():
    net = nn.Conv1d(2, 3, 3, padding=1).to(DOUBLE)
    x, y = values(4, 2, 5), labels(20).view(4, 5)
    y[0, :3] = -100
    loss, batches = nn.CrossEntropyLoss(), [(x[:1], y[:1]), (x[1:], y[1:])]
    assert_close(Fisher(net, loss, batches).dense(), GaussNewton(net, loss, (x, y)).dense(), rtol=0, atol=1e-12)
    drawn = Fisher(net, loss, batches, kind="monte-carlo", draws=4000).dense()
    exact = Fisher(net, loss, batches).dense()
    assert (drawn - exact).norm() < 0.1 * exact.norm()


def test_losses_that_are_no_likelihood_are_refused():
    batch = (inputs(), labels())
    with pytest.raises(InputError, match=r"label_smoothing=0\.1"):
        Fisher(small_net(), nn.CrossEntropyLoss(label_smoothing=0.1), batch)
    with pytest.raises(InputError, match="the loss has weight"):
        Fisher(small_net(), nn.CrossEntropyLoss(weight=torch.ones(3, dtype=DOUBLE)), batch)
    with pytest.raises(InputError, match="MultiMarginLoss is no loss whose likelihood is known"):
        Fisher(small_net(), nn.MultiMarginLoss(), batch)
    with pytest.raises(InputError, match="kind='true' is unknown"):
        Fisher(small_net(), nn.CrossEntropyLoss(), batch, kind="true")
