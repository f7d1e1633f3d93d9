"""Layer-sequential unit variance: weights rescaled, layer after layer, by what the data show.

In the order of execution every linear layer and convolution gets

    W ← W · √(target / Var y),    y = W x + b on the batch, over all units and samples,

until Var y is within the tolerance. Without a bias one pass is exact, since y is linear in W; the variance that a bias
makes stays, and more than the target cannot be scaled away. All happens in one forward pass of the model: each layer is
set right before the next one reads it. The paper starts from orthogonal weights: ``apply_(model, "orthogonal")`` first.
Source: Mishkin & Matas 2016, "All you need is a good init", Algorithm 1, arXiv:1511.06422.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.nn.operations import OPAQUE, kind_of


@dataclass(frozen=True)
class UnitVarianceLayer:
    """What happened to one layer.

    Attributes:
        path: in the module tree.
        kind: ``linear`` or ``conv``.
        variance_before: of its output on the batch, all earlier layers being set already.
        variance_after: and after its weight was rescaled.
        factor: by which the weight was multiplied.
        passes: how many times it was rescaled.
        note: a sentence where it was left alone or missed the target; "" otherwise.
    """

    path: str
    kind: str
    variance_before: float
    variance_after: float
    factor: float
    passes: int
    note: str = ""


@dataclass(frozen=True)
class UnitVariance:
    """What ``lsuv_`` did.

    Attributes:
        target: variance that was asked for.
        layers: linear layers and convolutions in the order in which they ran.
        not_run: paths of those that the batch did not reach; they are as they were.
    """

    target: float
    layers: tuple[UnitVarianceLayer, ...]
    not_run: tuple[str, ...]


def lsuv_(
    model: nn.Module, batch: Any, target: float = 1.0, *, tolerance: float = 0.1, passes: int = 10
) -> UnitVariance:
    """Rescale weights in place so that every layer's output has the variance ``target`` on ``batch``.

    The model runs in the mode in which it is, with its dropout layers switched off. Modes, buffers and torch's random
    state are as before when it returns; biases, frozen, parametrized, shared and all-zero weights too.

    Args:
        model: any module.
        batch: what ``forward`` takes as its one argument, a few hundred samples.
        target: variance, above 0.
        tolerance: relative deviation of the variance at which a layer is left as it is (the paper's 0.1).
        passes: how many times one layer is rescaled at most.

    Raises:
        ValueError: if an argument is impossible or an output is not finite; the weights are then as before.
    """
    if not (math.isfinite(target) and target > 0 and tolerance > 0 and passes >= 1):
        raise ValueError(
            f"lsuv_: target={target}, tolerance={tolerance}, passes={passes} is impossible. "
            "Use a finite target above 0, a tolerance above 0 and at least one pass."
        )
    model = getattr(model, "_orig_mod", model)
    opaque = {id(inner) for module in model.modules() if isinstance(module, OPAQUE) for inner in module.modules()}
    paths = {
        module: path
        for path, module in model.named_modules()
        if kind_of(module) in ("linear", "conv") and id(module) not in opaque
    }
    rescaling = _Rescaling(paths, target, tolerance, passes)
    with torch.no_grad(), _as_found(model), rescaling.hooked():
        model(batch)
    reached = {row.path for row in rescaling.rows}
    return UnitVariance(target, tuple(rescaling.rows), tuple(p for p in paths.values() if p not in reached))


class _Rescaling:
    """Rescales each layer in a forward hook, where its input is at hand, and hands on the new output."""

    def __init__(self, paths: dict[nn.Module, str], target: float, tolerance: float, passes: int) -> None:
        self.paths, self.target, self.tolerance, self.passes = paths, target, tolerance, passes
        self.rows: list[UnitVarianceLayer] = []
        self.done: set[nn.Module] = set()
        self.weights: dict[int, tuple[Tensor, Tensor]] = {}

    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        """Hook the layers for the duration; put the weights back if the forward pass fails."""
        handles = [m.register_forward_hook(self._rescale, prepend=True, with_kwargs=True) for m in self.paths]
        try:
            yield
        except BaseException:
            for weight, before in self.weights.values():
                weight.copy_(before)
            raise
        finally:
            for handle in handles:
                handle.remove()

    def _rescale(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> Any:
        if module in self.done:
            return None
        self.done.add(module)
        path, kind = self.paths[module], kind_of(module)
        before = after = self._variance(output, path)
        weight, note = module._parameters.get("weight"), self._why_left(module)
        if weight is None or note:
            self.rows.append(UnitVarianceLayer(path, kind, before, after, 1.0, 0, note))
            return None
        self.weights[id(weight)] = (weight, weight.clone())
        factor, count = 1.0, 0
        while count < self.passes and after > 0 and abs(after / self.target - 1) > self.tolerance:
            step = (self.target / after) ** 0.5
            weight.mul_(step)
            output = module.forward(*args, **kwargs)
            factor, count, after = factor * step, count + 1, self._variance(output, path)
        if abs(after / self.target - 1) > self.tolerance:
            note = f"Its variance {after:.3g} misses the target after {count} passes."
        self.rows.append(UnitVarianceLayer(path, kind, before, after, factor, count, note))
        return output

    def _why_left(self, module: nn.Module) -> str:
        weight = module._parameters.get("weight")
        if weight is None:
            return "Its weight is computed from other parameters."
        if id(weight) in self.weights:
            return "It shares its weight with a layer that was rescaled already."
        if not weight.requires_grad:
            return "Its weight is frozen."
        return "" if weight.any() else "Its weight is zero."

    def _variance(self, output: Tensor, path: str) -> float:
        value = float(output.to(torch.promote_types(output.dtype, torch.float32)).var(correction=0))
        if not math.isfinite(value):
            raise ValueError(
                f"lsuv_: the output of {path or 'the model'} on the batch is not finite. Look for inf or nan in it."
            )
        return value


@contextlib.contextmanager
def _as_found(model: nn.Module) -> Iterator[None]:
    """Switch dropout off; then put back its mode, all buffers and torch's random state."""
    dropouts = [(module, module.training) for module in model.modules() if kind_of(module) == "dropout"]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        for module, _ in dropouts:
            module.training = False
        with torch.random.fork_rng(devices):
            yield
    finally:
        for module, mode in dropouts:
            module.training = mode
        for module, name, buffer, before in buffers:
            module._buffers[name] = buffer
            if not torch.equal(buffer, before):
                buffer.copy_(before)
