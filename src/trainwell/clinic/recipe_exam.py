"""The exam of ``trainwell train``: it looks at what a recipe makes before it is trained, and mends the recipe.

A cure is taken where it changes only fields of the recipe that nobody has set; it is checked on the program that the
changed recipe makes, where that is not the one that was tried. Everything else is said, and the training goes on.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trainwell.clinic.finding import ERROR, INFO, Finding
from trainwell.clinic.recipe_fields import TOLD, fields_of, is_setting
from trainwell.clinic.recipe_look import Look
from trainwell.clinic.trials import Trial
from trainwell.training.draft import Draft, running
from trainwell.training.journal import plain
from trainwell.training.machine import resolve_device, settled
from trainwell.training.trial import untouched
from trainwell.training.weights import write_text

FILE = "exam.json"
CHOSEN = frozenset(["model", "init", "loss", "optimizer", "schedule", "regularization"])  # sections that decide it


@dataclass
class Told:
    """What came of an exam.

    Attributes:
        findings: root causes first.
        passes, seconds: that it took.
        applied: fields of the recipe that it changed, with their new values.
        said: a sentence for every finding above info.
    """

    findings: list[Finding]
    passes: float
    seconds: float
    applied: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        found: dict[str, Any] = plain(
            {
                "healthy": not self.said,
                "findings": [finding.to_dict() for finding in self.findings],
                "applied": self.applied,
                "said": self.said,
                "cost": {"passes": round(self.passes, 1), "seconds": round(self.seconds, 2)},
            }
        )
        return found


class RecipeExam:
    """To be given to ``training.jobs.train`` as ``before``.

    Args:
        given: fields that the user set himself (``Recipe.given``): they are never changed.
    """

    def __init__(self, given: Collection[str]) -> None:
        self.given = frozenset(given)

    def __call__(self, draft: Draft) -> Draft:
        """Examine the draft; what is said is also written to ``exam.json`` in its folder."""
        try:
            examined, told = self._examined(draft)
        except Exception as error:  # of a stranger's model or data: the training itself will tell
            text = (str(error).splitlines() or [""])[0]
            draft.teller.say(f"The exam broke off ({type(error).__name__}: {text}); the training goes on without it.")
            return draft
        for sentence in told.said:
            draft.teller.say(sentence)
        write_text(draft.folder / FILE, json.dumps(told.to_dict(), ensure_ascii=False, indent=1) + "\n")
        return examined

    def _examined(self, draft: Draft) -> tuple[Draft, Told]:
        device = resolve_device(draft.recipe.training.device)
        with settled(running(draft.recipe), device), untouched(draft.program.train):
            looked = Look(draft, device, chosen=any(name.partition(".")[0] in CHOSEN for name in self.given))
            found = looked.found()
            told = Told(found, 0.0, 0.0)
            examined = self._mended(looked, told)
        told.said = [self._sentence(finding, draft, told.applied) for finding in found if finding.severity != INFO]
        if examined.search is not draft.search and "optimizer.lr" not in told.applied:
            told.said[-1] += f" The rate that was searched for it anew is {examined.recipe.optimizer.lr:g}."
        told.passes, told.seconds = looked.meter.spent, looked.meter.seconds
        return examined, told

    def _mended(self, looked: Look, told: Told) -> Draft:
        """The draft with the cures that may be taken, if what comes of it does better."""
        draft, changes = looked.draft, dict[str, Any]()
        if looked.remade is not None:
            made, remade = looked.remade
            return self._applied(remade, made, told) if self._free(made) else draft
        trials = looked.reasoned.accepted if looked.reasoned is not None else []
        wanted = [fields_of(trial.cure, draft.recipe) for trial in trials]
        for fields in wanted:
            changes |= self._free(fields)
        if not changes:
            return draft
        as_tried = all(map(self._free, wanted)) and all(map(_was_tried, trials)) and is_setting(changes)
        revised = looked.revised(changes)
        if revised is None or not (as_tried or looked.wins(revised)):
            return draft
        return self._applied(revised, changes, told)

    def _applied(self, revised: Draft, changes: Mapping[str, Any], told: Told) -> Draft:
        told.applied = dict(changes)
        picked = {**revised.recipe.picked, "exam": f"set {_assigned(changes)}"}
        if "optimizer.lr" in changes:
            picked["lr"] = "the exam before the training"
        return replace(revised, recipe=revised.recipe.model_copy(update={"picked": picked}))

    def _free(self, fields: Mapping[str, Any] | None) -> dict[str, Any]:
        """These fields, if none of them is the user's own, or his to decide."""
        if fields is None or fields.keys() & (self.given | TOLD):
            return {}
        return dict(fields)

    def _sentence(self, finding: Finding, draft: Draft, applied: Mapping[str, Any]) -> str:
        opening = "Exam, an error" if finding.severity == ERROR else "Exam"
        more = f"`trainwell explain {finding.code}`"
        fields = None if finding.cure is None else fields_of(finding.cure, draft.recipe)
        advice = ""
        if fields is not None and fields.items() <= applied.items():
            advice = f"applied {_assigned(fields)}"
        elif fields is not None:
            own = [name for name in fields if name in self.given]
            kept = f"{', '.join(own)} {'stays' if len(own) == 1 else 'stay'} as given, " if own else ""
            advice = f"{kept}{_assigned(fields)} may help"
        elif finding.cure is not None:
            advice = f"what may help: {finding.cure.name}"
        return f"{opening}: {finding.message.rstrip('.')}{'; ' if advice else ''}{advice} ({more})."


def _was_tried(trial: Trial) -> bool:
    """Whether a rehearsal, or a probe of its own, has shown what the cure does."""
    return trial.suspicion.gain is not None or trial.run is not trial.before.run


def _assigned(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in fields.items())


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
