"""What each column of a table is, judged from all its cells: number, category, flag, date, text, identifier, constant.

Numbers with a leading zero such as 007 are codes, hence categories. A column of numbers with a few texts among them is
an error rather than a guess; one of texts with some numbers among them is text.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainwell.data.cells import (
    DECIMAL_COMMA,
    FLAG_PAIRS,
    ISO,
    ISO_ZONED,
    as_numbers,
    as_text,
    days_of,
    number_like,
    tidy,
)
from trainwell.data.dataset import Column
from trainwell.errors import InputError

DATE_FORMS = (ISO, ISO_ZONED, "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
LOOKS_LIKE_DATE = r"^(\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{4})$"
LEADING_ZERO = r"^[+-]?0\d+$"
THOUSANDS = r"^[+-]?\d{1,3}([,'’  ]\d{3})+(\.\d+)?$|^[+-]?\d{1,3}(\.\d{3})+,\d+$"
IDENTIFIER_NAME = re.compile(
    r"(^|[_\s.-])(id|idx|index|key|uuid|guid|row|no|nr)$|[a-z]I[dD]$|^(unnamed.*)?$", re.IGNORECASE
)
CAMEL_IDENTIFIER = re.compile(r"[a-z](Id|ID)$")
MOSTLY = 0.9
FEW_TEXTS = 3
"""Numbers with texts among them are an error if 90 % are numbers, or half and at most 3 different texts disturb."""
LEAST_UNIQUE = 10
ROWS_A_CATEGORY = 5
ALWAYS_CATEGORIES = 20
"""More than 20 different texts are categories if each has at least 5 rows on average."""


@dataclass(frozen=True)
class Found:
    """A column and its cells: tidy, and as float64 numbers where it holds numbers or flags of 0 and 1."""

    column: Column
    cells: Any
    values: np.ndarray | None = None


def infer(name: str, raw: Any, delimiter: str = "") -> Found:
    """What this column is.

    Args:
        name: of the column.
        raw: its cells as read (a pyarrow array).
        delimiter: of the CSV file; with ";" a comma may be a decimal comma.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = tidy(raw)
    kind = cells.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return Found(Column(name, "text", False, f"{name} is left out: it holds {kind}.", cells.null_count, 0), cells)
    missing = cells.null_count
    if pa.types.is_string(kind):
        return _of_texts(Column(name, "category", True, "", missing, _distinct(cells)), cells, delimiter)
    column = Column(name, "number", True, "", missing, _distinct(cells))
    if pa.types.is_boolean(kind):
        return Found(_constant(replace(column, kind="flag"), cells), cells)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return Found(_constant(replace(column, kind="date", form=ISO), cells), cells)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _of_numbers(column, cells, as_numbers(cells, name))
    return Found(
        replace(column, kind="text", used=False, why=f"{name} is left out: it holds {kind}."),
        pc.cast(cells, pa.string()),
    )


def uninferred(name: str, raw: Any, delimiter: str = "") -> Found:
    """A column that is no feature and may hold anything: one left out on request, or the groups of a split."""
    cells = as_text(tidy(raw))
    return Found(Column(name, "text", False, "", cells.null_count, _distinct(cells)), cells)


def naturally(found: Found) -> Column:
    """The column as a feature, though it would be left out: a number, date or flag as it is, a text as a category."""
    column = found.column
    if column.used:
        return column
    if column.kind in ("identifier", "constant", "leak", "text"):
        kind = (
            "number" if found.values is not None else "date" if column.form not in ("", DECIMAL_COMMA) else "category"
        )
        return replace(column, kind=kind, used=True, why=f"{column.name} is kept on request.")
    return column


def _of_texts(column: Column, cells: Any, delimiter: str) -> Found:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.distinct == 0:
        return Found(_constant(column, cells), cells)
    numbers = number_like(cells)
    known = len(cells) - column.missing
    share = numbers.sum() / known
    if share == 1 and not _any(cells, LEADING_ZERO):
        return _of_numbers(replace(column, kind="number"), cells, as_numbers(cells, column.name))
    if share < 1 and delimiter != "," and _any(cells, r"^[+-]?\d+,\d+$"):
        plain = pc.replace_substring(cells, ",", ".")
        fractions = pc.all(pc.match_substring_regex(cells, THOUSANDS)).as_py()
        if number_like(plain).sum() == known and not fractions:
            why = f"In {column.name} a comma is read as the decimal point."
            column = replace(column, kind="number", form=DECIMAL_COMMA, why=why)
            return _of_numbers(column, cells, as_numbers(cells, column.name, DECIMAL_COMMA))
    if form := _date_form(cells, known):
        return Found(_constant(replace(column, kind="date", form=form), cells), cells)
    if 0 < share < 1 or _any(cells, THOUSANDS):
        column = _mixed(column, cells, numbers, known)
    lowered = tuple(sorted(pc.unique(pc.drop_null(pc.utf8_lower(cells))).to_pylist())) if column.distinct == 2 else ()
    if lowered and any(set(lowered) == set(pair) for pair in FLAG_PAIRS):
        return Found(replace(column, kind="flag"), cells)
    column = _constant(column, cells)
    if column.kind == "category":
        column = _as_identifier_or_text(column, known)
    return Found(column, pc.cast(cells, pa.string()))


