"""Residual blocks: their formulas written out, their starts, and what all of them share."""

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from trainwell.nn import (
    NORMS,
    BasicBlock,
    Bottleneck,
    FixupBlock,
    PlainBlock,
    PreactivationBlock,
    Style,
    fold_batchnorm,
    trace,
)

BLOCKS = {
    "plain": PlainBlock,
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
    "preactivation": PreactivationBlock,
    "preactivation bottleneck": functools.partial(PreactivationBlock, bottleneck=True),
    "fixup": functools.partial(FixupBlock, branches=5),
    "fixup bottleneck": functools.partial(FixupBlock, branches=5, bottleneck=True),
}
RESIDUAL = [name for name in BLOCKS if name != "plain"]


def shaken(block: nn.Module) -> nn.Module:
    """The block in float64 with no parameter at a special value."""
    block = block.double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return block


def normalized(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    return F.batch_norm(x, None, None, norm.weight, norm.bias, training=True)


def convolved(x: torch.Tensor, convolution: nn.Module, stride: int = 1) -> torch.Tensor:
    weight = convolution.weight
    return F.conv2d(x, weight, convolution.bias, stride, padding=weight.shape[-1] // 2)


X = torch.randn(3, 4, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_plain_block_is_its_formula():
    block = shaken(PlainBlock(4, 8, 2))
    h = torch.relu(normalized(convolved(X, block.conv1, 2), block.norm1))
    assert_close(block(X), torch.relu(normalized(convolved(h, block.conv2), block.norm2)))


def test_basic_block_is_its_formula():
    block = shaken(BasicBlock(4, 8, 2, style=Style(shortcut="projection")))
    h = torch.relu(normalized(convolved(X, block.conv1, 2), block.norm1))
    h = normalized(convolved(h, block.conv2), block.norm2)
    way = normalized(convolved(X, block.shortcut[0], 2), block.shortcut[1])
    assert_close(block(X), torch.relu(way + h))


def test_bottleneck_is_its_formula_and_strides_in_the_middle():
    block = shaken(Bottleneck(4, 8, 2))
    h = torch.relu(normalized(convolved(X, block.conv1), block.norm1))
    h = torch.relu(normalized(convolved(h, block.conv2, 2), block.norm2))
    h = normalized(convolved(h, block.conv3), block.norm3)
    assert block.conv1.out_channels == block.conv2.out_channels == 2  # a quarter
    assert_close(block(X), torch.relu(block.shortcut(X) + h))


@pytest.mark.parametrize("shortcut", ["pad", "projection"])
def test_preactivation_block_is_its_formula(shortcut):
    block = shaken(PreactivationBlock(4, 8, 2, style=Style(shortcut=shortcut)))
    ready = torch.relu(normalized(X, block.norms[0]))
    h = torch.relu(normalized(convolved(ready, block.convs[0], 2), block.norms[1]))
    way = block.shortcut(X)
    if shortcut == "projection":
        assert isinstance(block.shortcut[1], nn.Identity)
        way = convolved(ready, block.shortcut[0], 2)
    assert_close(block(X), way + convolved(h, block.convs[1]))


def test_fixup_block_is_its_formula():
    block = shaken(FixupBlock(4, 8, 2, branches=5))
    a1, a3 = (shift.bias for shift in block.before_conv)
    a2, a4 = (shift.bias for shift in block.before_activation)
    h = torch.relu(convolved(X + a1, block.convs[0], 2) + a2)
    h = convolved(h + a3, block.convs[1]) * block.scale.weight + a4
    assert_close(block(X), torch.relu(block.shortcut(X + a1) + h))


@pytest.mark.parametrize("name", RESIDUAL)
def test_every_residual_block_starts_as_its_shortcut(name):
    x = torch.rand(2, 8, 6, 6)
    assert_close(BLOCKS[name](8, 8)(x), x)  # x ≥ 0: the last activation keeps it
    halved = BLOCKS[name](8, 16, 2)(x)
    assert_close(halved[:, 4:12], x[:, :, ::2, ::2])
    assert halved[:, :4].count_nonzero() == halved[:, 12:].count_nonzero() == 0


@pytest.mark.parametrize("name", ["basic", "bottleneck", "preactivation", "preactivation bottleneck"])
def test_identity_start_can_be_left_out(name):  # control
    x = torch.rand(2, 8, 6, 6)
    assert (BLOCKS[name](8, 8, style=Style(identity_start=False))(x) - x).abs().mean() > 0.05


@pytest.mark.parametrize("norm", [name for name in NORMS if name != "sync"])  # sync needs GPUs
@pytest.mark.parametrize("name", ["basic", "bottleneck", "preactivation"])
def test_blocks_take_every_normalization(norm, name):
    block = BLOCKS[name](16, 16, style=Style(norm=norm))
    x = torch.randn(8, 16, 6, 6)
    without_zero = ("batch_no_affine", "column_features", "column_batch", "noisy")  # no scale; noise comes after it
    if norm not in without_zero or name == "preactivation":
        starts = block(torch.relu(x))
        assert_close(starts, torch.relu(x))  # a scale or the last convolution starts at zero
    for _ in range(3):
        block.zero_grad()
        block(x).square().mean().backward()
        with torch.no_grad():
            for parameter in block.parameters():
                parameter -= 0.1 * parameter.grad
    assert all(p.isfinite().all() and p.grad.isfinite().all() for p in block.parameters())


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_dropped_branch_leaves_the_shortcut(name):
    block = shaken(BLOCKS[name](4, 4, survival=0.5))
    x = torch.rand(64, 4, 3, 3, dtype=torch.float64)
    alone = copy.deepcopy(block)
    alone.depth.register_forward_hook(lambda module, args, output: torch.zeros_like(output))
    kept = (block(x) - alone(x)).flatten(1).abs().sum(1) > 0
    assert 0 < kept.sum() < 64


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_have_the_right_gradient(name):
    block = shaken(BLOCKS[name](4, 4, 2, style=Style("tanh", norm="none", squeeze_excite=True)))
    assert gradcheck(block, torch.randn(1, 4, 3, 3, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_traced_saved_and_run_in_bfloat16(name):
    style = Style(norm="none" if "fixup" in name else "batch", shortcut="projection", squeeze_excite=True)
    block, twin = (BLOCKS[name](4, 8, 2, style=style) for _ in range(2))
    x = torch.randn(2, 4, 6, 6)
    chain = trace(block, x)
    assert chain.incomplete == "" and chain.parameters == sum(p.numel() for p in block.parameters())
    shaken(block).float().eval()
    twin.load_state_dict(block.state_dict())
    assert torch.equal(twin.eval()(x), block(x))
    half = block.to(torch.bfloat16)(x.bfloat16())
    assert half.dtype == torch.bfloat16 and half.isfinite().all()


@pytest.mark.parametrize("name", ["basic", "preactivation bottleneck", "fixup"])
def test_blocks_compile_into_one_graph_with_their_gradient(name):
    kinds = {} if name == "fixup" else {"norm": "group"}
    block = BLOCKS[name](4, 8, 2, style=Style(squeeze_excite=True, **kinds))
    x = torch.randn(2, 4, 6, 6)
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    assert_close(compiled(x), block(x))
    gradients = []
    for run in (compiled, block):
        block.zero_grad()
        run(x).square().sum().backward()
        gradients.append([p.grad.clone() for p in block.parameters()])
    assert_close(*gradients)
    torch.compiler.reset()


def test_blocks_work_under_torch_func():
    block = shaken(BasicBlock(4, 4, style=Style(norm="group")))
    parameters = dict(block.named_parameters())

    def loss(given: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(block, given, (x[None],)).square().sum()

    per_sample = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, X)
    block(X).square().sum().backward()
    for name, parameter in block.named_parameters():
        assert_close(per_sample[name].sum(0), parameter.grad)


def test_basic_block_folds():
    block = shaken(BasicBlock(4, 8, 2, style=Style(shortcut="projection"), survival=0.5))
    block(X)
    assert_close(fold_batchnorm(block.eval())(X), block(X))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="activation='maxout' makes one channel of 2"):
        Style(activation="maxout")
    with pytest.raises(ValueError, match="A bottleneck with 6 channels"):
        Bottleneck(4, 6)
    with pytest.raises(ValueError, match="'identity' cannot take"):
        BasicBlock(4, 8, style=Style(shortcut="identity"))
