"""Fixup: the start's scale, the growth it prevents, and the step that does not depend on depth."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from trainwell.nn import FixupBlock, fixup_scale, resnet20, resnet50


def test_scale_is_the_papers():
    assert fixup_scale(50, 2) == pytest.approx(50**-0.5)  # 0.1414
    assert fixup_scale(16, 3) == pytest.approx(0.5)  # 16^(−1/4)
    for branches, layers in ((0, 2), (5, 1)):
        with pytest.raises(ValueError, match=f"{branches} branches of {layers} layers"):
            fixup_scale(branches, layers)


@pytest.mark.parametrize("bottleneck,layers", [(False, 2), (True, 3)])
def test_branch_starts_at_kaimings_deviation_times_the_scale_and_ends_in_zero(bottleneck, layers):
    block = FixupBlock(128, 128, branches=50, bottleneck=bottleneck)
    *inner, last = block.convs
    assert len(inner) == layers - 1
    for convolution in inner:
        expected = (2 / convolution.weight[0].numel()) ** 0.5 * fixup_scale(50, layers)
        error = 4 * (0.5 / convolution.weight.numel()) ** 0.5  # standard errors of a standard deviation
        assert convolution.weight.std().item() == pytest.approx(expected, rel=error)
    assert last.weight.count_nonzero() == 0
    shifts = [shift.bias.item() for shift in (*block.before_conv, *block.before_activation)]
    assert shifts == [0.0] * 2 * layers and block.scale.weight.item() == 1.0


def stack(blocks: int, start: str) -> nn.Sequential:
    """Blocks whose shortcut is the identity, with branches drawn by Fixup's or Kaiming's rule."""
    layers = [FixupBlock(32, 32, branches=blocks) for _ in range(blocks)]
    for block in layers:
        block.activations[-1] = nn.Identity()  # a linear way through: E (x + F)² = E x² + E F²
        for convolution, follows in zip(block.convs, ("relu", "linear"), strict=True):
            convolution.padding_mode = "circular"  # at every pixel the same; zeros would take some of the border's
            if start == "kaiming":
                nn.init.kaiming_normal_(convolution.weight, nonlinearity=follows)
    return nn.Sequential(*layers)


def test_kaimings_start_doubles_the_second_moment_in_every_block_and_fixups_keeps_it():
    x = torch.randn(16, 32, 8, 8)
    with torch.no_grad():
        assert torch.equal(stack(10, "fixup")(x), x)
        growth = torch.stack([stack(10, "kaiming")(x).square().mean() for _ in range(6)]).log2().mean() / 10
    assert growth.item() == pytest.approx(1, abs=0.08)


def first_change(blocks: int, scaled: bool) -> float:
    """Largest change of the logits by one SGD step, relative to the step; branches with a small end to make F ≠ 0."""
    torch.manual_seed(0)
    model = resnet20((3, 8, 8), 4, width=8, blocks=blocks, block="fixup").double()
    branches = [module for module in model.modules() if isinstance(module, FixupBlock)]
    with torch.no_grad():
        nn.init.normal_(model[-1].weight, std=8**-0.5)
        for block in branches:
            if not scaled:
                block.convs[0].weight /= fixup_scale(len(branches), 2)
    x, y = torch.randn(8, 3, 8, 8, dtype=torch.float64), torch.arange(8) % 4
    before = model(x)
    gradients = torch.autograd.grad(F.cross_entropy(before, y), [block.convs[1].weight for block in branches])
    with torch.no_grad():
        for block, gradient in zip(branches, gradients, strict=True):
            block.convs[1].weight -= 1e-4 * gradient
        return float((model(x) - before).norm() / 1e-4)


def test_one_step_changes_the_function_alike_at_any_depth():
    """The ends of L branches each move the function by η · (L^{−1/2})², together by η."""
    scaled = first_change(12, True) / first_change(2, True)
    unscaled = first_change(12, False) / first_change(2, False)
    assert 0.4 < scaled < 2.5
    assert unscaled > 3.5  # control: 6 times as many branches


def test_fixup_networks_start_with_zero_logits_and_reach_every_parameter_in_three_steps():
    x, y = torch.randn(8, 3, 12, 12), torch.arange(8) % 5
    for model in (resnet20((3, 12, 12), 5, width=4, block="fixup"), resnet50((3, 12, 12), 5, width=4, block="fixup")):
        assert model(x).count_nonzero() == 0
        for _ in range(3):
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.1 * parameter.grad
        assert all(p.grad.abs().sum() > 0 for p in model.parameters())
        assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def loss_after(steps: int, **options: object) -> float:
    """Loss of a net of 38 layers after some steps of SGD at rate 0.1 on 20 random labels; ln 5 = 1.61 is chance."""
    torch.manual_seed(0)
    x, y = torch.randn(20, 3, 8, 8), torch.arange(20) % 5
    model = resnet20((3, 8, 8), 5, blocks=6, width=8, **options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return float(F.cross_entropy(model(x), y).detach())


def test_fixup_trains_without_normalization_at_a_rate_at_which_kaimings_start_diverges():
    assert loss_after(30, block="fixup") < 1.56
    assert not loss_after(3, norm="none", identity_start=False) < 5  # control: nan or huge


def test_fixup_has_no_normalization():
    with pytest.raises(ValueError, match="block='fixup' has no normalization"):
        resnet20((3, 8, 8), 5, block="fixup", norm="batch")
    assert_close(
        sum(p.numel() for p in resnet20((3, 32, 32), 10, block="fixup").parameters()),
        # 269 722 − 2 · 688 normalized channels + 9 blocks · 5 scalars + 2 of stem and head
        269_722 - 2 * 688 + 9 * 5 + 2,
    )
