"""``skip_bad`` with files that were cut short: what is whole is used, what is not is counted."""

import gzip
import io
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from trainwell.data import load
from trainwell.errors import InputError

COUNT = 60


def write_idx(folder, lost_bytes, packed):
    rng = np.random.default_rng(0)
    pictures, labels = rng.integers(0, 256, (COUNT, 8, 8), dtype=np.uint8), (np.arange(COUNT) % 3).astype(np.uint8)
    content = struct.pack(">IIII", 0x803, COUNT, 8, 8) + pictures.tobytes()
    marks = struct.pack(">II", 0x801, COUNT) + labels.tobytes()
    suffix = ".gz" if packed else ""
    pack = (lambda b: gzip.compress(b, mtime=0)) if packed else (lambda b: b)
    whole = pack(content)
    (folder / f"train-images-idx3-ubyte{suffix}").write_bytes(whole[: len(whole) - lost_bytes])
    (folder / f"train-labels-idx1-ubyte{suffix}").write_bytes(pack(marks))
    return pictures, labels


@pytest.mark.parametrize("packed", [False, True])
def test_complete_pictures_of_an_idx_file_are_used_and_the_others_counted(tmp_path, packed):
    pictures, labels = write_idx(tmp_path, 64 * 10 + 5, packed)
    with pytest.raises(InputError, match="train-images-idx3-ubyte"):
        load(tmp_path)
    dataset = load(tmp_path, skip_bad=True)
    n = len(dataset)
    assert 40 <= n < COUNT and (packed or n == COUNT - 11)
    assert np.array_equal(dataset.X[:, 0], pictures[:n]) and np.array_equal(dataset.y, labels[:n])
    assert f"{COUNT - n} of {COUNT} pictures are left out" in " ".join(dataset.notes)


def test_a_whole_idx_file_is_read_as_ever(tmp_path):
    pictures, _ = write_idx(tmp_path, 0, False)
    dataset = load(tmp_path, skip_bad=True)
    assert np.array_equal(dataset.X[:, 0], pictures) and not any("left out" in note for note in dataset.notes)


def test_an_idx_file_without_a_picture_is_refused(tmp_path):
    write_idx(tmp_path, 64 * COUNT - 5, False)
    with pytest.raises(InputError, match="no complete picture"):
        load(tmp_path, skip_bad=True)


def parquet(path, seed):
    rng, cells = np.random.default_rng(seed), []
    for _ in range(30):
        data = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(data, "PNG")
        cells.append({"bytes": data.getvalue(), "path": ""})
    pq.write_table(pa.table({"image": cells, "label": [i % 3 for i in range(30)]}), path)


@pytest.mark.parametrize("broken", ["train-0.parquet", "train-1.parquet"])
def test_a_parquet_file_cut_short_is_left_out_and_named(tmp_path, broken):
    parquet(tmp_path / "train-0.parquet", 0)
    parquet(tmp_path / "train-1.parquet", 1)
    file = tmp_path / broken
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(InputError, match=broken):
        load(tmp_path)
    dataset = load(tmp_path, skip_bad=True)
    assert len(dataset) == 30
    assert f"Damaged files left out: 1 ({broken})." in dataset.notes
