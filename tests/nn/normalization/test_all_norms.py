"""What every layer of normalization must do, whatever it normalizes by."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import trainwell.nn as tn

LAYERS = {
    "ghost": lambda **options: tn.GhostBatchNorm(4, size=4, **options),
    "renorm": lambda **options: tn.BatchRenorm(4, **options),
    "noisy": lambda **options: tn.NoisyBatchNorm(4, **options),
    "over features": lambda **options: tn.ColumnNorm("features", **options),
    "over batch": lambda **options: tn.ColumnNorm("batch", **options),
    "standardized linear": lambda eps=1e-5: tn.standardize_weight_(nn.Linear(4, 3), eps),
}


@pytest.mark.parametrize("name", LAYERS)
def test_state_round_trip(name: str) -> None:
    layer = LAYERS[name]()
    for _ in range(3):
        layer(2 + torch.randn(9, 4))
    other = LAYERS[name]()
    other.load_state_dict(copy.deepcopy(layer.state_dict()))
    x = torch.randn(5, 4)
    assert torch.equal(other.eval()(x), layer.eval()(x))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("training", [True, False])
def test_bfloat16(name: str, training: bool) -> None:
    x = torch.randn(12, 4)
    layer = LAYERS[name]().train(training)
    low = copy.deepcopy(layer).bfloat16()
    torch.manual_seed(1)
    expected = layer(x)
    torch.manual_seed(1)
    y = low(x.bfloat16())
    assert y.dtype == torch.bfloat16
    if not (name == "noisy" and training):  # bfloat16 draws other noise
        assert_close(y.float(), expected, rtol=0, atol=0.06)  # a few roundings of 2⁻⁸ of values up to 3


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("training", [True, False])
def test_compiled_whole(name: str, training: bool) -> None:
    layer = LAYERS[name]().train(training)
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend="aot_eager")
    x = torch.randn(10, 4)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    for module, z in zip((layer, compiled), inputs, strict=True):
        torch.manual_seed(1)
        module(z).pow(3).sum().backward()
    assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-4, atol=1e-4)
    for key, value in layer.state_dict().items():
        assert_close(compiled._orig_mod.state_dict()[key], value)


@pytest.mark.parametrize("name", LAYERS)
def test_eps_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=r"eps=0\.0"):
        LAYERS[name](eps=0.0)


@pytest.mark.parametrize("name", ["ghost", "renorm", "noisy", "over batch"])
def test_one_value_per_channel_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"one value per channel|two or more samples"):
        LAYERS[name]()(torch.randn(1, 4))


@pytest.mark.parametrize("name", ["ghost", "renorm", "noisy"])
def test_channels_must_fit(name: str) -> None:
    with pytest.raises(ValueError, match=r"shape \(6, 5\), but num_features=4"):
        LAYERS[name]()(torch.randn(6, 5))


@pytest.mark.parametrize("name", ["ghost", "renorm", "noisy"])
@pytest.mark.parametrize("shape", [(9, 4), (9, 4, 3), (9, 4, 2, 2)])
def test_eval_mode_is_batch_norm_with_the_same_state(name: str, shape: tuple[int, ...]) -> None:
    layer, plain = LAYERS[name]().double(), nn.SyncBatchNorm(4).double().eval()
    layer(3 + torch.randn(shape, dtype=torch.float64))
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(shape, dtype=torch.float64)
    assert_close(layer.eval()(x), plain(x), rtol=1e-12, atol=1e-12)
