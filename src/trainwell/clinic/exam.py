"""``examine``: what keeps a program from training, and the program that mends it."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from trainwell.clinic.codes import CODES
from trainwell.clinic.crash_words import in_backward
from trainwell.clinic.cure import Cure, together
from trainwell.clinic.examinable import as_usual, examinable, unwrapped
from trainwell.clinic.finding import INFO, Finding, Suspicion, severity
from trainwell.clinic.first_step import NO_GRADIENT, first_step
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built, private
from trainwell.clinic.reasoned import Reasoned
from trainwell.clinic.reasoning import reason
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import Trial
from trainwell.errors import InputError, JobError
from trainwell.training.program import Program
from trainwell.training.trial import untouched

if TYPE_CHECKING:
    from trainwell.clinic.proof import Proof, Told

QUICK, HURRIED, PATIENCE = 0.3, 45.0, 240.0  # seconds: of a step; of an exam, from which on it is shortened; at most
USUAL, SHORTEST = 110.0, 0.3  # passes of an exam of a healthy program; the smallest share of them that tells anything
PASSES, SHARE = 300, 0.15  # allowed: the larger of so many, and this share of the program's own training


@dataclass(frozen=True)
class Exam:
    """What an examination found.

    Attributes:
        program: as given; nothing of it was changed.
        findings: root causes first, the most severe before others.
        reasoned: all that was suspected and tried.
        passes: forward and backward passes of one batch that it took.
        seconds: of the wall clock.
    """

    program: Program
    findings: tuple[Finding, ...]
    reasoned: Reasoned
    passes: float
    seconds: float

    @property
    def healthy(self) -> bool:
        """Whether nothing above ``info`` was found."""
        return all(finding.severity == INFO for finding in self.findings)

    @property
    def cures(self) -> tuple[Cure, ...]:
        """Of the findings above ``info``, in the order in which they are taken."""
        return tuple(trial.cure for trial in self.reasoned.accepted)

    def cure(self, only: Sequence[str] | None = None) -> Program | None:
        """The cured program, with a model of its own and data of the kind it was given; None where nothing ails it.

        Args:
            only: codes of the causes to cure; all, if None.

        Raises:
            InputError: for a code that was not found, or whose cure builds on one that is not asked for.
        """
        chosen = [t for t in self.reasoned.accepted if only is None or t.suspicion.code in only]
        for code in only or ():
            if code not in {t.suspicion.code for t in self.reasoned.accepted}:
                raise InputError(f"The exam found no {code!r} to cure.", f"It found {self._codes()}.")
        if not chosen:
            return None
        with untouched(self.program.train), untouched(self.program.val), as_usual():
            given = unwrapped(self.program)
            torch.manual_seed(self.reasoned.subject.seed)  # of layers that a cure adds
            try:
                cured = together([t.cure for t in chosen]).apply(private(given))
            except (KeyError, AttributeError) as error:
                if len(chosen) == len(self.reasoned.accepted):
                    raise
                raise InputError(
                    f"The cure of {', '.join(only or ())} builds on others that were found before.",
                    f"Take all of them: {self._codes()}.",
                ) from error
            if isinstance(given.optimizer, Optimizer):
                cured = replace(cured, optimizer=built(cured))
        return cured

    def _codes(self) -> str:
        return ", ".join(t.suspicion.code for t in self.reasoned.accepted) or "nothing"

    def to_dict(self) -> dict[str, Any]:
        """Findings and cost in JSON's types."""
        return {
            "healthy": self.healthy,
            "findings": [finding.to_dict() for finding in self.findings],
            "cost": {"passes": round(self.passes, 1), "seconds": round(self.seconds, 2)},
        }

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1)

    def prove(self, seeds: int = 3, told: "Told | None" = None) -> "Proof":
        """Train the program as given and as cured in full, for several seeds; see :func:`clinic.proof.prove`."""
        from trainwell.clinic.proof import prove

        return prove(self, seeds, told)

    def save_html(self, path: str | os.PathLike[str], proof: "Proof | None" = None) -> Path:
        """Write the page of the exam, with the proof where one is given.

        Raises:
            JobError: if the file cannot be written.
        """
        from trainwell.clinic.shown_page import page_of
        from trainwell.report.exam_page import write_exam

        return write_exam(page_of(self, proof), path)

    def __str__(self) -> str:
        from trainwell.clinic.shown import text

        return text(self)

    def __repr__(self) -> str:
        from trainwell.clinic.shown import headline

        return f"<Exam: {headline(self)}>"

    def _repr_html_(self) -> str:
        from trainwell.clinic.shown_page import page_of
        from trainwell.report.exam_page import exam_fragment

        return exam_fragment(page_of(self))


