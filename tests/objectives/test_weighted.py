import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import LOSSES, StandardizedLoss, build_loss, per_sample


@pytest.mark.parametrize("name", LOSSES)
def test_each_value_is_the_loss_of_that_sample_alone(name):
    torch.manual_seed(0)
    output = torch.randn(6, 3)
    target = torch.randint(3, (6,)) if name == "cross_entropy" else torch.rand(6, 3).round()
    loss = build_loss(name)
    each = per_sample(loss)(output, target)
    assert_close(each, torch.stack([loss(output[i : i + 1], target[i : i + 1]) for i in range(6)]))
    assert_close(each.mean(), loss(output, target))


def test_the_loss_inside_a_standardized_one_is_found():
    loss = StandardizedLoss(nn.MSELoss(), torch.tensor([1.0]), torch.tensor([2.0]))
    each = per_sample(loss)(torch.tensor([[3.0], [1.0]]), torch.tensor([1.0, 1.0]))
    assert_close(each, torch.tensor([1.0, 0.0]))


def test_the_original_keeps_its_reduction():
    loss = nn.CrossEntropyLoss()
    per_sample(loss)(torch.randn(4, 3), torch.arange(4) % 3)
    assert loss.reduction == "mean"
    with pytest.raises(IndexError):
        per_sample(loss)(torch.randn(4, 3), torch.full((4,), 7))
    assert loss.reduction == "mean"


def test_a_learned_loss_keeps_its_weights():
    class Scaled(nn.MSELoss):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(3.0))

        def forward(self, output, target):
            return self.scale * super().forward(output, target)

    loss = Scaled()
    per_sample(loss)(torch.ones(4, 1), torch.zeros(4, 1)).sum().backward()
    assert_close(loss.scale.grad, torch.tensor(4.0))


def test_functions_and_modules_of_several_losses_have_none():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.MSELoss(), nn.L1Loss()

    assert per_sample(nn.functional.mse_loss) is None
    assert per_sample(Both()) is None
