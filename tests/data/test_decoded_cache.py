"""Decoded once, mapped ever after; whole or absent; in memory where the folder cannot be written."""

import json
import threading

import numpy as np
import pytest

from trainwell.data.cache import cache_folder, decoded, key_of
from trainwell.errors import JobError


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A file to decode, with a cache of its own and a decoder that counts its calls."""
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "source"
    path.write_bytes(b"12345")
    calls = []

    def decode(store):
        calls.append(1)
        for start in range(0, 30, 7):
            store.append("X", np.arange(start, min(start + 7, 30))[:, None] * np.ones((1, 4), np.int32))
        store.append("y", np.arange(30))
        return {"names": ["a"]}

    return path, decode, calls


def test_second_time_is_read_from_the_cache(source):
    path, decode, calls = source
    for _ in range(2):
        arrays, meta = decoded([path], {"a": 1}, decode)
        np.testing.assert_array_equal(arrays["X"][:, 0], np.arange(30))
        assert isinstance(arrays["X"], np.memmap) and meta == {"names": ["a"]} and not arrays["X"].flags.writeable
    assert len(calls) == 1


def test_other_options_times_and_sizes_decode_anew(source):
    path, decode, calls = source
    decoded([path], {"a": 1}, decode)
    decoded([path], {"a": 2}, decode)
    path.write_bytes(b"123456")
    decoded([path], {"a": 1}, decode)
    assert len(calls) == 3


def test_damaged_entries_are_made_anew(source):
    path, decode, calls = source
    decoded([path], {}, decode)
    entry = cache_folder() / "decoded" / key_of([path], {})
    (entry / "X.npy").write_bytes((entry / "X.npy").read_bytes()[:-8])
    arrays, _ = decoded([path], {}, decode)
    assert len(calls) == 2 and len(arrays["X"]) == 30


def test_a_failed_decoding_leaves_nothing(source):
    path, _, _ = source

    def decode(store):
        store.append("X", np.zeros((3, 2)))
        raise KeyError("no")

    with pytest.raises(KeyError):
        decoded([path], {}, decode)
    assert list((cache_folder() / "decoded").iterdir()) == []


def test_writers_at_once_agree(source):
    path, decode, calls = source
    barrier, results = threading.Barrier(4), []

    def together(store):
        barrier.wait(10)
        return decode(store)

    def run():
        results.append(decoded([path], {}, together)[0]["X"].sum())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 4 and len(set(results)) == 1 == len(list((cache_folder() / "decoded").iterdir()))


def test_without_a_writable_folder_arrays_stay_in_memory(source, monkeypatch, tmp_path):
    path, decode, calls = source
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        arrays, meta = decoded([path], {}, decode)
        assert not isinstance(arrays["X"], np.memmap) and len(arrays["X"]) == 30 and meta == {"names": ["a"]}
    assert len(calls) == 2


def test_a_full_disk_is_said(source, monkeypatch):
    path, decode, _ = source

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(JobError, match=r"No space left on device.*TRAINWELL_CACHE"):
        decoded([path], {}, decode)


def test_place_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("TRAINWELL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "trainwell"


def test_description_is_plain_json(source):
    path, decode, _ = source
    decoded([path], {}, decode)
    entry = cache_folder() / "decoded" / key_of([path], {})
    assert json.loads((entry / "meta.json").read_text()) == {"names": ["a"]}
