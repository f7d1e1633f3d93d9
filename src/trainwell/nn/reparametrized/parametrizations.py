"""What a layer computes with in place of its free weight: parametrizations by name.

    weight_norm               w_o = g_o v_o/‖v_o‖ for each output o: length and direction apart
    spectral_norm             W / σ_max(W), by one step of power iteration a forward pass in train mode
    weight_standardization    each output's weights with mean 0 and variance 1
    column_norm               all that an input sends out with norm 1
    orthogonal_exp, orthogonal_cayley, orthogonal_householder    orthonormal rows or columns
    binary, binary_scaled     signs, with a straight-through gradient; times the mean size of the output's weights

A kernel counts as the matrix (outputs, inputs · window); σ_max and orthogonality are that matrix's, not those of the
convolution as a map of images. Only ``weight_norm`` and, of an orthogonal weight, ``orthogonal_*`` start at the given
weight; ``spectral_norm`` starts at a multiple of it, ``column_norm`` at a multiple of each column,
``weight_standardization`` at each row shifted and scaled, ``binary`` at its signs, ``binary_scaled`` at the nearest
multiples of signs, and ``orthogonal_*`` at the nearest orthogonal matrix. So initialize first, then parametrize.

None but ``weight_norm`` can give a zero weight: one that is all zeros (the last of a branch that should start as its
shortcut) is drawn from N(0, 1/fan_in) before. Under ``weight_norm`` it stays zero, with g = 0 and random directions.
Source of weight normalization: Salimans & Kingma 2016, eqs. 2–3, arXiv:1602.07868; of spectral normalization: Miyato et
al. 2018, arXiv:1802.05957. Both are PyTorch's own; the other parts name theirs.
"""

import fnmatch
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations as library
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from trainwell.errors import InputError
from trainwell.nearest_name import nearest
from trainwell.nn.reparametrized.binary_weights import BinaryWeight
from trainwell.nn.reparametrized.orthogonal_kernel import OrthogonalKernel
from trainwell.nn.reparametrized.unit_columns import UnitColumns
from trainwell.nn.reparametrized.weight_standardization import WeightStandardization

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class _FullPrecision(nn.Module):
    """A parametrization of the library's without autocast, which would store its vectors in bfloat16."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            return self.inner(weight)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


class _Holder(nn.Module):
    """Owner of a weight, for which the library makes a parametrization."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)


def _groups(layer: Any) -> int:
    return getattr(layer, "groups", 1)


def _weight_norm_(layer: Any) -> None:
    library.weight_norm(layer, "weight")
    direction = layer.parametrizations.weight.original1
    silent = direction.flatten(1).norm(dim=1) == 0
    direction[silent] = torch.randn_like(direction[silent])


def _spectral_norm_(layer: Any) -> None:
    held: Any = library.spectral_norm(_Holder(layer.weight.detach().clone()), "weight")
    register_parametrization(layer, "weight", _FullPrecision(held.parametrizations.weight[0]))


def _column_norm_(layer: Any) -> None:
    blocks = layer.weight.unflatten(0, (_groups(layer), -1)).transpose(1, 2)  # a view: (groups, inputs, outputs, …)
    silent = blocks.flatten(2).norm(dim=2) == 0
    blocks[silent] = torch.randn_like(blocks[silent])
    register_parametrization(layer, "weight", UnitColumns(_groups(layer)))


def _by(make: Callable[[Any], nn.Module]) -> Callable[[Any], None]:
    def change(layer: Any) -> None:
        register_parametrization(layer, "weight", make(layer))

    return change


_CHANGES: dict[str, Callable[[Any], None]] = {
    "none": lambda layer: None,
    "weight_norm": _weight_norm_,
    "spectral_norm": _spectral_norm_,
    "weight_standardization": _by(lambda layer: WeightStandardization()),
    "column_norm": _column_norm_,
    "orthogonal_exp": _by(lambda layer: OrthogonalKernel("exp", _groups(layer))),
    "orthogonal_cayley": _by(lambda layer: OrthogonalKernel("cayley", _groups(layer))),
    "orthogonal_householder": _by(lambda layer: OrthogonalKernel("householder", _groups(layer))),
    "binary": _by(lambda layer: BinaryWeight()),
    "binary_scaled": _by(lambda layer: BinaryWeight(scaled=True)),
}

