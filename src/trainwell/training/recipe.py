"""The recipe: everything that can be asked of a run, as one TOML file.

Every field has a default, so an empty recipe is a good one; ``auto`` and absent fields are decided from the data or
measured, and the recipe in the run folder has what was decided.
"""

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from trainwell.errors import InputError
from trainwell.training.sections import (
    Augmentation,
    Data,
    Init,
    Loss,
    Model,
    OptimizerSection,
    Output,
    Precision,
    Regularization,
    Schedule,
    TrainingSection,
)
from trainwell.training.settings import Section

FORMAT = 1
OTHER_NAMES = {  # what other tools call our fields
    "learning_rate": "optimizer.lr",
    "rate": "optimizer.lr",
    "max_epochs": "training.epochs",
    "num_epochs": "training.epochs",
    "batchsize": "training.batch_size",
    "bs": "training.batch_size",
    "wd": "optimizer.weight_decay",
    "clip": "optimizer.clip_norm",
    "clip_grad": "optimizer.clip_norm",
    "gradient_clip_val": "optimizer.clip_norm",
    "accumulate_grad_batches": "training.accumulate",
    "early_stopping": "training.patience",
    "random_state": "training.seed",
    "architecture": "model.name",
    "scheduler": "schedule.name",
}


class Recipe(Section):
    """All sections; ``Recipe()`` is complete."""

    format: int = Field(FORMAT, description="version of this file's format")
    data: Data = Data()
    model: Model = Model()
    init: Init = Init()
    loss: Loss = Loss()
    optimizer: OptimizerSection = OptimizerSection()
    schedule: Schedule = Schedule()
    training: TrainingSection = TrainingSection()
    regularization: Regularization = Regularization()
    augmentation: Augmentation = Augmentation()
    precision: Precision = Precision()
    output: Output = Output()
    picked: dict[str, str] = Field({}, description="what was measured and decided, and why; written by trainwell")

    @classmethod
    def read(cls, path: str | Path) -> "Recipe":
        """Read a recipe file.

        Raises:
            InputError: if the file is missing, is not TOML, or has a field or value that the recipe does not have.
        """
        path = Path(path)
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(
                f"The recipe {path} does not exist.", "Check the name; a run folder has its own recipe.toml."
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise InputError(
                f"The recipe {path} cannot be read: {error}.", "It must be a TOML file in UTF-8."
            ) from None
        return cls.checked(document, str(path))

    @classmethod
    def checked(cls, document: Mapping[str, Any], origin: str = "recipe") -> "Recipe":
        """A recipe from nested dicts; errors name the field, the value and the nearest right name."""
        try:
            recipe = cls.model_validate(_numbers(cls, document))
        except ValidationError as error:
            raise _input_error(error, origin) from None
        if recipe.format != FORMAT:
            raise InputError(
                f"{origin}: format is {recipe.format}, this trainwell reads {FORMAT}.", "Leave the line out."
            )
        return recipe

    def override(self, assignments: Iterable[str]) -> "Recipe":
        """Apply ``section.field=value`` in order; values are written as in TOML, plain words need no quotes.

        Example:
            >>> Recipe().override(["optimizer.lr=0.1", "model.name=cnn"]).model.name
            'cnn'
        """
        document = {"format": self.format, **self.model_dump(exclude_none=True, exclude_unset=True)}
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            section, dot, field = name.strip().partition(".")
            if not equals or not dot:
                raise InputError(
                    f"--set {assignment}: not of the form section.field=value.", "Write for example optimizer.lr=0.1."
                )
            document.setdefault(section, {})
            if not isinstance(document[section], dict):
                raise InputError(
                    f"--set {assignment}: {section} is not a section.", f"Sections: {', '.join(_sections())}."
                )
            document[section] = {**document[section], field: _value(text.strip())}
        return Recipe.checked(document, "--set")

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """A checked copy with some fields changed, ``section.field`` → value.

        Example:
            >>> Recipe().changed({"optimizer.lr": 0.5, "training.epochs": 2}).optimizer.lr
            0.5
        """
        update: dict[str, Section] = {}
        for name, value in changes.items():
            section, _, field = name.partition(".")
            update[section] = update.get(section, getattr(self, section)).with_(**{field: value})
        return self.model_copy(update=update)

    def value(self, name: str) -> Any:
        """The value of ``section.field``."""
        section, _, field = name.partition(".")
        return getattr(getattr(self, section), field)

    def given(self) -> frozenset[str]:
        """Fields that were given a value by a file or an override, as ``section.field``; the rest are defaults.

        Example:
            >>> sorted(Recipe().override(["optimizer.lr=0.1"]).given())
            ['optimizer.lr']
        """
        sections = {name: getattr(self, name) for name in self.model_fields_set & _sections().keys()}
        return frozenset(f"{name}.{field}" for name, section in sections.items() for field in section.model_fields_set)

    def to_toml(self) -> str:
        """The recipe as TOML with each field's sentence beside it; absent fields are left out."""
        import tomlkit

        document = tomlkit.document()
        document.add(tomlkit.comment("A trainwell recipe: train again from it with `trainwell train --recipe FILE`."))
        document.add("format", tomlkit.item(self.format))
        for section, model in _sections().items():
            table = tomlkit.table()
            values = getattr(self, section)
            for name, field in model.model_fields.items():
                value = getattr(values, name)
                if value is None:
                    table.add(tomlkit.comment(f"{name} = …  {field.description}"))
                    continue
                item = tomlkit.item(value)
                item.comment(str(field.description))
                table.add(name, item)
            document.add(section, table)
        if self.picked:
            table = tomlkit.table()
            for name, why in self.picked.items():
                table.add(name, why)
            document.add("picked", table)
        return tomlkit.dumps(document)

    def fingerprint(self) -> str:
        """A hash of all that decides the weights: not of the output folder, the time budget or the device."""
        content = self.model_dump(
            exclude={
                "output": True,
                "picked": True,
                "training": {"max_minutes", "device", "tensorboard", "exam", "watch"},
            }
        )
        return hashlib.sha256(repr(sorted(_flat(content))).encode()).hexdigest()[:16]


def _sections() -> dict[str, type[Section]]:
    return {
        name: field.annotation
        for name, field in Recipe.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", repr(value)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _numbers(model: type[Section], document: Mapping[str, Any]) -> dict[str, Any]:
    """Whole numbers where the field is a float: TOML's ``lr = 1`` is meant as 1.0."""
    result: dict[str, Any] = {}
    for name, value in document.items():
        field = model.model_fields.get(name)
        annotation = field.annotation if field else None
        if isinstance(value, Mapping) and isinstance(annotation, type) and issubclass(annotation, Section):
            result[name] = _numbers(annotation, value)
        elif type(value) is int and field is not None and "float" in str(annotation) and "int" not in str(annotation):
            result[name] = float(value)
        else:
            result[name] = value
    return result


def _input_error(error: ValidationError, origin: str) -> InputError:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    value = first.get("input")
    if first["type"] == "extra_forbidden":
        near = _nearest(place)
        hint = f"Did you mean {near}?" if near else f"Known: {', '.join(_names(place[:-1]))}."
        return InputError(f"{origin}: there is no field {'.'.join(place)} (given {value!r}).", hint)
    field = ".".join(part for part in place[:2])
    meanings = [e["msg"] for e in error.errors() if e["loc"][:2] == first["loc"][:2]]
    meaning = (
        " or ".join(dict.fromkeys(meanings))
        .replace("Input should", "It should", 1)
        .replace("Input should", "it should")
    )
    choices = re.findall(r"'([^']+)'", meaning) if isinstance(value, str) else []
    likely = difflib.get_close_matches(str(value), choices, 1, 0.6)
    hint = f" Did you mean {likely[0]}?" if likely else ""
    return InputError(f"{origin}: {field} is {value!r}.", f"{meaning}.{hint}")


def _names(place: list[str]) -> list[str]:
    if not place:
        return list(Recipe.model_fields)
    section = _sections().get(place[0])
    return list(section.model_fields) if section else []


def _nearest(place: list[str]) -> str | None:
    """The right name nearest to a wrong one: in its section first, then anywhere."""
    wrong = place[-1]
    if wrong in OTHER_NAMES:
        return OTHER_NAMES[wrong]
    siblings = difflib.get_close_matches(wrong, _names(place[:-1]), 1, 0.6)
    if siblings:
        return ".".join([*place[:-1], siblings[0]])
    everywhere = {field: f"{name}.{field}" for name, section in _sections().items() for field in section.model_fields}
    if wrong in everywhere:
        return everywhere[wrong]
    far = difflib.get_close_matches(wrong, list(everywhere), 1, 0.7)
    return everywhere[far[0]] if far else None
