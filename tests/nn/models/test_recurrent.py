"""Recurrent layers: torch's own without norms, Ba et al.'s formulas with them, orthogonal recurrence."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

import trainwell.nn as tn

SCANS = {"rnn": tn.RnnLayer, "gru": tn.GruLayer, "lstm": tn.LstmLayer}
TORCHS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@pytest.fixture(autouse=True)
def exact():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def torchs_twin(layer: nn.Module, kind: str) -> nn.Module:
    """Torch's layer with the same weights."""
    twin = TORCHS[kind](layer.features, layer.width, batch_first=True)
    with torch.no_grad():
        twin.weight_ih_l0.copy_(layer.weight_input)
        twin.weight_hh_l0.copy_(layer.weight_state.flatten(0, 1))
        twin.bias_ih_l0.copy_(layer.bias)
        twin.bias_hh_l0.zero_()
        if kind == "gru":
            twin.bias_hh_l0[2 * layer.width :] = layer.bias_state
    return twin


def scan(kind: str, **options: str) -> nn.Module:
    layer = SCANS[kind](3, 6, **options)
    for parameter in layer.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter)
    return layer


@pytest.mark.parametrize("kind", SCANS)
def test_without_norm_a_scan_is_torchs_layer(kind):
    layer = scan(kind, norm="none")
    x = torch.randn(4, 9, 3, requires_grad=True)
    ours, theirs = layer(x), torchs_twin(layer, kind)(x)[0]
    assert_close(ours, theirs, rtol=0, atol=1e-12)
    seed = torch.randn_like(ours)
    gradients = [torch.autograd.grad(y, x, seed)[0] for y in (ours, theirs)]
    assert_close(*gradients, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", SCANS)
def test_with_norm_it_is_not(kind):  # control
    layer = scan(kind, norm="layer")
    x = torch.randn(4, 9, 3)
    assert (layer(x) - torchs_twin(layer, kind)(x)[0]).abs().max() > 0.1


def normalized(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return gain * (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()


@torch.no_grad()
def slow_step(layer: nn.Module, kind: str, x, h, c):
    """One step of one sample as Ba et al. write it."""
    width = layer.width
    a, u = layer.weight_input @ x, layer.weight_state.flatten(0, 1) @ h
    if kind == "rnn":
        return torch.tanh(normalized(a + u, layer.gain_sum) + layer.bias), c
    if kind == "lstm":
        z = normalized(a, layer.gain_input) + normalized(u, layer.gain_state) + layer.bias
        i, f, g, o = z.split(width)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * torch.tanh(normalized(c, layer.gain_cell) + layer.bias_cell), c
    gates = normalized(a[: 2 * width], layer.gain_gates_input) + normalized(u[: 2 * width], layer.gain_gates_state)
    r, z = (gates + layer.bias[: 2 * width]).sigmoid().split(width)
    read = normalized(u[2 * width :], layer.gain_candidate_state) + layer.bias_state
    n = torch.tanh(normalized(a[2 * width :], layer.gain_candidate_input) + layer.bias[2 * width :] + r * read)
    return (1 - z) * n + z * h, c


@pytest.mark.parametrize("kind", SCANS)
def test_layer_normalized_cells_follow_the_formulas_sample_by_sample(kind):
    layer, x = scan(kind), torch.randn(3, 5, 3)
    for sample, output in zip(x, layer(x), strict=True):
        h = c = torch.zeros(6)
        for t in range(5):
            h, c = slow_step(layer, kind, sample[t], h, c)
            assert_close(output[t], h, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", SCANS)
def test_normalized_cells_do_not_see_the_scale_of_their_weights(kind):
    layer = scan(kind)
    x, before = torch.randn(2, 5, 3), None
    before = layer(x)
    with torch.no_grad():  # not the rnn's two apart: their sum is normalized
        layer.weight_input.mul_(50)
        layer.weight_state.mul_(50)
    assert_close(layer(x), before, rtol=1e-3, atol=1e-3)  # up to ε
    plain = scan(kind, norm="none")
    before = plain(x)
    with torch.no_grad():
        plain.weight_input.mul_(50)
    assert (plain(x) - before).abs().max() > 0.1  # control


@pytest.mark.parametrize("kind", SCANS)
@pytest.mark.parametrize("norm", ["layer", "none"])
def test_gradients(kind, norm):
    layer = scan(kind, norm=norm)
    names = dict(layer.named_parameters())

    def run(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (torch.randn(2, 3, 3, requires_grad=True), *names.values()))


@pytest.mark.parametrize("recurrence,low,high", [("orthogonal", 1, 1), ("parametrized", 1, 1), ("gaussian", 0, 0.2)])
def test_linear_orthogonal_recurrence_keeps_the_gradient_over_100_steps(recurrence, low, high):
    """∂h_T/∂h_0 = Uᵀ to the power T: singular values 1 if orthogonal; of a Gaussian (control) they spread."""
    layer = tn.RnnLayer(1, 24, activation=nn.Identity(), norm="none", recurrence=recurrence)

    def last(h):
        return layer(torch.zeros(1, 100, 1), (h[None],))[0, -1]

    singular = torch.linalg.svdvals(torch.autograd.functional.jacobian(last, torch.randn(24)))
    assert low - 1e-10 <= singular.min() <= singular.median() <= high + 1e-10
    if recurrence == "gaussian":
        assert singular.max() / singular.min() > 1e6


@pytest.mark.parametrize("kind,gates", [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_each_gates_block_starts_orthogonal_and_forget_gates_open(kind, gates):
    fused = getattr(tn, kind)((5, 3), 2, width=8, depth=2)[0]
    for index in range(2):
        blocks = getattr(fused, f"weight_hh_l{index}").unflatten(0, (gates, 8))
        assert_close(blocks.mT @ blocks, torch.eye(8).expand(gates, 8, 8), rtol=0, atol=1e-12)
        bias = getattr(fused, f"bias_ih_l{index}")
        assert bias.sum() == (8 if kind == "lstm" else 0)
        if kind == "lstm":
            assert (bias[8:16] == 1).all()
    assert (tn.LstmLayer(2, 3).bias == torch.tensor([0] * 3 + [1] * 3 + [0] * 6)).all()


def test_drive_of_standardized_input_has_variance_one():
    layer = tn.LstmLayer(100, 400, norm="none")
    assert abs(layer.weight_input.var() * 100 - 1) < 4 * math.sqrt(2 / 160_000)  # four standard errors


def test_parametrized_recurrence_stays_orthogonal_while_it_trains():
    def gap(recurrence: str) -> float:
        torch.manual_seed(0)
        model = tn.lstm((5, 3), 2, width=6, recurrence=recurrence, norm="layer")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(10):
            optimizer.zero_grad()
            F.cross_entropy(model(torch.randn(8, 5, 3)), torch.randint(2, (8,))).backward()
            optimizer.step()
        weight = model[0].weight_state
        return float((weight.mT @ weight - torch.eye(6)).abs().max().detach())

    assert gap("parametrized") < 1e-12
    assert gap("orthogonal") > 1e-3  # control


def test_irnn_starts_as_a_memory():
    layer = tn.RnnLayer(3, 5, activation=nn.ReLU(), norm="none", recurrence="identity")
    h = torch.rand(2, 5)
    assert_close(layer(torch.zeros(2, 7, 3), (h,))[:, -1], h, rtol=0, atol=0)


@pytest.mark.parametrize("kind", SCANS)
def test_fused_is_the_scan_and_images_are_rows(kind):
    torch.manual_seed(0)
    fused = getattr(tn, kind)((2, 5, 3), 4, width=6, depth=2)
    images = torch.randn(3, 2, 5, 3)
    rows = torch.stack([torch.cat([image[:, row].flatten()]) for image in images for row in range(5)]).view(3, 5, 6)
    twin = TORCHS[kind](6, 6, 2, batch_first=True)
    twin.load_state_dict(fused[1].state_dict())
    assert_close(fused(images), fused[-1](twin(rows)[0][:, -1]), rtol=0, atol=1e-12)


def test_readout_of_the_mean_sees_every_time_and_of_the_last_state_a_memory():
    x = torch.randn(1, 6, 3, requires_grad=True)
    for readout in ("last", "mean"):
        model = tn.gru((6, 3), 2, width=5, readout=readout)
        hidden = model[0](x)
        wanted = hidden[:, -1] if readout == "last" else hidden.sum(1) / 6
        assert_close(model(x), model[-1](wanted), rtol=0, atol=1e-12)


def test_a_normalized_cell_reads_longer_sequences_than_it_was_built_for():
    assert tn.lstm((5, 3), 2, width=4, norm="layer")(torch.randn(2, 50, 3)).isfinite().all()


@pytest.mark.parametrize("kind", SCANS)
@pytest.mark.parametrize("options", [{"norm": "layer"}, {"depth": 2, "dropout": 0.2}, {"recurrence": "parametrized"}])
def test_options_run_compiled_in_bfloat16_and_come_back_from_a_state(kind, options):
    torch.set_default_dtype(torch.float32)
    model, other = (getattr(tn, kind)((4, 3), 2, width=8, **options) for _ in range(2))
    x = torch.randn(5, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        model(x).float().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in model.parameters())
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval()(x), model.eval()(x))
    compiled = torch.compile(model, backend="aot_eager" if kind != "gru" else "eager", fullgraph=True)
    assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-6)
    compiled(x).sum().backward()
    torch.compiler.reset()


@pytest.mark.parametrize("kind", SCANS)
def test_gradients_of_single_samples_by_vmap(kind):
    layer = scan(kind)
    parameters = dict(layer.named_parameters())
    x = torch.randn(4, 3, 3)

    def loss(parameters, sample):
        return torch.func.functional_call(layer, parameters, (sample[None],)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    whole = torch.func.grad(lambda p: torch.func.functional_call(layer, p, (x,)).square().sum())(parameters)
    for name, gradient in each.items():
        assert_close(gradient.sum(0), whole[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", SCANS)
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_trace_shows_all_parameters(kind, norm):
    model = getattr(tn, kind)((4, 3), 2, width=5, depth=2, norm=norm)
    chain = tn.trace(model, torch.randn(2, 4, 3))
    assert chain.incomplete == ""
    assert chain.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    "options,message",
    [
        ({"inputs": (7,)}, r"takes sequences \(T, F\) or images"),
        ({"norm": "batch"}, "norm='batch' is not known to recurrent layers"),
        ({"recurrence": "unitary"}, "recurrence='unitary'"),
        ({"readout": "first"}, "readout='first'"),
        ({"depth": 0}, "depth=0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    inputs = options.pop("inputs", (4, 3))
    with pytest.raises(ValueError, match=message):
        tn.lstm(inputs, 2, **options)


def test_rnn_refuses_maxout():
    with pytest.raises(ValueError, match="joins several units"):
        tn.rnn((4, 3), 2, activation="maxout")