PARAMETRIZATIONS: tuple[str, ...] = tuple(_CHANGES)


@torch.no_grad()
def parametrize_(model: nn.Module, name: str, *, keep: Sequence[str] = ()) -> list[str]:
    """Parametrize the weight of every linear layer and convolution of the model, in place.

    Left alone are weights that are frozen, parametrized already or shared with another module (a parametrization would
    untie them), transposed convolutions, recurrent layers, and the few weights that would lose all they say: with one
    number an output (``weight_standardization``) or an input (``column_norm``). The trained numbers are at
    ``layer.parametrizations.weight`` from then on: initialize and freeze before, make the optimizer after.

    Args:
        model: any module; a linear layer or convolution itself will do.
        name: one of ``PARAMETRIZATIONS``; ``none`` changes nothing.
        keep: patterns such as ``"head.*"`` of the paths of layers to leave alone.

    Returns:
        The paths of the layers changed.

    Raises:
        InputError: if there is none of this name, or no layer that can take it.

    Example:
        >>> parametrize_(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), "weight_norm")
        ['0', '2']
    """
    if name not in _CHANGES:
        hint = nearest(name, PARAMETRIZATIONS, f"Use one of {', '.join(PARAMETRIZATIONS)}.")
        raise InputError(f"parametrization={name!r} is not known.", hint)
    if name == "none":
        return []
    owners = Counter(id(p) for module in model.modules() for p in module._parameters.values() if p is not None)
    changed = []
    for path, layer in list(model.named_modules()):
        if not isinstance(layer, _LAYERS) or any(fnmatch.fnmatchcase(path, pattern) for pattern in keep):
            continue
        weight = layer._parameters.get("weight")  # None where it is parametrized
        if weight is None or not weight.requires_grad or owners[id(weight)] > 1 or not _says_enough(layer, name):
            continue
        if name != "weight_norm" and not weight.any():
            nn.init.kaiming_normal_(weight, nonlinearity="linear")
        _CHANGES[name](layer)
        changed.append(path)
    if not changed:
        raise InputError(
            f"parametrization={name!r}: the model has no linear layer or convolution with a free weight of its own.",
            "Use parametrization='none'.",
        )
    return changed


def _says_enough(layer: Any, name: str) -> bool:
    if name == "weight_standardization":
        return bool(layer.weight[0].numel() > 1)
    return bool(name != "column_norm" or layer.weight[:, 0].numel() > _groups(layer))


@torch.no_grad()
def unparametrize_(model: nn.Module) -> list[str]:
    """Replace every parametrized tensor of the model by an ordinary parameter of its present value, in place.

    The function stays what it is in eval mode. Weights that were frozen stay so.

    Returns:
        The paths of the tensors.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 4))
        >>> parametrize_(net, "orthogonal_exp"), unparametrize_(net), list(net.state_dict())
        (['0'], ['0.weight'], ['0.weight', '0.bias'])
    """
    baked = []
    for path, module in list(model.named_modules()):
        if is_parametrized(module):
            baked += [f"{path}.{name}".lstrip(".") for name in _bake_(module)]
    return baked


def _bake_(module: Any) -> list[str]:
    """Make a module's parametrized tensors ordinary ones.

    ``remove_parametrizations`` would take the tensors' names out of the module's class, which copies of the module
    share: they would be left without a weight.
    """
    training = [(part, part.training) for part in module.modules()]
    module.eval()  # spectral normalization would take another step
    trained = {
        name: any(p.requires_grad for p in parts.parameters(False)) for name, parts in module.parametrizations.items()
    }
    values = {name: getattr(module, name).detach().clone() for name in trained}
    for part, mode in training:
        part.training = mode
    del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    others = dict(module._parameters)
    module._parameters.clear()
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value, requires_grad=trained[name]))
    module._parameters.update(others)  # the weight stands before the bias again
    return list(values)