def examine(program: Program | None = None, *, effort: float = 1.0, seed: int = 0, **parts: Any) -> Exam:
    """Examine a training program; it stays as it is, bit for bit.

    Args:
        program: or the keywords of :class:`trainwell.Program` in its place.
        effort: factor on what the exam may cost.
        seed: of all that is drawn on the way.
        parts: ``model=net, train=(X, y), loss=…, optimizer=…`` and so on.

    Raises:
        InputError: for parts that do not make a program, and for programs that cannot be examined.
        JobError: if the exam breaks off.
    """
    if program is None:
        program = Program(**parts)
    elif parts:
        raise InputError(f"examine: both a program and {', '.join(parts)} were given.", "Give one of them.")
    if not effort > 0:
        raise InputError(f"examine: effort is {effort}.", "Give a number above 0; 1 is the usual cost.")
    meter = Meter(PASSES * effort)
    with untouched(program.train), untouched(program.val), as_usual():
        subject = Subject(examinable(program), meter, seed=seed, effort=effort)
        with suppress(Exception):  # data that cannot be batched are a finding, below
            meter.allowed = max(PASSES, SHARE * subject.steps) * effort
        _pace(subject)
        try:
            reasoned = reason(subject)
        except (InputError, JobError):
            raise
        except Exception as error:  # a stranger's program: it must not end in a traceback of ours
            text = (str(error).strip().splitlines() or [""])[0]
            raise JobError(
                f"examine: the exam broke off ({type(error).__name__}: {text}).",
                "Nothing of the program was changed; please report it with the program.",
            ) from error
    return Exam(program, tuple(findings_of(reasoned)), reasoned, meter.spent, meter.seconds)


def _pace(subject: Subject) -> None:
    """Shorten the rehearsals of a program whose steps are slow; ``SHORTEST`` of them is the least that tells anything.

    Raises:
        InputError: where even that takes more than ``PATIENCE``.
    """
    seconds = list[float]()
    for turn in range(2):  # the first may be slow for other reasons: copies, libraries that are loaded, kernels chosen
        own = subject.fresh() if turn else None
        began = time.perf_counter()
        error = (subject.first_step if own is None else first_step(own, subject.batches, subject.seed)).error
        seconds.append(time.perf_counter() - began)
        if error or seconds[-1] < QUICK:
            return
    pace, effort = min(seconds), subject.effort
    if pace * USUAL * SHORTEST > PATIENCE * effort:
        raise InputError(
            f"examine: a step of this program takes {pace:.0f} s here, and an exam of {USUAL * SHORTEST:.0f} steps "
            f"{pace * USUAL * SHORTEST / 60:.0f} minutes.",
            "Give smaller batches, a faster device, or a larger effort to have it done nevertheless.",
        )
    subject.effort = effort * min(1.0, max(SHORTEST, HURRIED * effort / (pace * USUAL)))
    subject.meter.allowed = min(subject.meter.allowed, max(USUAL * SHORTEST, PATIENCE * effort / pace))


