"""The encoder: attention against a slow explicit version, permutations, pre- and post-norm."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.testing import assert_close

import trainwell.nn as tn
from trainwell.nn.models.encoder import sinusoids


def slow_attention(layer: tn.Attention, x: torch.Tensor) -> torch.Tensor:
    """One head after the other, one query after the other."""
    width = x.shape[2]
    size = width // layer.heads
    read = x @ layer.read.weight.T + layer.read.bias
    q, k, v = read[..., :width], read[..., width : 2 * width], read[..., 2 * width :]
    mixed = torch.zeros_like(x)
    for sample in range(len(x)):
        for head in range(layer.heads):
            own = slice(head * size, (head + 1) * size)
            for t in range(x.shape[1]):
                scores = torch.stack([q[sample, t, own] @ k[sample, s, own] for s in range(x.shape[1])])
                weights = (scores / math.sqrt(size)).exp()
                mixed[sample, t, own] = (weights / weights.sum()) @ v[sample, :, own]
    return mixed @ layer.write.weight.T + layer.write.bias


def attention(width: int = 6, heads: int = 2) -> tn.Attention:
    layer = tn.Attention(width, heads).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_attention_is_the_slow_one(heads):
    layer, x = attention(heads=heads), torch.randn(2, 5, 6, dtype=torch.float64)
    assert_close(layer(x), slow_attention(layer, x), rtol=0, atol=1e-12)


def test_other_numbers_of_heads_differ():  # control
    layer, x = attention(heads=2), torch.randn(2, 5, 6, dtype=torch.float64)
    before = layer(x)
    layer.heads = 3
    assert (layer(x) - before).abs().max() > 0.1


def test_attention_is_torchs():
    layer, x = attention(), torch.randn(2, 5, 6, dtype=torch.float64)
    theirs = nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(layer.read.weight)
        theirs.in_proj_bias.copy_(layer.read.bias)
        theirs.out_proj.load_state_dict(layer.write.state_dict())
    assert_close(layer(x), theirs(x, x, x)[0], rtol=0, atol=1e-12)


def test_attention_gradient():
    layer = attention(4)
    x = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradgradcheck(layer, (x,))


@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal"])
@pytest.mark.parametrize("norm_first", [True, False])
def test_permutations_of_tokens_do_nothing_without_positions(positions, norm_first):
    options = {"width": 8, "depth": 2, "heads": 2, "norm_first": norm_first, "positions": positions}
    model = tn.transformer((7, 3), 4, **options).double()
    x, order = torch.randn(2, 7, 3, dtype=torch.float64), torch.randperm(7)
    gap = (model(x[:, order]) - model(x)).abs().max()
    assert gap < 1e-12 if positions == "none" else gap > 1e-4  # control: with positions the order counts


def test_blocks_are_equivariant_under_permutations():
    block = tn.transformer((7, 8), 4, width=8, depth=1, positions="none").double()[1]
    x, order = torch.randn(2, 7, 8, dtype=torch.float64), torch.randperm(7)
    assert_close(block(x[:, order]), block(x)[:, order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("norm", ["layer", "rms", "none"])
def test_block_is_the_formula(norm_first, norm):
    block = tn.transformer((7, 8), 4, width=8, depth=1, norm=norm, norm_first=norm_first, positions="none").double()[1]
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 7, 8, dtype=torch.float64)

    def normalize(x, module):
        if norm == "none":
            return x
        if norm == "rms":
            eps = torch.finfo(torch.float64).eps
            return module.weight * x / (x.square().mean(-1, keepdim=True) + eps).sqrt()
        v = x.var(-1, correction=0, keepdim=True)
        return module.weight * (x - x.mean(-1, keepdim=True)) / (v + 1e-5).sqrt() + module.bias

    def perceptron(x):
        return block.linear2(F.gelu(block.linear1(x)))

    if norm_first:
        h = x + block.attention(normalize(x, block.norm1))
        wanted = h + perceptron(normalize(h, block.norm2))
    else:
        h = normalize(x + block.attention(x), block.norm1)
        wanted = normalize(h + perceptron(h), block.norm2)
    assert_close(block(x), wanted, rtol=0, atol=1e-12)


def test_sinusoids_are_the_papers():
    codes = sinusoids(50, 6)
    for t in (0, 1, 49):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert_close(codes[t, 2 * i : 2 * i + 2].tolist(), [math.sin(angle), math.cos(angle)], rtol=0, atol=1e-12)
    assert sinusoids(4, 5).shape == (4, 5)


def test_depth_does_not_enlarge_the_residual_stream():
    """2·depth branches of variance about 1/(2·depth) each; without the factor the stream would grow with depth."""
    stream = []
    for depth in (2, 16):
        model = tn.transformer((8, 16), 4, width=64, depth=depth, positions="none")
        stream.append(nn.Sequential(*model[: 1 + depth])(torch.randn(64, 8, 16)).square().mean().item())
    assert stream[1] / stream[0] == pytest.approx(1, abs=0.3)
    blocks = model[1:17]
    for block in blocks:
        nn.init.normal_(block.linear2.weight, std=(4 * 64) ** -0.5)  # control
    assert nn.Sequential(*model[:17])(torch.randn(64, 8, 16)).square().mean() > 3 * stream[0]


def test_patches_are_pixels_row_by_row_with_zeros_beyond_the_border():
    cut = tn.transformer((2, 4, 7), 3, width=8, patch=3)[0].double()
    images = torch.randn(1, 2, 4, 7, dtype=torch.float64)
    tokens = cut(images)
    assert tokens.shape == (1, cut.tokens, 8) == (1, 6, 8)
    padded = torch.zeros(2, 6, 9, dtype=torch.float64)
    padded[:, :4, :7] = images[0]
    for row in range(2):
        for column in range(3):
            pixels = padded[:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3].flatten()
            wanted = cut.convolution.weight.flatten(1) @ pixels + cut.convolution.bias
            assert_close(tokens[0, 3 * row + column], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("side,patch", [(8, 1), (9, 2), (28, 4), (32, 4), (224, 28)])
def test_at_most_64_tokens_by_default(side, patch):
    cut = tn.transformer((3, side, side), 2)[0]
    assert cut.convolution.kernel_size == (patch, patch) and cut.tokens <= 64


def test_learned_positions_start_small():
    code = tn.transformer((300, 3), 2)[1].code
    assert abs(code.std() / 0.02 - 1) < 4 / (2 * code.numel()) ** 0.5  # four standard errors


def test_dropout_acts_in_training_only():
    model, x = tn.transformer((6, 3), 2, dropout=0.3), torch.randn(2, 6, 3)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("options", [{}, {"norm_first": False, "norm": "rms", "positions": "sinusoidal"}])
def test_compiles_with_its_backward_and_comes_back_from_a_state(options):
    model, other = (tn.transformer((5, 3), 2, width=8, depth=1, heads=2, **options) for _ in range(2))
    x = torch.randn(4, 5, 3)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert_close(compiled(x), model(x))
    compiled(x).sum().backward()
    torch.compiler.reset()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x))


def test_gradients_of_single_samples_by_vmap():
    model = tn.transformer((4, 3), 2, width=4, depth=1, heads=2).double()
    parameters, x = dict(model.named_parameters()), torch.randn(3, 4, 3, dtype=torch.float64)

    def loss(parameters, sample):
        return torch.func.functional_call(model, parameters, (sample[None],)).square().sum()

    with sdpa_kernel(SDPBackend.MATH):
        each = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
        one = torch.func.grad(loss)(parameters, x[2])
    for name, gradient in each.items():
        assert_close(gradient[2], one[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("inputs", [(5, 3), (1, 6, 6)])
def test_trace_shows_all_parameters(inputs):
    model = tn.transformer(inputs, 2, width=8)
    chain = tn.trace(model, torch.randn(2, *inputs))
    assert chain.incomplete == "" and chain.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    "inputs,options,message",
    [
        ((7,), {}, r"takes sequences \(T, F\) or images"),
        ((7, 3), {"heads": 3}, "3 heads do not divide a width of 128"),
        ((7, 3), {"norm": "batch"}, "norm='batch'"),
        ((7, 3), {"positions": "rotary"}, "positions='rotary'"),
        ((7, 3), {"activation": "maxout"}, "joins several units"),
        ((1, 8, 8), {"patch": 0}, "patch=0"),
    ],
)
def test_wrong_options_are_refused(inputs, options, message):
    with pytest.raises(ValueError, match=message):
        tn.transformer(inputs, 2, **options)
