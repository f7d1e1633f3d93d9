"""A look at a run that has not begun: what ails it, found within what its training is worth.

What is looked at grows with the training (:mod:`allowance`): always data, head, loss, structure and signal; the first
steps, where they are worth it; all that ``examine`` does in a long training, or where the first steps are ill. Of an
ill one, the recipe is first made anew with what would cure it, at a rate that a range test finds for that net: a rate
that a net which does not learn was given, or led to, tells nothing of another one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from trainwell.clinic.allowance import Allowance
from trainwell.clinic.as_trained import AsTrained, of_its_own
from trainwell.clinic.codes import CODES
from trainwell.clinic.cure import Cure
from trainwell.clinic.cures.settings import set_rate
from trainwell.clinic.curve import curve_of
from trainwell.clinic.exam import findings_of
from trainwell.clinic.finding import INFO, WARNING, Finding, Suspicion, severity
from trainwell.clinic.level import Level, level_of, needed
from trainwell.clinic.probing import suspicions
from trainwell.clinic.reasoned import Reasoned
from trainwell.clinic.reasoning import reason
from trainwell.clinic.recipe_fields import fields_of
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import OPENING, WHOLE
from trainwell.clinic.trying import UNLIKELY
from trainwell.errors import InputError, JobError
from trainwell.training.draft import Draft
from trainwell.training.state import Teller

BRIEF = 0.5  # effort of the rehearsals of a training that is too short for whole ones
APART = 3.0  # factor from which two rates are different ones
TRIED = 2  # cures that a recipe is made anew with
STRONG = 0.7  # prior from which what was seen without a step calls for rehearsals
RISES = -0.5  # descent of the first steps, as a share of the first loss, below which a training is ill
RESTS = 0.02  # below it one that somebody has set up himself may be: the loss does not move,
CALM = 0.1  # and does not leap either
SYMPTOMS = frozenset(["loss-not-decreasing", "nonfinite-loss"])  # that are told where no cause is found


class Look:
    """A draft under examination.

    Args:
        draft: stays as it is.
        device: of the run.
        chosen: whether somebody has set up the training himself, in place of what was measured to do well.
    """

    def __init__(self, draft: Draft, device: torch.device, *, chosen: bool) -> None:
        self.draft, self.device, self.chosen = draft, device, chosen
        self.low = draft.recipe.precision.dtype == "bfloat16"
        program = of_its_own(draft.program, draft.recipe, device)
        self.meter = Allowance(lambda share: draft.teller.stage("examining what will be trained", share))
        self.subject = AsTrained(program, self.meter, low=self.low, seed=draft.recipe.training.seed)
        self.reasoned: Reasoned | None = None
        self.remade: tuple[dict[str, Any], Draft] | None = None  # a cure as the recipe takes it, where that was tried

    def found(self) -> list[Finding]:
        """What was found, within the allowance."""
        subject, meter = self.subject, self.meter
        meter.allow(subject.steps)
        seen = self._seen()
        certain = [_finding(suspicion) for suspicion in seen if suspicion.certain]
        if not subject.first_step.error and hasattr(subject.optimizer, "due"):
            return certain  # a method that wants passes over all samples: no rehearsal has them
        subject.effort = BRIEF
        ill = self._ill(seen)
        if ill:
            meter.extend()
            made = None if subject.first_step.error else self._made_anew(seen)
            if made is not None:
                return [made, *certain]
        if meter.left >= WHOLE + OPENING + WHOLE + 4 * subject.scoring:
            self._at_full_length()
        elif not ill:
            return certain
        self.reasoned = reason(subject)
        findings = findings_of(self.reasoned)
        if ill and all(finding.severity == INFO for finding in findings):
            findings = self._symptoms(findings)
        known = {code for finding in findings for code in (finding.code, *finding.symptoms) if finding.severity != INFO}
        return [*findings, *(finding for finding in certain if finding.code not in known)]

    def _symptoms(self, findings: list[Finding]) -> list[Finding]:
        """The findings of an ill training that nothing mends: what is seen of it is worth telling by itself."""
        assert self.reasoned is not None
        plain = {s.code for s in self.reasoned.suspected if s.prior >= STRONG} & SYMPTOMS
        told = [replace(f, severity=WARNING) if f.code in plain else f for f in findings]
        return sorted(told, key=lambda finding: finding.severity == INFO)

    def _at_full_length(self) -> None:
        self.subject.effort = 1.0
        for run in ("opening", "whole"):
            vars(self.subject).pop(run, None)

    def revised(self, changes: Mapping[str, Any]) -> Draft | None:
        """The draft with other fields of its recipe, None where they make no program; nothing is said on the way."""
        if self.draft.recipe.init.pretrain and Draft.needs_building(changes):
            return None  # the weights would be pre-trained anew
        try:
            made = replace(self.draft, teller=Teller()).revised(changes)
        except (InputError, JobError):  # a norm that the model cannot take, a net that learns at no rate
            return None
        return replace(made, teller=self.draft.teller)

    def wins(self, revised: Draft) -> bool:
        """Whether the program of the revised recipe does as much better as a cure must."""
        level = self.reasoned.level if self.reasoned is not None else None
        return level is not None and self._level(revised).gain_over(level) >= needed(self.subject, level)

    def _level(self, revised: Draft) -> "Reached":
        program = of_its_own(revised.program, revised.recipe, self.device)
        subject = AsTrained(program, self.meter, low=self.low, seed=self.subject.seed, effort=self.subject.effort)
        return Reached(level_of(subject))

    def _made_anew(self, seen: list[Suspicion]) -> Finding | None:
        """What is wrong with the rate, or was seen before a step, where the recipe with its cure does better."""
        level = level_of(self.subject, slower=False)
        if self.draft.search is None:
            return self._another_rate(level)
        might = [(s, cure) for s in seen if s.prior >= UNLIKELY and not s.certain for cure in s.cures]
        known = [(s, cure, fields) for s, cure in might if (fields := fields_of(cure, self.draft.recipe)) is not None]
        for suspicion, cure, fields in known[:TRIED]:
            revised = self.revised(fields)
            if revised is None:
                continue
            reached = self._level(revised)
            if reached.gain_over(level) >= needed(self.subject, level):
                self.remade = fields, revised
                return reached.finding(suspicion, cure, level)
        return None

    def _another_rate(self, level: Level) -> Finding | None:
        """A rate that was given, where the one that a range test finds does better."""
        rate = float(self.draft.recipe.optimizer.lr or 0.0)
        revised = self.revised({"optimizer.lr": None})
        if revised is None or revised.search is None:
            return None
        other = float(revised.recipe.optimizer.lr or 0.0)
        if rate / APART <= other <= rate * APART:
            return None
        reached = self._level(revised)
        if reached.gain_over(level) < needed(self.subject, level):
            return None
        changes = {"optimizer.lr": other}
        self.remade = changes, replace(self.draft.revised(changes), search=revised.search)
        curve, steps = curve_of(self.subject.opening), len(self.subject.opening.losses)
        course = f"goes from {curve.start:.3g} to {curve.end:.3g}" if self.subject.opening.finite else "is not finite"
        suspicion = Suspicion(
            "lr-too-high" if other < rate else "lr-too-low", "optimizer.lr",
            f"At the rate {rate:g} the loss {course} in the first {steps} steps; a range test finds {other:g}.",
            {"rate": rate, "rate by a range test": other, "first loss": curve.start, "loss after them": curve.end},
        )  # fmt: skip
        return reached.finding(suspicion, set_rate(self.subject, other), level)

    def _seen(self) -> list[Suspicion]:
        """What is suspected before a step; a probe that asks for a rehearsal is told that there is none."""
        vars(self.subject)["whole"] = Rehearsal()
        try:
            return suspicions(self.subject, "contract", "structure", "signal")
        finally:
            del vars(self.subject)["whole"]

    def _ill(self, seen: list[Suspicion]) -> bool:
        """Whether the first steps fail, rise or lead nowhere, or what was seen before them is grave."""
        if self.subject.first_step.error or any(s.prior >= STRONG and not s.certain for s in seen):
            return True
        if self.meter.left < OPENING * BRIEF + self.subject.scoring:
            return False
        opening = curve_of(self.subject.opening)
        rests = self.chosen and opening.descent < RESTS and opening.swing < CALM
        return not self.subject.opening.finite or opening.descent < RISES or rests


@dataclass(frozen=True)
class Reached:
    """How well the program of a revised recipe does."""

    level: Level

    def gain_over(self, before: Level) -> float:
        """Mean gain of training and validation score; −1 for a program that breaks off."""
        if not self.level.run.finite:
            return -1.0
        return (self.level.score - before.score + self.level.run.train_score - before.run.train_score) / 2

    def finding(self, suspicion: Suspicion, cure: Cure, before: Level) -> Finding:
        """The suspicion, found true."""
        gain = self.gain_over(before)
        evidence = {**suspicion.evidence, "score before": before.score, "score with the cure": self.level.score}
        return replace(_finding(suspicion), severity=severity(gain), cure=cure, evidence=evidence, loss=gain)


def _finding(suspicion: Suspicion) -> Finding:
    """A defect by itself, whatever a rehearsal shows."""
    s = suspicion
    cure = s.cures[0] if s.cures else None
    because = CODES[s.code].because
    return Finding(s.code, severity(s.loss), s.where, s.message, s.evidence, (), cure, because, s.loss)
