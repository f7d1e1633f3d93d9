"""docs/recipe.md from the fields of ``Recipe``; ``python tests/docs/recipe_page.py`` writes it."""

import pathlib
import types
import typing

import annotated_types
from pydantic.fields import FieldInfo

from trainwell.training import Recipe
from trainwell.training.settings import Section

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "recipe.md"
INTRODUCTION = """\
# The recipe

A recipe is everything that can be asked of a run, as one TOML file. Every field has a default, so none is needed; what
is `auto` or absent is decided from the data or measured, and the recipe that a run used is written whole into its
[folder](run-folder.md), with what was decided and why.

```toml recipe.toml
[training]
epochs = 2

[optimizer]
name = "adamw"
lr = 0.002
```

```sh
trainwell train digits --recipe recipe.toml --set model.name=mlp --set model.depth=1 --quiet
```

An option such as `--epochs` beats `--set`, which beats the file. Values of `--set` are written as in TOML, plain words
without quotes: `--set data.drop='["id", "name"]'`. A field or value that there is not is an error that names the
nearest right one, also for names of other tools (`learning_rate`, `max_epochs`).

This page is made from the program's own fields: the sentences are those of the recipe in every run folder.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for name, field in Recipe.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            parts.append(f"## {name}\n\n{(field.annotation.__doc__ or '').strip()}\n\n{table(field.annotation)}")
    rest = ", ".join(f"`{name}`: {Recipe.model_fields[name].description}" for name in ("format", "picked"))
    parts.append(f"## Besides the sections\n\n{rest}.\n")
    return "\n".join(parts)


def table(section: type[Section]) -> str:
    """One line a field: name, values, default, sentence."""
    lines = ["| field | values | default | |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        cells = (f"`{name}`", values(field), default(field), str(field.description))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def default(field: FieldInfo) -> str:
    """The default as TOML writes it."""
    value = field.default
    if value is None:
        return "absent"
    return f"`{str(value).lower() if isinstance(value, bool) else repr(value).replace(chr(39), chr(34))}`"


def values(field: FieldInfo) -> str:
    """What may be given, with the bounds."""
    return kind(field.annotation, field.metadata)


def kind(annotation: typing.Any, metadata: typing.Sequence[typing.Any] = ()) -> str:
    """A type in words: ``number ≥ 0, < 1``."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *extra = typing.get_args(annotation)
        return kind(inner, [item for one in extra for item in (one.metadata if isinstance(one, FieldInfo) else [one])])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    if origin in (types.UnionType, typing.Union):
        return " or ".join(kind(one, metadata) for one in typing.get_args(annotation) if one is not types.NoneType)
    if origin is dict:
        return "table of options"
    words = {int: "whole number", float: "number", bool: "`true`, `false`", str: "text", list: "list of texts"}
    if annotation == list[int]:
        return "list of whole numbers"
    return ", ".join([words[origin or annotation], *filter(None, map(bound, metadata))])


def bound(item: typing.Any) -> str:
    """A bound in signs, "" for anything else."""
    signs = {annotated_types.Ge: "≥", annotated_types.Gt: ">", annotated_types.Le: "≤", annotated_types.Lt: "<"}
    sign = signs.get(type(item))
    return f"{sign} {getattr(item, type(item).__name__.lower())}" if sign else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
