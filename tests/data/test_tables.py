"""Tables: what columns are, what is left out, and what is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainwell.data import SplitOptions, load
from trainwell.errors import InputError


@pytest.fixture
def csv(tmp_path):
    """Writes a CSV and returns its path."""

    def write(text: str | bytes, name: str = "table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def columns_of(dataset):
    return {column.name: column for column in dataset.schema.columns}


def rows(n, **columns):
    """A CSV text of n rows; each column a function of the row's number."""
    lines = [",".join(columns)] + [",".join(str(make(i)) for make in columns.values()) for i in range(n)]
    return "\n".join(lines) + "\n"


def test_titanic_leaves_out_only_what_spells_out_the_target(data_root):
    dataset = load(data_root / "tabular" / "titanic.csv", target="survived")
    columns = columns_of(dataset)
    assert dataset.task == "binary" and dataset.classes == ("0", "1") and len(dataset) == 891
    assert [name for name, column in columns.items() if not column.used] == ["survived", "alive"]
    assert columns["alive"].kind == "leak" and any("--keep alive" in note for note in dataset.notes)
    assert columns["age"].missing == 177 and int(np.isnan(dataset.X["numbers"]).sum()) == 177
    assert columns["adult_male"].kind == columns["alone"].kind == "flag"
    assert dataset.X["categories"].shape == (891, 8)
    kept = load(data_root / "tabular" / "titanic.csv", target="survived", keep=("alive",))
    assert columns_of(kept)["alive"].used and kept.X["categories"].shape == (891, 9)


def test_diamonds_and_penguins_keep_every_feature(data_root):
    diamonds = load(data_root / "tabular" / "diamonds.csv", target="price")
    assert diamonds.task == "regression" and diamonds.y.dtype == np.float32 and diamonds.y[0] == 326
    assert diamonds.X["numbers"].shape == (53940, 6) and diamonds.X["categories"].shape == (53940, 3)
    assert len(columns_of(diamonds)["clarity"].categories) == 8
    penguins = load(data_root / "tabular" / "penguins.csv", target="species")
    assert penguins.classes == ("Adelie", "Chinstrap", "Gentoo") and penguins.X["numbers"].shape == (344, 4)


def test_every_kind_of_column(csv):
    n = 40
    text = rows(
        n,
        PassengerId=lambda i: i + 1,
        code=lambda i: f"00{i % 7}",
        day=lambda i: f"2024-03-{1 + i % 28:02d}",
        flag=lambda i: ("Yes", "no")[i % 2 if i else 1],
        bit=lambda i: i // 3 % 2,
        size=lambda i: (i * 7) % 11 / 4,
        colour=lambda i: ("red", "green", "blue", "NA")[i % 4],
        name=lambda i: f"person {i}",
        ticket=lambda i: f"T{i // 2}",
        nothing=lambda i: "?",
        same=lambda i: "x",
        target=lambda i: i % 3,
    )
    dataset = load(csv(text), target="target")
    kinds = {name: (column.kind, column.used) for name, column in columns_of(dataset).items()}
    assert kinds == {
        "PassengerId": ("identifier", False),
        "code": ("category", True),
        "day": ("date", True),
        "flag": ("flag", True),
        "bit": ("flag", True),
        "size": ("number", True),
        "colour": ("category", True),
        "name": ("identifier", False),
        "ticket": ("category", True),
        "nothing": ("constant", False),
        "same": ("constant", False),
        "target": ("target", False),
    }
    assert dataset.ids[0] == "1" and dataset.classes == ("0", "1", "2")
    number_names = [column.name for column in dataset.schema.numbers()]
    assert number_names == ["day", "size"]
    days = dataset.X["numbers"][:, 0]
    assert days[dataset.splits.train].min() == 0 and days[1] - days[0] == 1
    colours = dataset.X["categories"][:, [c.name for c in dataset.schema.categories()].index("colour")]
    assert (colours[3::4] == -1).all() and (
        colours[0::4] == columns_of(dataset)["colour"].categories.index("red")
    ).all()


