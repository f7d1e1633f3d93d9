import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import elastic_net, orthogonality_penalty, soft_threshold


def matrix(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_penalty_is_a_function_of_the_singular_values_and_has_its_gradient(shape):
    weight = matrix(*shape).requires_grad_()
    s2 = torch.linalg.svdvals(weight.detach()) ** 2
    expected = (s2 - 1).square().sum() + max(0, shape[1] - shape[0])
    assert_close(orthogonality_penalty(weight).detach(), expected)
    both = expected + (s2 - 1).square().sum() + max(0, shape[0] - shape[1])
    assert_close(orthogonality_penalty(weight, double_sided=True).detach(), both)
    (gradient,) = torch.autograd.grad(orthogonality_penalty(weight), weight)
    assert_close(gradient, 4 * weight.detach() @ (weight.T @ weight - torch.eye(shape[1])).detach())
    assert torch.autograd.gradcheck(lambda w: orthogonality_penalty(w, double_sided=True), weight)


def test_orthonormal_columns_cost_nothing_and_twice_them_do():
    q = torch.linalg.qr(matrix(6, 4)).Q
    assert float(orthogonality_penalty(q)) < 1e-24
    assert float(orthogonality_penalty(2 * q)) == pytest.approx(4 * 9, rel=1e-12)  # control
    assert float(orthogonality_penalty(q.view(6, 1, 2, 2))) < 1e-24  # a convolution


def test_elastic_net_counts_matrices_only():
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0], [0.0, 3.0]]))
        layer.bias.fill_(100.0)
    found = elastic_net(layer.parameters(), l1=0.5, l2=0.1)
    assert float(found.detach()) == pytest.approx(0.5 * 6 + 0.1 * 14)
    assert_close(torch.autograd.grad(found, layer.weight)[0], torch.tensor([[0.7, -0.9], [0.0, 1.1]]))
    assert float(elastic_net([layer.bias], l1=1.0)) == 0
    assert float(elastic_net([], l2=1.0)) == 0


def test_soft_threshold_solves_the_lasso_and_gradient_steps_find_no_zero():  # G01
    b = torch.tensor([3.0, -1.0, 0.4, 0.1], dtype=torch.float64)
    lasso = soft_threshold(b, 0.5)  # λ = 1
    assert_close(lasso, torch.tensor([2.5, -0.5, 0.0, 0.0], dtype=torch.float64))
    w = torch.full((4, 1), 0.3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.03)
    for _ in range(500):
        optimizer.zero_grad()
        ((w[:, 0] - b).square().sum() + elastic_net([w], l1=1.0)).backward()
        optimizer.step()
    assert (w.detach()[:, 0] - lasso).abs().max() < 0.05  # the same point, within a step
    assert lasso.count_nonzero() == 2 and w.detach().count_nonzero() == 4  # control: the subgradient leaves no zero


def test_ridge_has_its_closed_form():
    b = torch.tensor([3.0, -1.0], dtype=torch.float64)
    w = (b / 1.5).view(2, 1).requires_grad_()
    objective = (w[:, 0] - b).square().sum() + elastic_net([w], l2=0.5)
    assert torch.autograd.grad(objective, w)[0].abs().max() < 1e-14


def test_errors():
    with pytest.raises(ValueError, match=r"shape \(3,\) is no matrix"):
        orthogonality_penalty(torch.zeros(3))
    with pytest.raises(ValueError, match="l1 is -1"):
        elastic_net([], l1=-1)
