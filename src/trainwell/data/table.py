"""CSV and Parquet files as pyarrow tables; CSV cells stay text, so that nothing is guessed before we look."""

import csv
import gzip
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainwell.errors import InputError

CSV_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt", ".data"})
DELIMITERS = ",;\t|"
SAMPLE = 1 << 16


@dataclass(frozen=True)
class Cells:
    """A table as it was read: a pyarrow.Table, the delimiter ("" for Parquet), and sentences for the user."""

    table: Any
    delimiter: str = ""
    notes: tuple[str, ...] = ()


def is_table(path: Path) -> bool:
    """Whether the name is that of a CSV (also .gz) or Parquet file."""
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return suffix.lower() in CSV_SUFFIXES | {".parquet", ".pq"}


def read_table(path: Path) -> Cells:
    """Read a CSV or Parquet file whole."""
    cells = _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path)
    if cells.table.num_rows == 0:
        raise InputError(f"{path} has a header but no rows.", "Give a table with at least a few rows.")
    if cells.table.num_columns == 0:
        raise InputError(f"{path} has no columns.", "Give a table with features and a target.")
    return cells


def _read_parquet(path: Path) -> Cells:
    import pyarrow as pa

    from trainwell.data.parquet_images import parquet_file

    try:
        table = parquet_file(path).read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is no complete Parquet file ({error}).", "Get the file again.") from None
    _no_twins(table.column_names, path)
    return Cells(table.combine_chunks())


def _read_csv(path: Path) -> Cells:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged ({error}).", "Get the file again: it is not complete.") from None
    encoding, note = _encoding(raw)
    if encoding != "utf-8":
        raw = raw.decode(encoding).encode()
    raw = raw.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if not raw.strip():
        raise InputError(f"{path} is empty.", "Give a table with a header line and rows.")
    if b"\0" in raw[:SAMPLE]:
        raise InputError(f"{path} is no text file (it holds zero bytes).", "Save the table as CSV or Parquet.")
    header = raw.find(b"\n") + 1 or len(raw)
    sample = raw[: max(SAMPLE, header)].decode(errors="replace")
    delimiter = _delimiter(sample)
    spelled = next(csv.reader(sample.splitlines(keepends=True), delimiter=delimiter))
    names = [name.strip() for name in spelled]
    _no_twins(names, path)
    _has_header(names, path)
    return Cells(_parsed(raw, delimiter, spelled, header, path), delimiter, (note,) if note else ())


def _encoding(raw: bytes) -> tuple[str, str]:
    """The encoding, and a note if it is neither UTF-8 nor announced by a byte-order mark."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16", ""
    for encoding in ("utf-8", "cp1252"):
        try:
            raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding, "" if encoding == "utf-8" else "The table is not UTF-8; it is read as Windows-1252 (Latin-1)."
    return "latin-1", "The table is not UTF-8; it is read as Latin-1."


def _delimiter(sample: str) -> str:
    """The one of , ; tab | that splits the header into most cells and the next lines into as many."""
    lines = [line for line in sample.splitlines() if line.strip()][:20]
    lines = lines[:-1] if len(lines) > 1 else lines

    def score(delimiter: str) -> tuple[bool, int]:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        except csv.Error:  # a field longer than 131072 characters: not this delimiter
            return False, 0
        return widths.count(widths[0]) > len(widths) / 2, widths[0]

    best = max(DELIMITERS, key=lambda delimiter: (score(delimiter), -DELIMITERS.index(delimiter)))
    return best if score(best)[1] > 1 else ","


def _no_twins(names: list[str], path: Path) -> None:
    twins = sorted(name for name, count in Counter(names).items() if count > 1)
    if twins:
        raise InputError(
            f"{path} has more than one column named {twins[0]!r}.",
            "Give every column a name of its own in the header line (or add the header line if it is missing).",
        )


def _has_header(names: list[str], path: Path) -> None:
    numbers = [name for name in names if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", name)]
    if len(numbers) > len(names) / 2 and any("." in name for name in numbers):
        raise InputError(
            f"{path} seems to have no header: its first line is {', '.join(names[:4])}{', …' * (len(names) > 4)}.",
            "Put a line with the columns' names on top.",
        )


def _parsed(raw: bytes, delimiter: str, spelled: list[str], header: int, path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.csv

    block = max(1 << 22, 64 * header)

    def parse(threads: bool) -> Any:
        return pyarrow.csv.read_csv(
            pa.BufferReader(raw),
            read_options=pyarrow.csv.ReadOptions(use_threads=threads, block_size=block),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types={name: pa.string() for name in spelled}),
        )

    try:
        table = parse(threads=True)
    except pa.ArrowInvalid:
        try:
            table = parse(threads=False)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{path} is no regular table: {_ragged(str(error))}", "Give every line as many cells."
            ) from None
    return table.rename_columns([name.strip() for name in spelled]).combine_chunks()


def _ragged(text: str) -> str:
    found = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)(?:: (.*))?", text, re.DOTALL)
    if not found:
        return f"{text}."
    line, expected, got, content = found.groups()
    shown = f" ({content.strip()[:60]!r})" if content else ""
    return f"line {line} has {got} cells, not {expected} like the header{shown}."