def test_many_different_texts_are_left_out_and_kept_on_request(csv):
    text = rows(60, x=lambda i: i % 7, words=lambda i: f"w{i % 35}", y=lambda i: i % 2)
    dataset = load(csv(text), target="y")
    assert columns_of(dataset)["words"].kind == "text" and any("--keep words" in note for note in dataset.notes)
    kept = load(csv(text), target="y", keep=("words",))
    assert columns_of(kept)["words"].kind == "category" and kept.X["categories"].shape[1] == 1


@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        (lambda i: i % 2, "binary", ("0", "1")),
        (lambda i: ("no", "yes")[i % 2], "binary", ("no", "yes")),
        (lambda i: ("b", "a")[i % 2], "binary", ("a", "b")),
        (lambda i: 1 + i % 10, "classification", tuple(str(k) for k in range(1, 11))),
        (lambda i: ("cat", "dog", "eel")[i % 3], "classification", ("cat", "dog", "eel")),
        (lambda i: float(i % 3), "classification", ("0", "1", "2")),
        (lambda i: i * 0.37 % 5, "regression", ()),
        (lambda i: i * i, "regression", ()),
    ],
)
def test_task_is_guessed_from_the_target(csv, labels, task, classes):
    dataset = load(csv(rows(100, x=lambda i: i * 13 % 17, y=labels)), target="y")
    assert dataset.task == task and dataset.classes == classes
    assert dataset.y.dtype == (np.float32 if task == "regression" else np.int64)
    if classes:
        assert dataset.schema.decode(dataset.y[:3]).tolist() == [
            str(int(labels(i))) if isinstance(labels(i), float) else str(labels(i)) for i in range(3)
        ]


def test_task_can_be_said_and_labels_from_one_are_reported(csv):
    path = csv(rows(100, x=lambda i: i * 13 % 17, y=lambda i: 1 + i % 10))
    assert load(path, target="y", task="regression").y[:3].tolist() == [1, 2, 3]
    assert any("1 … 10 are the classes 0 … 9" in note for note in load(path, target="y").notes)
    with pytest.raises(InputError, match="10 classes: not binary"):
        load(path, target="y", task="binary")
    with pytest.raises(InputError, match=r"task is 'guess'"):
        load(path, target="y", task="guess")


