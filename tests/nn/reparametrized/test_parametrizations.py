"""Parametrized weights satisfy what they promise, from the start and while an optimizer moves what is behind them."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization
from torch.testing import assert_close

from trainwell.errors import InputError
from trainwell.nn import PARAMETRIZATIONS, mlp, parametrize_, trace, unparametrize_
from trainwell.nn.reparametrized.binary_weights import BinaryWeight
from trainwell.nn.reparametrized.orthogonal_kernel import OrthogonalKernel

NAMES = [name for name in PARAMETRIZATIONS if name != "none"]
ORTHOGONAL = [name for name in NAMES if name.startswith("orthogonal")]
DOUBLE = {"rtol": 1e-12, "atol": 1e-12}
LAYERS = {
    "tall": lambda: nn.Linear(4, 6),
    "wide": lambda: nn.Linear(6, 4),
    "square": lambda: nn.Linear(5, 5),
    "conv1d": lambda: nn.Conv1d(3, 5, 3),
    "conv2d": lambda: nn.Conv2d(3, 6, 3),
    "grouped": lambda: nn.Conv2d(4, 6, 2, groups=2),
    "conv3d": lambda: nn.Conv3d(2, 3, 2),
}
INPUTS = {"tall": (4,), "wide": (6,), "square": (5,), "conv1d": (3, 5), "conv2d": (3, 4, 4), "grouped": (4, 4, 4)}
INPUTS["conv3d"] = (2, 3, 3, 3)


def promise(name: str, layer: nn.Module) -> None:
    """Assert what the parametrization says of the weight, in float64."""
    weight, groups = layer.weight.detach(), getattr(layer, "groups", 1)
    rows = weight.flatten(1)
    blocks = weight.unflatten(0, (groups, -1))
    if name == "weight_norm":
        assert_close(rows.norm(dim=1), layer.parametrizations.weight.original0.flatten().abs().detach(), **DOUBLE)
    elif name == "spectral_norm":
        assert torch.linalg.matrix_norm(rows, 2).item() == pytest.approx(1, abs=0.05)  # power iteration so far
    elif name == "weight_standardization":
        assert rows.mean(1).abs().max() < 1e-12
        assert_close(rows.var(1, correction=0), torch.ones_like(rows[:, 0]), rtol=0, atol=1e-2)
    elif name == "column_norm":
        columns = blocks.transpose(1, 2).flatten(2).norm(dim=2)
        assert_close(columns, torch.ones_like(columns), **DOUBLE)
    elif name.startswith("orthogonal"):
        matrices = blocks.flatten(2)
        gram = matrices @ matrices.mT if matrices.shape[1] < matrices.shape[2] else matrices.mT @ matrices
        assert_close(gram, torch.eye(gram.shape[-1], dtype=gram.dtype).expand_as(gram), rtol=0, atol=1e-10)
    elif name == "binary":
        assert (weight.abs() == 1).all()
    else:
        assert_close(rows.abs(), rows.abs().mean(1, keepdim=True).expand_as(rows), **DOUBLE)
        latent = layer.parametrizations.weight.original.detach()
        assert_close(rows.abs()[:, 0], latent.flatten(1).abs().mean(1), **DOUBLE)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", LAYERS)
def test_the_promise_holds_at_the_start_and_after_steps(name: str, kind: str) -> None:
    layer = LAYERS[kind]().double()
    given_ = layer.weight.detach().clone()
    assert parametrize_(layer, name) == [""]
    promise(name, layer)
    x = torch.randn(8, *INPUTS[kind], dtype=torch.float64)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.05, weight_decay=0.5)  # much, to pull where it can
    for _ in range(8):
        loss = (layer(x) - 3).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for _ in range(100 if name == "spectral_norm" else 0):  # one iteration a step lags behind weights that move
        layer.weight  # noqa: B018
    layer.eval()
    promise(name, layer)
    assert not torch.allclose(layer.weight, given_)
    with torch.no_grad():  # control: the free weight promises nothing
        free = LAYERS[kind]().double()
        free.weight *= 3  # some are near 1 by chance
    if name not in ("weight_norm", "binary_scaled"):
        with pytest.raises(AssertionError):
            promise(name, free)


@pytest.mark.parametrize("kind", LAYERS)
def test_where_a_weight_starts(kind: str) -> None:
    layer = LAYERS[kind]().double()
    weight = layer.weight.detach().clone()
    rows = weight.flatten(1)
    starts = {}
    for name in NAMES:
        other = copy.deepcopy(layer)
        parametrize_(other, name)
        starts[name] = other.eval().weight.detach()
    assert_close(starts["weight_norm"], weight, **DOUBLE)
    ratio = starts["spectral_norm"] / weight
    assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-10, atol=0)
    assert_close(starts["binary"], weight.sign(), **DOUBLE)
    best = (rows * rows.sign()).sum(1) / rows[0].numel()  # argmin_α ‖w − α sign(w)‖² = ⟨w, sign w⟩/n
    assert_close(starts["binary_scaled"].flatten(1), best[:, None] * rows.sign(), **DOUBLE)
    blocks = weight.unflatten(0, (getattr(layer, "groups", 1), -1)).flatten(2)
    u, _, vt = torch.linalg.svd(blocks, full_matrices=False)
    for name in ORTHOGONAL:
        assert_close(starts[name], (u @ vt).reshape(weight.shape), rtol=0, atol=1e-10)  # the nearest: the polar factor


@pytest.mark.parametrize("name", ORTHOGONAL)
@pytest.mark.parametrize("kind", ["tall", "wide", "square"])
def test_the_orthogonal_maps_are_the_librarys(name: str, kind: str) -> None:
    weight = torch.linalg.qr(
        LAYERS[kind]().double().weight.detach().mT if kind == "wide" else LAYERS[kind]().double().weight.detach()
    )[0]
    weight = weight.mT.contiguous() if kind == "wide" else weight
    ours, theirs = (nn.Linear(weight.shape[1], weight.shape[0]).double() for _ in range(2))
    with torch.no_grad():
        for layer in (ours, theirs):
            layer.weight.copy_(weight)
    map_ = name.removeprefix("orthogonal_")
    parametrize_(ours, name)
    nn.utils.parametrizations.orthogonal(theirs, "weight", orthogonal_map={"exp": "matrix_exp"}.get(map_, map_))
    theirs.parametrizations.weight[0].base = ours.parametrizations.weight[0].base[0].clone()
    assert_close(ours.weight, weight, rtol=0, atol=1e-12)  # an orthogonal weight starts as it is
    x = 0.5 * torch.randn_like(weight).tril(-1) if kind != "wide" else 0.5 * torch.randn_like(weight).triu(1)
    with torch.no_grad():
        ours.parametrizations.weight.original.copy_(x)
        theirs.parametrizations.weight.original.copy_(x - torch.eye(*x.shape) if map_ == "householder" else x)
    assert_close(ours.weight, theirs.weight, rtol=0, atol=1e-12)
    if map_ == "householder":
        with torch.no_grad():  # one step of weight decay
            ours.parametrizations.weight.original.mul_(0.999)
            theirs.parametrizations.weight.original.mul_(0.999)
        promise(name, ours)
        assert theirs.weight.abs().max() == 0  # why we have our own


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_orthogonal_signals_keep_their_norm(name: str) -> None:
    net = nn.Sequential(*(nn.Linear(8, 8, bias=False) for _ in range(20))).double()
    x = torch.randn(5, 8, dtype=torch.float64)
    assert net(x).norm() < 1e-2 * x.norm()  # control
    parametrize_(net, name)
    assert_close(net(x).norm(dim=1), x.norm(dim=1), rtol=1e-10, atol=0)


@given(rows=st.integers(1, 6), columns=st.integers(1, 6), groups=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_any_shape_becomes_orthogonal(rows: int, columns: int, groups: int, seed: int) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(groups * rows, columns, 1, dtype=torch.float64)
    for kind in ("exp", "cayley", "householder"):
        part = OrthogonalKernel(kind, groups)
        part.right_inverse(weight)
        matrices = part(torch.randn_like(weight)).unflatten(0, (groups, -1)).flatten(2)
        singular = torch.linalg.svdvals(matrices)
        assert_close(singular, torch.ones_like(singular), rtol=0, atol=1e-9)


def test_spectral_norm_reaches_the_largest_singular_value() -> None:
    layer = nn.Conv2d(4, 6, 3).double()
    matrix = layer.weight.detach().flatten(1)
    sigma = torch.linalg.svdvals(matrix)[0]
    parametrize_(layer, "spectral_norm")
    for _ in range(300):  # of one iteration each, in train mode
        layer.weight  # noqa: B018
    assert_close(layer.weight.detach().flatten(1), matrix / sigma, rtol=1e-9, atol=1e-12)
    layer.eval()
    assert torch.equal(layer.weight, layer.weight)  # eval mode iterates no more


def test_weight_norm_gradient_is_the_papers() -> None:
    layer = nn.Linear(4, 3).double()
    parametrize_(layer, "weight_norm")
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    with torch.no_grad():
        g.mul_(1.7)
    weight = layer.weight
    upstream = torch.randn_like(weight)
    by_g, by_v = torch.autograd.grad(weight, (g, v), upstream)
    norms = v.norm(dim=1, keepdim=True)
    assert_close(by_g, (upstream * v).sum(1, keepdim=True) / norms, **DOUBLE)
    assert_close(by_v, g / norms * (upstream - (upstream * v).sum(1, keepdim=True) * v / norms.square()), **DOUBLE)
    assert (by_v * v).sum(1).abs().max() < 1e-12  # so ‖v‖² grows by ‖step‖²


def test_binary_gradients() -> None:
    weight = torch.tensor([[0.5, -0.2, 0.0], [-3.0, 2.0, 1.0]], dtype=torch.float64, requires_grad=True)
    g = torch.randn(2, 3, dtype=torch.float64)
    sign = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]], dtype=torch.float64)
    y = BinaryWeight()(weight)
    assert torch.equal(y, sign)
    assert torch.equal(torch.autograd.grad(y, weight, g)[0], g)  # straight through, outside [−1, 1] too
    alpha = weight.detach().abs().mean(1, keepdim=True)
    y = BinaryWeight(scaled=True)(weight)
    assert_close(y.detach(), alpha * sign, **DOUBLE)
    expected = alpha * g + sign / 3 * (g * sign).sum(1, keepdim=True)
    assert_close(torch.autograd.grad(y, weight, g)[0], expected, **DOUBLE)


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("binary")])
@pytest.mark.parametrize("kind", ["tall", "wide", "grouped"])
def test_gradient_by_differences(name: str, kind: str) -> None:
    layer = LAYERS[kind]().double()
    parametrize_(layer, name)
    layer.eval()  # or spectral normalization moves with every call
    names, values = zip(*layer.named_parameters(), strict=True)
    x = torch.randn(3, *INPUTS[kind], dtype=torch.float64)

    def function(*moved: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, dict(zip(names, moved, strict=True)), (x,))

    moved = [(value + 0.1 * torch.randn_like(value)).detach().requires_grad_() for value in values]
    assert torch.autograd.gradcheck(function, moved, fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_state_copy_and_baking(name: str) -> None:
    def build() -> nn.Module:
        net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 3)).double()
        assert parametrize_(net, name) == ["0", "2"]
        return net

    net, x = build(), torch.randn(3, 2, 4, 4, dtype=torch.float64)
    (net(x) - 1).square().sum().backward()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter -= 0.1 * parameter.grad
    net.eval()
    y, other = net(x), build().eval()
    assert not torch.equal(other(x), y)  # control
    other.load_state_dict(net.state_dict())
    assert_close(other(x), y, **DOUBLE)
    twin = copy.deepcopy(net)
    assert torch.equal(twin(x), y)
    net.train()
    assert unparametrize_(net) == ["0.weight", "2.weight"] and net.training
    assert_close(net.eval()(x), y, **DOUBLE)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert isinstance(net[0].weight, nn.Parameter) and net[0].weight.requires_grad and type(net[0]) is nn.Conv2d
    assert is_parametrized(twin[0]) and torch.equal(twin(x), y)  # the copy is its own


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_and_autocast(name: str) -> None:
    net, x = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 3)), torch.randn(5, 2, 4, 4)
    parametrize_(net, name)
    net.eval()
    y = net(x)
    with torch.autocast("cpu", torch.bfloat16):
        low = net(x)
        assert net[0].weight.dtype == torch.float32
    assert_close(low.float(), y, rtol=0.05, atol=0.1)
    net.train()
    with torch.autocast("cpu", torch.bfloat16):
        net(x).float().sum().backward()
    assert all(p.grad is None or (p.grad.isfinite().all() and p.grad.dtype == torch.float32) for p in net.parameters())
    half = copy.deepcopy(net).bfloat16().eval()
    assert_close(half(x.bfloat16()).float(), y, rtol=0.1, atol=0.15)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it compiles
def test_compiled_whole(name: str) -> None:
    net, x = nn.Sequential(nn.Conv1d(3, 4, 2), nn.Flatten(), nn.Linear(12, 3)), torch.randn(5, 3, 4)
    parametrize_(net, name)
    compiled = torch.compile(copy.deepcopy(net), fullgraph=True, backend="aot_eager")
    for module in (net, compiled):
        module(x).pow(3).sum().backward()
    others = dict(compiled._orig_mod.named_parameters())
    for key, parameter in net.named_parameters():
        assert_close(others[key].grad, parameter.grad, rtol=1e-3, atol=1e-3)
    torch.compiler.reset()


@pytest.mark.parametrize("name", NAMES)
def test_zero_weights(name: str) -> None:
    """The blocks of mlp start as the identity by a zero layer; 0/0 must not come of it."""
    net = mlp((6,), 3, width=8, depth=2)
    parametrize_(net, name)
    silent = all(block.linear2.weight.abs().max() == 0 for block in (net[2], net[3]))
    assert silent == (name == "weight_norm")
    x, y = torch.randn(32, 6), torch.arange(32) % 3
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=0.02), []
    for _ in range(20):
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(block.linear2.weight.abs().max() > 0 for block in (net[2], net[3]))


def test_zero_columns_are_drawn_and_the_others_kept() -> None:
    layer = nn.Linear(3, 4).double()
    with torch.no_grad():
        layer.weight[:, 1] = 0
    kept = F.normalize(layer.weight.detach(), dim=0)
    parametrize_(layer, "column_norm")
    promise("column_norm", layer)
    assert_close(layer.weight[:, [0, 2]].detach(), kept[:, [0, 2]], **DOUBLE)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode, self.own = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.decode.weight = self.encode.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.own(self.decode(self.encode(x)))


@pytest.mark.parametrize("name", NAMES)
def test_shared_frozen_and_taken_weights_are_left_alone(name: str) -> None:
    tied = Tied()
    assert parametrize_(tied, name) == ["own"]
    assert tied.decode.weight is tied.encode.weight
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.ConvTranspose1d(2, 2, 3), nn.Linear(4, 2))
    net[0].weight.requires_grad_(False)
    register_parametrization(net[1], "weight", nn.Identity())
    before = net[0].weight.clone()
    assert parametrize_(net, name, keep=["4"]) == ["2"]
    assert torch.equal(net[0].weight, before) and len(net[1].parametrizations.weight) == 1
    with pytest.raises(InputError, match="no linear layer or convolution with a free weight"):
        parametrize_(net, name, keep=["4"])


def test_weights_of_one_number_are_left_alone() -> None:
    net = nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 1), nn.Conv2d(4, 4, 1, groups=4), nn.Conv2d(4, 4, 3, groups=4))
    assert parametrize_(copy.deepcopy(net), "weight_standardization") == ["1", "3"]
    assert parametrize_(copy.deepcopy(net), "column_norm") == ["0", "3"]


def test_names_and_tracing() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert parametrize_(net, "none") == [] and unparametrize_(net) == []
    with pytest.raises(InputError, match="Did you mean 'weight_norm'"):
        parametrize_(net, "weight_nrom")
    with pytest.raises(ValueError, match="kind='qr'"):
        OrthogonalKernel("qr")
    before = trace(net, torch.randn(2, 3))
    parametrize_(net, "orthogonal_cayley")
    after = trace(net, torch.randn(2, 3))
    assert [(layer.path, layer.kind) for layer in after.layers] == [(layer.path, layer.kind) for layer in before.layers]
