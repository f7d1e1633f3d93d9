"""Raw Python input as the tensors that a network was trained on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainwell.data.arrays import finite_float32
from trainwell.data.cells import as_codes, as_days, as_numbers, tidy
from trainwell.errors import InputError
from trainwell.nearest_name import nearest

if TYPE_CHECKING:
    from trainwell.data.dataset import Schema


def encode(schema: "Schema", raw: Any) -> np.ndarray | dict[str, np.ndarray]:
    """See `Schema.encode`."""
    if schema.kind == "table":
        _check_columns(schema, _names(raw))
        return encode_table(schema, as_table(raw, [column.name for column in schema.columns]))
    if schema.kind == "image":
        return encode_images(schema.shape, raw)
    return encode_arrays(schema.shape, raw)


def as_table(raw: Any, names: list[str]) -> Any:
    """A dict of columns, a list of dict rows or a pyarrow.Table as a pyarrow.Table of these columns where present."""
    import pyarrow as pa

    if isinstance(raw, pa.Table):
        return raw
    if isinstance(raw, list | tuple) and all(isinstance(row, Mapping) for row in raw):
        raw = {name: [row.get(name) for row in raw] for name in names if any(name in row for row in raw)}
    columns = {}
    for name in names:
        if name in raw:
            try:
                columns[name] = pa.array(raw[name], from_pandas=True)
            except (pa.ArrowException, TypeError) as error:
                raise InputError(
                    f"Column {name!r} mixes types ({error}).", "Give numbers or texts, None for missing."
                ) from None
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name}: {len(column)}" for name, column in columns.items())
        raise InputError(f"The columns differ in length ({lengths}).", "Give every column one cell a row.")
    return pa.table(columns)


def encode_table(schema: "Schema", table: Any) -> dict[str, np.ndarray]:
    """The used columns as float32 numbers (NaN = missing) and int64 categories (-1 = missing or unknown)."""
    _check_columns(schema, table.column_names)
    numbers, categories, N = schema.numbers(), schema.categories(), table.num_rows
    encoded = {
        "numbers": np.empty((N, len(numbers)), np.float32),
        "categories": np.empty((N, len(categories)), np.int64),
    }
    for i, column in enumerate(numbers):
        cells = tidy(table[column.name])
        if column.kind == "date":
            encoded["numbers"][:, i] = as_days(cells, column.name, column.form, column.origin)
        else:
            encoded["numbers"][:, i] = as_numbers(cells, column.name, column.form)
    for i, column in enumerate(categories):
        encoded["categories"][:, i] = as_codes(tidy(table[column.name]), column)
    return encoded


def _names(raw: Any) -> list[str]:
    """The columns of a table in any of its forms."""
    if hasattr(raw, "column_names"):
        return list(raw.column_names)
    if hasattr(raw, "keys"):
        return [str(name) for name in raw.keys()]  # noqa: SIM118
    if isinstance(raw, list | tuple) and all(isinstance(row, Mapping) for row in raw):
        return list(dict.fromkeys(str(name) for row in raw for name in row))
    raise InputError(
        f"A {type(raw).__name__} is no table.", "Give a dict of columns, a list of dicts or a pyarrow.Table."
    )


def _check_columns(schema: "Schema", names: list[str]) -> None:
    missing = [column.name for column in (*schema.numbers(), *schema.categories()) if column.name not in names]
    if missing:
        some = f"column {missing[0]!r}" if len(missing) == 1 else f"columns {', '.join(map(repr, missing))}"
        hint = nearest(missing[0], names, "Give a table with the columns of the training data.")
        raise InputError(f"The input has no {some}.", hint)


def encode_arrays(shape: tuple[int, ...], raw: Any) -> np.ndarray:
    """Finite float32 (N, *shape); one sample becomes N = 1."""
    X = np.asarray(raw)
    if X.dtype.kind not in "buif":
        raise InputError(f"The input has dtype {X.dtype}.", "Give numbers.")
    X = X[None] if X.shape == shape else X
    if X.ndim == 1 and shape == (1,):
        X = X[:, None]
    if X.shape[1:] != shape:
        raise InputError(
            f"The input has shape {X.shape}, but the network takes {('N', *shape)}.".replace("'", ""),
            "Give rows of the shape that it was trained on.",
        )
    return finite_float32(X, "the input")


def encode_images(shape: tuple[int, ...], raw: Any) -> np.ndarray:
    """uint8 (N, C, H, W) from PIL images of any size and mode, or from arrays of this height and width."""
    from PIL import Image

    from trainwell.data.pictures import BadPicture, decoding, levels

    if isinstance(raw, Image.Image):
        raw = [raw]
    if isinstance(raw, list | tuple) and raw and all(isinstance(image, Image.Image) for image in raw):
        try:
            with decoding():
                return np.stack([levels(image, shape) for image in raw])
        except BadPicture as error:
            raise InputError(f"A picture of the input is bad: {error}.", "Save it in another format.") from None
    return _levels(np.asarray(raw), shape)


def _levels(X: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Arrays of levels as uint8 (N, C, H, W); channels may stand last, a grey one may be left out."""
    channels, height, width = shape
    if X.dtype.kind not in "buif":
        raise InputError(f"The pictures have dtype {X.dtype}.", "Give levels 0 … 255, or floats 0 … 1.")
    if X.shape in (shape, (height, width, channels), (height, width)):
        X = X[None]
    if X.ndim == 3 and X.shape[1:] == (height, width):
        X = X[:, None]
    if X.ndim == 4 and X.shape[1:] == (height, width, channels) and X.shape[1:] != shape:
        X = X.transpose(0, 3, 1, 2)
    if X.ndim == 4 and X.shape[1] == 1 and channels == 3:
        X = np.repeat(X, 3, axis=1)
    if X.shape[1:] != shape:
        raise InputError(
            f"The pictures have shape {X.shape}, but the network takes {('N', *shape)}.".replace("'", ""),
            "Resize them, or give PIL images or files, which are resized.",
        )
    if X.dtype == np.uint8:
        return np.ascontiguousarray(X)
    if X.size and not (X.min() >= 0 and X.max() <= 255):
        raise InputError(
            f"The pictures hold values from {X.min()} to {X.max()}.", "Give levels 0 … 255, or floats 0 … 1."
        )
    scale = 255 if X.dtype.kind in "fb" and X.size and X.max() <= 1 else 1
    return np.ascontiguousarray(np.rint(X * scale).astype(np.uint8))