def test_several_targets(csv):
    path = csv(rows(40, x=lambda i: i * 13 % 17, a=lambda i: i % 2, b=lambda i: i // 2 % 2, c=lambda i: i / 3))
    flags = load(path, target="a,b", drop=("c",))
    assert flags.task == "multilabel" and flags.classes == ("a", "b") and flags.y[3].tolist() == [1, 1]
    numbers = load(path, target="a,c")
    assert numbers.task == "regression" and numbers.y.shape == (40, 2)
    assert flags.schema.read(path).y.tolist() == flags.y.tolist()


def test_rows_without_target_are_left_out_and_counted(csv):
    dataset = load(csv(rows(50, x=lambda i: i * 3 % 7, y=lambda i: "" if i % 10 == 4 else i % 2)), target="y")
    assert len(dataset) == 45 and any("5 rows have no y" in note for note in dataset.notes)
    assert list(dataset.ids[3:6]) == ["4", "6", "7"]
    parts = (dataset.splits.train, dataset.splits.val, dataset.splits.test)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(45))


def test_categories_are_those_of_the_training_part(csv):
    text = rows(
        60,
        x=lambda i: i * 7 % 5,
        c=lambda i: "late" if i >= 50 else "early" if i % 2 else "mid",
        t=lambda i: i,
        y=lambda i: i % 2,
    )
    dataset = load(csv(text), target="y", split=SplitOptions(by="time", column="t"))
    codes = dataset.X["categories"][:, [c.name for c in dataset.schema.categories()].index("c")]
    assert columns_of(dataset)["c"].categories == ("early", "mid") and (codes[50:] == -1).all()
    assert columns_of(dataset)["t"].kind == "time" and not columns_of(dataset)["t"].used


def test_weights(csv):
    path = csv(rows(30, x=lambda i: i * 7 % 5, w=lambda i: i / 2, y=lambda i: i % 2))
    dataset = load(path, target="y", weight="w")
    assert dataset.weights.dtype == np.float32 and dataset.weights[3] == 1.5
    assert dataset.X["numbers"].shape[1] == 1
    bad = csv(rows(30, x=lambda i: i * 7 % 5, w=lambda i: i - 1, y=lambda i: i % 2))
    with pytest.raises(InputError, match="weight 'w' is -1 in row 1"):
        load(bad, target="y", weight="w")


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_delimiters(csv, delimiter):
    text = rows(20, x=lambda i: i * 7 % 5, c=lambda i: "ab"[i % 2], y=lambda i: i % 2 if i else 1).replace(
        ",", delimiter
    )
    dataset = load(csv(text), target="y")
    assert [column.name for column in dataset.schema.columns] == ["x", "c", "y"]


def test_decimal_commas_are_read_and_said_but_thousands_refused(csv):
    text = rows(20, x=lambda i: f"{i},5", c=lambda i: "ab"[i // 2 % 2], y=lambda i: i % 2)
    text = text.replace(",5", ":5").replace(",", ";").replace(":5", ",5")
    dataset = load(csv(text), target="y")
    assert dataset.X["numbers"][3, 0] == 3.5 and any("comma is read as the decimal point" in n for n in dataset.notes)
    assert dataset.schema.encode({"x": ["7,25"], "c": ["a"]})["numbers"].tolist() == [[7.25]]
    quoted = rows(20, x=lambda i: f'"{i + 1},234"', y=lambda i: i % 2)
    with pytest.raises(InputError, match=r"'x' says '1,234' in row 1: a thousands separator"):
        load(csv(quoted), target="y")


@pytest.mark.parametrize(
    ("encoding", "noted"), [("utf-8", False), ("utf-8-sig", False), ("latin-1", True), ("utf-16", False)]
)
def test_encodings(csv, encoding, noted):
    text = rows(20, größe=lambda i: i * 7 % 5, farbe=lambda i: ("grün", "weiß")[i // 2 % 2], y=lambda i: i % 2)
    dataset = load(csv(text.encode(encoding)), target="y")
    assert columns_of(dataset)["farbe"].categories == ("grün", "weiß") and "größe" in columns_of(dataset)
    assert any("not UTF-8" in note for note in dataset.notes) == noted


def test_dates_in_one_form_only(csv):
    unambiguous = rows(30, d=lambda i: f"{1 + i % 28:02d}/02/2024", x=lambda i: i % 5, y=lambda i: i % 2)
    dataset = load(csv(unambiguous), target="y")
    assert columns_of(dataset)["d"].form == "%d/%m/%Y" and dataset.X["numbers"][1, 0] - dataset.X["numbers"][0, 0] == 1
    either = rows(30, d=lambda i: f"{1 + i % 12:02d}/02/2024", x=lambda i: i % 5, y=lambda i: i % 2)
    with pytest.raises(InputError, match="day or the month first"):
        load(csv(either), target="y")


def test_parquet_gives_what_csv_gives(csv, tmp_path):
    n = 60
    table = pa.table(
        {
            "number": pa.array([None if i % 9 == 0 else i * 0.5 for i in range(n)]),
            "flag": pa.array([i % 3 == 0 for i in range(n)]),
            "word": pa.array(["abc"[i % 3] for i in range(n)]).dictionary_encode(),
            "when": pa.array([1_700_000_000_000_000 + i * 3_600_000_000 for i in range(n)], pa.timestamp("us")),
            "list": pa.array([[i] for i in range(n)]),
            "y": pa.array([i % 2 for i in range(n)]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    dataset = load(tmp_path / "t.parquet", target="y")
    kinds = {name: column.kind for name, column in columns_of(dataset).items()}
    assert kinds == {
        "number": "number",
        "flag": "flag",
        "word": "category",
        "when": "date",
        "list": "text",
        "y": "target",
    }
    lines = ["number,flag,word,when,y"]
    for row in table.to_pylist():
        number = "" if row["number"] is None else row["number"]
        lines.append(f"{number},{row['flag']},{row['word']},{row['when'].isoformat()},{row['y']}")
    same = load(csv("\n".join(lines)), target="y")
    np.testing.assert_array_equal(dataset.X["categories"], same.X["categories"])
    np.testing.assert_array_equal(dataset.X["numbers"], same.X["numbers"])


def test_folder_of_train_and_test_tables(tmp_path):
    (tmp_path / "train.csv").write_text(rows(40, x=lambda i: i * 7 % 5, y=lambda i: i % 2))
    (tmp_path / "test.csv").write_text(rows(10, x=lambda i: i * 7 % 5, y=lambda i: i % 2))
    dataset = load(tmp_path, target="y")
    assert dataset.splits.test.tolist() == list(range(40, 50)) and len(dataset.splits.val) == 4
    (tmp_path / "test.csv").write_text(rows(10, x=lambda i: i * 7 % 5))
    dataset = load(tmp_path, target="y")
    assert len(dataset) == 40 and any("test.csv has no column 'y'" in note for note in dataset.notes)


REFUSED = {
    "no target named": ("x,y\n1,2\n", {}, r"no target is named.*x, y"),
    "wrong target": ("price,y\n1,2\n", {"target": "prize"}, r"no column 'prize'. Did you mean 'price'"),
    "empty target": ("x,y\n1,\n2,NA\n", {"target": "y"}, "target 'y'.*is empty"),
    "one class": ("x,y\n1,a\n2,a\n3,a\n", {"target": "y"}, "only one class, 'a'"),
    "one number": ("x,y\n1,5\n2,5\n3,5\n", {"target": "y"}, "only one class, '5'|is 5 in every row"),
    "text among numbers": (
        rows(30, x=lambda i: "oops" if i == 16 else i, y=lambda i: i % 2),
        {"target": "y"},
        r"'x' holds numbers in 97% of its cells, but row 17 says 'oops'.*--drop 'x'",
    ),
    "unknown word in half": (
        rows(30, x=lambda i: "unknown" if i % 3 == 2 else i, y=lambda i: i % 2),
        {"target": "y"},
        "row 3 says 'unknown'",
    ),
    "infinity": (
        rows(30, x=lambda i: "-inf" if i == 4 else i * 7 % 5, y=lambda i: i % 2),
        {"target": "y"},
        "'x' is -inf in row 5",
    ),
    "too large": (
        rows(30, x=lambda i: "1e39" if i == 4 else i * 7 % 5, y=lambda i: i % 2),
        {"target": "y"},
        r"'x' is 1e\+39 in row 5",
    ),
    "all constant": (
        rows(30, x=lambda i: 3, y=lambda i: i % 2),
        {"target": "y"},
        "no features besides the target. x is left out",
    ),
    "duplicate names": ("x,y,x\n1,2,3\n", {"target": "y"}, "more than one column named 'x'"),
    "ragged": ("x,y\n1,2\n3\n4,5\n", {"target": "y"}, "line 3 has 1 cells, not 2"),
    "no header": ("5.1,3.5,1.4,a\n4.9,3.0,1.4,b\n", {"target": "a"}, "seems to have no header"),
    "empty file": ("", {"target": "y"}, "is empty"),
    "only a header": ("x,y\n", {"target": "y"}, "has a header but no rows"),
    "binary": (b"\x00\x01\x02,\x00\n", {"target": "y"}, "no text file"),
    "texts as regression": ("x,y\n1,a\n2,b\n3,a\n", {"target": "y", "task": "regression"}, "holds texts such as 'a'"),
    "unknown keep": (
        "alpha,y\n1,2\n",
        {"target": "y", "keep": ("alhpa",)},
        r"'alhpa' \(keep\). Did you mean 'alpha'",
    ),
    "unknown split column": (
        "x,y\n1,2\n",
        {"target": "y", "split": SplitOptions(by="group", column="z")},
        "no column 'z'",
    ),
    "names as target": (
        rows(40, x=lambda i: i % 7, y=lambda i: f"n{i}"),
        {"target": "y"},
        "40 different texts in 40 rows",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_tables_are_refused(csv, case):
    text, options, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as caught:
        load(csv(text), **options)
    assert caught.value.remedy


def test_a_bad_column_can_be_dropped(csv):
    text = rows(30, x=lambda i: "oops" if i == 16 else i, z=lambda i: i * 7 % 5, y=lambda i: i % 2)
    dataset = load(csv(text), target="y", drop=("x",))
    assert dataset.X["numbers"].shape == (30, 1) and "x is left out on request." in dataset.notes


def test_groups_may_mix_numbers_and_texts(csv):
    text = rows(60, g=lambda i: "A1" if i % 20 == 3 else i % 20, z=lambda i: i * 7 % 5, y=lambda i: i // 2 % 2)
    dataset = load(csv(text), target="y", split=SplitOptions(by="group", column="g"))
    assert columns_of(dataset)["g"].kind == "group" and columns_of(dataset)["g"].distinct == 20


def test_mostly_text_with_some_numbers_is_text(csv):  # control: the other side of the rule
    text = rows(60, ticket=lambda i: f"A/5 {i}" if i % 3 == 0 else i * 977, x=lambda i: i % 7, y=lambda i: i % 2)
    dataset = load(csv(text), target="y")
    assert not columns_of(dataset)["ticket"].used and columns_of(dataset)["x"].used


def test_row_number_alone_is_a_feature_after_all(csv):
    dataset = load(csv(rows(40, t=lambda i: i, y=lambda i: i * i % 13 * 0.7)), target="y")
    assert dataset.X["numbers"].shape == (40, 1) and any("nothing else is left" in note for note in dataset.notes)


def test_quotes_spaces_and_other_line_ends(csv):
    text = 'a , "b,c",y\n' + "\n".join(f' {i * 7 % 5} ,"x{i % 2}, ""z""\nsecond line",{i // 2 % 2}' for i in range(20))
    dataset = load(csv(text.replace(', "b', ',"b')), target="y")
    assert list(columns_of(dataset)) == ["a", "b,c", "y"] and dataset.X["numbers"][1, 0] == 2
    assert columns_of(dataset)["b,c"].categories == ('x0, "z"\nsecond line', 'x1, "z"\nsecond line')
    plain = rows(20, x=lambda i: i * 7 % 5, y=lambda i: i % 2)
    for end in ("\r\n", "\r"):
        assert len(load(csv(plain.replace("\n", end)), target="y")) == 20


def test_wide_tables_are_read(csv):
    names = [f"a_rather_long_name_of_column_{i}" for i in range(4000)]
    values = np.random.default_rng(0).normal(size=(12, 4000)).round(3)
    text = ",".join([*names, "y"]) + "\n" + "\n".join(",".join(map(str, [*row, i % 2])) for i, row in enumerate(values))
    dataset = load(csv(text), target="y")
    np.testing.assert_array_equal(dataset.X["numbers"], values.astype(np.float32))


def test_truncated_files_are_named(csv, tmp_path):
    table = pa.table({"x": list(range(1000)), "y": [0, 1] * 500})
    pq.write_table(table, tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"t\.parquet is no complete Parquet file"):
        load(tmp_path / "t.parquet", target="y")
    import gzip

    packed = gzip.compress(rows(500, x=lambda i: i % 7, y=lambda i: i % 2).encode())
    assert len(load(csv(packed, "t.csv.gz"), target="y")) == 500
    with pytest.raises(InputError, match=r"t\.csv\.gz is damaged"):
        load(csv(packed[:-20], "t.csv.gz"), target="y")


WORDS = [
    "",
    "NA",
    "1",
    "2",
    "3.5",
    "-4",
    "007",
    "yes",
    "no",
    "True",
    "False",
    "a",
    "cat",
    "1e5",
    "inf",
    "ü",
    "?",
    "1.0",
]
WORDS += ["2024-01-02", "2024-13-45", "01/02/2024", '"1,234"', '"x,y"', " 5 ", "1;2"]


@pytest.mark.parametrize("seed", range(80))
def test_any_table_is_understood_or_refused_in_words(csv, seed):  # property
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 3, 8, 20, 60]))
    makers = [
        lambda: rng.integers(0, rng.choice([2, 5, 1000]), n).astype(str),
        lambda: rng.normal(size=n).round(3).astype(str),
        lambda: rng.choice(rng.choice(WORDS, 3), n),
        lambda: np.arange(n).astype(str),
    ]
    cells = [makers[rng.integers(4)]() for _ in range(3)]
    text = "a,Id,c\n" + "\n".join(",".join(row) for row in zip(*cells, strict=True))
    path = csv(text)
    try:
        dataset = load(path, target="c")
    except InputError as error:
        assert error.remedy
        return
    rows = dataset.schema.read(path)
    if len(rows) == len(dataset):
        np.testing.assert_array_equal(rows.X["numbers"], dataset.X["numbers"])
        np.testing.assert_array_equal(rows.X["categories"], dataset.X["categories"])
        np.testing.assert_array_equal(rows.y, dataset.y)
