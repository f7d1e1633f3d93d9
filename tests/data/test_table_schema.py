"""`Schema.encode` and `Schema.read` of tables give what `load` gave."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from trainwell.data import Schema, load
from trainwell.errors import InputError

HEADER = "PassengerId,size,colour,flag,day,y"


@pytest.fixture
def table(tmp_path):
    lines = [HEADER]
    for i in range(60):
        size = "" if i % 9 == 4 else f"{i * 7 % 23 / 4}"
        colour, flag = ("red", "green", "NA")[i % 3], ("yes", "no")[i // 2 % 2]
        lines.append(f"{i + 100},{size},{colour},{flag},2024-01-{1 + i % 28:02d},{i % 2}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    return path


def same(left, right):
    for name in ("numbers", "categories"):
        np.testing.assert_array_equal(left[name], right[name])
        assert left[name].dtype == right[name].dtype


def test_all_ways_of_giving_rows_agree(table):
    dataset = load(table, target="y")
    schema = Schema.from_json(dataset.schema.to_json())
    assert schema == dataset.schema
    arrow = pyarrow.csv.read_csv(table)
    rows = schema.read(table)
    same(rows.X, dataset.X)
    same(schema.encode(arrow), dataset.X)
    same(schema.encode(arrow.to_pydict()), dataset.X)
    same(schema.encode(arrow.to_pylist()), dataset.X)
    assert np.array_equal(rows.y, dataset.y) and rows.ids == list(dataset.ids)
    assert rows.id_names == ("PassengerId",) and rows.ids[0] == "100"


@pytest.mark.parametrize(("name", "target"), [("titanic", "survived"), ("penguins", "species"), ("diamonds", "price")])
def test_real_tables_agree(data_root, name, target):
    path = data_root / "tabular" / f"{name}.csv"
    dataset = load(path, target=target)
    rows = dataset.schema.read(path)
    same(rows.X, dataset.X)
    np.testing.assert_array_equal(rows.y, dataset.y)
    arrow = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True))
    same(dataset.schema.encode(arrow), dataset.X)


def test_target_may_be_absent_or_partly_missing(table, tmp_path):
    schema = load(table, target="y").schema
    lines = table.read_text().splitlines()
    (tmp_path / "none.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    assert schema.read(tmp_path / "none.csv").y is None
    (tmp_path / "some.csv").write_text("\n".join([*lines[:3], lines[3].rpartition(",")[0] + ",", lines[4][:-1] + "7"]))
    assert schema.read(tmp_path / "some.csv").y.tolist() == [0, 1, -1, -1]


def test_extra_columns_are_ignored_and_unseen_categories_unknown(table):
    schema = load(table, target="y").schema
    row = {"size": "1.5", "colour": "purple", "flag": True, "day": "2024-02-01", "extra": object()}
    encoded = schema.encode([row])
    names = [column.name for column in schema.categories()]
    assert encoded["categories"][0, names.index("colour")] == -1
    assert encoded["categories"][0, names.index("flag")] == 1


def test_missing_columns_are_named(table):
    schema = load(table, target="y").schema
    with pytest.raises(InputError, match=r"no columns 'size', 'flag'"):
        schema.encode({"colour": ["red"], "day": ["2024-01-01"], "sise": [1]})
    with pytest.raises(InputError, match=r"no column 'colour'. Did you mean 'color'"):
        schema.encode({"color": ["red"], "size": [1], "flag": ["yes"], "day": ["2024-01-01"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": ["big"]}, "'size' holds numbers, but row 1 says 'big'"),
        ({"size": [float("inf")]}, "'size' is inf in row 1"),
        ({"day": ["first of May"]}, "'day' is 'first of May' in row 1: no date"),
        ({"size": [1, 2]}, "differ in length"),
        ({"size": [{}]}, "numbers are needed|mixes types"),
    ],
)
def test_bad_cells_are_refused(table, change, message):
    schema = load(table, target="y").schema
    row = {"size": [1.0], "colour": ["red"], "flag": ["yes"], "day": ["2024-01-01"]}
    with pytest.raises(InputError, match=message):
        schema.encode({**row, **change})
    with pytest.raises(InputError, match="is no table"):
        schema.encode(3)


def test_regression_target_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,z,y\n" + "\n".join(f"{i * 7 % 5},{i * 3 % 7},{i * i * 0.5 % 17}" for i in range(60)))
    dataset = load(path, target="y")
    np.testing.assert_array_equal(dataset.schema.read(path).y, dataset.y)


def test_codes_with_leading_zeros_stay_distinct(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "\n".join(f"{i * 7 % 5},{('007', '08', '7')[i % 3]}" for i in range(60)))
    dataset = load(path, target="y")
    assert dataset.classes == ("007", "08", "7")
    np.testing.assert_array_equal(dataset.schema.read(path).y, dataset.y)


def test_tables_and_pictures_are_not_confused(table, tmp_path):
    np.savez(tmp_path / "a.npz", X=np.eye(4), y=[0, 1, 0, 1])
    with pytest.raises(InputError, match="trained on table data"):
        load(table, target="y").schema.read(tmp_path / "a.npz")


def test_damaged_json_is_refused():
    with pytest.raises(InputError, match="does not describe data"):
        Schema.from_json('{"kind": 3}')


def test_pyarrow_types_are_taken(table):
    schema = load(table, target="y").schema
    raw = pa.table(
        {
            "size": pa.array([1, None], pa.int8()),
            "colour": pa.array(["red", None]).dictionary_encode(),
            "flag": pa.array([False, None]),
            "day": pa.array([0, 19723], pa.date32()),
        }
    )
    encoded = schema.encode(raw)
    assert np.isnan(encoded["numbers"][1, 0]) and (encoded["categories"][1] == -1).all()
    assert encoded["numbers"][1, 1] == 0  # 2024-01-01, the first day of the training part