def _mixed(column: Column, cells: Any, numbers: np.ndarray, known: int) -> Column:
    """Numbers with texts among them: an error where they were meant as numbers, else texts."""
    import pyarrow.compute as pc

    thousands = pc.fill_null(pc.match_substring_regex(cells, THOUSANDS), False).to_numpy(zero_copy_only=False)
    texts = pc.is_valid(cells).to_numpy(zero_copy_only=False) & ~numbers
    row = int(np.flatnonzero(texts)[0]) if texts.any() else 0
    cell = cells[row].as_py()
    if thousands.any() and (thousands | numbers).sum() >= MOSTLY * known:
        raise InputError(
            f"Column {column.name!r} says {cell!r} in row {row + 1}: a thousands separator or a decimal comma?",
            f"Write plain numbers such as 1234.5, or leave the column out (--drop {column.name!r}).",
        )
    share = numbers.sum() / known
    few = len(pc.unique(cells.filter(_mask(texts)))) <= FEW_TEXTS
    if share >= MOSTLY or (share >= 0.5 and few):
        raise InputError(
            f"Column {column.name!r} holds numbers in {share:.0%} of its cells, but row {row + 1} says {cell!r}.",
            f"Correct the cell, leave it empty if unknown, or leave the column out (--drop {column.name!r}).",
        )
    if share >= 0.5:
        why = f"{column.name} is read as text: {share:.0%} of its cells are numbers, but row {row + 1} says {cell!r}."
        return replace(column, why=why)
    return column


def _of_numbers(column: Column, cells: Any, values: np.ndarray) -> Found:
    found = np.unique(values[~np.isnan(values)])
    column = _constant(replace(column, distinct=len(found)), cells)
    if column.kind == "constant":
        return Found(column, cells, values)
    if len(found) == 2 and found[0] == 0 and found[1] == 1:
        return Found(replace(column, kind="flag"), cells, values)
    if len(found) == len(values) >= LEAST_UNIQUE and bool((found == np.rint(found)).all()):
        row_numbers = found[0] in (0, 1) and bool((np.diff(values) == 1).all())
        named = (
            IDENTIFIER_NAME.search(column.name.strip()) is not None or CAMEL_IDENTIFIER.search(column.name) is not None
        )
        if row_numbers or named:
            shown = column.name or "the column without a name"
            why = f"{shown} is left out: it numbers the rows (--keep {column.name} uses it)."
            column = replace(column, kind="identifier", used=False, why=why)
    return Found(column, cells, values)


def _constant(column: Column, cells: Any) -> Column:
    if column.distinct > 1 or (column.distinct == 1 and column.missing):
        return column
    text = "is empty" if column.distinct == 0 else f"is {as_text(cells)[0].as_py()!r} in every row"
    return replace(column, kind="constant", used=False, why=f"{column.name} is left out: it {text}.")


def _as_identifier_or_text(column: Column, known: int) -> Column:
    if column.distinct == known >= LEAST_UNIQUE:
        why = f"{column.name} is left out: its texts differ in every row (--keep {column.name} uses it)."
        return replace(column, kind="identifier" if not column.missing else "text", used=False, why=why)
    if column.distinct > ALWAYS_CATEGORIES and known < ROWS_A_CATEGORY * column.distinct:
        why = (
            f"{column.name} is left out: {column.distinct} different texts in {known} rows are too many for categories "
            f"(--keep {column.name} uses them)."
        )
        return replace(column, kind="text", used=False, why=why)
    return column


def _date_form(cells: Any, known: int) -> str:
    """The one form in which all cells are dates; "" if there is none, an error if there are two."""
    import pyarrow.compute as pc

    if not _any(cells, LOOKS_LIKE_DATE):
        return ""
    first = int(np.flatnonzero(pc.is_valid(cells).to_numpy(zero_copy_only=False))[0])
    fitting = []
    for form in DATE_FORMS:
        head = days_of(cells.slice(first, 1), form)
        if head is None or np.isnan(head[0]):
            continue
        days = days_of(cells, form)
        if days is not None and (~np.isnan(days)).sum() == known:
            fitting.append((form, days))
    if len(fitting) > 1 and not all(np.array_equal(fitting[0][1], days, equal_nan=True) for _, days in fitting[1:]):
        raise InputError(
            f"The dates such as {cells[first].as_py()!r} can be read with the day or the month first.",
            "Write them as 2024-03-01 (year-month-day).",
        )
    return fitting[0][0] if fitting else ""


def _any(cells: Any, pattern: str) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(cells, pattern)).as_py())


def _distinct(cells: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.count_distinct(cells, mode="only_valid").as_py())


def _mask(rows: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.array(rows)
