"""A close look at one step: gradients and updates of all parameters, and which rectified units are zero.

Of each parameter at most ``SAMPLED`` elements are read, evenly spaced, and norms are scaled to the whole tensor. What a
layer with weights reads is followed back through pooling, dropout, norms and reshaping to the rectifier that made it,
in the graph of the step itself, so that ``nn.ReLU`` and ``F.relu`` are seen alike; a unit is a channel of a
convolution, else a feature.
"""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from trainwell.clinic.watching.hook import Hook

SAMPLED = 16_384  # elements of a parameter that are read
BACK = 8  # nodes of the graph between a rectifier and the layer that reads it
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KEEPS_ZEROS = (
    "View", "UnsafeView", "ReshapeAlias", "Clone", "Permute", "Transpose", "TBackward", "Contiguous", "ToCopy",
    "Squeeze", "Unsqueeze", "MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "Mean", "NativeDropout", "Mul",
    "NativeBatchNorm", "CudnnBatchNorm", "NativeLayerNorm", "NativeGroupNorm",
)  # fmt: skip


@dataclass(frozen=True)
class ParameterLook:
    """One parameter in one step.

    Attributes:
        key: ``id`` of the parameter.
        path: its name.
        dims, size: of the tensor.
        table: whether it is an embedding, of which a step touches few rows.
        rate: its learning rate.
        gradient: norm; None where there is no gradient.
        weight, update: norms of it before the step, and of what the step added.
        gain: −gradient · update, the descent of the loss that the step should bring to first order.
    """

    key: int
    path: str
    dims: int
    size: int
    table: bool
    rate: float
    gradient: float | None
    weight: float
    update: float
    gain: float

    @property
    def change(self) -> float:
        """‖update‖ / ‖weight‖; nan for a parameter that is zero."""
        return self.update / self.weight if self.weight > 0 else math.nan


@dataclass(frozen=True)
class Zeros:
    """Units of one rectifier: which are zero on all samples.

    Attributes:
        path: of the layer that reads it.
        dead: one truth value a unit.
        samples: of each unit that were seen.
    """

    path: str
    dead: Tensor
    samples: int


@dataclass(frozen=True)
class Look:
    """What was seen of a step."""

    parameters: tuple[ParameterLook, ...]
    zeros: tuple[Zeros, ...]

    @property
    def change(self) -> float:
        """‖update‖ / ‖weight‖ over all matrices and kernels that were updated; nan where there are none."""
        moved = [p for p in self.parameters if p.dims > 1 and not p.table and p.weight > 0]
        weight = math.fsum(p.weight**2 for p in moved)
        return math.sqrt(math.fsum(p.update**2 for p in moved) / weight) if weight > 0 else math.nan

    @property
    def gradient(self) -> float:
        """Norm of the whole gradient."""
        return math.sqrt(math.fsum(p.gradient**2 for p in self.parameters if p.gradient is not None))

    @property
    def gain(self) -> float:
        """−gradient · update over all parameters."""
        return math.fsum(p.gain for p in self.parameters)