def findings_of(reasoned: Reasoned) -> list[Finding]:
    """What came of the reasoning, root causes first, the most severe before others."""
    accepted = _by_code(reasoned.accepted)
    still = {suspicion.code for suspicion in reasoned.remaining}
    own = {code: trial.suspicion.brings_about for code, trial in accepted.items()}
    causes = []
    for place, (code, trial) in enumerate(accepted.items()):
        others = {symptom for other in own.values() for symptom in other}
        gone = [
            s.code
            for s in reasoned.suspected
            if s.code not in accepted
            and (s.code in own[code] or (place == 0 and s.code not in still and s.code not in others))
        ]
        causes.append(_cause(trial, tuple(dict.fromkeys(gone))))
    broken = reasoned.level is None and bool(reasoned.subject.first_step.error)
    told = {*accepted, *(code for cause in causes for code in cause.symptoms)}
    sure = [s for s in reasoned.suspected if s.certain and s.code not in told]
    sure = [s for s in sure if s.gain is None or not accepted]  # a gain beside a program that is another one now
    other = any(s.code != "program-crashes" and "program-crashes" in CODES[s.code].explains for s in sure)
    crashes = broken and other and NO_GRADIENT not in reasoned.subject.first_step.error  # which no head explains
    causes += [_uncured(s) for s in sure if s.code != "program-crashes" or not crashes]
    if not causes and (broken or _breaks_later(reasoned)):
        causes.append(_crash(reasoned))
    if not causes and _never_finite(reasoned):
        burst = [s for s in reasoned.suspected if s.code == "exploding-gradient" and "nonfinite-loss" in s.brings_about]
        burst += [s for s in reasoned.suspected if s.code == "nonfinite-loss"]
        causes += [_uncured(replace(s, loss=1.0)) for s in burst][:1]
    folded = {code for cause in causes for code in (cause.code, *cause.symptoms)}
    rest = [_aside(s) for s in reasoned.suspected if s.code not in folded and not s.guessed]
    return sorted(causes, key=lambda f: -f.loss) + rest


def _by_code(accepted: Sequence[Trial]) -> dict[str, Trial]:
    """Accepted trials by code; one that was taken twice (a rate divided again) is one cause."""
    found = dict[str, Trial]()
    for trial in accepted:
        code = trial.suspicion.code
        if code in found:
            first = found[code]
            cure = together([first.cure, trial.cure])
            trial = replace(
                trial, suspicion=first.suspicion, cure=cure, before=first.before, gain=first.gain + trial.gain
            )
        found[code] = trial
    return found


def _cause(trial: Trial, symptoms: tuple[str, ...]) -> Finding:
    loss = max(trial.gain, trial.suspicion.loss)
    evidence = {
        **trial.suspicion.evidence,
        "score before": round(trial.before.score, 4),
        "score with the cure": round(trial.run.score, 4),
    }
    if trial.beside:
        evidence["cured together with"] = trial.beside
    if trial.before.run.error:
        evidence = {**trial.suspicion.evidence, "error": trial.before.run.error}
    s = trial.suspicion
    return Finding(
        s.code, severity(loss), s.where, s.message, evidence, symptoms, trial.cure, CODES[s.code].because, loss
    )


def _uncured(suspicion: Suspicion) -> Finding:
    """A defect by itself that nothing here mends."""
    s = suspicion
    because = CODES[s.code].because
    return Finding(s.code, severity(s.loss), s.where, s.message, s.evidence, (), None, because, s.loss)


def _crash(reasoned: Reasoned) -> Finding:
    first = reasoned.subject.first_step
    where, error = f"the first step, in its {first.stage}", first.error
    message = f"A training step fails: {error}"
    if not error and reasoned.level is not None:
        error, step = reasoned.level.run.error, len(reasoned.level.run.losses) + 1
        where, message = f"step {step}", f"Step {step} fails. {in_backward(error)}"
    because = CODES["program-crashes"].because
    return Finding("program-crashes", severity(1.0), where, message, {"error": error}, (), None, because, 1.0)


def _never_finite(reasoned: Reasoned) -> bool:
    """Whether no rehearsal, at the program's own rate neither, has finite losses."""
    runs = reasoned.subject.runs
    return len(runs) > 1 and not reasoned.accepted and not any(run.finite or run.error for run in runs)


def _breaks_later(reasoned: Reasoned) -> bool:
    """Whether a step after the first raises, at the program's own rate too."""
    runs = reasoned.subject.runs
    return bool(runs) and not reasoned.accepted and all(run.error for run in runs)


def _aside(suspicion: Suspicion) -> Finding:
    """What was seen but costs nothing that a rehearsal shows."""
    s = suspicion
    return Finding(s.code, INFO, s.where, s.message, s.evidence, (), None, CODES[s.code].because, 0.0)
