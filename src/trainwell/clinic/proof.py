"""The proof of a cure: the program as given and as cured, both trained in full, from the same seeds.

Seed i = 1 … n draws the order of the samples, dropout and all else that training draws; the weights start as the
program has them. With dᵢ the score with the cure minus that without it, the gain is the mean of d, and

    mean(d) ± t · std(d)/√n,    t: the 95th percentile of Student's distribution with n − 1 degrees of freedom,

is an interval that holds the true gain with 90 %. A cure is good only if all of the interval is above 0. Both train for
the epochs that they say; a cure that sees more samples for it says how many times as many.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.optim import Optimizer

from trainwell.clinic.cure import Cure, together
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built, private
from trainwell.clinic.rehearsal import rehearse
from trainwell.clinic.sampling import SCORED, gathered
from trainwell.clinic.trials import Trial
from trainwell.errors import InputError
from trainwell.training.batches import all_steps, source
from trainwell.training.program import Program
from trainwell.training.trial import untouched

if TYPE_CHECKING:
    from trainwell.clinic.exam import Exam

FEWEST = 3  # seeds
QUANTILE = 0.95  # on each side: an interval of 90 %
JUDGED = 20_000  # validation samples that are scored
OTHERS = 2  # cures that are tried when those of the exam do not win
ALIKE = 0.005  # gains that differ by less are alike: the cure with fewer changes is taken
SILENT, PAUSE = 2.0, 0.25  # seconds before the first word of progress, and between two

Told = Callable[[float, float], Any]


@dataclass(frozen=True)
class Attempt:
    """One cure, trained in full.

    Attributes:
        name: what it does.
        codes: of the causes that it is meant for.
        after: score for each seed.
        gain: mean difference to the program as given.
        interval: of the gain, 90 %.
        good: all of the interval is above 0.
        factor: training samples seen over those of the program as given.
        cure: itself.
        error: why it could not be trained, or "".
    """

    name: str
    codes: tuple[str, ...]
    after: tuple[float, ...]
    gain: float
    interval: tuple[float, float]
    good: bool
    factor: float
    cure: Cure
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return f"{self.name}: {self.error}"
        low, high = self.interval
        longer = f", with {self.factor:.3g} times the samples" if self.factor > 1.01 else ""
        return f"{self.name}: {self.gain:+.3f}, 90 % in {low:+.3f} … {high:+.3f}{longer}"

    def to_dict(self) -> dict[str, Any]:
        """The attempt in JSON's types."""
        found = {name: getattr(self, name) for name in ("name", "gain", "good", "factor", "error")}
        return {**found, "codes": list(self.codes), "after": list(self.after), "interval": list(self.interval)}


@dataclass(frozen=True)
class Proof:
    """Whether a cure wins.

    Attributes:
        before: score of the program as given, for each seed; validation samples where there are some, 0 … 1.
        after: with the best cure that was tried.
        gain: mean difference.
        interval: of the gain, 90 %.
        cured: the interval's lower end is above 0.
        tried: all cures that were tried, the exam's own first.
        program: with the cure that won; None where none did.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    gain: float
    interval: tuple[float, float]
    cured: bool
    tried: tuple[Attempt, ...]
    program: Program | None

    @property
    def best(self) -> Attempt:
        """The attempt that ``after``, ``gain`` and ``interval`` are of."""
        same = [a for a in self.tried if (a.after, a.good) == (self.after, self.cured)]
        return min(same, key=lambda attempt: len(attempt.cure.changes))

    def __str__(self) -> str:
        if not self.tried:
            return "Nothing to prove: the exam has no cure."
        best = self.best
        head = "Proved" if self.cured else "Not proved"
        lines = [
            f"{head}: {best.name}",
            f"Score {_mean(self.before)} → {_mean(self.after)} over {len(self.before)} seeds, gain {self.gain:+.3f}, "
            f"90 % in {self.interval[0]:+.3f} … {self.interval[1]:+.3f}.",
        ]
        rest = [f"  {attempt}" for attempt in self.tried if attempt is not best]
        return "\n".join([*lines, *(["Also tried:", *rest] if rest else [])])

    def to_dict(self) -> dict[str, Any]:
        """The proof in JSON's types."""
        found = {name: getattr(self, name) for name in ("cured", "gain")}
        lists = {name: list(getattr(self, name)) for name in ("interval", "before", "after")}
        return {**found, **lists, "tried": [attempt.to_dict() for attempt in self.tried]}


def prove(exam: "Exam", seeds: int = FEWEST, told: Told | None = None) -> Proof:
    """Train the program as given and as cured, in full, for several seeds.

    The exam's cures are tried together and, where there are several, each alone; where none wins, up to two others that
    the exam has tried. The program stays as it is, bit for bit.

    Args:
        exam: whose program and cures.
        seeds: how many, 3 or more.
        told: called as ``told(share, seconds)`` with what is done, 0 … 1, and the seconds left, from two seconds on.

    Raises:
        InputError: for fewer than 3 seeds.
    """
    if seeds < FEWEST:
        raise InputError(f"prove: {seeds} seeds tell no spread.", f"Give {FEWEST} or more.")
    first = list(_own(exam))
    if not first:
        return Proof((), (), 0.0, (0.0, 0.0), False, (), None)
    with untouched(exam.program.train):
        trainer = _Trainer(exam, seeds, len(first), told)
        before, _ = trainer.scores(None)
        tried = [_attempt(trainer, cure, codes, before) for cure, codes in first]
        for cure, codes in _others(exam):
            if any(attempt.good for attempt in tried):
                break
            trainer.planned += seeds
            tried.append(_attempt(trainer, cure, codes, before))
        best = _best(tried)
        torch.manual_seed(trainer.first)
        program = _given_back(exam.program, best.cure) if best.good else None
    return Proof(before, best.after, best.gain, best.interval, best.good, tuple(tried), program)


