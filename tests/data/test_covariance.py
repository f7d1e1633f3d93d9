"""Streamed mean and covariance: those of all rows at once, whatever the chunks, their order and the offset."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwell.data import Covariance, SplitOptions, covariance, from_arrays
from trainwell.data.streamed_covariance import covariance_of


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def exact(rows):
    """In extended precision, two passes."""
    wide = rows.astype(np.longdouble)
    mean = wide.mean(0)
    return mean.astype(float), ((wide - mean).T @ (wide - mean) / len(wide)).astype(float)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=7),
    offset=st.sampled_from([0.0, 1e4, -3e5]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 1000),
)
def test_any_chunks_in_any_order_give_the_covariance_of_all_rows(sizes, offset, dtype, seed):  # property
    rng = np.random.default_rng(seed)
    rows = (rng.normal(size=(sum(sizes) + 3, 4)) @ rng.normal(size=(4, 4)) + offset).astype(dtype)
    parts = [Covariance.of(part) for part in np.split(rows, np.cumsum(sizes))]
    while len(parts) > 1:  # a random tree of merges
        a = parts.pop(rng.integers(len(parts)))
        b = parts.pop(rng.integers(len(parts)))
        parts.append(a.merge(b))
    mean, expected = exact(rows)
    assert parts[0].count == len(rows)
    np.testing.assert_allclose(parts[0].mean, mean, rtol=1e-13, atol=1e-13)
    assert relative(parts[0].covariance(), expected) < 1e-10


def test_blocks_within_a_chunk_change_nothing(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(1000, 5)).cumsum(0)  # every block has another mean
    monkeypatch.setattr(covariance, "BLOCK_BYTES", 1)
    monkeypatch.setattr(covariance, "FEWEST_BLOCK_ROWS", 7)
    mean, expected = exact(rows)
    found = Covariance.of(rows)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-13)
    assert relative(found.covariance(), expected) < 1e-12


def test_one_pass_of_squares_or_products_in_float32_miss_it():  # control
    rows = (np.random.default_rng(0).normal(size=(5000, 3)) + 1e4).astype(np.float32)
    _, expected = exact(rows)
    wide = rows.astype(np.float64)
    squares = wide.T @ wide / len(wide) - np.outer(wide.mean(0), wide.mean(0))
    centred = rows - rows.mean(0)
    assert relative(squares, expected) > 1e-9 and relative(centred.T @ centred / len(rows), expected) > 1e-8


def test_training_rows_alone_in_chunks_of_two_streams():
    X = (np.random.default_rng(0).normal(size=(60000, 80)) + 1e4).astype(np.float32)  # 19 MB: two chunks
    dataset = from_arrays(X, np.arange(60000) % 2, split=SplitOptions(by="random"))
    found = covariance_of(dataset.X, dataset.splits.train)
    train = X[dataset.splits.train].astype(np.float64)
    centred = train - train.mean(0)
    expected = centred.T @ centred / len(train)
    assert found.count == len(dataset.splits.train) and relative(found.covariance(), expected) < 1e-10


def test_levels_of_images_are_divided_by_their_unit():
    X = np.random.default_rng(0).integers(0, 256, (300, 12), dtype=np.uint8)
    found = Covariance.of(X).divided_by(255)
    assert relative(found.covariance(), np.cov(X.T / 255, bias=True)) < 1e-12
    np.testing.assert_allclose(found.mean, (X / 255).mean(0))


@pytest.mark.slow
def test_processes_merge():
    parts = np.array_split(np.random.default_rng(0).normal(size=(999, 6)), 4)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as workers:
        found = list(workers.map(Covariance.of, parts))
    total = found[0].merge(found[1]).merge(found[2].merge(found[3]))
    assert relative(total.covariance(), np.cov(np.concatenate(parts).T, bias=True)) < 1e-12


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match=r"row 1 of the chunk has nan in feature 0"):
        Covariance.of(np.array([[0.0], [np.nan]]))
    with pytest.raises(ValueError, match=r"row 0 of the chunk has inf in feature 1"):
        Covariance.of(np.array([[0.0, np.inf], [0.0, -np.inf]]))
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        Covariance.of(np.zeros(3))
    with pytest.raises(ValueError, match="2 features cannot be merged with one of 3"):
        Covariance.of(np.zeros((4, 2))).merge(Covariance.of(np.zeros((4, 3))))
    with pytest.raises(ValueError, match=r"20000 features would take 3 GiB"):
        covariance_of(np.zeros((2, 20000)), np.arange(2))
