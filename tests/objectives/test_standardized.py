import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import StandardizedLoss


def test_loss_and_gradient_are_those_of_the_standardized_target():
    torch.manual_seed(0)
    mean, std = torch.tensor([100.0]), torch.tensor([25.0])
    z, t = torch.randn(9, 1, requires_grad=True), torch.randn(9, 1)
    plain = nn.functional.mse_loss(z, t)
    ours = StandardizedLoss(nn.MSELoss(), mean, std)(mean + std * z, mean + std * t)
    assert_close(ours, plain, rtol=1e-4, atol=0)  # 100 ± 25 in float32 keeps five digits
    (a,), (b,) = torch.autograd.grad(ours, z), torch.autograd.grad(plain, z)
    assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_targets_in_another_unit_give_the_same_loss():  # an equivalent problem: metres or millimetres
    torch.manual_seed(0)
    output, target = torch.randn(9, 2), torch.randn(9, 2)
    mean, std = target.mean(0), target.std(0)
    small = StandardizedLoss(nn.HuberLoss(), mean, std)(output, target)
    large = StandardizedLoss(nn.HuberLoss(), 1000 * mean, 1000 * std)(1000 * output, 1000 * target)
    assert_close(small, large, rtol=1e-5, atol=0)


def test_a_flat_target_is_not_broadcast_against_a_column():
    output, target = torch.randn(5, 1), torch.randn(5)
    loss = StandardizedLoss(nn.MSELoss(), torch.zeros(1), torch.ones(1))
    assert_close(loss(output, target), (output[:, 0] - target).square().mean())
    broadcast = (output - target).square().mean()  # control: what plain MSELoss would compute, with a warning
    assert abs(float(broadcast) - float(loss(output, target))) > 0.05


def test_statistics_travel_with_the_module():
    loss = StandardizedLoss(nn.MSELoss(), torch.tensor([1.0]), torch.tensor([2.0]))
    assert set(loss.state_dict()) == {"mean", "std"}
