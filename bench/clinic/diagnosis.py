"""What a tool says about a case, and trainwell's own examination in that form."""

from dataclasses import dataclass, field
from typing import Any

from program import Case

KEYS = ("model", "train", "val", "loss", "optimizer", "batch_size", "epochs", "shuffle", "scheduler", "clip_grad")


@dataclass
class Diagnosis:
    """What a tool says.

    Attributes:
        codes: (code, severity) in order of importance.
        cured: the case as it should be trained, or None.
        passes: forward and backward passes of one batch that it took.
    """

    codes: list[tuple[str, str]] = field(default_factory=list)
    cured: Case | None = None
    passes: float = 0.0

    @property
    def alarms(self) -> list[str]:
        """Codes above ``info``, each once."""
        return list(dict.fromkeys(code for code, severity in self.codes if severity != "info"))

    @property
    def errors(self) -> list[str]:
        return [code for code, severity in self.codes if severity == "error"]


def silent(case: Case, task: str, seed: int) -> Diagnosis:
    """Nothing."""
    return Diagnosis()


def trainwell(case: Case, task: str, seed: int) -> Diagnosis:
    """The exam's findings, and its cure."""
    import trainwell as tw

    parts: dict[str, Any] = {key: case[key] for key in KEYS if case.get(key) is not None}
    exam = tw.examine(tw.Program(**parts, task=task), seed=seed)
    cured = exam.cure()
    after = None if cured is None else {**case, **{key: getattr(cured, key) for key in KEYS}}
    return Diagnosis([(finding.code, finding.severity) for finding in exam.findings], after, exam.passes)
