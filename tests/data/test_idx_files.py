"""IDX files: pictures beside labels, parts by name, damage named."""

import gzip

import numpy as np
import pytest

from trainwell.data import load
from trainwell.errors import InputError

rng = np.random.default_rng(0)


def idx(values):
    sizes = np.array(values.shape, ">i4").tobytes()
    return b"\0\0\x08" + bytes([values.ndim]) + sizes + values.astype(np.uint8).tobytes()


@pytest.fixture
def digits(tmp_path):
    """A folder like MNIST's, one part packed and one plain, and its pictures."""
    pictures = rng.integers(0, 256, (50, 5, 4), dtype=np.uint8)
    labels = np.arange(50) % 5
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pictures[:40])))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels[:40])))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(pictures[40:]))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels[40:]))
    return tmp_path, pictures


def test_folder_gives_the_values(digits):  # closed form
    folder, pictures = digits
    dataset = load(folder)
    np.testing.assert_array_equal(dataset.X[:, 0], pictures)
    assert dataset.y.tolist() == (np.arange(50) % 5).tolist() and dataset.classes == ("0", "1", "2", "3", "4")
    assert dataset.splits.test.tolist() == list(range(40, 50)) and len(dataset.splits.val) == 4
    rows = dataset.schema.read(folder)
    assert len(rows) == 10 and np.array_equal(rows.y, dataset.y[40:])


def test_one_file_takes_the_labels_beside_it(digits):
    folder, pictures = digits
    dataset = load(folder / "train-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(dataset.X[:, 0], pictures[:40])
    rows = dataset.schema.read(folder / "t10k-images-idx3-ubyte")
    np.testing.assert_array_equal(rows.X[:, 0], pictures[40:])
    (folder / "t10k-labels-idx1-ubyte").unlink()
    assert dataset.schema.read(folder / "t10k-images-idx3-ubyte").y is None


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("train-images-idx3-ubyte.gz", lambda raw: raw[:-100], "damaged|ends early"),
        (
            "train-images-idx3-ubyte.gz",
            lambda raw: gzip.compress(gzip.decompress(raw)[:-1]),
            "ends early: row 40 of 40",
        ),
        ("t10k-images-idx3-ubyte", lambda raw: raw[:60], "ends early: row 3 of 10"),
        ("t10k-images-idx3-ubyte", lambda raw: raw + b"x", "goes on after the 10 rows"),
        ("t10k-images-idx3-ubyte", lambda raw: b"\0\0\x0d\3" + raw[4:], "not an IDX file of bytes"),
        ("t10k-images-idx3-ubyte", lambda raw: raw[:8], r"announces sizes \(10,\)"),
        ("t10k-labels-idx1-ubyte", lambda raw: idx(np.arange(9)), "9 labels for the 10 pictures"),
        ("t10k-images-idx3-ubyte", lambda raw: idx(np.zeros((10, 3, 3))), "pictures of"),
    ],
)
def test_damaged_files_are_named(digits, name, damage, message):
    path = digits[0] / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=message) as caught:
        load(digits[0])
    assert name in str(caught.value)


def test_mnist(data_root):
    dataset = load("mnist", data_root=data_root)
    assert dataset.X.shape == (70000, 1, 28, 28) and dataset.name == "mnist"
    assert [len(part) for part in (dataset.splits.train, dataset.splits.val, dataset.splits.test)] == [
        55000,
        5000,
        10000,
    ]
