"""What all bodies have in common, read from ``nn.MODELS``: shapes, gradients, modes, precision, state, determinism."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

import trainwell.nn as tn

SHAPES = {
    "mlp": [(7,), (4, 3)],
    "cnn": [(1, 8, 8), (3, 16, 20)],
    "highway": [(7,), (1, 4, 3)],
    "lenet5": [(1, 12, 12), (3, 34, 37)],
    "plain20": [(1, 8, 8), (3, 9, 12)],
    "plain56": [(3, 8, 9)],
    "resnet18": [(1, 9, 9), (3, 64, 64)],
    "resnet20": [(1, 8, 8), (3, 9, 12)],
    "resnet50": [(3, 9, 12)],
    "resnet56": [(3, 8, 9)],
    "vanilla_cnn": [(1, 8, 8), (3, 9, 12)],
    "vgg": [(1, 8, 8), (3, 9, 12)],
}
OPTIONS: dict[str, dict[str, object]] = {  # smaller than the defaults, which would take seconds a test
    "plain56": {"width": 8, "blocks": 4},  # 56 layers without shortcuts learn 20 labels in 120 steps or not at all
    "resnet18": {"width": 8},
    "resnet50": {"width": 8},
    "resnet56": {"width": 8},
    "vanilla_cnn": {"depth": 8},  # the rate that a layer bears falls as 1/depth
    "vgg": {"width": 8},
}
SHAPES |= {
    "autoencoder": [(7,), (1, 4, 4)],
    "circulant": [(7,), (3, 5, 4)],
    "deep_linear": [(30,), (6, 5)],  # wide enough for random labels to be separable
    "fourier_features": [(7,), (4, 3)],
    "gru": [(6, 5), (1, 8, 8)],
    "lstm": [(6, 5), (1, 8, 8)],
    "plain_mlp": [(7,), (4, 3)],
    "random_features": [(7,), (4, 3)],
    "rnn": [(6, 5), (1, 8, 8)],
    "transformer": [(6, 5), (3, 9, 12)],
}
CASES = [(name, shape) for name in tn.MODELS for shape in SHAPES[name]]


def build(name: str, shape: tuple[int, ...], outputs: int = 5, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return getattr(tn, name)(shape, outputs, **OPTIONS.get(name, {}))


@pytest.mark.parametrize("name,shape", CASES)
def test_maps_a_batch_to_outputs_and_one_sample_too(name, shape):
    model = build(name, shape)
    x = torch.randn(6, *shape)
    assert model(x).shape == (6, 5)
    model.eval()
    assert_close(model(x[:1]), model(x)[:1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name,shape", CASES)
def test_gradient_reaches_every_parameter_after_the_first_step(name, shape):
    """Branches that start at zero hold back the gradient of what feeds them for one step, and no longer."""
    model = build(name, shape)
    x, y = torch.randn(16, *shape), torch.arange(16) % 5
    for _ in range(2):
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * parameter.grad
    silent = [n for n, p in model.named_parameters() if not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("name,shape", CASES)
def test_logits_start_small_and_finite(name, shape):
    logits = build(name, shape)(torch.randn(64, *shape))
    assert torch.isfinite(logits).all()
    assert logits.std() < 2


@pytest.mark.parametrize("name,shape", CASES)
def test_learns_random_labels(name, shape):
    model = build(name, shape)
    x, y = torch.randn(20, *shape), torch.randint(5, (20,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert (model(x).argmax(1) == y).float().mean() > 0.9


@pytest.mark.parametrize("name,shape", CASES)
def test_runs_in_bfloat16_and_channels_last(name, shape):
    model = build(name, shape).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(torch.randn(4, *shape))
    output.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name,shape", CASES)
def test_state_survives_the_round_trip(name, shape):
    model, other = build(name, shape, seed=0).eval(), build(name, shape, seed=1).eval()
    x = torch.randn(3, *shape)
    assert not torch.equal(model(x), other(x))  # control
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(x), other(x))


@pytest.mark.parametrize("name,shape", CASES)
def test_training_repeats_bit_for_bit(name, shape):
    def trained() -> nn.Module:
        model = build(name, shape)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
        x, y = torch.randn(32, *shape), torch.arange(32) % 5
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        return model

    first, second = trained().state_dict(), trained().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name,shape", CASES)
def test_compiles_into_one_graph(name, shape):
    model = build(name, shape)
    x = torch.randn(4, *shape)
    compiled = torch.compile(model.eval(), backend="eager", fullgraph=True)
    assert_close(compiled(x), model(x))
    torch.compiler.reset()


@pytest.mark.parametrize("name", tn.MODELS)
def test_a_copy_is_independent(name):
    model = build(name, SHAPES[name][0])
    twin = copy.deepcopy(model)
    with torch.no_grad():
        next(twin.parameters()).zero_()
    assert next(model.parameters()).abs().sum() > 0


def test_models_are_public_names():
    assert set(tn.MODELS) <= set(tn.__all__)
