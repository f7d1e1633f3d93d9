"""Signal and gradient of a program's net before its first step, layer by layer, and of the same net well initialized.

One forward and backward pass in training mode (dropout off) on a copy; calls of leaf modules and functions of torch
between them are seen alike (as in ``nn.tracer``). Of every layer with weights z is its output, of an activation h:

    moment = E z²,   spread = √(Var over samples, mean over units),   gradient = ‖∂L/∂z‖ of the mean loss

The reference is the same net with its weights drawn anew: the same shapes, data and loss, so that what the two differ
in is the initialization's doing, and what they share is not. Two passes of 256 samples at most.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainwell.clinic.cures.initialization import redraw_
from trainwell.clinic.quality import first_tensor
from trainwell.clinic.sampling import gathered
from trainwell.clinic.subject import Subject
from trainwell.nn.models.recurrent_layers import RecurrentLayer
from trainwell.nn.operations import FUNCTIONS, OPAQUE, canonical_name, kind_of
from trainwell.training.batches import moved
from trainwell.training.modes import frozen, set_training
from trainwell.training.program import Program, leaves
from trainwell.training.step import Forward

MOST, BATCHES = 256, 2  # samples of a pass, and how many batches they may cost
BOUNDED = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0), "Hardtanh": (-1.0, 1.0), "Softsign": (-1.0, 1.0)}
RECTIFIERS = ("ReLU", "ReLU6")
EDGE = 0.025  # share of an activation's range next to each end that counts as saturated
RECURRENT = (nn.RNNBase, RecurrentLayer)


@dataclass
class LayerSignal:
    """One call of a layer with weights or of an activation.

    Attributes:
        path: of the module; a function is called ``relu()``.
        kind: ``weights``, ``activation`` or ``norm``.
        name: class of the module, or of the activation that a function is.
        units: features or channels.
        moment, spread, gradient: see the file's formulas; the gradient is nan where none came.
        dead: share of units that are exactly zero on all samples.
        saturated: share of values next to the ends of a bounded activation's range; 0 for others.
    """

    path: str
    kind: str
    name: str
    units: int
    moment: float
    spread: float
    dead: float
    saturated: float
    gradient: float = math.nan


@dataclass(frozen=True)
class Signals:
    """What one pass showed.

    Attributes:
        layers: in the order of the calls.
        loss: its value.
        output: E of the squared output.
        gradients: root mean square of the gradient of each parameter, by name.
        norm: of the whole gradient.
        samples: in the pass.
    """

    layers: tuple[LayerSignal, ...]
    loss: float
    output: float
    gradients: dict[str, float]
    norm: float
    samples: int

    def of(self, *kinds: str) -> list[LayerSignal]:
        """The layers of these kinds."""
        return [layer for layer in self.layers if layer.kind in kinds]

    @property
    def reach(self) -> float:
        """‖∂L/∂z‖ of the first layer with weights over that of the last but one: how far the gradient gets; or nan."""
        layers = [layer for layer in self.of("weights") if not math.isnan(layer.gradient)]
        if len(layers) < 3 or not layers[-2].gradient > 0:
            return math.nan
        return layers[0].gradient / layers[-2].gradient

    @property
    def contrast(self) -> float:
        """Spread over size of what the last layer reads: what is left of the differences between samples; or nan."""
        last = max((i for i, layer in enumerate(self.layers) if layer.kind == "weights"), default=0)
        if last == 0:
            return math.nan
        before = self.layers[last - 1]
        return before.spread / math.sqrt(before.moment) if before.moment > 0 else 0.0

    @property
    def hidden(self) -> list[LayerSignal]:
        """Activations behind which weights follow: all but the head's."""
        last = max((i for i, layer in enumerate(self.layers) if layer.kind == "weights"), default=-1)
        return [layer for layer in self.layers[: max(0, last)] if layer.kind == "activation"]


@dataclass(frozen=True)
class Comparison:
    """The program's net as it is, and drawn anew."""

    own: Signals
    drawn: Signals | None


_MEASURED: WeakKeyDictionary[Subject, Comparison | None] = WeakKeyDictionary()


def compare(subject: Subject) -> Comparison | None:
    """Measure the program's net and its reference, once a subject; None where a pass fails."""
    if subject not in _MEASURED:
        own = _measured(subject, subject.fresh())
        other = subject.fresh()
        drawn = None
        if own is not None:
            try:
                redraw_(other.model, subject.program, seed=subject.seed)
                drawn = _measured(subject, other)
            except Exception:  # a net of layers that cannot be drawn anew has no reference
                drawn = None
        _MEASURED[subject] = None if own is None else Comparison(own, drawn)
    return _MEASURED[subject]


