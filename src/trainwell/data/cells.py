"""The cells of one table column as numbers, days, flags or texts; missing ones are null.

All work is on whole columns (pyarrow.compute, NumPy); rows in messages count from 1, the header not counted.
"""

from typing import Any

import numpy as np

from trainwell.data.dataset import Column
from trainwell.errors import InputError

MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "<NA>",
    "NaN",
    "nan",
    "NAN",
    "NaT",
    "NULL",
    "Null",
    "null",
    "None",
    "?",
    "-",
    "--",
)
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?[iI]nf(inity)?$"
DECIMAL_COMMA = "decimal comma"
FLAG_PAIRS = (("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"), ("off", "on"), ("0", "1"))
ISO, ISO_ZONED = "iso", "iso with zone"


def tidy(cells: Any) -> Any:
    """One column as a plain pyarrow array: texts trimmed, everything that means "missing" null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_null(cells.type):
        return cells.cast(pa.string())
    if pa.types.is_large_string(cells.type) or pa.types.is_string_view(cells.type):
        cells = cells.cast(pa.string())
    if pa.types.is_decimal(cells.type) or pa.types.is_float16(cells.type):
        cells = cells.cast(pa.float64())
    if pa.types.is_floating(cells.type):
        return pc.if_else(pc.is_nan(cells), None, cells)
    if pa.types.is_string(cells.type):
        cells = pc.utf8_trim_whitespace(cells)
        return pc.if_else(pc.is_in(cells, value_set=pa.array(MISSING)), None, cells)
    return cells


def as_numbers(cells: Any, name: str, form: str = "") -> np.ndarray:
    """float64 with NaN for missing; a text or an infinity is an InputError that names its row.

    Args:
        cells: tidy.
        name: of the column.
        form: "decimal comma" where 3,14 means 3.14.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(cells.type):
        plain = pc.replace_substring(cells, ",", ".") if form == DECIMAL_COMMA else cells
        try:
            cells = pc.cast(plain, pa.float64())
        except pa.ArrowInvalid:
            raise _no_number(cells, plain, name) from None
    elif not (pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type) or pa.types.is_boolean(cells.type)):
        raise InputError(f"Column {name!r} holds {cells.type} where numbers are needed.", "Convert it to numbers.")
    values = pc.cast(cells, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    largest = np.finfo(np.float32).max
    if bool((np.abs(values) > largest).any()):
        row = int(np.flatnonzero(np.abs(values) > largest)[0])
        raise InputError(
            f"Column {name!r} is {values[row]:g} in row {row + 1}, more than a float32 holds.",
            "Correct the cell, or leave it empty if the value is not known.",
        )
    return values


def as_days(cells: Any, name: str, form: str, origin: float = 0.0) -> np.ndarray:
    """Dates as float64 days since ``origin`` (days since 1970-01-01); a cell of another form is an InputError."""
    import pyarrow as pa
    import pyarrow.compute as pc

    days = days_of(cells, form)
    if days is None:
        raise InputError(
            f"Column {name!r} holds {cells.type} where dates are needed.", "Write dates such as 2024-03-01."
        )
    lost = np.isnan(days) & pc.is_valid(cells).to_numpy(zero_copy_only=False)
    if lost.any():
        row = int(np.flatnonzero(lost)[0])
        cell = cells[row].as_py() if pa.types.is_string(cells.type) else cells[row]
        raise InputError(
            f"Column {name!r} is {cell!r} in row {row + 1}: no date of the form {form}.", "Write it like the others."
        )
    return days - origin


def days_of(cells: Any, form: str) -> np.ndarray | None:
    """Days since 1970-01-01, NaN where a cell is missing or not of this form; None if the type cannot hold dates."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(cells.type):
        if form in (ISO, ISO_ZONED):
            try:
                stamps = pc.cast(cells, pa.timestamp("us", tz="UTC" if form == ISO_ZONED else None))
            except pa.ArrowInvalid:
                return np.full(len(cells), np.nan)
        else:
            stamps = pc.strptime(cells, format=form, unit="us", error_is_null=True)
    elif pa.types.is_date(cells.type) or pa.types.is_timestamp(cells.type):
        stamps = pc.cast(cells, pa.timestamp("us", tz=getattr(cells.type, "tz", None)), safe=False)
    else:
        return None
    whole = pc.cast(stamps, pa.int64())
    return pc.cast(whole, pa.float64(), safe=False).to_numpy(zero_copy_only=False) / 86_400e6


def as_text(cells: Any) -> Any:
    """The cells as texts: 3.0 as "3", booleans as "True" and "False"."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(cells.type):
        return cells
    if pa.types.is_boolean(cells.type):
        return pc.if_else(cells, "True", "False")
    if pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
        return pa.nulls(len(cells), pa.string())
    return pc.cast(cells, pa.string())


def as_codes(cells: Any, column: Column) -> np.ndarray:
    """int64 codes of a category or flag column; -1 where missing or not among its categories."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.kind == "flag":
        texts = pc.utf8_lower(as_text(cells))
        texts = pc.if_else(pc.equal(texts, "1.0"), "1", pc.if_else(pc.equal(texts, "0.0"), "0", texts))
        no, yes = (pc.is_in(texts, value_set=pa.array([pair[meaning] for pair in FLAG_PAIRS])) for meaning in (0, 1))
        codes = pc.if_else(yes, 1, pc.if_else(no, 0, -1))
        return codes.to_numpy(zero_copy_only=False).astype(np.int64)
    codes = pc.index_in(as_text(cells), value_set=pa.array(column.categories, pa.string()), skip_nulls=True)
    return pc.fill_null(codes, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def number_like(cells: Any) -> np.ndarray:
    """Which texts are numbers; missing cells are not."""
    import pyarrow.compute as pc

    return pc.fill_null(pc.match_substring_regex(cells, NUMBER), False).to_numpy(zero_copy_only=False)


def _no_number(cells: Any, plain: Any, name: str) -> InputError:
    import pyarrow.compute as pc

    valid = pc.is_valid(cells).to_numpy(zero_copy_only=False)
    row = int(np.flatnonzero(valid & ~number_like(plain))[0])
    return InputError(
        f"Column {name!r} holds numbers, but row {row + 1} says {cells[row].as_py()!r}.",
        f"Correct the cell, leave it empty if the value is not known, or leave the column out (--drop {name!r}).",
    )
