"""What an experiment states, and the one rule that judges it.

every theory check passes, or the experiment is a ``defect``;
all claim checks pass and the control's do not all pass     ->  holds
all claim checks pass, and the control's too                ->  defect: the cause makes no difference
some claim checks pass                                      ->  in part
none                                                        ->  fails
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

HOLDS, IN_PART, FAILS, DEFECT = "holds", "in part", "fails", "defect"


@dataclass(frozen=True)
class Check:
    """A measured number beside what it should be.

    Attributes:
        name: what was measured.
        value: measured; an array passes if each of its elements does.
        relation: of value to reference.
        reference: the predicted or claimed number, broadcast to ``value``.
        tolerance: how far off the value may be, relative to the size of the reference.
        about: ``claim``, what the lecture says, or ``theory``, what the derivation says.
        reason: why this tolerance.
        absolute: the tolerance is absolute.
        error: standard error of the value, broadcast to it; None where the value is exact.
    """

    name: str
    value: ArrayLike
    relation: Literal["equals", "at_least", "at_most"]
    reference: ArrayLike
    tolerance: float
    about: Literal["claim", "theory"]
    reason: str
    absolute: bool = False
    error: ArrayLike | None = None

    @property
    def excess(self) -> NDArray[np.float64]:
        """How far each element is on the wrong side, in units of the tolerance's scale: fails where above it."""
        value, reference = np.broadcast_arrays(np.asarray(self.value, float), np.asarray(self.reference, float))
        off = value - reference
        wrong = {"equals": np.abs(off), "at_least": -off, "at_most": off}[self.relation]
        scale = 1.0 if self.absolute else np.where(reference == 0, 1.0, np.abs(reference))
        return np.atleast_1d(wrong / scale)

    @property
    def passed(self) -> bool:
        """Whether every element is within the tolerance; nan is not."""
        return bool(np.all(self.excess <= self.tolerance))

    @property
    def worst(self) -> tuple[float, float, float | None]:
        """The value that is farthest off, its reference, and its standard error where it has one."""
        error = np.nan if self.error is None else self.error
        every = [np.asarray(numbers, float) for numbers in (self.value, self.reference, error)]
        place = int(np.argmax(np.nan_to_num(self.excess, nan=np.inf)))
        value, reference, spread = (float(each.reshape(-1)[place]) for each in np.broadcast_arrays(*every))
        return value, reference, None if self.error is None else spread

    def to_dict(self) -> dict[str, Any]:
        """The check in JSON's types."""
        value, reference, error = self.worst
        return {
            "name": self.name,
            "about": self.about,
            "passed": self.passed,
            "value": np.asarray(self.value, float).tolist(),
            "relation": self.relation,
            "reference": np.asarray(self.reference, float).tolist(),
            "tolerance": self.tolerance,
            "absolute": self.absolute,
            "reason": self.reason,
            "worst": {"value": value, "reference": reference, "error": error},
        }


def judge(checks: Sequence[Check], control: Sequence[Check], *, theory: bool = True) -> tuple[str, list[str]]:
    """Return the verdict and what is wrong with the experiment itself.

    Args:
        checks: of the run with the claim's cause.
        control: of the run without it.
        theory: whether the theory checks count; they predict the run with the cause, so not under sabotage.

    Raises:
        ValueError: if there is no claim check.

    Example:
        >>> right = Check("factor", 0.51, "equals", 0.5, 0.03, "claim", "3 %")
        >>> wrong = Check("factor", 1.0, "equals", 0.5, 0.03, "claim", "3 %")
        >>> judge([right], [wrong]), judge([wrong], [right])
        (('holds', []), ('fails', []))
    """
    claims = [check.passed for check in checks if check.about == "claim"]
    if not claims:
        raise ValueError("judge: none of the checks is about the claim. Add one with about='claim'.")
    defects = [f"theory: {c.name}" for c in checks if theory and c.about == "theory" and not c.passed]
    if all(claims) and all(check.passed for check in control if check.about == "claim"):
        defects.append("the claim holds of the control too")
    if defects:
        return DEFECT, defects
    return (HOLDS if all(claims) else IN_PART if any(claims) else FAILS), []
