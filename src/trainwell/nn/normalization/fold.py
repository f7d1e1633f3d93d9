"""Batch normalization folded into the linear map beside it: the same function of fewer operations.

In eval mode batch normalization is affine, channel by channel: z ↦ a z + c with

    a = γ/√(σ̄² + ε),    c = β − a μ̄.

After a map Wx + b it goes into the map's outputs, before one into its inputs:

    a ⊙ (Wx + b) + c = W'x + b'     with  W' = diag(a) W,  b' = a ⊙ b + c,
    W (a ⊙ x + c) + b = W'x + b'    with  W' = W diag(a),  b' = b + W c.

Both are exact up to rounding, except before a convolution that pads with zeros: at the border the padding is 0 where
the unfolded net has 0 as well, but the folded one would need −c/a. Such a place is refused, as is any other where
nothing linear stands beside the normalization.
Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", §3.2, arXiv:1712.05877.
"""

import copy
import inspect
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.parametrize import is_parametrized

from trainwell.nn.normalization.foldable import check_foldable

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_MAPS = (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED)
_TRANSPARENT = (nn.Identity, _DropoutNd)  # the identity in eval mode


@dataclass(frozen=True)
class _Fold:
    norm: str
    map: str
    after: bool  # the normalization comes after the map


@torch.no_grad()
def fold_batchnorm(model: nn.Module) -> nn.Module:
    """Return a copy of the model in eval mode whose batch normalizations are part of the linear maps beside them.

    Every batch normalization (``nn.BatchNorm1d/2d/3d``, cumulative, synchronized, ghost, noisy, renormalized: they are
    the same function in eval mode) goes into the ``nn.Linear``, ``nn.Conv1d/2d/3d`` or ``nn.ConvTranspose1d/2d/3d``
    directly before it or else into the linear layer or unpadded convolution directly after it, and leaves an
    ``nn.Identity`` in its place; the copy has the class, the paths and the signature of the model. Which layers are
    neighbours is read from ``torch.fx`` traces with the default values of optional arguments; where a module's
    forward cannot be traced, its parts are taken one by one, on the assumption that it calls each as a whole.

    Args:
        model: in eval mode. A ``BatchNorm1d`` beside an ``nn.Linear`` is taken to see inputs of shape (N, features);
            on (N, length, features) it normalizes the length instead, which is refused only where
            length ≠ features.

    Raises:
        ValueError: if a normalization over the batch cannot be folded exactly, with its path and the reason: it is in
            train mode, keeps no running statistics or is no scale and shift of each channel, something else than a
            linear map stands on both sides, the convolution after it pads with zeros, or a layer is used in more than
            one place.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU()).eval()
        >>> fold_batchnorm(net)[1]
        Identity()
    """
    check_foldable(model)
    folded = copy.deepcopy(model).eval()
    for fold in _Plan(copy.deepcopy(model).eval()).folds:
        norm, linear = folded.get_submodule(fold.norm), folded.get_submodule(fold.map)
        scale, shift = _affine(norm)
        (_fold_after if fold.after else _fold_before)(linear, scale, shift)
        folded.set_submodule(fold.norm, nn.Identity().eval())
    return folded


class _Tracer(fx.Tracer):
    """Traces through everything but torch's own layers and modules known to be untraceable."""

    def __init__(self, opaque: dict[nn.Module, str]) -> None:
        super().__init__()
        self.opaque = opaque

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m in self.opaque or isinstance(m, (*_MAPS, _BatchNorm)) or super().is_leaf_module(m, "")

    def graph_of(self, root: nn.Module) -> fx.Graph:
        parameters = inspect.signature(root.forward).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fx warns of defaults that it cannot guard by an assertion
            return self.trace(root, concrete_args=defaults or None)


