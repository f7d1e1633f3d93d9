"""Adversarial examples: inputs moved, within a small ball, to where the loss is larger.

    FGSM        x′ = x + ε sign ∇ₓℓ
    PGD, L∞     δ ← clip(δ + α sign ∇ₓℓ, −ε, ε),               δ₀ uniform in the ball
    PGD, L2     δ ← P(δ + α ∇ₓℓ/‖∇ₓℓ‖),  P(δ) = δ min(1, ε/‖δ‖)

then x + δ is clipped to the inputs' range, and the steps are repeated K times with α = 2.5 ε/K. Targeted attacks lower
the loss of a target class instead. For a linear score wᵀx the worst point is x − ε sign(w) for L∞ (margin less ε‖w‖₁)
and x − ε w/‖w‖ for L2 (less ε‖w‖₂); FGSM attains the first exactly.

For every sample the worst point seen is kept, the unperturbed input included. Hence no attack is weaker than none, and
with the same α and random numbers more steps or restarts are never weaker than fewer.

The model is in evaluation mode while an attack is made: norms use their running moments (Madry et al. craft in training
mode, where one sample's attack depends on the others), buffers, modes and the gradients of parameters stay as they are.
Source: Goodfellow, Shlens & Szegedy 2015, eq. in §4, arXiv:1412.6572; Madry et al. 2018, §2.1, §5 and α = 2.5 ε/K,
arXiv:1706.06083; decks G and R.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.samples import each_sample

ATTACKS = ("fgsm", "pgd_linf", "pgd_l2")
STEP = 2.5  # α in units of ε/K: every path can cross the ball and still move along its boundary

Loss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True, eq=False)
class Crafted:
    """An attack's outcome on n samples.

    Args:
        x: the worst inputs, in the form of the original ones.
        loss: shape (n,), at those.
        path: shape (K + 2, n), losses along the first path: at the input itself, at its start, after every step.
        output: the model's output at the worst inputs, (n, ...).
    """

    x: Any
    loss: Tensor
    path: Tensor
    output: Tensor


@dataclass(frozen=True, eq=False)
class Attack:
    """An attack as a recipe names it; calling it gives the adversarial inputs.

    Images of dtype uint8 become float32 in their range 0 … 255, not rounded. Of a table's dict only the ``numbers``
    move, and missing ones (NaN) stay missing. A tuple is taken like the dict, (numbers, categories).

    Args:
        name: one of ``ATTACKS``.
        radius: ε > 0 as a share of the inputs' range where they have one, else in ``unit``.
        steps: K; FGSM has one.
        step: α in units of the radius; 2.5 / K if None.
        restarts: independent random starts, of which the worst counts.
        random_start: whether PGD starts anywhere in the ball, or at the input.
        targeted: whether y are the classes to be attained.
        range: (low, high) of the inputs; None for (0, 255) if they are uint8, else no range.
        unit: the radius' unit for inputs without a range: 1, or a tensor that fits the inputs, such as the standard
            deviations (F,) of a table's columns. It is not known here: with 1 the radius is that of the raw numbers.

    Raises:
        InputError: for an unknown name, a radius that is not positive, or no steps.
    """

    name: str = "pgd_linf"
    radius: float = 8 / 255  # Madry et al. 2018 on CIFAR-10
    steps: int = 10
    step: float | None = None
    restarts: int = 1
    random_start: bool = True
    targeted: bool = False
    range: tuple[float, float] | None = None
    unit: float | Tensor = 1.0

    def __post_init__(self) -> None:
        if self.name not in ATTACKS:
            raise InputError(f"No attack is called {self.name!r}.", f"Choose one of {', '.join(ATTACKS)}.")
        if not 0 < self.radius < float("inf"):
            raise InputError(f"Attack {self.name}: the radius is {self.radius}.", "Give a positive number.")
        if self.steps < 1 or self.restarts < 1:
            raise InputError(
                f"Attack {self.name}: {self.steps} steps and {self.restarts} restarts.", "Give at least one of each."
            )
        if self.range is not None and not self.range[0] < self.range[1]:
            raise InputError(f"Attack {self.name}: the range is {self.range}.", "Give (low, high) with low < high.")

    def __call__(
        self, model: nn.Module, x: Any, y: Any, loss: Loss, forward: Callable[[Any], Any] | None = None
    ) -> Any:
        """Worst inputs found; arguments as :meth:`craft`."""
        return self.craft(model, x, y, loss, forward).x

    def craft(
        self, model: nn.Module, x: Any, y: Any, loss: Loss, forward: Callable[[Any], Any] | None = None
    ) -> Crafted:
        """Attack a batch.

        Args:
            model: its modes are changed while this runs and put back.
            x: shape (n, ...), or a dict or tuple with the numbers (n, F) of a table.
            y: targets, or the targets to be attained.
            loss: of (output, y); any, but one with a ``reduction`` or a method ``each`` is faster.
            forward: runs the model; ``model`` itself if None.

        Raises:
            InputError: for inputs without floating or uint8 numbers.
        """
        raw, rebuild = _numbers(x)
        bounds = self.range or ((0.0, 255.0) if raw.dtype == torch.uint8 else None)
        unit = self.unit if bounds is None else bounds[1] - bounds[0]
        origin = (raw if raw.is_floating_point() else raw.float()).detach()
        forward, each = forward or model, each_sample(loss)
        sign = -1.0 if self.targeted else 1.0
        with undisturbed(model), torch.enable_grad():

            def look(delta: Tensor) -> tuple[Tensor, Tensor]:
                output = forward(rebuild(origin + unit * delta))
                return output, sign * each(output, y)

            search = _Search(self, origin, look, bounds, unit)
            search.run()
        x_worst = rebuild(search.point(search.delta))
        return Crafted(x_worst, sign * search.loss, sign * torch.stack(search.path), search.output)


class _Search:
    """Projected ascent on δ, where x = origin + unit · δ, keeping each sample's worst point."""

    delta: Tensor  # the worst so far, its loss and the model's output there
    loss: Tensor
    output: Tensor

    def __init__(
        self,
        attack: Attack,
        origin: Tensor,
        look: Callable[[Tensor], tuple[Tensor, Tensor]],
        bounds: tuple[float, float] | None,
        unit: float | Tensor,
    ) -> None:
        self.attack, self.origin, self.look, self.bounds, self.unit = attack, origin, look, bounds, unit
        self.single = attack.name == "fgsm"
        self.steps = 1 if self.single else attack.steps
        self.rate = attack.radius * (1.0 if self.single else (attack.step or STEP / self.steps))
        self.euclidean = attack.name == "pgd_l2"
        self.path: list[Tensor] = []

    def run(self) -> None:
        """Follow all paths."""
        zero = torch.zeros_like(self.origin)
        random = self.attack.random_start and not self.single
        if random:
            self._visit(zero, gradient=False, shown=True)
        for restart in range(self.attack.restarts if random else 1):
            delta = self._inside(self._start()) if random else zero
            for _ in range(self.steps):
                gradient = self._visit(delta, gradient=True, shown=restart == 0)
                delta = self._inside(delta + self.rate * self._direction(gradient))
            self._visit(delta, gradient=False, shown=restart == 0)
        if not random:
            self.path.insert(0, self.path[0])  # the start is the input itself

    def point(self, delta: Tensor) -> Tensor:
        """The inputs at δ; exactly within the range, for rounding may leave it by one bit."""
        x = self.origin + self.unit * delta
        return x.clamp(*self.bounds) if self.bounds is not None else x

    def _visit(self, delta: Tensor, *, gradient: bool, shown: bool) -> Tensor:
        delta = delta.detach().requires_grad_(gradient)
        with torch.set_grad_enabled(gradient):
            output, loss = self.look(delta)
        slope = torch.autograd.grad(loss.sum(), delta)[0] if gradient else delta
        loss, output, delta = loss.detach(), output.detach(), delta.detach()
        if shown:
            self.path.append(loss)
        if not hasattr(self, "loss"):
            self.delta, self.loss, self.output = delta, loss, output
        else:
            better = loss > self.loss
            self.delta = torch.where(_column(better, delta), delta, self.delta)
            self.output = torch.where(_column(better, output), output, self.output)
            self.loss = torch.where(better, loss, self.loss)
        return slope

    def _direction(self, gradient: Tensor) -> Tensor:
        gradient = torch.nan_to_num(gradient, nan=0.0)
        return gradient / _norm(gradient).clamp_min(TINY) if self.euclidean else gradient.sign()

    def _inside(self, delta: Tensor) -> Tensor:
        """Into the ball, then into the range: that only shortens δ, for the origin is within the range."""
        radius = self.attack.radius
        if self.euclidean:
            delta = delta * (radius / _norm(delta).clamp_min(radius))
        else:
            delta = delta.clamp(-radius, radius)
        if self.bounds is None:
            return torch.where(self.origin.isfinite(), delta, 0.0)
        low, high = ((bound - self.origin) / self.unit for bound in self.bounds)
        return torch.minimum(torch.maximum(delta, low.clamp_max(0.0)), high.clamp_min(0.0))

    def _start(self) -> Tensor:
        if not self.euclidean:
            return self.attack.radius * (2 * torch.rand_like(self.origin) - 1)
        direction = torch.randn_like(self.origin)
        share = torch.rand(len(direction), dtype=direction.dtype, device=direction.device)
        dimensions = max(1, direction[0].numel()) if len(direction) else 1
        length = self.attack.radius * share ** (1 / dimensions)  # uniform in the ball
        return direction / _norm(direction).clamp_min(TINY) * _column(length, direction)


