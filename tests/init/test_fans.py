import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from trainwell.init import fans

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def counted(layer: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """Largest number of inputs that one output depends on, and of outputs that one input reaches: by the Jacobian."""
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x[None])[0].flatten(), torch.zeros(shape))
    touched = jacobian.flatten(1) != 0
    return int(touched.sum(1).max()), int(touched.sum(0).max())


@settings(max_examples=25, deadline=None)
@given(
    dims=st.integers(1, 3),
    groups=st.integers(1, 2),
    into=st.integers(1, 2),
    out=st.integers(1, 2),
    kernel=st.integers(1, 2),
    transposed=st.booleans(),
)
def test_fans_of_convolutions_are_what_the_jacobian_counts(dims, groups, into, out, kernel, transposed):
    kind = (TRANSPOSED if transposed else CONVS)[dims]
    layer = kind(into * groups, out * groups, kernel, groups=groups, bias=False)
    nn.init.ones_(layer.weight)
    assert fans(layer) == counted(layer, (into * groups, *[3] * dims))
    assert fans(layer.weight, groups=groups, transposed=transposed) == fans(layer)


def test_fans_of_known_layers():
    assert fans(nn.Linear(7, 3)) == fans(torch.empty(3, 7)) == (7, 3)
    assert fans(nn.Conv2d(8, 16, (3, 5))) == (120, 240)
    assert fans(nn.Conv1d(8, 16, 3, groups=8)) == (3, 6)
    assert fans(nn.ConvTranspose3d(4, 6, 2, groups=2)) == (16, 24)


@pytest.mark.parametrize(
    ("owner", "groups", "says"),
    [
        (nn.ReLU(), 1, "ReLU has no fans"),
        (torch.empty(5), 1, r"shape \(5,\) has no fans"),
        (torch.empty(0, 5), 1, r"shape \(0, 5\) has no fans"),
        (torch.empty(5, 5), 2, "2 groups do not divide"),
        (torch.empty(5, 5), 0, "0 groups do not divide"),
    ],
)
def test_what_has_no_fans_is_refused(owner, groups, says):
    with pytest.raises(ValueError, match=says):
        fans(owner, groups=groups)