class _Plan:
    """Which normalization of a model goes into which linear map."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.places = Counter(id(module) for module in self.modules.values())
        self.opaque: dict[nn.Module, str] = {}
        self.graphs: dict[nn.Module, fx.Graph] = {}
        self.folds: list[_Fold] = []
        tracer = _Tracer(self.opaque)
        for _, module in reversed(list(model.named_modules())):  # children before their parents
            if not tracer.is_leaf_module(module, ""):
                try:
                    self.graphs[module] = tracer.graph_of(module)
                except Exception as error:  # whatever a forward that meets proxies instead of tensors may raise
                    self.opaque[module] = f"{type(error).__name__}: {' '.join(str(error).split())}"
        self._visit(model, "", "the model itself")

    def _visit(self, module: nn.Module, path: str, within: str) -> None:
        """Plan the folds of a module and of all that it calls."""
        if isinstance(module, _BatchNorm):
            raise ValueError(
                f"fold_batchnorm: what stands beside {path!r} is not known: it is called by {within}. "
                "Put it and the linear map before it into one nn.Sequential."
            )
        if module in self.graphs:
            region = _Region(self, self.graphs[module], path)
            self.folds += region.folds()
            for called in {node.target: node for node in region.calls()}.values():
                inner = region.module(called)
                if inner in self.opaque:
                    self._visit(inner, region.path(called), "")
        elif module in self.opaque:
            for name, child in module.named_children():
                reason = f"{path or 'the model'}, which torch.fx cannot trace ({self.opaque[module]})"
                self._visit(child, f"{path}.{name}".lstrip("."), reason)


class _Region:
    """One traced graph: neighbours, and why two of them cannot become one."""

    def __init__(self, plan: _Plan, graph: fx.Graph, prefix: str) -> None:
        self.plan, self.graph, self.prefix = plan, graph, prefix
        self.uses = Counter(id(self.module(node)) for node in self.calls())
        self.read = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
        self.done: set[fx.Node] = set()

    def calls(self) -> Iterator[fx.Node]:
        return (node for node in self.graph.nodes if node.op == "call_module")

    def path(self, node: fx.Node) -> str:
        return f"{self.prefix}.{node.target}".lstrip(".")

    def module(self, node: fx.Node) -> nn.Module:
        return self.plan.modules[self.path(node)]

    def folds(self) -> list[_Fold]:
        """Fold backward in the order of execution, then what is left forward in the opposite order."""
        norms = [node for node in self.calls() if isinstance(self.module(node), _BatchNorm)]
        found, obstacles = [], {}
        for after, nodes in ((True, norms), (False, norms[::-1])):
            for node in (node for node in nodes if node not in self.done):
                beside = self._before(node) if after else self._after(node)
                obstacle = self._obstacle(node, beside, after)
                if beside is not None and not obstacle:
                    found.append(_Fold(self.path(node), self.path(beside), after))
                    self.done.add(node)
                obstacles[node, after] = obstacle
        for node in norms:
            if node not in self.done:
                raise ValueError(
                    f"fold_batchnorm: {self.path(node)!r} cannot be folded exactly: {obstacles[node, True]}, and "
                    f"{obstacles[node, False]}. Leave it as it is, or place it directly after a linear map."
                )
        return found

    def _transparent(self, node: fx.Node) -> bool:
        return node.op == "call_module" and (node in self.done or isinstance(self.module(node), _TRANSPARENT))

    def _before(self, node: fx.Node) -> fx.Node | None:
        """The node whose value reaches this one and nothing else, or None."""
        source = node.all_input_nodes[0]
        while self._transparent(source) and len(source.users) == 1:
            source = source.all_input_nodes[0]
        return source if len(source.users) == 1 else None

    def _after(self, node: fx.Node) -> fx.Node | None:
        """The only node that this one's value reaches, or None."""
        while len(node.users) == 1:
            node = next(iter(node.users))
            if not self._transparent(node):
                return node
        return None

    def _obstacle(self, node: fx.Node, beside: fx.Node | None, after: bool) -> str:
        """Why a normalization cannot go into its neighbour, empty if it can."""
        side = "before" if after else "after"
        if beside is None:
            return f"what stands {side} it is used in several places"
        if beside.op == "call_module" and is_parametrized(self.module(beside)):
            return f"{self.path(beside)!r} {side} it is parametrized (trainwell.nn.unparametrize_ ends that)"
        if beside.op != "call_module" or type(self.module(beside)) not in _MAPS:
            kind = type(self.module(beside)).__name__ if beside.op == "call_module" else f"{beside.op} {beside.target}"
            return f"{kind} stands {side} it, which is no linear map"
        norm, linear = self.module(node), self.module(beside)
        for layer, place in ((norm, node), (linear, beside)):
            if self.uses[id(layer)] > 1 or self.plan.places[id(layer)] > 1 or place.target in self.read:
                return f"{self.path(place)!r} is shared: its weights serve in more than one place"
            if layer._forward_hooks or layer._forward_pre_hooks:
                return f"{self.path(place)!r} has forward hooks"
        return _mismatch(norm, linear, self.path(beside), after)


