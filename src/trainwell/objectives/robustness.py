"""How many samples a model still gets right under attack, and whether the attack can be believed.

    robust accuracy = share of samples right at every point that the attacks looked at

A sample counts as broken if the model is wrong at its worst point under this attack, under FGSM of the same radius, or
without any attack. So it never grows with a stronger attack in a sequence, and is at most the clean accuracy. It is an
upper bound of the true one: a better attack may find more. Signs that an attack is too weak to mean anything:

* the loss does not rise along the path (small steps: nearly always does);
* FGSM, one step, breaks more samples than PGD: the gradient leads nowhere (gradient masking).

Source: Madry et al. 2018; Athalye, Carlini & Wagner 2018, §3.1, arXiv:1802.00420; Carlini et al. 2019,
arXiv:1902.06705.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.adversarial import Attack, undisturbed

ROUNDING = 1e-6  # of a loss, relative: a smaller fall along a path is none


@dataclass(frozen=True)
class RobustAccuracy:
    """Accuracies are shares of the samples, 0 … 1; losses are means over them.

    Args:
        samples: number of samples.
        clean: accuracy without attack.
        robust: accuracy under all attacks that were tried: this one, FGSM, and those before it in a sequence.
        attacked: accuracy under this attack alone.
        fgsm: accuracy under FGSM of the same radius alone (one Euclidean step for an L2 attack).
        loss_path: mean loss at the inputs, at the start of the first path and after each of its steps.
        rising: share of the steps of all samples in which the loss did not fall.
        warning: a sentence if the attack should not be believed, else "".
    """

    samples: int
    clean: float
    robust: float
    attacked: float
    fgsm: float
    loss_path: tuple[float, ...]
    rising: float
    warning: str


def robust_accuracy(
    model: nn.Module,
    batches: Iterable[tuple[Any, Tensor]],
    attack: Attack,
    *,
    loss: Callable[[Any, Any], Tensor] | None = None,
) -> RobustAccuracy:
    """Accuracy of a classifier under an attack; see :func:`robust_curve`."""
    return robust_curve(model, batches, [attack], loss=loss)[0]


def robust_curve(
    model: nn.Module,
    batches: Iterable[tuple[Any, Tensor]],
    attacks: Sequence[Attack],
    *,
    loss: Callable[[Any, Any], Tensor] | None = None,
) -> list[RobustAccuracy]:
    """Accuracies under a sequence of attacks, the weakest first; a sample once broken stays so.

    Args:
        model: gives scores (n, classes); left as it was, with its modes, buffers and gradients.
        batches: pairs (x, y), y integer labels (n,), on the model's device; gone through once.
        attacks: not targeted, of radii that do not fall.
        loss: what the attacks raise; cross-entropy if None.

    Raises:
        InputError: for no attack, no samples, a targeted attack, radii in another order, or scores of no classes.

    Warns:
        UserWarning: with the sentence of ``RobustAccuracy.warning``.
    """
    _check(attacks)
    loss = loss or nn.CrossEntropyLoss()
    tallies = [_Tally() for _ in attacks]
    for x, y in batches:
        broken = torch.zeros_like(y, dtype=torch.bool)
        with undisturbed(model), torch.no_grad():
            clean = _wrong(model(x), y)
        for attack, tally in zip(attacks, tallies, strict=True):
            crafted = attack.craft(model, x, y, loss)
            fast = _single_step(attack).craft(model, x, y, loss)
            attacked, single = _wrong(crafted.output, y) | clean, _wrong(fast.output, y) | clean
            broken = broken | attacked | single
            tally.add(clean, attacked, single, broken, crafted.path)
    if tallies[0].samples == 0:
        raise InputError("robust_accuracy: there are no samples.", "Give at least one batch.")
    found = [tally.result(attack) for attack, tally in zip(attacks, tallies, strict=True)]
    for result in found:
        if result.warning:
            warnings.warn(result.warning, stacklevel=2)
    return found


class _Tally:
    """Counts over batches."""

    def __init__(self) -> None:
        self.samples = self.steps = self.rises = 0
        self.wrong = [0, 0, 0, 0]  # clean, attacked, FGSM, all
        self.path: Tensor = torch.zeros(())

    def add(self, clean: Tensor, attacked: Tensor, single: Tensor, broken: Tensor, path: Tensor) -> None:
        self.samples += len(clean)
        self.wrong = [n + int(w.sum()) for n, w in zip(self.wrong, (clean, attacked, single, broken), strict=True)]
        steps = path[1:]
        self.rises += int((steps.diff(dim=0) >= -ROUNDING * steps[:-1].abs()).sum())
        self.steps += steps[1:].numel()
        self.path = self.path + path.double().sum(1).cpu()

    def result(self, attack: Attack) -> RobustAccuracy:
        clean, attacked, fgsm, robust = (1 - n / self.samples for n in self.wrong)
        path = tuple((self.path / self.samples).tolist())
        warning = ""
        if self.wrong[2] > self.wrong[1]:
            warning = (
                f"{attack.name} leaves {attacked:.1%} right, one step of the same radius only {fgsm:.1%}: gradients "
                "are masked or the attack has too few steps, and the robust accuracy is not to be trusted."
            )
        elif path[-1] < path[0]:
            warning = (
                f"{attack.name} lowers the mean loss from {path[0]:.4g} to {path[-1]:.4g}: its steps of "
                f"{attack.step or 'the default size'} are too large or gradients are masked."
            )
        return RobustAccuracy(
            self.samples, clean, robust, attacked, fgsm, path, self.rises / max(1, self.steps), warning
        )


def _single_step(attack: Attack) -> Attack:
    """One full step from the input in the attack's own norm: FGSM for L∞."""
    if attack.name == "pgd_l2":
        return replace(attack, steps=1, step=1.0, random_start=False)
    return replace(attack, name="fgsm")


def _wrong(output: Any, y: Tensor) -> Tensor:
    if not isinstance(output, Tensor) or output.dim() != 2 or output.shape[1] < 2 or y.is_floating_point():
        shown = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(
            f"robust_accuracy: the model gave {shown} for targets of {y.dtype}.",
            "It needs scores (n, classes) and integer labels.",
        )
    return output.argmax(1) != y


def _check(attacks: Sequence[Attack]) -> None:
    if not attacks or any(attack.targeted for attack in attacks):
        raise InputError("robust_accuracy: it needs attacks that are not targeted.", "Give at least one.")
    radii = [attack.radius for attack in attacks]
    if radii != sorted(radii):
        raise InputError(f"robust_curve: the radii are {radii}.", "Give the weakest attack first.")
