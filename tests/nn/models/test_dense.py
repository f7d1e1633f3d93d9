import pytest
import torch
from torch.testing import assert_close

from trainwell.errors import InputError
from trainwell.nn import activation, mlp
from trainwell.nn.models.dense import DenseBlock
from trainwell.nn.nonlinear.activations import ACTIVATIONS, gain, pieces
from trainwell.nn.normalization.norms import NORMS


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_parameters_follow_the_closed_form(depth):
    inputs, width, outputs = 12, 16, 3
    model = mlp((3, 4), outputs, width=width, depth=depth, norm="batch")
    stem, head = inputs * width + width, width * outputs + outputs
    block = 2 * width + 2 * (width * width + width)
    assert sum(p.numel() for p in model.parameters()) == stem + depth * block + 2 * width + head


@pytest.mark.parametrize("norm", [name for name in NORMS if name not in ("instance", "sync")])
def test_block_starts_as_the_identity(norm):
    x = torch.randn(8, 16)
    assert torch.equal(DenseBlock(16, "gelu", norm, dropout=0.0)(x), x)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_depth_does_not_change_the_function_at_the_start(norm):
    outputs = []
    for depth in (0, 20):
        torch.manual_seed(0)
        shallow = mlp((5,), 2, width=32, depth=depth, norm=norm, dropout=0.0).eval()
        reference = mlp((5,), 2, width=32, depth=0, norm=norm, dropout=0.0).eval()
        reference[1].load_state_dict(shallow[1].state_dict())
        reference[-1].load_state_dict(shallow[-1].state_dict())
        x = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
        outputs.append((shallow(x), reference(x)))
    for deep, reference in outputs:
        assert_close(deep, reference)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'gelu'"):
        mlp((5,), 2, activation="gelo")
    with pytest.raises(InputError, match="Did you mean 'batch'"):
        mlp((5,), 2, norm="bacth")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gain_keeps_the_second_moment(name):
    z = torch.randn(400_000, pieces(name), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        h = gain(name) * activation(name).double().eval()(z)
    assert_close(h.square().mean().item(), 1.0, rtol=0.02, atol=0)  # 4 standard errors


def test_gain_of_relu_is_kaimings():  # closed form; the quadrature's error at the kink is 1/√nodes of a percent
    assert gain("relu") == pytest.approx(2**0.5, rel=1e-12)