def _mismatch(norm: Any, linear: Any, path: str, after: bool) -> str:
    if not after and isinstance(linear, _TRANSPOSED):
        return f"{path!r} after it is transposed, and fewer of its inputs reach the border"
    if not after and isinstance(linear, _CONVOLUTIONS) and linear.padding_mode == "zeros" and _padded(linear):
        return f"{path!r} after it pads with zeros (padding={linear.padding})"
    inputs, outputs = (
        (linear.in_features, linear.out_features)
        if isinstance(linear, nn.Linear)
        else (linear.in_channels, linear.out_channels)
    )
    channels, features = outputs if after else inputs, norm.num_features
    if channels != features:
        return f"{path!r} has {channels} channels on that side and not {features}"
    return ""


def _padded(convolution: Any) -> bool:
    padding = convolution.padding
    if padding == "same":
        return any(size > 1 for size in convolution.kernel_size)
    return padding != "valid" and any(padding)


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """a and c of the normalization z ↦ a z + c in eval mode, shape (channels,)."""
    dtype = torch.promote_types(norm.running_var.dtype, torch.float32)
    scale = (norm.running_var.to(dtype) + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -scale * norm.running_mean
    return scale, shift if norm.bias is None else shift + norm.bias


def _fold_after(linear: Any, scale: Tensor, shift: Tensor) -> None:
    weight, bias = linear.weight, linear.bias
    if isinstance(linear, _TRANSPOSED):  # weight (inputs, outputs / groups, *kernel), inputs in blocks by group
        rows = scale.view(linear.groups, -1).repeat_interleave(linear.in_channels // linear.groups, 0)
        factor = rows.view(*rows.shape, *[1] * len(linear.kernel_size))
    else:
        factor = scale.view(-1, *[1] * (weight.dim() - 1))
    _replace(linear, weight * factor, shift if bias is None else scale * bias + shift)


def _fold_before(linear: Any, scale: Tensor, shift: Tensor) -> None:
    weight, bias = linear.weight, linear.bias
    groups = linear.groups if isinstance(linear, _CONVOLUTIONS) else 1
    blocks = weight.unflatten(0, (groups, -1))  # (groups, outputs/g, inputs/g, *kernel)
    shape = (groups, 1, -1, *[1] * (blocks.dim() - 3))
    added = (blocks * shift.view(shape)).flatten(2).sum(2).flatten()
    _replace(linear, (blocks * scale.view(shape)).flatten(0, 1), added if bias is None else bias + added)


def _replace(linear: Any, weight: Tensor, bias: Tensor) -> None:
    old = linear._parameters["weight"]
    for name, value in (("weight", weight), ("bias", bias)):
        linear.register_parameter(name, nn.Parameter(value.to(old), requires_grad=old.requires_grad))
