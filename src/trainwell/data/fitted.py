"""What a column takes from its cells: categories and the origin of dates from the training part, a summary from all."""

from dataclasses import replace
from typing import Any

import numpy as np

from trainwell.data.cells import FLAG_PAIRS, as_days, as_text
from trainwell.data.columns import Found
from trainwell.data.dataset import Column


def fitted(column: Column, found: Found, train: np.ndarray) -> Column:
    """Categories and the origin of dates from the training part; the summary from all rows."""
    import pyarrow.compute as pc

    if column.kind == "date":
        days = as_days(found.cells, column.name, column.form)
        known = days[train][~np.isnan(days[train])]
        first = float(np.floor(known.min())) if len(known) else 0.0
        low, high = (np.datetime64(int(np.floor(edge)), "D") for edge in (np.nanmin(days), np.nanmax(days)))
        return replace(column, origin=first, summary=f"{low} … {high}")
    if column.kind == "flag" and column.used:
        texts = pc.unique(pc.drop_null(pc.utf8_lower(as_text(found.cells)))).to_pylist()
        pair = next((pair for pair in FLAG_PAIRS if set(pair) == set(texts)), ("0", "1"))
        return replace(column, categories=pair, summary=_shares(found))
    if column.kind == "category" and column.used:
        texts = pc.unique(pc.drop_null(as_text(found.cells).take(_index(train)))).to_pylist()
        return replace(column, categories=tuple(sorted(texts)), summary=_shares(found))
    if found.values is not None and column.distinct:
        values = found.values[~np.isnan(found.values)]
        return replace(column, summary=f"{values.min():.6g} … {values.max():.6g}, median {np.median(values):.6g}")
    return replace(column, summary=_shares(found) if column.kind in ("target", "leak", "group") else "")


def _shares(found: Found, most: int = 3) -> str:
    """The most frequent values with their shares of the known cells."""
    import pyarrow.compute as pc

    counts = pc.value_counts(pc.drop_null(as_text(found.cells)))
    numbers = counts.field(1).to_numpy(zero_copy_only=False)
    order = np.argsort(-numbers, kind="stable")[:most]
    words = counts.field(0).take(_index(order)).to_pylist()
    shown = [
        f"{word[:20]} {numbers[i] / numbers.sum():.0%}".replace("%", " %") for word, i in zip(words, order, strict=True)
    ]
    return ", ".join(shown + (["…"] if len(numbers) > most else []))


def _index(rows: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.array(rows)