TINY = 1e-30  # in place of a norm of 0


def fgsm(
    model: nn.Module,
    x: Any,
    y: Any,
    loss: Loss,
    radius: float,
    *,
    targeted: bool = False,
    range: tuple[float, float] | None = None,
) -> Any:
    """One step of size ``radius`` along the sign of the gradient; see :class:`Attack`."""
    return Attack("fgsm", radius, targeted=targeted, range=range)(model, x, y, loss)


def pgd(
    model: nn.Module,
    x: Any,
    y: Any,
    loss: Loss,
    radius: float,
    *,
    norm: str = "linf",
    steps: int = 10,
    step: float | None = None,
    restarts: int = 1,
    random_start: bool = True,
    targeted: bool = False,
    range: tuple[float, float] | None = None,
) -> Any:
    """Projected gradient ascent in the ball of ``norm`` "linf" or "l2"; see :class:`Attack`."""
    return Attack(f"pgd_{norm}", radius, steps, step, restarts, random_start, targeted, range)(model, x, y, loss)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for this block; every module's mode comes back, and backward works through cuDNN's RNNs."""
    modes = [(module, module.training) for module in model.modules()]
    recurrent = any(isinstance(module, nn.RNNBase) for module, _ in modes)
    cudnn = torch.backends.cudnn.enabled
    model.eval()
    if recurrent:
        torch.backends.cudnn.enabled = False  # it has no backward in evaluation mode
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = cudnn
        for module, mode in modes:
            module.training = mode


def _numbers(x: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """The tensor that an attack moves, and the way back to the inputs' form."""
    if isinstance(x, Tensor) and (x.is_floating_point() or x.dtype == torch.uint8):
        return x, lambda moved: moved
    if isinstance(x, Mapping) and isinstance(x.get("numbers"), Tensor):
        return x["numbers"], lambda moved: {**x, "numbers": moved}
    if isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], Tensor) and x[0].is_floating_point():
        return x[0], lambda moved: (moved, x[1])
    shown = f"a tensor of {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
    raise InputError(
        f"Attack: the inputs are {shown}.", 'Give floats, uint8 images, or a table\'s dict with "numbers".'
    )


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))


def _norm(values: Tensor) -> Tensor:
    """Euclidean norm of each sample, shape (n, 1, ...); missing numbers count as 0."""
    return _column(torch.linalg.vector_norm(torch.nan_to_num(values).flatten(1), dim=1), values)