@dataclass
class Looking:
    """Takes one look: ``install``, ``before_step``, ``after_step``; ``remove`` in any case.

    Args:
        parameters: (path, parameter) that the optimizers hold.
        layers: (path, module) with weights that read units.
        tables: ids of embeddings' weights.
        seconds: that the hooks of the layers took.
    """

    parameters: list[tuple[str, nn.Parameter]]
    layers: list[tuple[str, nn.Module]]
    tables: frozenset[int]
    seconds: float = 0.0
    _handles: list[RemovableHandle] = field(default_factory=list)
    _zeros: dict[str, list[tuple[Tensor, int]]] = field(default_factory=dict)
    _before: tuple[Tensor, Tensor] | None = None
    _seen: list[tuple[str, nn.Parameter, bool]] = field(default_factory=list)

    def install(self) -> None:
        """Hook the layers."""
        for path, layer in self.layers:
            self._handles.append(layer.register_forward_pre_hook(Hook(self._reader(path))))

    def remove(self) -> None:
        """Unhook the layers."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _reader(self, path: str) -> Any:
        def read(layer: nn.Module, args: tuple[Any, ...]) -> None:
            if torch.compiler.is_compiling() or not torch.is_grad_enabled():
                return
            began = time.perf_counter()
            units = rectified(args[0]) if args and isinstance(args[0], Tensor) else None
            if units is not None and units.dim() > 1 and units.numel() > 0:
                channels = 1 if isinstance(layer, CONVOLUTIONS) or args[0].dim() < units.dim() else units.dim() - 1
                others = [dim for dim in range(units.dim()) if dim != channels]
                dead = units.detach().amax(others) <= 0
                self._zeros.setdefault(path, []).append((dead, units.numel() // units.shape[channels]))
            self.seconds += time.perf_counter() - began

        return read

    @property
    def waiting(self) -> bool:
        """Whether the step is still to come."""
        return self._before is None

    def before_step(self, rates: dict[int, float]) -> None:
        """Copy samples of weights and gradients; parameters with sparse gradients are left out."""
        self._rates = rates
        first = self.parameters[0][1].device if self.parameters else None
        here = [(path, p) for path, p in self.parameters if p.device == first and p.numel() > 0]
        self._seen = [(path, p, p.grad is not None) for path, p in here if p.grad is None or not p.grad.is_sparse]
        if self._seen:
            self._before = self._weights(), self._gradients()

    def after_step(self) -> Look:
        """Measure what the step did."""
        zeros = [
            Zeros(path, torch.stack([dead for dead, _ in each]).all(0), sum(samples for _, samples in each))
            for path, each in self._zeros.items()
            if len({dead.shape for dead, _ in each}) == 1
        ]
        if self._before is None:
            return Look((), tuple(zeros))
        (weights, gradients), sizes = self._before, [_count(p) for _, p, _ in self._seen]
        update = self._weights() - weights
        parts = (weights, gradients, update, gradients * update)
        *norms, gains = (part.split(sizes) for part in parts)
        read = [torch.stack(torch._foreach_norm(list(each))) for each in norms]
        table = torch.stack([*read, torch.stack([each.sum() for each in gains])]).tolist()
        found = []
        for (path, p, graded), size, weight, gradient, change, gain in zip(self._seen, sizes, *table, strict=True):
            whole = p.numel() / size
            factor = math.sqrt(whole)
            found.append(
                ParameterLook(
                    id(p), path, p.dim(), p.numel(), id(p) in self.tables, self._rates.get(id(p), 0.0),
                    factor * gradient if graded else None, factor * weight, factor * change, -whole * gain,
                )
            )  # fmt: skip
        return Look(tuple(found), tuple(zeros))

    def _weights(self) -> Tensor:
        return torch.cat([_sample(p.detach()) for _, p, _ in self._seen])

    def _gradients(self) -> Tensor:
        return torch.cat(
            [
                _sample(p.grad) if graded and p.grad is not None else p.new_zeros(_count(p), dtype=torch.float32)
                for _, p, graded in self._seen
            ]
        )


def _sample(tensor: Tensor) -> Tensor:
    """At most ``SAMPLED`` elements, evenly spaced, in float32."""
    return tensor.detach().reshape(-1)[:: _stride(tensor)].float()


def _stride(tensor: Tensor) -> int:
    return -(-tensor.numel() // SAMPLED)


def _count(tensor: Tensor) -> int:
    return -(-tensor.numel() // _stride(tensor))


def rectified(read: Tensor) -> Tensor | None:
    """The output of the rectifier whose units a layer reads in ``read``; None where there is none close before it."""
    node: Any = read.grad_fn
    for _ in range(BACK):
        name = "" if node is None else node.name()
        try:
            if name.startswith("ReluBackward"):
                return node._saved_result
            if name.startswith("HardtanhBackward") and node._saved_min_val == 0:  # ReLU6
                return node._saved_self.clamp_min(0)
            if name.startswith("ThresholdBackward") and node._saved_threshold == 0:
                return node._saved_self.clamp_min(0)
        except RuntimeError:  # changed in place since, or freed
            return None
        if not name.startswith(KEEPS_ZEROS) or not node.next_functions:
            return None
        node = node.next_functions[0][0]
    return None


def weighted_layers(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """Layers that read units, in order."""
    kinds = (nn.Linear, *CONVOLUTIONS)
    return [(path, module) for path, module in net.named_modules() if isinstance(module, kinds)]


def embeddings(net: nn.Module) -> frozenset[int]:
    """Ids of the parameters of which a step touches some rows only."""
    tables = [module for module in net.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    return frozenset(id(module.weight) for module in tables)
