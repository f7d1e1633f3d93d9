"""Folders and Parquet files of pictures: modes, sizes, orientation, parts, damage."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from trainwell.data import Schema, load, pictures
from trainwell.errors import InputError

rng = np.random.default_rng(0)


def noise(height=12, width=10, channels=3):
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.squeeze()).save(path, **options)
    return path


@pytest.fixture
def animals(tmp_path):
    """cat/ and dog/ with ten 12×10 PNGs each, and their pixels (N, H, W, 3) in order of the paths."""
    pixels = noise(20 * 12, 10).reshape(20, 12, 10, 3)
    for i in range(20):
        save(tmp_path / "animals" / ("cat", "dog")[i // 10] / f"{i:02d}.png", pixels[i])
    return tmp_path / "animals", pixels


def encoded(array, form="PNG"):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, form)
    return stream.getvalue()


def write_parquet(path, cells, labels, group=7):
    path.parent.mkdir(exist_ok=True)
    pictures_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(cells, pictures_type), "label": pa.array(labels)})
    pq.write_table(table, path, row_group_size=group)
    return path


def test_folder_gives_the_pixels(animals):  # closed form
    folder, pixels = animals
    dataset = load(folder)
    np.testing.assert_array_equal(dataset.X, pixels.transpose(0, 3, 1, 2))
    assert dataset.X.dtype == np.uint8 and isinstance(dataset.X, np.memmap)
    assert dataset.classes == ("cat", "dog") and dataset.y.tolist() == [0] * 10 + [1] * 10
    assert dataset.schema.shape == (3, 12, 10) and dataset.ids[0] == "cat/00.png" and dataset.task == "binary"


def test_parts_on_top_are_respected(tmp_path):
    for part, count in (("train", 12), ("val", 3), ("test", 5)):
        for label in ("2", "10"):
            for i in range(count):
                save(tmp_path / part / label / f"{i}.png", noise())
    dataset = load(tmp_path)
    assert [len(part) for part in (dataset.splits.train, dataset.splits.val, dataset.splits.test)] == [24, 6, 10]
    assert dataset.classes == ("2", "10") and dataset.ids[dataset.splits.test[0]].startswith("test/")
    rows = dataset.schema.read(tmp_path)
    assert len(rows) == 10 and np.array_equal(rows.y, dataset.y[dataset.splits.test])


def test_mixed_sizes_and_modes_get_one_shape(tmp_path):
    for i, size in enumerate([(8, 8), (16, 12), (30, 20)] * 4):
        channels = 1 if i % 2 else 3
        save(tmp_path / ("a", "b")[i % 2] / f"{i}.png", noise(*size, channels))
    dataset = load(tmp_path)
    assert dataset.schema.shape == (3, 16, 12) and any("from 8×8 to 30×20" in note for note in dataset.notes)
    assert load(tmp_path, image_size=5).schema.shape == (3, 5, 5)
    assert load(tmp_path, image_size=(5, 7)).schema.shape == (3, 5, 7)
    with pytest.raises(InputError, match="image_size is 0"):
        load(tmp_path, image_size=0)


def test_all_grey_stays_grey_and_large_ones_are_made_smaller():
    assert pictures.common_shape([(8, 8, False)] * 3, None) == ((1, 8, 8), "")
    shape, note = pictures.common_shape([(1000, 500, True)], None)
    assert shape == (3, 224, 112) and "1000×500" in note


GREY = np.arange(80, dtype=np.uint8).reshape(8, 10)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_is_converted(mode, channels):
    base = Image.fromarray(GREY)
    if mode == "I;16":
        image = Image.fromarray(GREY.astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(GREY.astype(np.int32) * 257)
    elif mode == "LAB":
        image = Image.new("LAB", (10, 8), (128, 128, 128))
    else:
        image = base.convert("RGB").convert(mode) if mode not in ("LA", "1", "P") else base.convert(mode)
    found = pictures.levels(image, (channels, 8, 10))
    assert found.shape == (channels, 8, 10) and found.dtype == np.uint8
    if mode in ("L", "LA", "RGB", "RGBA", "I;16", "I", "P"):
        assert np.abs(found.astype(int) - GREY).max() <= 1


def test_transparency_is_laid_on_white():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (pictures.levels(image, (3, 4, 4)) == 255).all()
    half = Image.new("LA", (4, 4), (0, 128))
    assert abs(int(pictures.levels(half, (1, 4, 4))[0, 0, 0]) - 127) <= 1


def test_orientation_is_applied(tmp_path):
    array = noise(6, 9)
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    path = save(tmp_path / "x.png", array, exif=exif)
    with pictures.opened(path) as image:
        assert pictures.look(image) == (9, 6, True)
        found = pictures.levels(image, (3, 9, 6))
    np.testing.assert_array_equal(found.transpose(1, 2, 0), np.rot90(array, -1))


def test_bombs_and_floats_are_refused(tmp_path, animals, monkeypatch):
    folder, _ = animals
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="decompression bomb"):
        load(folder, image_size=11)
    monkeypatch.undo()
    with pytest.raises(pictures.BadPicture, match="floating-point"):
        pictures.levels(Image.new("F", (3, 3)), (1, 3, 3))


def test_damaged_pictures_stop_or_are_counted(animals):
    folder, pixels = animals
    bad = folder / "dog" / "13.png"
    bad.write_bytes(bad.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"13\.png is bad: it cannot be decoded.*--skip-bad"):
        load(folder)
    (folder / "cat" / "03.png").write_bytes(b"this is no picture")
    dataset = load(folder, skip_bad=True)
    np.testing.assert_array_equal(dataset.X, np.delete(pixels, (3, 13), axis=0).transpose(0, 3, 1, 2))
    assert len(dataset.y) == 18 and any("Damaged pictures left out: 2" in note for note in dataset.notes)
    assert "dog/13.png" not in dataset.ids and dataset.y.sum() == 9


def test_folders_without_use_are_refused(tmp_path):
    with pytest.raises(InputError, match="is empty"):
        load(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.xyz").write_text("x")
    with pytest.raises(InputError, match="holds no data that trainwell knows"):
        load(tmp_path)
    save(tmp_path / "flat" / "1.png", noise())
    with pytest.raises(InputError, match="no labels to learn from"):
        load(tmp_path / "flat")
    save(tmp_path / "one" / "cat" / "1.png", noise())
    with pytest.raises(InputError, match="only one class, 'cat'"):
        load(tmp_path / "one")
    for i in range(4):
        save(tmp_path / "broken" / "ab"[i % 2] / f"{i}.png", noise()).write_bytes(b"x")
    with pytest.raises(InputError, match="None of the 4 pictures"):
        load(tmp_path / "broken", skip_bad=True)


def test_new_pictures_are_encoded_like_the_old(animals, tmp_path):
    folder, pixels = animals
    dataset = load(folder)
    schema = Schema.from_json(dataset.schema.to_json())
    assert schema == dataset.schema
    np.testing.assert_array_equal(schema.encode([Image.fromarray(p) for p in pixels]), dataset.X)
    for raw in (pixels, pixels.transpose(0, 3, 1, 2), pixels / 255, pixels.astype(float)):
        np.testing.assert_array_equal(schema.encode(raw), dataset.X)
    np.testing.assert_array_equal(schema.encode(pixels[4]), dataset.X[4:5])
    single = schema.read(folder / "dog" / "12.png")
    np.testing.assert_array_equal(single.X, dataset.X[12:13])
    assert single.ids == ["12.png"] and single.id_names == ("file",) and single.y is None
    flat = schema.read(folder / "dog")
    np.testing.assert_array_equal(flat.X, dataset.X[10:])
    assert flat.y is None and flat.ids[0] == "10.png"
    labelled = schema.read(folder)
    assert np.array_equal(labelled.y, dataset.y) and np.array_equal(labelled.X, dataset.X)
    other = schema.read(save(tmp_path / "grey.png", noise(50, 40, 1)))
    assert other.X.shape == (1, 3, 12, 10)
    with pytest.raises(InputError, match=r"takes \(N, 3, 12, 10\)"):
        schema.encode(np.zeros((2, 3, 9, 9), np.uint8))
    with pytest.raises(InputError, match="values from -1"):
        schema.encode(np.full((2, 3, 12, 10), -1.0))


def test_unknown_classes_of_new_pictures_are_minus_one(animals, tmp_path):
    schema = load(animals[0]).schema
    save(tmp_path / "new" / "dog" / "1.png", noise())
    save(tmp_path / "new" / "eel" / "1.png", noise())
    assert schema.read(tmp_path / "new").y.tolist() == [1, -1]


def test_parquet_pictures_equal_the_folder_s(animals, tmp_path):
    folder, pixels = animals
    cells = [{"bytes": encoded(p), "path": f"{('cat', 'dog')[i // 10]}/{i}.png"} for i, p in enumerate(pixels)]
    train = write_parquet(tmp_path / "train-0.parquet", cells, [0] * 10 + [1] * 10)
    dataset = load(train)
    np.testing.assert_array_equal(dataset.X, load(folder).X)
    assert dataset.classes == ("cat", "dog") and dataset.ids[11] == "dog/11.png"
    write_parquet(tmp_path / "test-0.parquet", cells[:4] + cells[10:13], [0] * 4 + [1] * 3)
    animals[0].rename(tmp_path.parent / "elsewhere")
    both = load(tmp_path)
    assert both.splits.test.tolist() == list(range(20, 27)) and both.provenance["coding"] == "PNG"
    words = write_parquet(tmp_path / "words.parquet", cells, ["ä"] * 10 + ["b"] * 10)
    assert load(words).classes == ("b", "ä")
    with pytest.raises(InputError, match=r"no column 'lable'. Did you mean 'label'"):
        load(words, target="lable")


def test_test_part_without_labels_is_not_used(animals, tmp_path):
    _, pixels = animals
    cells = [{"bytes": encoded(p), "path": f"{'ab'[i % 2]}/{i}.png"} for i, p in enumerate(pixels)]
    features = {"info": {"features": {"label": {"names": ["cat", "dog"]}}}}
    for part, labels in (("train", [0, 1] * 10), ("test", [-1] * 20)):
        path = write_parquet(tmp_path / "set" / f"{part}.parquet", cells, labels)
        table = pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps(features)})
        pq.write_table(table, path)
    dataset = load(tmp_path / "set")
    assert len(dataset) == 20 and dataset.classes == ("cat", "dog") and len(dataset.splits.test) == 4
    assert any("test part has no labels" in note for note in dataset.notes)
    write_parquet(tmp_path / "set" / "test.parquet", cells, [5] * 20)
    with pytest.raises(InputError, match="'label' is 5 in row 21, but there are 2 classes"):
        load(tmp_path / "set")


def test_damaged_parquet_pictures_stop_or_are_counted(tmp_path):
    cells = [{"bytes": encoded(noise()), "path": f"{i}.png"} for i in range(20)]
    cells[3]["bytes"] = cells[3]["bytes"][:-150]
    cells[8]["bytes"] = None  # found first: only its header cannot be read
    path = write_parquet(tmp_path / "p.parquet", cells, [i % 2 for i in range(20)])
    with pytest.raises(InputError, match=r"row 9 \(8\.png\).*p\.parquet is bad"):
        load(path)
    dataset = load(path, skip_bad=True)
    assert len(dataset) == 18 and dataset.y.tolist() == [i % 2 for i in range(20) if i not in (3, 8)]
    assert any("Damaged pictures left out: 2" in note for note in dataset.notes)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="no complete Parquet file"):
        load(path)


def test_cifar10_of_parquet(data_root):
    dataset = load(data_root / "cifar10")
    assert dataset.X.shape == (60000, 3, 32, 32) and dataset.classes[3] == "cat"
    assert [len(part) for part in (dataset.splits.train, dataset.splits.val, dataset.splits.test)] == [
        45000,
        5000,
        10000,
    ]
    assert np.bincount(dataset.y[dataset.splits.val]).tolist() == [500] * 10
    assert "JPEG" in dataset.provenance["coding"]
