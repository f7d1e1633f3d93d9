"""What a closure gives: the loss, its gradient and its graph."""

import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import Closure


def test_gradient_is_that_of_the_loss_and_replaces_what_was_there():
    torch.manual_seed(0)
    net = nn.Linear(3, 2).double()
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    closure = Closure.of(net, nn.MSELoss(), x, y)
    net.weight.grad = torch.full_like(net.weight, 7.0)
    with torch.no_grad():  # as inside an optimizer's step
        value = closure()
    residual = net(x) - y
    assert_close(value, residual.square().mean().detach())
    assert_close(net.weight.grad, (2 / y.numel()) * residual.T.detach() @ x)
    assert not value.requires_grad


def test_outputs_and_loss_carry_their_graph():
    net = nn.Linear(3, 1).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    closure = Closure.of(net, nn.MSELoss(), x, torch.zeros(4, 1, dtype=torch.float64))
    outputs, loss_of = closure.outputs()
    assert_close(outputs, net(x))
    (slope,) = torch.autograd.grad(loss_of(outputs), net.weight, create_graph=True)
    (row,) = torch.autograd.grad(slope[0, 0], net.weight)
    assert_close(row[0], (2 * x.T @ x / 4)[0])  # a row of the Hessian
    assert closure.loss().requires_grad
