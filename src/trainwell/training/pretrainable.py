"""Which layers of a traced model an autoencoder can pre-train, and why not the others."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.nn.operations import kind_of
from trainwell.theory.chain import Chain, Layer

_PASSED_OVER = ("norm", "dropout", "pool", "flatten")
_ACROSS_UNITS = ("LogSoftmax", "Softmax", "Softmin")
_TREATED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Target:
    """A layer to pre-train.

    Attributes:
        path: in the module tree.
        module: the layer.
        activation: what follows it, the identity where nothing elementwise does.
        below: norms with running moments, all over the model.
    """

    path: str
    module: nn.Module
    activation: Callable[[Tensor], Tensor]
    below: list[nn.Module]


@dataclass(frozen=True)
class Plan:
    """Layers to pre-train in the order of execution, why others are not, and the head's path."""

    targets: list[Target]
    left: dict[str, str] = field(default_factory=dict)
    head: str = ""


def plan(model: nn.Module, chain: Chain) -> Plan:
    """Choose the layers; the last linear layer is the head and belongs to the labels.

    Raises:
        InputError: if the forward pass fails, or there is no linear layer.
    """
    if chain.incomplete.startswith("The forward pass failed"):
        raise InputError(f"pretrain_: {chain.incomplete}", "Mend the model, or give inputs that it takes.")
    modules = dict(model.named_modules())
    linear = [layer.path for layer in chain if isinstance(modules.get(layer.path), nn.Linear)]
    if not linear:
        raise InputError(
            "pretrain_: the model has no linear layer as its head, so it is not known where its body ends.",
            "Leave the pre-training out, or end the model with a linear layer.",
        )
    head = linear[-1]
    norms = [m for m in model.modules() if kind_of(m) == "norm" and any(True for _ in m.buffers())]
    targets: list[Target] = []
    left: dict[str, str] = {}
    for index, layer in enumerate(chain.layers):
        if layer.path == head or layer.path in left or layer.path in [target.path for target in targets]:
            continue
        module, activation, added = modules.get(layer.path), *_behind(chain, index, modules)
        why = _why_left(layer, module, added, [other.path for other in chain].count(layer.path))
        if why:
            left[layer.path] = why
        elif layer.kind in ("linear", "conv") and module is not None:
            targets.append(Target(layer.path, module, activation, norms))
    return Plan(targets, left, head)


def _why_left(layer: Layer, module: Any, into_addition: bool, times: int) -> str:
    if layer.kind in ("linear", "conv") and isinstance(module, _TREATED):
        if not isinstance(module._parameters.get("weight"), nn.Parameter):
            return "its weight is computed from other parameters"
        if type(module).forward not in [kind.forward for kind in _TREATED]:
            return f"{type(module).__name__} computes in its own way"
        if not module.weight.requires_grad:
            return "its weight is frozen"
        if times > 1:
            return f"it runs {times} times"
        if getattr(module, "padding_mode", "zeros") != "zeros":
            return f"it pads by {module.padding_mode}"
        if into_addition and not module.weight.any():
            return "its weight is zero and goes into an addition: the branch starts as its shortcut"
        return ""
    known = layer.kind in ("norm", "activation") or not layer.parameters
    return "" if known else f"no decoder is known for {layer.name}"


def _behind(chain: Chain, index: int, modules: dict[str, nn.Module]) -> tuple[Callable[[Tensor], Tensor], bool]:
    """The elementwise activation behind a layer, and whether its output goes into an addition."""
    before = chain.layers[index]
    for layer in chain.layers[index + 1 :]:
        if layer.input_shape != before.output_shape or layer.kind == "other":
            return nn.Identity(), layer.kind == "other" and layer.name in ("add", "sub")
        if layer.kind == "activation" and layer.input_shape == layer.output_shape:
            own = modules.get(layer.path)
            if own is not None:
                return copy.deepcopy(own).eval(), False
            known = nn.Identity if layer.name in _ACROSS_UNITS else getattr(nn, layer.name, nn.Identity)
            return known(), False
        if layer.kind not in _PASSED_OVER:
            break
        before = layer
    return nn.Identity(), False
