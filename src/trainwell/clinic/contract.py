"""What the loss expects of an output, and what the model's last layer can give, both found out by running them.

The loss is asked on made-up outputs z and targets t of the program's own shapes:

    softmax         L(z + c) = L(z) for a number c a row            cross-entropy: logits of classes
    log             L(z + c) = L(z) − k c with k > 0                negative log-likelihood: log-probabilities
    probability     L(t) = 0, L(1 − t) ≥ 5                          binary cross-entropy of probabilities
    logit           L(±30) = 0 and L(∓30) ≥ 5, + where t = 1        binary cross-entropy of logits
    values          L(t) = 0, ∂L/∂z = 0 there, 0 < L(1 − t) < 5     squared error and its kin

The model's head is asked with weights of its last layer drawn anew, of size 10³ and 10⁴ and of both signs: what stays
within bounds is bounded by construction, as a sigmoid is; rows that sum to one are a softmax. Names play no part.
"""

import math
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from trainwell.clinic.asking import asked, own_loss
from trainwell.clinic.duplicate import duplicate
from trainwell.clinic.subject import Subject
from trainwell.objectives.standardized import StandardizedLoss
from trainwell.theory.chain import Layer
from trainwell.training.batches import mapped
from trainwell.training.step import parts

LOGITS = ("softmax", "logit")
ROWS = 64  # samples that the head is asked with
CERTAIN_GAP = 5.0  # loss of an answer that is wrong with certainty: squared and absolute error give 1


