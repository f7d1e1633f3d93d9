import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from trainwell.report import Example, LayerRow, Results
from trainwell.report.chain import stretches
from trainwell.report.curves import curves, log_scale, series
from trainwell.report.drawing import FIRST, VARIABLES, draw
from trainwell.report.pictures import data_uri, shades


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


@pytest.mark.parametrize("shape, mode", [((9, 7), "L"), ((1, 9, 7), "L"), ((3, 9, 7), "RGB"), ((4, 9, 7), "RGBA")])
def test_small_picture_comes_back_exactly(shape, mode):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    picture = decoded(data_uri(image))
    assert picture.mode == mode and picture.size == (7, 9)
    back = np.asarray(picture)
    np.testing.assert_array_equal(
        back if back.ndim == 2 else np.moveaxis(back, 2, 0), image.reshape(-1, 9, 7).squeeze()
    )


def test_many_channels_show_their_mean():
    image = np.stack([np.full((4, 4), value, np.uint8) for value in (10, 20, 30, 40, 50)])
    assert set(np.asarray(decoded(data_uri(image))).ravel()) == {30}


def test_large_picture_shrinks():
    noise = np.random.default_rng(0).integers(0, 256, (3, 1000, 500)).astype(np.uint8)
    uri = data_uri(noise)
    assert decoded(uri).size == (64, 128) and len(uri) < 40_000


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros(4, np.uint8), np.zeros((3, 0, 4), np.uint8)])
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match="Give uint8 of shape"):
        data_uri(image)


def test_shades_are_transparent_where_nothing_is():
    pixels = np.asarray(decoded(shades(np.array([[0.0, 1.0]]), np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))))
    assert pixels[0, 0, 3] == 0 and tuple(pixels[0, 1]) == (4, 5, 6, 255)


def test_examples_have_no_equality_that_compares_arrays():
    assert Example(np.zeros((2, 2), np.uint8)) != Example(np.zeros((2, 2), np.uint8))


def test_drawing_takes_its_colours_from_the_page_and_its_ids_from_its_name():
    def paint(figure):
        figure.add_subplot().plot([1, 2], [3, 4], color=FIRST, marker="o")

    svg = draw("one", paint)
    assert "var(--first)" in svg and not any(colour in svg for colour in VARIABLES)
    assert "http" not in svg and "<style" not in svg and "<metadata" not in svg
    ids = set(re.findall(r'id="([^"]*)"', svg))
    assert ids and not ids & set(re.findall(r'id="([^"]*)"', draw("two", paint)))
    assert draw("one", paint) == svg


def test_settings_of_the_user_neither_reach_the_drawing_nor_are_changed():
    import matplotlib

    def paint(figure):
        figure.add_subplot().plot([1, 2], [3, 4])

    svg = draw("one", paint)
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "axes.facecolor": "red"}):
        assert draw("one", paint) == svg
        assert matplotlib.rcParams["font.size"] == 30


def test_tick_labels_keep_their_digits():
    rows = tuple({"step": s, "epoch": s / 10, "grad_norm": 10.0 ** -(s / 10)} for s in range(60))
    (drawing,) = curves(Results("a", "b", "regression", steps=rows))
    assert drawing.title == "Gradient norm" and ">0.001<" in drawing.svg


def test_series_leaves_gaps_and_thins_out():
    rows = [{"epoch": 1, "x": 2.0}, {"epoch": 2}, {"epoch": 3, "x": float("inf")}, {"y": 1.0}]
    at, values = series(rows, "epoch", "x")
    np.testing.assert_array_equal(at, [1, 2, 3])
    np.testing.assert_array_equal(values, [2, np.nan, np.nan])
    assert len(series([{"epoch": i, "x": 1.0} for i in range(9001)], "epoch", "x")[0]) <= 2000


def test_log_scale_only_for_wide_positive_values():
    assert log_scale(np.array([1.0, 100.0, np.nan]))
    assert not log_scale(np.array([0.0, 100.0]))
    assert not log_scale(np.array([90.0, 100.0]))
    assert not log_scale(np.array([]))


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [0.0, 0.0], [np.nan, 1.0], [-1e-12, 1e12], [1e-30, 1e30]])
def test_strange_courses_can_be_drawn(values):
    rows = tuple({"epoch": e + 1, "train_loss": v, "val_loss": v, "val_r2": -v} for e, v in enumerate(values))
    steps = tuple({"step": e, "epoch": e + 0.5, "loss": v, "grad_norm": v, "lr": v} for e, v in enumerate(values))
    assert len(curves(Results("a", "b", "regression", epochs=rows, steps=steps))) == 4


def layer(path: str, name: str, width: int = 8) -> LayerRow:
    kind = {"Linear": "linear", "ReLU": "activation"}.get(name, "other")
    return LayerRow(path, kind, name, (width,), (width,))


def folded(rows: list[LayerRow]) -> list[tuple[list[str], int]]:
    return [([row.path for row in s.rows], s.times) for s in stretches(rows)]


def test_repeated_blocks_fold_where_the_module_tree_has_them():
    stem = [layer("stem", "Linear", 4), layer("act", "ReLU")]
    blocks = [layer(f"blocks.{i}.{part}", name) for i in range(4) for part, name in (("fc", "Linear"), ("act", "ReLU"))]
    head = [layer("head", "Linear", 3)]
    expected = [(["stem", "act"], 1), (["blocks.0.fc", "blocks.0.act"], 4), (["head"], 1)]
    assert folded([*stem, *blocks, *head]) == expected


def test_chain_without_repetition_stays():
    rows = [layer(str(width), "Linear", width) for width in range(9)]
    assert folded(rows) == [([str(width) for width in range(9)], 1)]
    assert stretches(()) == ()


def test_nothing_is_lost_by_folding():  # property
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows = [LayerRow("", "other", str(n), parameters=int(n)) for n in rng.integers(0, 3, 40)]
        found = stretches(rows)
        assert [row.name for s in found for _ in range(s.times) for row in s.rows] == [row.name for row in rows]
        assert sum(s.parameters for s in found) == sum(row.parameters for row in rows)
