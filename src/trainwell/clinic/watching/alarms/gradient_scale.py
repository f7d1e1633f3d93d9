"""Gradients that do not reach the first layers, and gradients that throw the weights away.

*Vanishing*: all looks so far, the largest relative change of the weights in the first third of the layers is below
``STILL`` (see ``rate_too_low``) while others move, at equal rates. What counts is the step, not the gradient, so that
methods that scale gradients themselves (Adam) are judged by what they do.

*Exploding*: a gradient many times larger than in the looks before, with a step that changes the weights notably, while
the losses were not rising (a divergence is the rate's). In 109 healthy or repaired programs of the clinic's suite no
norm is more than 15 times the median before it (``bench/watch_suite.py``; 33 times in the held-out half, which was not
used to choose), and no ratio of the changes below 0.3.
"""

import math
import statistics
from collections import deque
from collections.abc import Iterator

from trainwell.clinic.finding import Finding
from trainwell.clinic.watching.alarming import found
from trainwell.clinic.watching.alarms.rate_too_high import ABOVE, level
from trainwell.clinic.watching.alarms.rate_too_low import LOOKS, STEPS, STILL
from trainwell.clinic.watching.look import Look, ParameterLook
from trainwell.clinic.watching.seen import Seen

LAYERS = 3  # matrices or kernels that a net must have, to have first ones
APART = 1e-3  # change at equal rates in the first third, over that of the others
SPIKE, NOTABLE = 100.0, 0.1


class Alarm:
    """See the file's text."""

    BLIND = "gradients that vanish or explode"

    def __init__(self) -> None:
        self._first = self._ratio = 0.0
        self._others = 0.0
        self._looks = self._zero = 0
        self._norms: deque[float] = deque(maxlen=32)
        self._where = ""

    def look(self, seen: Seen) -> Iterator[Finding]:
        """Judge both."""
        assert seen.look is not None
        yield from self._vanishing(seen, seen.look)
        yield from self._absent(seen, seen.look)
        yield from self._exploding(seen, seen.look)

    def _vanishing(self, seen: Seen, look: Look) -> Iterator[Finding]:
        matrices = [p for p in look.parameters if p.dims > 1 and not p.table and p.gradient is not None and p.rate > 0]
        if len(matrices) < LAYERS:
            return
        third = len(matrices) // 3
        first, others = matrices[:third], matrices[third:]
        self._first = max(self._first, *(_change(p) for p in first))
        self._others = max(self._others, *(_change(p) for p in others))
        top = max(_change(p) / p.rate for p in others)
        self._ratio = max(self._ratio, max(_change(p) / p.rate for p in first) / top if top > 0 else 1.0)
        self._looks += 1
        if seen.step < STEPS or self._looks < LOOKS or self._ratio >= APART or not self._first < STILL <= self._others:
            return
        message = (
            f"The gradient hardly reaches the first layers: {first[0].path} changes by {self._first:.1g} of its norm a "
            f"step at most, later layers by up to {self._others:.1g}. Use an activation and an initialization that "
            "keep the scale, a norm or shortcuts."
        )
        evidence = {"largest change of the first layers": self._first, "of the others": self._others}
        yield found("vanishing-gradient", first[0].path, message, evidence, 0.3)

    def _absent(self, seen: Seen, look: Look) -> Iterator[Finding]:
        graded = [p for p in look.parameters if p.gradient is not None]
        self._zero = self._zero + 1 if graded and look.gradient == 0 else 0
        if self._zero == LOOKS:
            message = (
                "The gradient is exactly zero in all parameters: the loss does not react to the weights. Look for dead "
                "units, an activation at its end, or a loss that is constant."
            )
            yield found("vanishing-gradient", graded[0].path, message, {"gradient norm": 0.0}, 0.4)

    def _exploding(self, seen: Seen, look: Look) -> Iterator[Finding]:
        norm = look.gradient
        ratio = spike(norm, self._norms)
        self._norms.append(norm)
        if ratio < SPIKE or not look.change >= NOTABLE or level(seen) > ABOVE:
            return
        worst = max((p for p in look.parameters if p.gradient is not None), key=lambda p: p.gradient or 0.0)
        message = (
            f"The gradient's norm is {norm:.3g}, {ratio:.0f} times that of the looks before, and the step changes the "
            f"weights by {look.change:.0%}; it is largest in {worst.path}. Clip the gradient's norm, as by "
            "torch.nn.utils.clip_grad_norm_."
        )
        evidence = {"gradient norm": norm, "times the median": ratio, "relative change": look.change}
        yield found("exploding-gradient", worst.path, message, evidence, 0.3)


def _change(p: ParameterLook) -> float:
    return 0.0 if math.isnan(p.change) else p.change


def spike(norm: float, before: deque[float]) -> float:
    """A norm over the median of those before; 0 where there are too few."""
    if len(before) < 4:
        return 0.0
    median = statistics.median(before)
    return norm / median if median > 0 and math.isfinite(norm) else 0.0
