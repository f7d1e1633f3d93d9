"""What goes into and comes back to the linear maps of a model: inputs a and output gradients g, by forward hooks.

A layer is an ``nn.Linear`` or an ``nn.Conv1d/2d/3d`` with one group whose weight is its own (not shared with another
module, not parametrized). Inputs become rows ā (samples, positions, inputs + 1), with a 1 at the end for the bias, and
a kernel's patches are its inputs; gradients become rows (samples, positions, outputs). So for every layer

    ∂L/∂[W b] = Σ_n Σ_t g_nt ā_ntᵀ.

The hooks are :class:`Watch` objects that know their recorder weakly. A copy of a model (``copy.deepcopy``, a pickle)
gets dead ones, which do nothing and are removed when the next recorder is set on the same module; so they never pile
up. Nothing is recorded in evaluation mode, under ``no_grad``, or while ``mode`` is "".
Source: Martens & Grosse 2015, arXiv:1503.05671; Grosse & Martens 2016 (convolutions), arXiv:1602.01407.
"""

import weakref
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional as F

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Watch:
    """A forward hook that reports to its recorder, and to nobody once it is copied or the recorder is gone."""

    def __init__(self, recorder: "Recorder | None" = None) -> None:
        self._recorder = None if recorder is None else weakref.ref(recorder)

    @property
    def dead(self) -> bool:
        return self._recorder is None or self._recorder() is None

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        recorder = None if self._recorder is None else self._recorder()
        if recorder is not None and recorder.mode and module.training and output.requires_grad:
            recorder.record(module, inputs[0], output)

    def __reduce__(self) -> tuple[type["Watch"], tuple[()]]:
        return Watch, ()


@dataclass
class Record:
    """One call of a layer: its input, where its output's gradient will be found, and the gradients found so far."""

    layer: int
    inputs: Tensor
    edge: GradientEdge | None = None
    gradients: list[Tensor] = field(default_factory=list)


class Recorder:
    """Records the calls of a model's layers.

    Args:
        model: whose layers are watched.

    Attributes:
        layers: the watched modules.
        mode: "" records nothing, "gradients" what the next backward brings, "outputs" where to ask for gradients.
        records: since they were taken last.
    """

    def __init__(self, model: nn.Module) -> None:
        self.layers: list[Any] = watched_layers(model)
        self.mode = ""
        self.records: list[Record] = []
        self._index = {id(layer): i for i, layer in enumerate(self.layers)}
        for layer in self.layers:
            hooks = layer._forward_hooks
            for key in [key for key, hook in hooks.items() if isinstance(hook, Watch) and hook.dead]:
                del hooks[key]
            layer.register_forward_hook(Watch(self))

    def record(self, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        """Note one call."""
        record = Record(self._index[id(module)], inputs.detach())
        if self.mode == "outputs":
            record.edge = get_gradient_edge(output)  # of the layer itself, also where an in-place operation follows
            self.records.append(record)
            return

        def arrived(gradient: Tensor) -> None:
            if not record.gradients:
                self.records.append(record)
            record.gradients.append(gradient.detach())

        output.register_hook(arrived)

    def taken(self) -> list[Record]:
        """The records, which are forgotten here."""
        taken, self.records = self.records, []
        return taken


def watched_layers(model: nn.Module) -> list[nn.Module]:
    """The linear and convolutional layers whose weights are trained, and are nobody else's."""
    owners = Counter(id(p) for module in model.modules() for p in module.parameters(recurse=False))
    return [
        module
        for module in model.modules()
        if (type(module) is nn.Linear or (type(module) in CONVOLUTIONS and module.groups == 1))
        and isinstance(module._parameters.get("weight"), nn.Parameter)
        and module.weight.requires_grad
        and all(owners[id(p)] == 1 for p in module.parameters(recurse=False))
    ]


def has_bias(layer: Any) -> bool:
    """Has the layer a bias that is trained with it?"""
    return isinstance(layer.bias, nn.Parameter) and layer.bias.requires_grad


def input_rows(layer: Any, x: Tensor) -> Tensor:
    """Rows ā, shape (samples, positions, inputs [+ 1]), in float32 or better."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if isinstance(layer, CONVOLUTIONS):
        rows = patches(layer, x)
    else:
        rows = x.reshape(len(x) if x.dim() > 1 else 1, -1, x.shape[-1])
    return torch.cat([rows, torch.ones_like(rows[..., :1])], -1) if has_bias(layer) else rows


def gradient_rows(layer: Any, g: Tensor) -> Tensor:
    """Rows g, shape (samples, positions, outputs), in float32 or better."""
    g = g.to(torch.promote_types(g.dtype, torch.float32))
    if isinstance(layer, CONVOLUTIONS):
        batched = g if g.dim() == len(layer.kernel_size) + 2 else g.unsqueeze(0)
        return batched.flatten(2).transpose(1, 2)
    return g.reshape(len(g) if g.dim() > 1 else 1, -1, g.shape[-1])


def patches(layer: Any, x: Tensor) -> Tensor:
    """The inputs of every position of a convolution: (samples, positions, channels · kernel), as weight.flatten(1)."""
    dims = len(layer.kernel_size)
    x = x if x.dim() == dims + 2 else x.unsqueeze(0)
    x = F.pad(x, padding_of(layer), mode="constant" if layer.padding_mode == "zeros" else layer.padding_mode)
    for d in range(dims):
        reach = layer.dilation[d] * (layer.kernel_size[d] - 1) + 1
        x = x.unfold(d + 2, reach, layer.stride[d])[..., :: layer.dilation[d]]
    positions, kernel = range(2, dims + 2), range(dims + 2, 2 * dims + 2)
    x = x.permute(0, *positions, 1, *kernel)  # (samples, *positions, channels, *kernel)
    return x.flatten(dims + 1).flatten(1, dims)


def padding_of(layer: Any) -> list[int]:
    """As ``F.pad`` takes it: last dimension first, before and after."""
    sides: list[int] = []
    for d in reversed(range(len(layer.kernel_size))):
        if layer.padding == "same":
            total = layer.dilation[d] * (layer.kernel_size[d] - 1)
            sides += [total // 2, total - total // 2]
        else:
            sides += [0, 0] if layer.padding == "valid" else [layer.padding[d]] * 2
    return sides
