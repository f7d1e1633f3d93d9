"""Statistics of the training part: equal to float64 calculations on all rows at once, whatever the chunks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwell.data import Moments, SplitOptions, from_arrays, load, measured, statistics

rng = np.random.default_rng(0)


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), shift=st.sampled_from([0.0, 1e4, -1e8]))
def test_merged_moments_are_those_of_all_rows(sizes, shift):  # property
    chunks = [np.random.default_rng(i).normal(size=(n, 3)) + shift for i, n in enumerate(sizes)]
    merged = Moments.of(chunks[0])
    for chunk in chunks[1:]:
        merged = merged.merge(Moments.of(chunk))
    rows = np.concatenate(chunks)
    np.testing.assert_allclose(merged.mean, rows.mean(0), rtol=1e-14, atol=1e-13)
    np.testing.assert_allclose(merged.variance(), rows.var(0), rtol=1e-12, atol=1e-14 * (1 + abs(shift)))


def test_arrays_shifted_by_10000(monkeypatch):
    X = (rng.normal(size=(5000, 3)) + 1e4).astype(np.float32)
    monkeypatch.setattr(measured, "BYTES_AT_ONCE", 1000)
    dataset = from_arrays(X, np.arange(5000) % 2)
    found = statistics(dataset)
    train = X[dataset.splits.train].astype(np.float64)
    np.testing.assert_allclose(found.mean, train.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.std, train.std(0), rtol=1e-10)


def test_naive_float32_fails_there():  # control
    X = (rng.normal(size=(5000, 1)) + 1e4).astype(np.float32)
    naive = np.mean(X**2, dtype=np.float32) - np.mean(X, dtype=np.float32) ** 2
    assert abs(naive - X.astype(np.float64).var()) > 0.1


def test_images_are_exact():
    X = rng.integers(0, 256, (300, 3, 7, 5), dtype=np.uint8)
    dataset = from_arrays(X, np.arange(300) % 3)
    found = statistics(dataset)
    train = X[dataset.splits.train] / 255
    np.testing.assert_allclose(found.mean, train.mean((0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(found.std, train.std((0, 2, 3)), rtol=1e-12)
    assert found.count == len(train) and found.class_counts.sum() == len(train)


def test_sequences_and_stacked_arrays():
    for shape, axes in (((200, 6, 4), (0, 1)), ((200, 3, 6, 4), (0, 2, 3))):
        X = rng.normal(3, 2, size=shape).astype(np.float32)
        dataset = from_arrays(X, rng.normal(size=200))
        found = statistics(dataset)
        train = X[dataset.splits.train].astype(np.float64)
        np.testing.assert_allclose(found.mean.squeeze(), train.mean(axes), rtol=1e-12)
        np.testing.assert_allclose(found.std.squeeze(), train.std(axes), rtol=1e-12)
        y = dataset.y[dataset.splits.train].astype(np.float64)
        np.testing.assert_allclose(found.target_mean, [y.mean()], rtol=1e-12)
        np.testing.assert_allclose(found.target_std, [y.std()], rtol=1e-12)


def test_tables_pass_over_missing_cells(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "a,b,c,y\n"
        + "\n".join(f"{'' if i % 5 == 1 else i * 7 % 31},{i * 3 % 8},{'' if i > 2 else 4},{i % 2}" for i in range(200))
    )
    dataset = load(path, target="y", split=SplitOptions(by="random"))
    found = statistics(dataset)
    train = dataset.X["numbers"][dataset.splits.train].astype(np.float64)
    assert train.shape[1] == 3
    np.testing.assert_allclose(found.mean, np.nanmean(train, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std[:2], np.nanstd(train[:, :2], axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.median, np.nanmedian(train, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.missing, np.isnan(train).mean(0), rtol=1e-12)
    assert found.quantiles.shape == (3, 17) and found.std[2] == 1
    np.testing.assert_allclose(found.quantiles[0, [0, 4, -1]], np.nanquantile(train[:, 0], [0, 0.25, 1]), rtol=1e-12)


def test_only_the_training_part_counts():
    X = rng.normal(size=(100, 2)).astype(np.float32)
    before = from_arrays(X, np.arange(100) % 2)
    changed = X.copy()
    changed[before.splits.test] += 100
    after = from_arrays(changed, np.arange(100) % 2)
    np.testing.assert_array_equal(statistics(before).mean, statistics(after).mean)


def test_constant_features_have_std_one():
    X = np.concatenate([np.full((50, 1), 0.1), rng.normal(size=(50, 1))], axis=1)
    assert statistics(from_arrays(X, np.arange(50) % 2)).std[0] == 1
    images = np.full((50, 3, 4, 4), 7, np.uint8)
    images[:, 0] = rng.integers(0, 256, (50, 4, 4))
    assert statistics(from_arrays(images, np.arange(50) % 2)).std[1:].tolist() == [1, 1]


def test_cifar10_has_the_known_moments(data_root):  # closed form: N03, over all 50000 training images
    dataset = load(data_root / "cifar10", split=SplitOptions(val=0.0))
    found = statistics(dataset)
    assert found.count == 50000
    np.testing.assert_allclose(found.mean, [0.49125, 0.48209, 0.44652], atol=1e-4)
    np.testing.assert_allclose(found.std, [0.24523, 0.24278, 0.26063], atol=1e-4)


def test_mnist_has_the_usual_moments(data_root):
    found = statistics(load(data_root / "mnist", split=SplitOptions(val=0.0)))
    assert round(float(found.mean[0]), 4) == 0.1307 and round(float(found.std[0]), 4) == 0.3081


@pytest.mark.parametrize("kind", ["numbers", "categories"])
def test_tables_of_one_kind_have_statistics(tmp_path, kind):
    value = (lambda i: i * 7 % 31 / 2) if kind == "numbers" else (lambda i: "abc"[i * 7 % 3])
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "\n".join(f"{value(i)},{i % 2}" for i in range(60)))
    found = statistics(load(path, target="y"))
    assert found.mean.shape == ((1,) if kind == "numbers" else (0,))
