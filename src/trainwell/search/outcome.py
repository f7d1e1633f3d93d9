"""What a race gives: an entry a method, with its curve, and what they have in common."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainwell.search.levels import TARGET, common_levels, falls_far, first_reach

PARTS = ("train", "val")
PLACED = ("finished", "stopped")  # who may win; a method that diverged or failed on its way is shown, no more
HIGHER = ("accuracy", "r2")  # of the scores that validation gives


@dataclass(frozen=True)
class Trial:
    """A rate that was tried: the loss at the end of its short run, not finite where it diverged."""

    lr: float
    loss: float


@dataclass(frozen=True)
class Look:
    """The scores after ``step`` steps and ``seconds`` of a method's own training time.

    ``train`` is measured on the same training samples for every method, in evaluation mode; ``val`` is empty where
    there are no validation data.
    """

    step: int
    seconds: float
    train: Mapping[str, float]
    val: Mapping[str, float]


@dataclass(frozen=True)
class Entry:
    """One method of a race.

    Attributes:
        name: in ``optim.METHODS``.
        status: ``finished``, ``stopped`` (by a signal), ``diverged``, ``failed`` (an error) or ``skipped``.
        note: a sentence, where there is something to say.
        lr: peak rate; None for a method that takes none.
        lr_note: where the rate comes from.
        trials: the rates that were tried.
        looks: the curve, the start first.
        batch_losses: of every step, before its move.
        memory: numbers kept per parameter, counted in the optimizer's state at the end.
        batch_size: samples a step.
    """

    name: str
    status: str
    note: str = ""
    lr: float | None = None
    lr_note: str = ""
    trials: tuple[Trial, ...] = ()
    looks: tuple[Look, ...] = ()
    batch_losses: tuple[float, ...] = ()
    memory: float | None = None
    batch_size: int = 0

    @property
    def steps(self) -> int:
        """Steps that were made."""
        return len(self.batch_losses)

    @property
    def seconds(self) -> float:
        """Own training time up to the last look."""
        return self.looks[-1].seconds if self.looks else 0.0

    @property
    def placed(self) -> bool:
        """Did it train, and neither diverge nor fail?"""
        return self.status in PLACED and self.steps > 0

    @property
    def final(self) -> dict[str, Mapping[str, float]]:
        """Scores of the last look by part of the data."""
        last = self.looks[-1] if self.looks else Look(0, 0.0, {}, {})
        return {"train": last.train, "val": last.val}

    def losses(self, part: str = "train") -> list[float]:
        """Losses of the looks, NaN where the part was not measured."""
        return [getattr(look, part).get("loss", math.nan) for look in self.looks]

    def reach(self, level: float, part: str = "train", logarithmic: bool = False) -> tuple[float | None, float | None]:
        """Steps and seconds to a level of the loss; None where it was not reached."""
        losses = self.losses(part)
        steps = first_reach([look.step for look in self.looks], losses, level, logarithmic)
        return steps, first_reach([look.seconds for look in self.looks], losses, level, logarithmic)


@dataclass(frozen=True)
class Race:
    """The outcome of a race.

    Attributes:
        entries: in the order of the methods asked for.
        about: what was raced: data, model, sizes, seed, schedule, budget.
        tuning: factors on a method's default rate that were tried, and the steps of each trial.
        seconds: wall-clock time of everything.
        stopped: number of the signal that ended it early, or None.
        folder: where ``race.json`` and ``race.html`` are, or None.
    """

    entries: tuple[Entry, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    tuning: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: int | None = None
    folder: Path | None = None

    def __getitem__(self, name: str) -> Entry:
        return next(entry for entry in self.entries if entry.name == name)

    def levels(self, part: str = "train") -> tuple[float, ...]:
        """Levels of the loss that all methods are asked for; see ``search.levels``."""
        return common_levels([entry.losses(part) for entry in self._placed])

    def logarithmic(self, part: str = "train") -> bool:
        """Does the loss fall so far that levels are shares of its logarithm?"""
        losses = [value for entry in self._placed for value in entry.losses(part) if math.isfinite(value)]
        return bool(losses) and falls_far(losses[0], min(losses))

    @property
    def _placed(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.placed]

    @property
    def target(self) -> float | None:
        """The level of the training loss that decides: 90 % of the way to the lowest that any method reached."""
        return next(iter(common_levels([entry.losses() for entry in self._placed], (TARGET,))), None)

    def to_target(self, entry: Entry) -> tuple[float | None, float | None]:
        """Steps and seconds of a method to the target; None where it was not reached."""
        if self.target is None or not entry.placed:
            return None, None
        return entry.reach(self.target, "train", self.logarithmic())

    @property
    def winner(self) -> dict[str, str | None]:
        """The first at the :attr:`target` by ``step`` and by ``second``, and the best by ``validation``."""
        reached = {entry.name: self.to_target(entry) for entry in self._placed}
        return {
            "step": _least({name: steps for name, (steps, _) in reached.items()}),
            "second": _least({name: seconds for name, (_, seconds) in reached.items()}),
            "validation": _least({entry.name: _validation(entry) for entry in self._placed}),
        }

    def table(self) -> list[dict[str, Any]]:
        """One row a method: status, rate, steps, seconds, final scores, steps and seconds to the target, memory."""
        return [self._row(entry) for entry in self.entries]

    def _row(self, entry: Entry) -> dict[str, Any]:
        steps, seconds = self.to_target(entry)
        return {
            "name": entry.name,
            "status": entry.status,
            "lr": entry.lr,
            "steps": entry.steps,
            "seconds": entry.seconds,
            **{f"{part}_{name}": value for part, scores in entry.final.items() for name, value in scores.items()},
            "steps_to_target": steps,
            "seconds_to_target": seconds,
            "memory": entry.memory,
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain types, as in ``race.json``; what is not finite is None."""
        return _plain(
            {
                "race": None if self.folder is None else str(self.folder),
                **self.about,
                "tuning": self.tuning,
                "winner": self.winner,
                "target": self.target,
                "levels": {part: self.levels(part) for part in PARTS},
                "methods": [self._method(entry) for entry in self.entries],
                "seconds": self.seconds,
                "stopped": self.stopped,
            }
        )

    def _method(self, entry: Entry) -> dict[str, Any]:
        reached: dict[str, list[dict[str, float | None]]] = {part: [] for part in PARTS}
        for part in PARTS if entry.placed else ():
            for level in self.levels(part):
                steps, seconds = entry.reach(level, part, self.logarithmic(part))
                reached[part].append({"loss": level, "steps": steps, "seconds": seconds})
        return {
            "name": entry.name,
            "status": entry.status,
            "note": entry.note,
            "lr": entry.lr,
            "lr_note": entry.lr_note,
            "trials": [{"lr": trial.lr, "loss": trial.loss} for trial in entry.trials],
            "steps": entry.steps,
            "seconds": entry.seconds,
            "batch_size": entry.batch_size,
            "memory": entry.memory,
            "seconds_to_target": self.to_target(entry)[1],
            "steps_to_target": self.to_target(entry)[0],
            "final": entry.final,
            "to_level": reached,
            "curve": [
                {
                    "step": look.step,
                    "seconds": look.seconds,
                    **{f"train_{name}": value for name, value in look.train.items()},
                    **{f"val_{name}": value for name, value in look.val.items()},
                }
                for look in entry.looks
            ],
        }

    def save_html(self, path: str | Path) -> Path:
        """Write the page of the race; see ``report.write_race``."""
        from trainwell.report import write_race

        return write_race(self.to_dict(), path)

    def __str__(self) -> str:
        rows = self.table()
        return "\n".join(", ".join(f"{name} {_short(value)}" for name, value in row.items()) for row in rows)


def _least(values: Mapping[str, float | None]) -> str | None:
    found = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    return min(found, key=lambda name: found[name]) if found else None


def _validation(entry: Entry) -> float | None:
    """What is smaller for the better: minus the best accuracy or R², else the lowest loss, over all looks."""
    looks = [look.val for look in entry.looks if math.isfinite(look.val.get("loss", math.nan))]
    name = next((name for name in HIGHER if looks and name in looks[0]), None)
    if name is not None:
        return min(-val[name] for val in looks)
    return min((val["loss"] for val in looks), default=None)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
