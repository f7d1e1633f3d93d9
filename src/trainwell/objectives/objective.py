"""What a training step minimizes, where it is more than ``loss(model(x), y)``.

    L = s · ℓ(f(x̃), y) + (1 − s) · ℓ(f(x̃), y′) + Σ_k penalty_k

1. label noise: each label becomes another class, drawn uniformly, with probability ``label_noise``;
2. ``mix`` (mixup, cutmix) makes x̃, the other labels y′ and the share s from the batch; s = 1 without it;
3. ``attack`` moves x̃ to where the loss is larger (adversarial training: min E max ℓ);
4. the model runs once, on x̃; penalties see what it ran on and what it gave.

Random numbers come from torch's global generators, which a training loop seeds and stores in its checkpoints.
Source: decks G, R and M; Zhang et al. 2018 (mixup), arXiv:1710.09412; Madry et al. 2018, arXiv:1706.06083; label noise:
deck G, injecting noise, after Xie et al. 2016 (DisturbLabel, which draws from all classes: its rate α is ours times
K/(K − 1)), arXiv:1605.00055.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.samples import each_sample
from trainwell.objectives.weighted import weighted_mean


@dataclass(frozen=True)
class Objective:
    """The objective of a step; without arguments it is the loss itself.

    Args:
        mix: ``mix(x, y, generator)`` gives an object with ``x``, ``y``, ``other`` (the labels mixed in) and ``share``
            (weight of y, a tensor without dimensions or of shape (n,)).
        attack: ``attack(model, x, y, loss, forward=None)`` gives x of the same form; see :class:`Attack`.
        penalties: each ``penalty(model, inputs, output, value)`` gives a scalar that is added; see ``PENALTIES``.
        label_noise: share of the labels that are replaced, 0 ≤ share < 1; classes only.
        classes: number of classes, for label noise.

    Raises:
        InputError: for a share out of range, or label noise without at least two classes.

    Example:
        >>> from trainwell.objectives import PENALTIES
        >>> model = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.constant_(model.weight, 3.0)
        >>> ridge = Objective(penalties=(PENALTIES["l2"](0.1),))
        >>> ridge(model, torch.zeros(4, 2), torch.zeros(4, 1), nn.MSELoss())  # ½ · 0.1 · (9 + 9)
        tensor(0.9000, grad_fn=<AddBackward0>)
    """

    mix: Callable[[Any, Any, torch.Generator], Any] | None = None
    attack: Callable[..., Any] | None = None
    penalties: tuple[Callable[..., Tensor], ...] = ()
    label_noise: float = 0.0
    classes: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.label_noise < 1:
            raise InputError(f"Objective: label_noise is {self.label_noise}.", "Give a share of labels in [0, 1).")
        if self.label_noise and self.classes < 2:
            raise InputError(
                f"Objective: label_noise is {self.label_noise} with {self.classes} classes.",
                "Give classes=2 or more; labels that are no classes are not replaced.",
            )

    @property
    def twice_differentiated(self) -> bool:
        """Whether a penalty differentiates a gradient, which a model compiled by ``torch.compile`` does not allow."""
        return any(getattr(penalty, "needs_inputs", False) for penalty in self.penalties)

    def __call__(
        self,
        model: nn.Module,
        x: Any,
        y: Any,
        loss: Callable[[Any, Any], Tensor],
        *,
        forward: Callable[[Any], Any] | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """The objective of a batch, a scalar.

        Args:
            model: the module whose weights and inputs penalties look at.
            x: what the model takes: a tensor or a dict of them, the samples along the first dimension.
            y: targets, shape (n, ...).
            loss: callable of (output, target), a mean over the batch.
            forward: runs the model, as autocast needs it; ``model`` itself if None.
            weight: shape (n,), weights of the samples: the data's part is then Σ wᵢ ℓᵢ / Σ wᵢ.

        Raises:
            InputError: for label noise on targets that are no integer labels, and from the parts.
        """
        forward = forward or model
        y = self._with_noise(y)
        goal: Callable[[Any, Any], Tensor] = loss
        if self.mix is not None:
            mixed = self.mix(x, y, torch.default_generator)
            x, y = mixed.x, mixed.y
            goal = Blend(loss, mixed.other, mixed.share)
        if self.attack is not None:
            x = self.attack(model, x, y, goal, forward=forward)
        with watched_inputs(model, x, self.twice_differentiated) as seen:
            output = forward(seen.x)
        if weight is None:
            value = goal(output, y)
        else:
            value = weighted_mean(each_sample(goal)(output, y), weight)
        total = value
        for penalty in self.penalties:
            total = total + penalty(model, seen.inputs, output, value)
        return total

    def _with_noise(self, y: Any) -> Any:
        if not self.label_noise:
            return y
        if not isinstance(y, Tensor) or y.is_floating_point() or y.dim() != 1:
            shown = f"shape {tuple(y.shape)} of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
            raise InputError(f"Objective: label noise on targets of {shown}.", "It needs integer labels (n,).")
        chosen = (torch.rand(y.shape, device=y.device) < self.label_noise) & (y >= 0)  # ignored labels stay
        return torch.where(chosen, (y + torch.randint(1, self.classes, y.shape, device=y.device)) % self.classes, y)


@dataclass(frozen=True)
class Blend:
    """share · ℓ(output, y) + (1 − share) · ℓ(output, other), as a loss of (output, y)."""

    loss: Callable[[Any, Any], Tensor]
    other: Tensor
    share: Tensor

    def __call__(self, output: Any, y: Any) -> Tensor:
        if isinstance(self.share, Tensor) and self.share.dim():
            return self.each(output, y).mean()
        return self.share * self.loss(output, y) + (1 - self.share) * self.loss(output, self.other)

    def each(self, output: Any, y: Any) -> Tensor:
        """The same of each sample, shape (n,)."""
        each = each_sample(self.loss)
        return self.share * each(output, y) + (1 - self.share) * each(output, self.other)


@dataclass
class Seen:
    """What the model is run on, and the tensor that its gradient is taken by."""

    x: Any
    inputs: Any


@contextmanager
def watched_inputs(model: nn.Module, x: Any, differentiable: bool) -> Iterator[Seen]:
    """Catch the inputs of a model while it runs, made differentiable where asked.

    A model with a part called ``prepare`` (:class:`trainwell.nn.Predictor`) is watched behind it: there the inputs are
    floating, standardized and one tensor, whatever the raw data are, so that a penalty's strength means the same for
    all data. Any other model is watched at x itself, which must then be a floating tensor.

    Raises:
        InputError: if x is no floating tensor where one is needed.
    """
    seen = Seen(x, x)
    if not differentiable:
        yield seen
        return
    prepare = getattr(model, "prepare", None)
    if not isinstance(prepare, nn.Module):
        if not isinstance(x, Tensor) or not x.is_floating_point():
            shown = str(x.dtype) if isinstance(x, Tensor) else type(x).__name__
            raise InputError(
                f"Objective: a penalty of slopes needs floating inputs, and the batch is {shown}.",
                "Give floats, or a model whose part `prepare` makes them (trainwell.nn.Predictor).",
            )
        seen.x = seen.inputs = x if x.requires_grad else x.detach().requires_grad_()
        yield seen
        return

    def catch(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        seen.inputs = output if output.requires_grad else output.detach().requires_grad_()
        return seen.inputs

    hook = prepare.register_forward_hook(catch)
    try:
        yield seen
    finally:
        hook.remove()
