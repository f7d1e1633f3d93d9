import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

import trainwell.nn as tn
from trainwell.nn import trace
from trainwell.theory import Layer


class Functional(nn.Module):
    """Two linear layers, with everything between them done by functions; a third that is never used."""

    def __init__(self, unused: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(6, 4)
        self.scale = nn.Parameter(torch.ones(4))
        self.last = nn.Linear(4, 2)
        if unused:
            self.spare = nn.Linear(3, 3)

    def forward(self, x):
        x = F.relu(self.first(x.flatten(1)))
        return self.last(x + x.tanh()) * 2 + self.scale[:2].sum()


def test_describes_a_known_net_exactly():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 5, groups=1, bias=False),
        nn.BatchNorm2d(8),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 7),
    )
    chain = trace(net, torch.randn(2, 3, 8, 8))
    expected = [
        ("0", "conv", "Conv2d", (3, 8, 8), (8, 4, 4), 75, 200, 600),
        ("1", "norm", "BatchNorm2d", (8, 4, 4), (8, 4, 4), 0, 0, 16),
        ("2", "activation", "Tanh", (8, 4, 4), (8, 4, 4), 0, 0, 0),
        ("3", "pool", "MaxPool2d", (8, 4, 4), (8, 2, 2), 0, 0, 0),
        ("4", "flatten", "Flatten", (8, 2, 2), (32,), 0, 0, 0),
        ("5", "linear", "Linear", (32,), (7,), 32, 7, 231),
    ]
    found = [
        (y.path, y.kind, y.name, y.input_shape, y.output_shape, y.fan_in, y.fan_out, y.parameters) for y in chain.layers
    ]
    assert found == expected
    assert chain.incomplete == ""


def test_sees_functions_between_modules():
    chain = trace(Functional(), torch.randn(3, 2, 3))
    assert [(y.kind, y.name) for y in chain][:6] == [
        ("flatten", "flatten"),
        ("linear", "Linear"),
        ("activation", "ReLU"),
        ("activation", "Tanh"),
        ("other", "add"),
        ("linear", "Linear"),
    ]
    assert chain.layers[2].path == "relu()"
    assert chain.parameters == 28 + 10 + 4 and chain.incomplete == ""


def test_names_what_the_forward_pass_does_not_use():
    assert "spare.weight, spare.bias" in trace(Functional(unused=True), torch.randn(3, 6)).incomplete


def test_says_where_the_forward_pass_fails():
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(6, 2))
    chain = trace(net, torch.randn(3, 4))
    assert [y.path for y in chain] == ["0", "1"]
    assert chain.incomplete.startswith("The forward pass failed in 2: RuntimeError: mat1 and mat2")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_module_that_runs_twice_stands_twice_and_counts_once():
    shared = nn.Linear(4, 4)
    chain = trace(nn.Sequential(shared, nn.ReLU(), shared), torch.randn(2, 4))
    assert [y.parameters for y in chain] == [20, 0, 0]
    assert [y.kind for y in chain] == ["linear", "activation", "linear"]


def test_parametrized_layer_is_one_layer():
    chain = trace(nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 5))), torch.randn(2, 3))
    assert [(y.name, y.fan_in, y.parameters) for y in chain] == [("Linear", 3, 15 + 5 + 5)]


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), nn.Linear(4, 2)

    def forward(self, left, right):
        return self.a(left) + self.b(right)


@pytest.mark.parametrize("kind", [tuple, dict])
def test_spreads_several_inputs_over_the_arguments(kind):
    left, right = torch.randn(5, 3), torch.randn(5, 4)
    example = (left, right) if kind is tuple else {"right": right, "left": left}
    assert [y.path for y in trace(TwoInputs(), example)] == ["a", "b", "add()"]


@pytest.mark.parametrize("kind", [tuple, dict])
def test_hands_over_whole_what_one_argument_takes(kind):
    prepare = tn.TableInput([0.0], [1.0], [0.0], [[0.0, 1.0]], [0.0], [3, 50])
    model = tn.Predictor(prepare, tn.mlp(prepare.shape, 2, width=8, depth=1), tn.Unstandardize([0.0] * 2, [1.0] * 2))
    numbers, codes = torch.randn(5, 1), torch.zeros(5, 2, dtype=torch.int64)
    example = (numbers, codes) if kind is tuple else {"numbers": numbers, "categories": codes}
    chain = trace(model, example)
    assert chain.layers[0] == Layer(
        "prepare", "input", "TableInput", (1,), prepare.shape, parameters=prepare.encoders[1].table.weight.numel(),
        detail="1 numbers, 2 categories -> " + str(prepare.shape[0]), reads=(-1, -1),
    )  # fmt: skip
    assert chain.layers[-1].kind == "output"
    assert chain.parameters == sum(p.numel() for p in model.parameters())
    assert chain.incomplete == ""


@pytest.mark.parametrize(
    "model",
    [
        nn.LSTM(6, 4, batch_first=True),
        nn.GRU(6, 4, num_layers=2, bidirectional=True),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), 2, enable_nested_tensor=False),
    ],
    ids=["LSTM", "GRU", "TransformerEncoder"],
)
def test_recurrent_and_attention_layers_are_opaque_but_counted(model):
    chain = trace(model, torch.randn(2, 5, 6))
    assert chain.parameters == sum(p.numel() for p in model.parameters())
    assert chain.incomplete == ""
    assert chain.of_kind("other")


@pytest.mark.parametrize("name", tn.MODELS)
def test_own_models_are_complete(name):
    shape = (3,) if name == "mlp" else (3, 16, 16)
    model = getattr(tn, name)(shape, 4)
    chain = trace(model, torch.randn(2, *shape))
    assert chain.incomplete == ""
    assert chain.parameters == sum(p.numel() for p in model.parameters())


def test_leaves_the_model_as_it_was():
    model = nn.Sequential(
        nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2), parametrizations.spectral_norm(nn.Linear(2, 2))
    )
    model[2].eval()
    calls = []
    model[2].register_forward_hook(lambda *_: calls.append(1))
    model(torch.randn(3, 4)).sum().backward()
    before = copy.deepcopy(model.state_dict())
    gradients = [p.grad.clone() for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    hooks = [(dict(m._forward_hooks), dict(m._forward_pre_hooks)) for m in model.modules()]
    random_state = torch.get_rng_state()
    trace(model, torch.randn(3, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert [m.training for m in model.modules()] == modes
    assert [(dict(m._forward_hooks), dict(m._forward_pre_hooks)) for m in model.modules()] == hooks


class Counts(nn.Module):
    """A module that changes its buffer in evaluation mode too and draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))

    def forward(self, x):
        self.calls += 1
        self.seen = torch.ones((), dtype=torch.bool)
        return x + torch.randn_like(x)


def test_puts_back_buffers_and_random_state_that_the_forward_pass_changes():
    model, state = Counts(), torch.get_rng_state()
    trace(model, torch.zeros(2, 3))
    assert model.calls == 0 and not model.seen and torch.equal(torch.get_rng_state(), state)
    model(torch.zeros(2, 3))  # control
    assert model.calls == 1 and not torch.equal(torch.get_rng_state(), state)
