"""Residual networks and their plain twins: published sizes, starts, options; the folded net has no operation more."""

import functools
import math
import warnings
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from trainwell.nn import (
    NORMS,
    SHORTCUTS,
    BasicBlock,
    StochasticDepth,
    fold_batchnorm,
    plain20,
    plain56,
    resnet18,
    resnet20,
    resnet50,
    resnet56,
    trace,
)

CIFAR = ((3, 32, 32), 10)


def parameters_of_resnet(channels: int, outputs: int, width: int, blocks: int) -> int:
    """Count them stage by stage: 9·a·b a convolution, 2·b a normalization, w·k + k the head."""
    total, before = 9 * channels * width + 2 * width, width
    for stage in range(3):
        now = width * 2**stage
        total += 9 * before * now + 9 * now * now + 4 * now + (blocks - 1) * (18 * now * now + 4 * now)
        before = now
    return total + before * outputs + outputs


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_has_the_parameters_of_the_paper():
    assert count(resnet20(*CIFAR)) == 269_722  # He et al. 2016, table 6: 0.27 M
    assert count(resnet20(*CIFAR, shortcut="projection")) == 272_474
    assert count(resnet56(*CIFAR)) == 853_018  # 0.85 M
    assert count(plain20(*CIFAR)) == 269_722 and count(plain56(*CIFAR)) == 853_018


def test_has_the_published_parameters_for_photographs():
    with torch.device("meta"):
        assert count(resnet18((3, 224, 224), 1000)) == 11_689_512
        assert count(resnet50((3, 224, 224), 1000)) == 25_557_032
        assert count(resnet50((3, 224, 224), 1000, block="basic")) == 21_797_672  # ResNet-34
        # 3×3 in place of 7×7: 64 · 3 · (49 − 9) weights less, for images below 64 pixels
        assert count(resnet18((3, 63, 224), 1000)) == 11_689_512 - 64 * 3 * 40
        # pre-activated: no norms in stem (64) and projections (896), one at the end (512), and the first of each block
        # is as wide as its input, which over all blocks makes 512 − 64 channels less
        moved = 64 + 896 - 512 + (512 - 64)
        assert count(resnet18((3, 224, 224), 1000, block="preactivation")) == 11_689_512 - 2 * moved


@pytest.mark.parametrize("channels,outputs,width,blocks", [(3, 10, 16, 3), (1, 7, 8, 1), (3, 100, 32, 9)])
def test_parameters_follow_the_closed_form(channels, outputs, width, blocks):
    model = resnet20((channels, 32, 32), outputs, width=width, blocks=blocks)
    assert count(model) == parameters_of_resnet(channels, outputs, width, blocks)


def test_large_images_are_quartered_by_the_stem_and_small_ones_are_not():
    for side, first in ((64, 16), (63, 63)):
        model = resnet18((3, side, side), 5, width=4).eval()
        blocks = [layer for layer in trace(model, torch.randn(1, 3, side, side)).layers if layer.path.endswith("conv1")]
        assert blocks[0].input_shape == (4, first, first)
        assert blocks[-1].output_shape[-1] == math.ceil(first / 8)


def test_default_draws_what_it_has_drawn_since_its_first_version():
    """The order of the draws, written out: torch's own starts of all layers, then Kaiming's for all convolutions."""
    torch.manual_seed(3)
    model = resnet20((3, 8, 8), 5)
    torch.manual_seed(3)
    convolutions = [nn.Conv2d(3, 16, 3, bias=False)]
    for before, now in [(16, 16)] * 3 + [(16, 32)] + [(32, 32)] * 2 + [(32, 64)] + [(64, 64)] * 2:
        convolutions += [nn.Conv2d(before, now, 3, bias=False), nn.Conv2d(now, now, 3, bias=False)]
    head = nn.Linear(64, 5)
    for convolution in convolutions:
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    state = model.state_dict()
    drawn = [value for value in state.values() if value.dim() == 4]
    assert all(torch.equal(value, conv.weight) for value, conv in zip(drawn, convolutions, strict=True))
    assert torch.equal(state["14.weight"], head.weight) and not state["14.bias"].any()
    scales = [value for key, value in state.items() if key.endswith("norm2.weight")]
    assert len(scales) == 9 and not torch.stack([scale.abs().max() for scale in scales]).any()
    names = {f"{part}.{key}" for part in ("norm1", "norm2") for key in nn.BatchNorm2d(1).state_dict()}
    assert {key.removeprefix("3.") for key in state if key.startswith("3.")} == names | {"conv1.weight", "conv2.weight"}


def test_block_starts_as_its_shortcut():
    x = torch.rand(2, 4, 6, 6)
    assert_close(BasicBlock(4, 4, stride=1)(x), x)
    halved = BasicBlock(4, 8, stride=2)(x)
    assert_close(halved[:, 2:6], x[:, :, ::2, ::2])
    assert halved[:, :2].abs().sum() == halved[:, 6:].abs().sum() == 0


def test_block_with_a_scale_is_no_shortcut():  # control: the zero start removed
    block = BasicBlock(4, 4, stride=1)
    nn.init.ones_(block.norm2.weight)
    x = torch.rand(2, 4, 6, 6)
    assert (block(x) - x).abs().max() > 0.1


def test_plain_net_is_the_residual_one_without_its_shortcuts():
    """Equal convolutions in both; a residual block with a silenced shortcut computes what the plain one does."""
    residual = resnet20((3, 8, 8), 5, width=4, identity_start=False)
    plain = plain20((3, 8, 8), 5, width=4)
    plain.load_state_dict(residual.state_dict())
    x = torch.randn(6, 3, 8, 8)
    assert (plain(x) - residual(x)).abs().max() > 0.1
    for module in residual.modules():
        if isinstance(module, BasicBlock):
            module.shortcut.register_forward_hook(lambda module, args, output: torch.zeros_like(output))
    assert torch.equal(plain(x), residual(x))


