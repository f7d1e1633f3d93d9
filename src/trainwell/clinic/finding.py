"""What the clinic suspects, and what it finds: a code, where, in words, with the numbers that say so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainwell.clinic.codes import CODES
from trainwell.clinic.cure import Cure

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERE, NOTABLE = 0.3, 0.04  # expected share of the final quality that is lost, from which on an error, a warning
Evidence = Mapping[str, float | str | bool]


@dataclass(frozen=True)
class Suspicion:
    """What a probe saw and what might mend it, before it is tried.

    Attributes:
        code: of ``codes.CODES``.
        where: parameter, layer, column, setting or epoch.
        message: one sentence a beginner understands, with the number that matters.
        evidence: numbers by name.
        prior: how likely it is that this costs quality, 0 … 1, from the evidence alone.
        certain: a defect by itself, whatever a short run shows; it is found without being tried.
        loss: expected share of the final quality lost, where it is certain.
        gain: quality that the first cure wins, where the probe has measured that itself; None to have it tried.
        cures: what might mend it, the smallest change first.
        explains: codes that are this cause's symptoms here, beside those of ``codes.CODES``.
        guessed: nothing was seen that says so; it is tried where nothing else helps, and not told if it does not.
    """

    code: str
    where: str
    message: str
    evidence: Evidence = field(default_factory=dict)
    prior: float = 0.5
    certain: bool = False
    loss: float = 0.0
    gain: float | None = None
    cures: tuple[Cure, ...] = ()
    explains: frozenset[str] = frozenset()
    guessed: bool = False

    @property
    def brings_about(self) -> frozenset[str]:
        """Codes that are its symptoms, always or here."""
        return CODES[self.code].explains | self.explains


@dataclass(frozen=True)
class Finding:
    """A cause with what it explains and what cures it.

    Attributes:
        code, where, message, evidence: as in :class:`Suspicion`; the evidence also tells what trying the cure did.
        severity: error, warning or info, after ``loss``.
        symptoms: codes that this cause explains.
        cure: what mends it, or None.
        because: ids of the lab's experiments, and papers.
        loss: expected share of the final quality lost.
    """

    code: str
    severity: str
    where: str
    message: str
    evidence: Evidence
    symptoms: tuple[str, ...]
    cure: Cure | None
    because: tuple[str, ...]
    loss: float

    def to_dict(self) -> dict[str, Any]:
        """The finding in JSON's types."""
        return {
            "code": self.code,
            "severity": self.severity,
            "where": self.where,
            "message": self.message,
            "evidence": dict(self.evidence),
            "symptoms": list(self.symptoms),
            "cure": None if self.cure is None else self.cure.to_dict(),
            "because": list(self.because),
        }


def severity(loss: float) -> str:
    """How severe a finding is, by the share of the final quality that it is expected to cost."""
    return ERROR if loss >= SEVERE else WARNING if loss >= NOTABLE else INFO
