"""Parameters that get a gradient and that no optimizer moves, and such that an optimizer holds and that never get one.

The first are watched until it is clear that nobody else moves them, as a second optimizer would. Parameters that do not
require a gradient were frozen on purpose.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from trainwell.clinic.finding import Finding
from trainwell.clinic.watching.alarming import found
from trainwell.clinic.watching.look import SAMPLED
from trainwell.clinic.watching.seen import Seen

STEPS = 8  # after which a parameter that another optimizer held would have moved
LOOKS = 8  # without a gradient: longer than any turn between heads or experts that is usual


class Alarm:
    """See the file's text."""

    BLIND = "parameters that are left out of the optimizer"

    def __init__(self) -> None:
        self._before: dict[int, Tensor] | None = None
        self._began = self._looks = 0
        self._never: set[int] | None = None

    def look(self, seen: Seen) -> Iterator[Finding]:
        """Compare the net's parameters with those of the optimizers."""
        yield from self._not_held(seen)
        yield from self._without_gradient(seen)

    def _not_held(self, seen: Seen) -> Iterator[Finding]:
        if self._before == {}:
            return
        held = seen.rates
        graded = {id(p): p for p in seen.net.parameters() if p.requires_grad and p.grad is not None and p.numel()}
        outside = {key: p for key, p in graded.items() if key not in held}
        if self._before is None:
            self._before, self._began = {key: _some(p) for key, p in outside.items()}, seen.step
            return
        if seen.step < self._began + STEPS:
            return
        still = [key for key, p in outside.items() if key in self._before and torch.equal(self._before[key], _some(p))]
        self._before = {}
        if still:
            share = sum(graded[key].numel() for key in still) / sum(p.numel() for p in seen.net.parameters())
            names = [seen.names[key] for key in still]
            message = (
                f"{_named(names)} ({share:.0%} of the net's numbers) get gradients, but no optimizer moves them. Give "
                "the optimizer all parameters of the net, or set requires_grad = False where they are meant to stay."
            )
            evidence = {"parameters": len(names), "share": share}
            yield found("parameters-not-in-optimizer", names[0], message, evidence, share)

    def _without_gradient(self, seen: Seen) -> Iterator[Finding]:
        assert seen.look is not None
        here = {p.key for p in seen.look.parameters if p.gradient is None}
        self._never = here if self._never is None else self._never & here
        self._looks += 1
        if self._looks != LOOKS or not self._never:
            return
        lacking = [p for p in seen.look.parameters if p.key in self._never]
        share = sum(p.size for p in lacking) / sum(p.size for p in seen.look.parameters)
        message = (
            f"{_named([p.path for p in lacking])} ({share:.0%} of the numbers that are trained) never get a gradient: "
            "the loss does not depend on them. Use the layer, or leave it out."
        )
        evidence = {"parameters": len(lacking), "share": share}
        yield found("unused-parameters", lacking[0].path, message, evidence, share)


def _named(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} more parameters"


def _some(p: Tensor) -> Tensor:
    return p.detach().reshape(-1)[:: -(-p.numel() // SAMPLED)].clone()