def _batch(subject: Subject) -> tuple[Any, int]:
    """Some samples with their targets, and how many; the program's first batch where it has a loss of its own."""
    program = subject.program
    if program.step is None and program.objective is None:
        size = _size(program)
        sample = gathered(program.train, size, min(MOST, BATCHES * size), subject.device)
        return (sample.x, sample.y), len(sample.y)
    batch = subject.some_batches(1)[0]
    first = batch
    while not isinstance(first, Tensor):
        first = leaves(first)[0]
    return batch, len(first)


def _size(program: Program) -> int:
    return int(getattr(program.train, "batch_size", None) or program.batch_size)


def _measured(subject: Subject, program: Program) -> Signals | None:
    watch = _Watch(program.model)
    state = torch.get_rng_state()
    device = next((p.device for p in program.model.parameters()), torch.device("cpu"))
    try:
        batch, count = _batch(subject)
        subject.meter.spend(count / _size(program))
        batch = tuple(piece if piece is None else moved(piece, device) for piece in batch)
        set_training(program.model, frozen(program.model))
        for module in program.model.modules():
            if kind_of(module) == "dropout":
                module.eval()
        with warnings.catch_warnings(), watch.hooked():
            warnings.simplefilter("ignore")
            forward, output = Forward(program, "float32", device), None
            if program.step is not None or program.objective is not None:
                with watch:
                    loss = forward.loss(program.model, batch)
            else:
                with watch:
                    output = forward.output(program.model, batch[0])
                loss = forward.loss_of(output, batch[1], None)
            loss.backward()
    except Exception:  # what keeps a step from running is another probe's matter
        return None
    finally:
        torch.set_rng_state(state)
    grads = {n: p.grad.double() for n, p in program.model.named_parameters() if p.grad is not None}
    total = math.sqrt(sum(float(g.square().sum()) for g in grads.values()))
    squared = math.nan if output is None else float(first_tensor(output).detach().double().square().mean())
    sizes = {name: float(g.square().mean().sqrt()) for name, g in grads.items()}
    return Signals(tuple(watch.seen), float(loss.detach()), squared, sizes, total, count)


class _Watch(TorchFunctionMode):
    """Notes what leaf modules and functions of torch give, and the gradient that comes back to it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.paths = {module: path for path, module in model.named_modules()}
        self.running: list[nn.Module] = []
        self.seen: list[LayerSignal] = []
        self.images = False  # whether the last layer with weights was a convolution: units are channels

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Hook every module for the duration."""
        handles = []
        for module in self.paths:
            if _is_leaf(module):
                handles.append(module.register_forward_pre_hook(self._enter))
                handles.append(module.register_forward_hook(self._leave))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, args: Any) -> None:
        self.running.append(module)

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if self.running and self.running[-1] is module:
            self.running.pop()
        kind = kind_of(module)
        if kind in ("linear", "conv", "embedding") or isinstance(module, (*OPAQUE, *RECURRENT)):
            self.images = kind == "conv"
            kind = "weights"
        self._note(self.paths[module], kind, type(module).__name__, output)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if not self.running:
            name = canonical_name(func)
            kind, shown = FUNCTIONS.get(name, ("", name))
            if kind in ("linear", "conv"):
                self.images, kind = kind == "conv", "weights"
            self._note(f"{name}()", kind, shown, output)
        return output

    def _note(self, path: str, kind: str, name: str, output: Any) -> None:
        if kind not in ("weights", "activation", "norm"):
            return
        try:
            value = first_tensor(output)
        except Exception:  # nothing that holds a tensor
            return
        if value.dim() < 2 or not value.is_floating_point() or not value.numel():
            return
        with torch._C.DisableTorchFunction():
            layer = _numbers(path, kind, name, value.detach(), self.images)
            if value.requires_grad:

                def keep(gradient: Tensor) -> None:
                    layer.gradient = float(gradient.detach().double().norm())

                value.register_hook(keep)
        self.seen.append(layer)


def _is_leaf(module: nn.Module) -> bool:
    return kind_of(module) != "other" or isinstance(module, (*OPAQUE, *RECURRENT))


def _numbers(path: str, kind: str, name: str, value: Tensor, images: bool) -> LayerSignal:
    z = value.double()
    axis = 1 if images and z.dim() > 2 else z.dim() - 1
    units = z.transpose(0, axis).reshape(z.shape[axis], -1)  # (units, samples × places)
    moment = float(z.square().mean())
    spread = float(z.var(0, unbiased=False).mean().sqrt())
    dead = float((units == 0).all(1).double().mean()) if kind == "activation" and name in RECTIFIERS else 0.0
    saturated = 0.0
    low, high = BOUNDED.get("Tanh" if name in ("RNN", "LSTM", "GRU") else name, (math.nan, math.nan))
    if not math.isnan(low):
        edge = EDGE * (high - low)
        saturated = float(((z < low + edge) | (z > high - edge)).double().mean())
    return LayerSignal(path, kind, name, len(units), moment, spread, dead, saturated)
