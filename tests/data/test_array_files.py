"""Arrays in .npz and .npy files and in memory."""

import numpy as np
import pytest

from trainwell.data import from_arrays, load
from trainwell.errors import InputError

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3


@pytest.mark.parametrize(
    "names", [("X", "y"), ("x", "y"), ("data", "target"), ("images", "labels"), ("arr_0", "arr_1")]
)
def test_npz_conventions(tmp_path, names):
    np.savez(tmp_path / "a.npz", **{names[0]: X, names[1]: Y})
    dataset = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(dataset.X, X)
    assert dataset.kind == "array" and dataset.y.tolist() == Y.tolist() and dataset.schema.shape == (4,)
    np.testing.assert_array_equal(dataset.schema.encode(X), dataset.X)
    np.testing.assert_array_equal(dataset.schema.read(tmp_path / "a.npz").y, dataset.y)


@pytest.mark.parametrize("form", ["X_{}", "{}_images"])
def test_npz_with_parts(tmp_path, form):
    label = "y_{}" if form == "X_{}" else "{}_labels"
    arrays = {
        form.format(part): X[rows]
        for part, rows in (("train", slice(40)), ("val", slice(40, 50)), ("test", slice(50, 60)))
    }
    arrays |= {
        label.format(part): Y[rows, None]
        for part, rows in (("train", slice(40)), ("val", slice(40, 50)), ("test", slice(50, 60)))
    }
    np.savez(tmp_path / "a.npz", **arrays)
    dataset = load(tmp_path / "a.npz")
    assert dataset.splits.val.tolist() == list(range(40, 50)) and dataset.splits.test.tolist() == list(range(50, 60))
    assert dataset.y.tolist() == Y.tolist()


def test_npy_with_labels_beside(tmp_path):
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(InputError, match="no labels to learn from"):
        load(tmp_path / "X.npy")
    (tmp_path / "y.txt").write_text("\n".join("abc"[label] for label in Y))
    assert load(tmp_path / "X.npy").classes == ("a", "b", "c")
    np.save(tmp_path / "y.npy", Y + 1)
    dataset = load(tmp_path / "X.npy")
    assert dataset.classes == ("1", "2", "3") and any("1 … 3 are the classes 0 … 2" in note for note in dataset.notes)
    np.testing.assert_array_equal(dataset.schema.read(tmp_path / "X.npy").y, Y)


@pytest.mark.parametrize(
    ("array", "kind", "shape"),
    [
        (rng.integers(0, 256, (20, 6, 5), dtype=np.uint8), "image", (1, 6, 5)),
        (rng.integers(0, 256, (20, 3, 6, 5), dtype=np.uint8), "image", (3, 6, 5)),
        (rng.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8), "image", (3, 6, 5)),
        (rng.integers(0, 256, (20, 1, 6, 5)) / 255, "image", (1, 6, 5)),
        (rng.normal(size=(20, 3, 6, 5)), "array", (3, 6, 5)),
        (rng.normal(size=(20, 6, 5)), "sequence", (6, 5)),
        (rng.normal(size=(20,)), "array", (1,)),
    ],
)
def test_kind_follows_from_dtype_and_shape(array, kind, shape):
    dataset = from_arrays(array, np.arange(20) % 2)
    assert dataset.kind == kind and dataset.schema.shape == shape
    assert dataset.X.dtype == (np.uint8 if kind == "image" else np.float32)
    np.testing.assert_array_equal(dataset.schema.encode(array), dataset.X)


def test_targets_of_arrays():
    one_hot = np.eye(3)[Y]
    assert from_arrays(X, one_hot).y.tolist() == Y.tolist()
    several = (rng.random((60, 4)) > 0.5).astype(int)
    assert from_arrays(X, several).task == "multilabel"
    assert from_arrays(X, rng.normal(size=(60, 2))).y.shape == (60, 2)
    assert from_arrays(X, Y.astype(str)).classes == ("0", "1", "2")
    assert from_arrays(X, Y == 1).task == "binary"


def broken(change):
    changed = X.copy()
    changed[7, 2] = change
    return changed


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": broken(np.nan), "y": Y}, r"X of .* is nan at row 7, position \(2,\)"),
        ({"X": broken(np.inf), "y": Y}, "is inf at row 7"),
        ({"X": X, "y": Y[:-1]}, "60 rows in X but 59 in y"),
        ({"X": X, "y": np.zeros(60)}, "only one class"),
        ({"X": X, "y": np.where(Y == 1, np.nan, Y)}, "target 'label' is nan at row 2"),
        ({"X": np.ones((60, 4)), "y": Y}, "All features of .* are constant"),
        ({"X": np.zeros((0, 4)), "y": np.zeros(0)}, "nothing in it"),
        ({"X": np.array(["a"] * 60), "y": Y}, "dtype <U1"),
        ({"A": X}, "has no features; its arrays are A"),
        ({"X": X, "y": np.array([{}] * 60, dtype=object)}, "never reads pickles"),
        ({"X_train": X, "y_train": Y, "X_test": X[:, :2], "y_test": Y}, "do not fit together"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / "a.npz")
    assert caught.value.remedy


def test_truncated_and_pickled_files_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    raw = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match="no complete NumPy file"):
        load(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", X)
    (tmp_path / "b.npy").write_bytes((tmp_path / "b.npy").read_bytes()[:-50])
    with pytest.raises(InputError, match="no complete NumPy file"):
        load(tmp_path / "b.npy")
    (tmp_path / "c.pkl").write_bytes(b"x")
    with pytest.raises(InputError, match="looks like a pickle"):
        load(tmp_path / "c.pkl")


def test_encode_refuses_other_shapes():
    schema = from_arrays(X, Y).schema
    assert schema.encode(X[0]).shape == (1, 4)
    with pytest.raises(InputError, match=r"shape \(60, 3\), but the network takes \(N, 4\)"):
        schema.encode(X[:, :3])
    with pytest.raises(InputError, match="is nan at row 7"):
        schema.encode(broken(np.nan))


def test_options_of_tables_have_no_meaning(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    with pytest.raises(InputError, match="no table, so keep has no meaning"):
        load(tmp_path / "a.npz", keep=("a",))