@pytest.mark.parametrize("block", ["basic", "bottleneck", "preactivation", "fixup"])
@pytest.mark.parametrize("make", [resnet20, resnet18, resnet50], ids=["20", "18", "50"])
def test_blocks_and_options_go_together(make, block):
    small = {"blocks": 1} if make is resnet20 else {}
    model = make(
        (3, 9, 8), 5, width=4, block=block, shortcut="pool", stochastic_depth=0.3, squeeze_excite=True, **small
    )
    x = torch.randn(4, 3, 9, 8)
    for _ in range(3):
        model.zero_grad()
        loss = F.cross_entropy(model(x), torch.arange(4))
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * (0 if parameter.grad is None else parameter.grad)
    assert loss.isfinite()
    chain = trace(model, x)
    assert chain.incomplete == "" and chain.parameters == count(model)
    rates = [module.survival for module in model.modules() if isinstance(module, StochasticDepth)]
    assert rates[-1] == 0.7 and rates == sorted(rates, reverse=True)
    assert torch.equal(model.eval()(x), model(x))
    # fixed depth: convolutions on the way from end to end, shortcuts not counted, and the head
    deep = sum(layer.kind == "conv" for layer in chain.layers) + 1
    assert deep == {resnet20: 8, resnet18: 18, resnet50: 50}[make] + _difference(make, block)


def _difference(make: object, block: str) -> int:
    """Layers more than the name says, where a model is built of the other kind of block."""
    if block == "bottleneck" and make is not resnet50:
        return 3 if make is resnet20 else 8
    return -16 if block == "basic" and make is resnet50 else 0


@pytest.mark.parametrize("norm", [name for name in NORMS if name != "sync"])
def test_takes_every_normalization(norm):
    model = resnet20((3, 8, 8), 5, width=8, blocks=1, norm=norm)
    loss = F.cross_entropy(model(torch.randn(8, 3, 8, 8)), torch.arange(8) % 5)
    loss.backward()
    assert loss.isfinite() and all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_takes_every_shortcut_that_can_change_the_shape(shortcut):
    make = functools.partial(resnet20, (3, 8, 8), 5, width=4, blocks=1, shortcut=shortcut)
    if shortcut == "identity":
        with pytest.raises(ValueError, match="'identity' cannot take 4 channels to 8"):
            make()
    else:
        assert make()(torch.randn(2, 3, 8, 8)).shape == (2, 5)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "prelu"])
def test_convolutions_start_with_the_gain_of_their_activation(activation):
    gains = {"relu": 2**0.5, "tanh": 1.5925, "gelu": 1.5335, "prelu": (2 / (1 + 0.25**2)) ** 0.5}
    weight = resnet20((3, 8, 8), 5, width=32, blocks=1, activation=activation)[5].conv2.weight
    expected = gains[activation] / (9 * 128) ** 0.5
    assert weight.std().item() == pytest.approx(expected, rel=4 * (0.5 / weight.numel()) ** 0.5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="block='fixpu' is not known"):
        resnet20((3, 8, 8), 5, block="fixpu")
    with pytest.raises(ValueError, match=r"resnet20 takes images .* shape \(7,\)"):
        resnet20((7,), 5)
    with pytest.raises(ValueError, match=r"resnet50 takes images .* shape \(7,\)"):
        resnet50((7,), 5)
    with pytest.raises(ValueError, match=r"stochastic_depth=1\.5"):
        resnet18((3, 8, 8), 5, width=4, stochastic_depth=1.5)


def trained(model: nn.Module, steps: int = 20) -> nn.Module:
    """The model in eval mode after some steps of SGD, so that running moments and scales are those of training."""
    x, y = torch.randn(64, 3, 32, 32) * 2 + 0.5, torch.arange(64) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for step in range(steps):
        rows = slice(16 * (step % 4), 16 * (step % 4) + 16)
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model.eval()


def exported_operations(model: nn.Module, x: torch.Tensor) -> Counter[str]:
    """Operations of the exported graph by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = torch.export.export(model, (x,)).graph.nodes
    return Counter(str(node.target) for node in nodes if node.op == "call_function")


def flops(model: nn.Module, x: torch.Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(x)
    return counter.get_total_flops()


@pytest.mark.filterwarnings("ignore")  # torch.export warns of its own parts
def test_folded_resnet20_is_the_same_function_with_exactly_the_operations_of_the_net_without_norms():
    model = trained(resnet20(*CIFAR))
    folded, bare = fold_batchnorm(model), resnet20(*CIFAR, norm="none").eval()
    x = torch.randn(8, 3, 32, 32) * 2 + 0.5
    with torch.no_grad():
        expected = model(x)
        assert expected.std() > 0.1
        assert (folded(x) - expected).abs().max() <= 1e-5
        statistics = [(m.running_mean, m.running_var) for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        assert len(statistics) == 19 and all(mean.any() and (var != 1).all() for mean, var in statistics)
    operations = exported_operations(folded, x)
    assert operations == exported_operations(bare, x)
    assert operations["aten.conv2d.default"] == 19
    assert sum(operations.values()) + 19 == sum(exported_operations(model, x).values())  # control: one a norm
    assert flops(folded, x) == flops(bare, x) == 8 * 2 * 40_551_040  # 2 · multiply-adds of an image
    assert count(folded) == count(bare) == count(model) - 688  # a bias for each scale and shift
