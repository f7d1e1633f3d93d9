"""Giving memory back changes no value."""

import sys

import numpy as np
import pytest

from trainwell.training.memory import give_back, peak_bytes, release_pages


def resident() -> int:
    with open("/proc/self/smaps_rollup", encoding="utf-8") as file:
        return 1024 * int(next(line.split()[1] for line in file if line.startswith("Rss:")))


def test_a_released_file_reads_as_before(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (1000, 100), dtype=np.uint8)
    np.save(tmp_path / "x.npy", values)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert mapped.sum() == values.sum()
    release_pages(mapped)
    assert np.array_equal(mapped, values)
    release_pages(mapped[10:20])
    assert np.array_equal(mapped, values)


def test_an_array_in_memory_is_left_alone():
    values = np.arange(10)
    release_pages(values)
    assert values.tolist() == list(range(10))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pages_leave_the_process(tmp_path):
    np.save(tmp_path / "x.npy", np.ones(40_000_000, dtype=np.uint8))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    mapped.sum()
    before = resident()
    release_pages(mapped)
    assert before - resident() > 30_000_000


def test_the_peak_is_at_least_what_is_held():
    held = np.ones(20_000_000, dtype=np.uint8)
    assert (peak_bytes() or 0) > held.nbytes
    give_back()
    assert held.all()
