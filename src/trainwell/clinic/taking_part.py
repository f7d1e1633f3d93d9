"""Which tensors take part in the loss, whether or not a gradient comes back to them.

A tensor takes part if the loss of a batch is another with noise added to it, the same dice thrown. ``detach``,
``.data``, ``no_grad`` and comparisons hide it from the gradient and not from this. Forward passes on a copy.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainwell.clinic.meter import FORWARD
from trainwell.clinic.subject import Subject
from trainwell.training.modes import frozen, set_training
from trainwell.training.step import Forward

GROUPS = 8  # of parameters that are asked for one by one
SAME = 1e-6  # relative difference of two losses that counts as none
LOOKUPS = ("__getitem__", "embedding", "index_select", "embedding_bag", "gather", "take")
SMALL = 0.1  # noise on tensors of zeros


class SameBatch:
    """A copy of a program that computes the loss of one batch, again and again with the same dice.

    Args:
        subject: whose meter pays.
    """

    def __init__(self, subject: Subject) -> None:
        self.program, self.meter, self.seed = subject.fresh(), subject.meter, subject.seed
        self.model: nn.Module = self.program.model
        self.parameters: dict[str, Tensor] = dict(self.model.named_parameters())
        self.batch = subject.some_batches(1)[0]
        self._forward = Forward(self.program, "float32", subject.device)
        set_training(self.model, frozen(self.model))

    def value(self) -> Tensor:
        """The loss, with its graph; a third of a pass."""
        self.meter.spend(FORWARD)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return self._forward.loss(self.model, self.batch)

    def loss(self) -> float:
        """The loss; nan where the forward pass fails."""
        try:
            return float(self.value())
        except Exception:  # a stranger's code, and noise in its tensors
            return math.nan

    def matters(self, tensors: Sequence[Tensor], loss: float) -> bool:
        """Whether the loss is another than ``loss`` with noise on these tensors."""
        with disturbed(tensors, self.seed):
            return differs(self.loss(), loss)


@contextmanager
def disturbed(tensors: Sequence[Tensor], seed: int, noise: float = 1.0, shrink: float = 1.0) -> Iterator[None]:
    """Multiply tensors by ``shrink`` and add noise of ``noise`` times their size for this block."""
    kept = [tensor.detach().clone() for tensor in tensors]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in tensors:
            size = float(tensor.double().square().mean().sqrt()) or SMALL
            drawn = torch.randn(tensor.shape, generator=generator).to(tensor)
            tensor.copy_(shrink * tensor + noise * size * drawn)
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, old in zip(tensors, kept, strict=True):
                tensor.copy_(old)


def differs(loss: float, other: float) -> bool:
    """Whether two finite losses are not the same."""
    return math.isfinite(loss) and abs(loss - other) > SAME * max(1e-3, abs(other))


@dataclass(frozen=True)
class Call:
    """One call of an embedding or a linear layer: its path, and the shape of what it gave."""

    path: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Look:
    """What one look at a program with idle parameters gave.

    Attributes:
        cut: parameters that take part in the loss, require a gradient and get none, by name.
        calls: of embeddings and linear layers, in their order.
    """

    cut: dict[str, Tensor] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)


_looks: "WeakKeyDictionary[Subject, Look]" = WeakKeyDictionary()


def cut_off(subject: Subject) -> dict[str, Tensor]:
    """Parameters that take part in the loss, require a gradient and get none, by name."""
    return look(subject).cut


def look(subject: Subject) -> Look:
    """See :class:`Look`; once a subject, and empty for one whose parameters all get gradients."""
    if subject not in _looks:
        _looks[subject] = Look()
        with suppress(Exception):  # a program that only its first step shows
            _fill(subject, _looks[subject])
    return _looks[subject]


def _fill(subject: Subject, found: Look) -> None:
    first, own = subject.first_step, dict(subject.program.model.named_parameters())
    idle = {name: p for name, p in own.items() if p.requires_grad and name not in first.gradients}
    if first.error or not first.gradients or not idle:
        return
    trial = SameBatch(subject)
    with _calls(trial.model, found.calls), Reading() as seen:
        loss = trial.loss()
    read = {name: trial.parameters[name] for name in idle if id(trial.parameters[name]) in seen.ids}
    if not read or not math.isfinite(loss) or trial.loss() != loss:
        return
    for group in _grouped(read):
        if trial.matters(list(group.values()), loss):
            found.cut.update({name: own[name] for name in group})


@contextmanager
def _calls(model: nn.Module, found: list[Call]) -> Iterator[None]:
    """Note the calls of embeddings and linear layers of a copy."""

    def hook(path: str) -> Any:
        def note(module: nn.Module, given: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                found.append(Call(path, tuple(output.shape)))

        return note

    layers = [(path, module) for path, module in model.named_modules() if isinstance(module, nn.Embedding | nn.Linear)]
    handles = [module.register_forward_hook(hook(path)) for path, module in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _grouped(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """By the model's child that they belong to; what is beyond ``GROUPS`` together."""
    groups = dict[str, dict[str, Tensor]]()
    for name, tensor in tensors.items():
        key = name.split(".")[0]
        groups.setdefault(key if key in groups or len(groups) < GROUPS else next(reversed(groups)), {})[name] = tensor
    return list(groups.values())


class Reading(TorchFunctionMode):
    """Notes which tensors functions of torch read that give tensors.

    Attributes:
        ids: of the tensors.
        tables: ids of those that rows are looked up in, by numbers that are data.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ids, self.tables = set[int](), set[int]()

    def __torch_function__(
        self, function: Any, types: Any, given: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Any:
        output = function(*given, **(named or {}))
        read = list(_tensors((*given, *(named or {}).values())))
        if any(True for _ in _tensors(output)):
            self.ids.update(id(tensor) for tensor in read)
            numbers = any(not t.is_floating_point() and t.dtype != torch.bool for t in read)
            if numbers and getattr(function, "__name__", "") in LOOKUPS:
                self.tables.update(id(tensor) for tensor in read)
        return output


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for entry in value:
            yield from _tensors(entry)
