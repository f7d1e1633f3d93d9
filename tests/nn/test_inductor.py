"""Whole parts through torch's inductor compiler: the same outputs and gradients as run eagerly."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import trainwell.nn as tn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),  # torch's own
    pytest.mark.filterwarnings("ignore:`torch._prims_common.check` is deprecated:FutureWarning"),
]

# nothing to do, refused on rows, GPU only, eigh and solve
NOT_COMPILED = {"none", "instance", "sync", "zca", "cholesky"}


class Side(nn.Module):
    """Layers side by side on the same input, so that one compilation serves them all."""

    def __init__(self, layers: dict[str, nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [layer(x) for layer in self.layers.values()]


def assert_compiles_alike(module: nn.Module, x: torch.Tensor) -> None:
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True)
    results = []
    for function in (module, compiled):
        z = x.clone().requires_grad_()
        torch.manual_seed(0)
        outputs = function(z)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        sum(output.float().square().mean() for output in outputs).backward()
        results.append([*outputs, z.grad])
    for expected, found in zip(*results, strict=True):
        assert_close(found, expected, rtol=2e-4, atol=2e-4)


@pytest.fixture(autouse=True)
def fresh_compiler():
    yield
    torch.compiler.reset()


def test_activations() -> None:
    names = [name for name in tn.ACTIVATIONS if name != "randomized_leaky_relu"]  # draws other numbers when compiled
    assert_compiles_alike(Side({name: tn.activation(name) for name in names}), torch.randn(16, 8))


def test_norms() -> None:
    torch.manual_seed(0)
    names = [name for name in tn.NORMS if name not in NOT_COMPILED | {"noisy"}]
    assert_compiles_alike(Side({name: tn.norm(name, 16) for name in names}), torch.randn(32, 16))


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet20", "transformer", "highway"])
def test_models(name: str) -> None:
    torch.manual_seed(0)
    shape = {"transformer": (6, 4), "highway": (10,), "mlp": (10,)}.get(name, (3, 8, 8))
    assert_compiles_alike(getattr(tn, name)(shape, 3).eval(), torch.randn(4, *shape))
