import pytest
import torch
from torch.testing import assert_close

from trainwell.nn import resnet20
from trainwell.nn.resnet import BasicBlock


def parameters_of_resnet(channels: int, outputs: int, width: int, blocks: int) -> int:
    """Count them stage by stage: 9·a·b a convolution, 2·b a normalization, w·k + k the head."""
    total, before = 9 * channels * width + 2 * width, width
    for stage in range(3):
        now = width * 2**stage
        total += 9 * before * now + 9 * now * now + 4 * now + (blocks - 1) * (18 * now * now + 4 * now)
        before = now
    return total + before * outputs + outputs


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_has_the_parameters_of_the_paper():
    assert count(resnet20((3, 32, 32), 10)) == 269_722  # He et al. 2016, table 6: 0.27 M


@pytest.mark.parametrize("channels,outputs,width,blocks", [(3, 10, 16, 3), (1, 7, 8, 1), (3, 100, 32, 9)])
def test_parameters_follow_the_closed_form(channels, outputs, width, blocks):
    model = resnet20((channels, 32, 32), outputs, width=width, blocks=blocks)
    assert count(model) == parameters_of_resnet(channels, outputs, width, blocks)


def test_block_starts_as_its_shortcut():
    x = torch.rand(2, 4, 6, 6)
    assert_close(BasicBlock(4, 4, stride=1)(x), x)
    halved = BasicBlock(4, 8, stride=2)(x)
    assert_close(halved[:, 2:6], x[:, :, ::2, ::2])
    assert halved[:, :2].abs().sum() == halved[:, 6:].abs().sum() == 0


def test_block_with_a_scale_is_no_shortcut():  # control: the zero start removed
    block = BasicBlock(4, 4, stride=1)
    torch.nn.init.ones_(block.norm2.weight)
    x = torch.rand(2, 4, 6, 6)
    assert (block(x) - x).abs().max() > 0.1