@dataclass(frozen=True)
class Head:
    """What the model can answer.

    Attributes:
        low, high: bounds that no weights of the last layer get beyond; ∓inf where there are none.
        simplex: rows are nonnegative and sum to one.
        logs: rows are logarithms of such.
        columns: it is the columns, one over the samples of a batch, that sum to one.
        constant: it is the same number whatever the weights.
        last: the last step of the forward pass that computes something, where it is known.
    """

    low: float = -math.inf
    high: float = math.inf
    simplex: bool = False
    logs: bool = False
    columns: bool = False
    constant: bool = False
    last: Layer | None = None

    @property
    def bounded(self) -> bool:
        """On both sides."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def spread(self) -> float:
        """Largest difference of two outputs."""
        return self.high - self.low


@dataclass(frozen=True)
class Contract:
    """Loss and model of a program against each other.

    Attributes:
        wants: ``softmax``, ``log``, ``probability``, ``logit``, ``values``, or "" where the loss fits none.
        takes_codes: the loss takes class codes for outputs with one number a class.
        head: of the model.
        output: of the first batch, or None where the forward pass fails or gives several things.
        y: its targets, or None.
    """

    wants: str
    takes_codes: bool
    head: Head
    output: Tensor | None
    y: Tensor | None

    @property
    def outputs(self) -> int:
        """Numbers a sample; for pictures and series, channels or classes along the second axis."""
        return 0 if self.output is None else 1 if self.output.dim() == 1 else self.output.shape[1]


_made: "WeakKeyDictionary[Subject, Contract]" = WeakKeyDictionary()


def contract_of(subject: Subject) -> Contract:
    """Find the contract, once for each subject; costs at most two passes."""
    if subject not in _made:
        _made[subject] = _measured(subject)
    return _made[subject]


def _measured(subject: Subject) -> Contract:
    first, program = subject.first_step, subject.program
    output = first.output if isinstance(first.output, Tensor) and first.output.is_floating_point() else None
    y = first.y if isinstance(first.y, Tensor) else None
    if output is None or y is None or output.dim() == 0 or program.step is not None:
        return Contract("", False, Head(), None, y)
    state = torch.get_rng_state()
    try:
        loss = own_loss(program.loss)
        if output.dtype in (torch.bfloat16, torch.float16):  # differences of 10⁻⁴ are looked for
            output, loss = output.float(), loss.float() if isinstance(loss, nn.Module) else loss
        inner = loss.loss if isinstance(loss, StandardizedLoss) else loss  # made-up targets are not in its unit
        codes, wants = expected(inner, output, y.dtype)
        head = head_of(subject)
    finally:
        torch.set_rng_state(state)
    return Contract(wants, codes, head, output, y)


# the loss


def expected(loss: Any, output: Tensor, dtype: torch.dtype = torch.float32) -> tuple[bool, str]:
    """Whether the loss takes class codes, and what it wants, from made-up samples of the shape of ``output``."""
    classes = output.shape[1] if output.dim() > 1 else 1
    n = 2 * classes + 3  # no number of classes: a broadcast would not be seen
    generator = torch.Generator().manual_seed(0)
    shape = (n, *output.shape[1:])
    z = torch.randn(shape, generator=generator).to(output.device, output.dtype)
    if classes > 1:
        t = torch.randint(0, classes, (n, *output.shape[2:]), generator=generator).to(output.device)
        found = _of_rows(loss, z, t)
        if found:
            return True, found
        onehot = nn.functional.one_hot(t, classes).movedim(-1, 1).to(z)
        if _value(loss, z, t) is not None and _flat_at(loss, onehot, t):
            return True, "values"
        found = _of_rows(loss, z, onehot)
        if found:
            return False, found
        return False, _of_numbers(loss, z, (torch.rand(shape, generator=generator) < 0.5).to(z))
    t = (torch.rand(shape, generator=generator) < 0.5).to(z)
    found = _of_numbers(loss, z, t)
    if not found and output.dim() > 1:  # a loss that shapes targets (n,) itself
        found = _of_numbers(lambda answer, target: loss(answer, target.flatten().to(dtype)), z, t)
    if not found:
        zeros = torch.zeros((n, *output.shape[2:]), dtype=torch.long, device=output.device)
        nothing = _value(loss, z, t if output.dim() > 1 else zeros)
        alone = _value(loss, z, zeros) if output.dim() > 1 else None
        if nothing == 0.0 or alone == 0.0:
            return alone == 0.0, "softmax"  # of one class: the loss of every answer is 0
    return False, found


def _of_rows(loss: Any, z: Tensor, t: Tensor) -> str:
    """``softmax`` or ``log`` of a loss that compares the outputs of one row with each other, else ""."""
    here, there, far = (_value(loss, z + c, t) for c in (0.0, 3.0, 6.0))
    if here is None or there is None or far is None:
        return ""
    size = 1e-4 * (1 + abs(here))
    if abs(there - here) < size:
        moved = _value(loss, 2 * z, t)
        return "softmax" if moved is not None and abs(moved - here) > size else ""
    step, twice, double = here - there, here - far, _value(loss, 2 * z, t)
    linear = step > size and abs(twice - 2 * step) < 1e-3 * step
    nothing = _value(loss, 0 * z, t) or 0.0
    return "log" if linear and double is not None and abs(double - 2 * here + nothing) < 10 * size else ""


def _of_numbers(loss: Any, z: Tensor, t: Tensor) -> str:
    """``probability``, ``logit`` or ``values`` of a loss that compares number by number, else ""."""
    right, wrong = _value(loss, t, t), _value(loss, 1 - t, t)
    if right is not None and wrong is not None and abs(right) < 1e-3 and wrong >= CERTAIN_GAP:
        outside = _value(loss, 3 * t - 1, t)  # refused, not finite, or clamped
        if outside is None or abs(outside) < 1e-3:
            return "probability"
    sure, unsure = _value(loss, 60 * t - 30, t), _value(loss, 30 - 60 * t, t)
    if sure is not None and unsure is not None and abs(sure) < 1e-3 and unsure >= CERTAIN_GAP:
        return "logit"
    return "values" if _flat_at(loss, t, t) else ""


def _flat_at(loss: Any, z: Tensor, t: Tensor) -> bool:
    """Is ``z`` a smallest loss, with no gradient, and half a unit beside it not?"""
    with torch.enable_grad():
        z = z.clone().requires_grad_()
        try:
            value = asked(loss, z, t)
            (gradient,) = torch.autograd.grad(value, z)
        except Exception:  # a loss that refuses these targets does not want them
            return False
    beside = [_value(loss, z.detach() + by, t) for by in (0.5, -0.5)]
    here = float(value.detach())
    return abs(here) < 1e-6 and float(gradient.abs().max()) < 1e-6 and all(b is not None and b > 1e-4 for b in beside)


def _value(loss: Any, z: Tensor, t: Tensor) -> float | None:
    """The loss, or None where it cannot be had."""
    try:
        value = float(asked(loss, z, t).mean().detach())
    except Exception:
        return None
    return value if math.isfinite(value) else None


# the model


def head_of(subject: Subject) -> Head:
    """Ask the model with its last weights replaced by large ones of both signs."""
    layers = subject.chain.layers
    last = next((layer for layer in reversed(layers) if layer.kind not in ("flatten", "dropout", "output")), None)
    batch = subject.some_batches(1)[0]
    x = mapped(parts(batch)[0], lambda t: t[:ROWS])
    plain = _answers(subject, x, None, 1.0)
    holder = next((layer.path for layer in reversed(layers) if layer.parameters), None)
    holder = None if holder is None or holder.endswith("()") else holder
    pushed = [_answers(subject, x, holder, by) for by in (1e3, -1e3, 1e4, -1e4)]
    subject.meter.spend(5 / 3 * min(1.0, ROWS / max(1, subject.program.batch_size)))
    if plain is None or any(p is None for p in pushed):
        return Head(last=last)
    near, far = torch.stack(pushed[:2]), torch.stack(pushed[2:])  # type: ignore[arg-type]
    every = torch.stack([plain, *pushed])  # type: ignore[list-item]
    low, high = _bound(-near, -far, -every), _bound(near, far, every)
    return Head(
        low=-low, high=high, last=last,
        simplex=_sums(every, 2), logs=bool((every <= 1e-6).all()) and _sums(every.double().exp(), 2),
        columns=_sums(every, 1) and not _sums(every, 2),
        constant=every.numel() > 1 and float(every.max() - every.min()) < 1e-6,
    )  # fmt: skip


def _answers(subject: Subject, x: Any, holder: str | None, by: float) -> Tensor | None:
    model = duplicate(subject.program.model).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        if by != 1.0 and holder is None:
            for parameter in model.parameters():
                parameter.mul_(math.copysign(abs(by) ** 0.5, by))
        elif by != 1.0:
            for parameter in model.get_submodule(holder).parameters():
                parameter.copy_(by * torch.randn(parameter.shape, generator=generator))
        output = model(x)
    return output.float() if isinstance(output, Tensor) and bool(torch.isfinite(output).all()) else None


def _bound(near: Tensor, far: Tensor, every: Tensor) -> float:
    """Upper bound, or inf where ten times the weights go further up."""
    a, b = float(near.max()), float(far.max())
    return float(every.max()) if b <= a + 0.01 * abs(a) + 1e-6 and every[0].numel() > 1 else math.inf


def _sums(every: Tensor, axis: int) -> bool:
    """Nonnegative, more than one along the axis, and summing to one there."""
    if every.dim() <= axis or every.shape[axis] < 2 or every.shape[1] < 2 or not bool((every >= -1e-6).all()):
        return False
    return bool((every.sum(axis) - 1).abs().max() < 1e-3)