def paired_interval(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """The 90 % interval of the mean difference of pairs, by Student's t.

    Example:
        >>> low, high = paired_interval([0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
        >>> round(low, 4), round(high, 4)  # 2 ± 2.92 · 1/√3
        (0.3141, 3.6859)
    """
    from scipy.stats import t

    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    mean, n = float(differences.mean()), len(differences)
    half = float(t.ppf(QUANTILE, n - 1) * differences.std(ddof=1) / n**0.5)
    return mean - half, mean + half


class _Trainer:
    """Trains copies of a program in full, one for each seed, and tells how far it is."""

    def __init__(self, exam: "Exam", seeds: int, cures: int, told: Told | None) -> None:
        reasoned = exam.reasoned
        self.program, self.first = exam.program, reasoned.subject.seed
        self.task = exam.program.task or reasoned.subject.task  # of the cured one: one measure for both
        self.seeds, self.told = seeds, told
        self.planned, self.done = seeds * (1 + cures), 0
        self.began = self.spoke = time.monotonic()

    def scores(self, cure: Cure | None) -> tuple[tuple[float, ...], str]:
        """The score for each seed, and what went wrong; a program that cannot be trained scores 0."""
        found, error = [], ""
        for seed in range(self.first, self.first + self.seeds):
            try:
                score, failed = self._train(cure, seed)
            except Exception as failure:  # what a sick program raises, also before its first step
                score, failed = 0.0, f"{type(failure).__name__}: {(str(failure).splitlines() or [''])[0]}"
            found.append(score)
            error = error or failed
            self.done += 1
            self._tell(0.0)
        return tuple(found), error

    def _train(self, cure: Cure | None, seed: int) -> tuple[float, str]:
        program = private(self.program)
        torch.manual_seed(seed)  # of layers that the cure adds
        if cure is not None:
            program = cure.apply(program)
        device = next((p.device for p in program.model.parameters()), torch.device("cpu"))
        steps = all_steps(program, source(program.train, program.batch_size, program.shuffle, seed, device))
        size = program.batch_size
        val = None if program.val is None else gathered(program.val, size, JUDGED, device)
        train = gathered(program.train, size, JUDGED if val is None else SCORED, device)
        meter = _Steps(lambda taken: self._tell(min(taken / steps, 1.0)))
        run = rehearse(program, self.task, meter, steps=steps, share=1.0, parts=(train, val), seed=seed)
        return run.score, run.error

    def _tell(self, part: float) -> None:
        now, share = time.monotonic(), (self.done + part) / self.planned
        if self.told is None or not share or now < max(self.began + SILENT, self.spoke + PAUSE):
            return
        self.spoke = now
        self.told(share, (now - self.began) * (1 - share) / share)


class _Steps(Meter):
    """Counts passes without a limit, and tells of each."""

    def __init__(self, told: Callable[[float], None]) -> None:
        super().__init__(float("inf"))
        self.told = told

    def spend(self, passes: float) -> None:
        super().spend(passes)
        self.told(self.spent)


def _attempt(trainer: _Trainer, cure: Cure, codes: tuple[str, ...], before: tuple[float, ...]) -> Attempt:
    after, error = trainer.scores(cure)
    interval = paired_interval(before, after)
    gain = float(np.mean(after) - np.mean(before))
    good = not error and interval[0] > 0
    return Attempt(cure.name, codes, after, gain, interval, good, cure.factor, cure, error)


def _best(tried: Sequence[Attempt]) -> Attempt:
    """The one that gains most, good ones first; of those alike the one with the fewest changes."""
    good = [attempt for attempt in tried if attempt.good] or list(tried)
    top = max(attempt.gain for attempt in good)
    return min((a for a in good if a.gain >= top - ALIKE), key=lambda a: len(a.cure.changes))


def _own(exam: "Exam") -> Iterator[tuple[Cure, tuple[str, ...]]]:
    """Cures of what was found: all together, then each alone where there are several."""
    accepted = exam.reasoned.accepted
    if accepted:
        yield _joined(accepted)
    if len(accepted) > 1:
        for trial in accepted:
            yield trial.cure, (trial.suspicion.code,)


def _others(exam: "Exam") -> Iterator[tuple[Cure, tuple[str, ...]]]:
    """What was tried and not taken, with the cures that had been taken before it, the most promising first."""
    accepted = exam.reasoned.accepted
    taken = {id(trial.cure) for trial in accepted}
    rest = [trial for trial in exam.reasoned.trials if id(trial.cure) not in taken and trial.gain >= 0]
    for trial in sorted(rest, key=lambda t: -t.gain)[:OTHERS]:
        place = next((i for i, one in enumerate(accepted) if one.before is trial.before), len(accepted))
        yield _joined([*accepted[:place], trial])


def _joined(trials: Sequence[Trial]) -> tuple[Cure, tuple[str, ...]]:
    cures = [trial.cure for trial in trials]
    codes = tuple(dict.fromkeys(trial.suspicion.code for trial in trials))
    return (cures[0] if len(cures) == 1 else together(cures)), codes


def _given_back(program: Program, cure: Cure) -> Program:
    cured = cure.apply(private(program))
    return replace(cured, optimizer=built(cured)) if isinstance(program.optimizer, Optimizer) else cured


def _mean(scores: Sequence[float]) -> str:
    return f"{np.mean(scores):.3f}"
