"""A rate at which steps overshoot.

*Suspected* when the latest losses lie far above the first, or a step changes the weights by half of what they are.
That alone is no proof (a generator's loss rises while all is well, data get harder), so it is *tested* on copies: does
the step raise the loss of the very batch that made it, and is the net by now worse on its batches than with the
weights that it began with? To first order a step −ηg lowers its batch's loss by η‖g‖², as long as η < 2/λ for the
curvature λ along g; where it is higher than before, the step went beyond.

Measured on the tuning half of the clinic's suite (``bench/watch_suite.py``): among 109 healthy or repaired programs the
median of 16 losses exceeds ``ABOVE`` times the first in two (1.5 and 2.7 times), and no step changes the weights by
more than 23 %; where the rate is too high it is by 750 % and more. On the held-out half, which was not used to choose,
the most of 115 are 2.2 times and 72 %. The tests dismiss all of these.
"""

import math
import statistics
from collections.abc import Iterator

from torch import Tensor

from trainwell.clinic.finding import Finding
from trainwell.clinic.watching.alarming import found
from trainwell.clinic.watching.seen import Seen

RECENT = 16  # losses whose median is compared with the first
ABOVE = 1.5  # times the first
THROWN = 0.5  # relative change of the weights in one step
RAISED = 0.5  # relative growth of the own batch's loss by such a step
TESTS = 4
WORSE = 0.02  # the same growth, median of the tests, where losses are high: 0 is the edge, and tests have noise
TALL = 10.0  # times the first loss, where nothing can be tested
LARGEST = 20_000_000  # numbers of a net whose first weights are kept


class Alarm:
    """See the file's text."""

    NEEDS = ("loss",)
    BLIND = "a loss that rises or oscillates"

    def __init__(self) -> None:
        self._first: list[Tensor] | None = None
        self._own: list[float] = []
        self._above: list[float] = []
        self._tested = 0
        self._testing = False
        self._next, self._wait = RECENT, RECENT  # step from which on it may be suspected; steps until the next time
        self._change = math.nan

    def start(self, seen: Seen) -> Iterator[Finding]:
        """Keep the first weights."""
        if sum(p.numel() for p in seen.net.parameters()) <= LARGEST:
            self._first = [p.detach().clone() for p in seen.net.parameters()]
        yield from ()

    def look(self, seen: Seen) -> Iterator[Finding]:
        """Test a step that is as large as the weights at once."""
        assert seen.look is not None
        self._change = seen.look.change
        if self._change >= THROWN and (growth := own_growth(seen)) is not None and growth > RAISED:
            yield self._finding(seen, f"a step changes the weights by {self._change:.0%}", growth, None)

    def step(self, seen: Seen) -> Iterator[Finding]:
        """Suspect, test and judge."""
        if "lr-too-high" in seen.spoken or seen.hopeless:
            return
        if not self._testing:
            self._testing = seen.step >= self._next and len(seen.losses) >= RECENT and level(seen) > ABOVE
            return
        self._tested += 1
        growth, above = own_growth(seen), self._above_first(seen)
        self._own += [growth] if growth is not None else []
        self._above += [above] if above is not None else []
        if self._tested == TESTS:
            yield from self._judged(seen)
            self._own, self._above, self._tested, self._testing = [], [], 0, False
            self._next, self._wait = seen.step + self._wait, 2 * self._wait

    def _judged(self, seen: Seen) -> Iterator[Finding]:
        own, above = (statistics.median(each) if len(each) == TESTS else None for each in (self._own, self._above))
        far = f"the latest losses are {level(seen):.3g} times the first"
        if (own is not None and own > WORSE) or (above is not None and above > ABOVE):
            yield self._finding(seen, far, own, above)
        elif own is None and above is None and level(seen) > TALL and self._change > THROWN:
            yield self._finding(seen, far, None, None)

    def _above_first(self, seen: Seen) -> float | None:
        """Loss of the batch over that with the first weights; None where it cannot be computed again."""
        if self._first is None or not seen.window.passes:
            return None
        one = seen.window.passes[-1]
        before = seen.replay.loss_now(one, self._first)
        return one.loss / before if before and math.isfinite(before) and before > 0 else None

    def _finding(self, seen: Seen, shown: str, growth: float | None, above: float | None) -> Finding:
        rate = max(seen.rates.values(), default=0.0)
        evidence: dict[str, float | str | bool] = {"rate": rate}
        if seen.first_loss is not None and seen.losses:
            evidence |= {"first loss": seen.first_loss, "loss now": statistics.median(list(seen.losses)[-RECENT:])}
        if growth is not None:
            evidence["growth of the own batch's loss"] = growth
        if above is not None:
            evidence["over the loss with the first weights"] = above
        told = "" if growth is None or growth <= 0 else f", and raises the loss of its own batch by {growth:.0%}"
        told += (
            ""
            if above is None
            else f"; its batches had a lower loss with the weights that it began with ({above:.3g} times)"
        )
        return found(
            "lr-too-high",
            "optimizer.lr",
            f"At the rate {rate:g} steps overshoot: {shown}{told}. Divide the rate by ten.",
            evidence,
            0.4,
        )


def level(seen: Seen) -> float:
    """Median of the latest losses over the first; nan where that says nothing."""
    if not seen.first_loss or seen.first_loss < 0:
        return math.nan
    return statistics.median(list(seen.losses)[-RECENT:]) / seen.first_loss


def own_growth(seen: Seen) -> float | None:
    """Relative growth of the loss of the step's own batch by the step; None where it cannot be computed again."""
    window = seen.window
    if window.forwards != 1 or len(window.losses) != 1 or not window.passes:
        return None
    one = window.passes[0]
    after = seen.replay.loss_now(one)
    if after is None or not math.isfinite(one.loss) or one.loss <= 0:
        return None
    return (after - one.loss) / one.loss if math.isfinite(after) else math.inf
