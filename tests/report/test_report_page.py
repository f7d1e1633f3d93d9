import dataclasses
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from trainwell.errors import JobError
from trainwell.report import Results, render, write

VOID = {"meta", "link", "img", "br"}


class Outline(HTMLParser):
    """Checks that elements nest, and gathers their attributes, their ids and the text outside of style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words).replace("\N{NARROW NO-BREAK SPACE}", " "))


def test_every_kind_is_well_formed_and_small(results):
    page = render(results)
    outline = Outline(page)
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert len(page.encode("utf-8", "replace")) < 2_000_000
    assert page.startswith("<!doctype html>")


def test_nothing_is_fetched(results):
    page = render(results)
    for tag, name, value in Outline(page).attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("#", "data:")), (tag, name, value)
        assert not name.startswith("on"), (tag, name)
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)", page))
    assert "@import" not in page


def test_internal_links_lead_somewhere(results):
    attributes = Outline(render(results)).attributes
    ids = {value for _, name, value in attributes if name == "id"}
    assert {value[1:] for _, name, value in attributes if name.endswith("href") and value[0] == "#"} <= ids


def test_hostile_text_stays_text(kinds):
    page = render(kinds["hostile"]())
    outline = Outline(page)
    assert outline.tags.count("script") == 1
    assert "<img src=x" not in page and "<script>alert" not in page
    assert "<script>alert('x')</script>" in outline.text


def test_equal_results_give_equal_bytes(kinds):
    for build in kinds.values():
        assert render(build()) == render(build())


def test_numbers_shown_are_those_given(kinds):
    text = Outline(render(kinds["pictures"]())).text
    shown = (
        "Right on 90.0 % of 200 test samples",
        "between 85.1 % and 93.4 %",
        "would be right on 10.0 %",
        "8,010 parameters",
    )
    shown += ("412 MB", "41 s", "12.3 k", "0.345", "93.0 %", "98.7 %", "180 of 200", "kept: epoch 11", "picked: 0.0031")
    for number in (
        *shown,
        "0.83 ×",
        "trainwell train digits --recipe runs/digits-3/recipe.toml",
        "5 × the same 2 layers",
    ):
        assert number in text, number


def test_binary_says_what_the_threshold_does(kinds):
    text = Outline(render(kinds["binary"]())).text
    for words in (
        "finds 75.0 % with 16.7 % false alarms",
        "from probability 0.46",
        "0.875",
        "no: it tells the target",
        "as target",
    ):
        assert words in text, words


def test_regression_tells_the_typical_miss(kinds):
    import numpy as np

    results = kinds["regression"]()
    (residuals,) = results.residuals
    text = Outline(render(results)).text
    miss = np.abs(residuals.predicted - residuals.truth).mean()
    assert f"The typical miss is {miss:.0f} ±" in text
    assert "Explains 98.0 % of the variance of price on 3,000 test samples" in text


LEFT_OUT = {
    "The data": {"data": None},
    "The model": {"layers": ()},
    "The training": {"epochs": (), "steps": (), "rate_search": None},
    "What is taken for what": {"confusion": None},
    "Worth knowing": {"notes": ()},
    "Most confident mistakes": {"mistakes": ()},
    "Where the time went": {"stages": ()},
    "The whole recipe": {"recipe_toml": ""},
}


def test_missing_parts_are_left_out(kinds):
    full = kinds["pictures"]()
    page = render(full)
    for heading, nothing in LEFT_OUT.items():
        without = dataclasses.replace(full, **({"epochs": (), "steps": (), "rate_search": None} | nothing))
        assert heading in page
        assert heading not in render(without), heading


def test_every_field_may_be_missing_alone(kinds):
    empty = {f.name: f.default for f in dataclasses.fields(Results) if f.default is not dataclasses.MISSING}
    empty |= {"environment": {}, "metrics": {}}
    undrawn = {"epochs": (), "steps": (), "rate_search": None, "calibration": ()}
    full = kinds["pictures"]()
    for name in undrawn:
        assert full.title in render(dataclasses.replace(full, **{name: empty[name]}))
    for name in empty.keys() - undrawn.keys() - {"classes"}:
        assert full.title in render(dataclasses.replace(full, **(undrawn | {name: empty[name]})))


def test_without_test_part_the_page_says_so():
    flattered = Results("a", "b", "classification", metrics={"val": {"accuracy": 0.75}, "test": {}})
    assert "There is no test part" in render(flattered)
    assert "There is no test part" not in render(dataclasses.replace(flattered, metrics={"test": {"accuracy": 0.75}}))


def test_nonfinite_outcome_is_told():
    page = render(Results("a", "b", "regression", metrics={"test": {"r2": float("nan")}}))
    assert "the training went wrong" in page


def test_large_results_stay_below_two_megabytes(kinds):
    import numpy as np

    from trainwell.report import ColumnRow, DataGlance, Example, Mistake

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (40, 3, 300, 300)).astype(np.uint8)
    classes = tuple(f"class {i}" for i in range(1000))
    data = DataGlance(
        "big",
        "image",
        class_counts={"train": (7,) * 1000},
        examples=tuple(Example(image) for image in noise),
        columns=tuple(ColumnRow(f"column {i}", "number", summary="0 … 1, median 0.5") for i in range(5000)),
    )
    counts = rng.binomial(1, 0.02, (1000, 1000)) + 40 * np.eye(1000, dtype=np.int64)
    steps = tuple(
        {"step": s, "epoch": s / 100, "loss": float(x), "lr": 0.1, "grad_norm": float(x)}
        for s, x in enumerate(rng.random(20_000))
    )
    mistakes = tuple(Mistake("1", "2", 0.9, image=image) for image in noise)
    big = dataclasses.replace(
        kinds["pictures"](), data=data, classes=classes, confusion=counts, steps=steps, mistakes=mistakes
    )
    assert len(render(big)) < 2_000_000


def test_wrong_shapes_are_refused(kinds):
    with pytest.raises(ValueError, match=r"confusion has shape \(2, 2\) but there are 10 classes"):
        dataclasses.replace(kinds["pictures"](), confusion=kinds["binary"]().confusion)
    with pytest.raises(ValueError, match="class_counts of 'test' has 2 numbers but there are 3 classes"):
        dataclasses.replace(kinds["binary"](), classes=("a", "b", "c"), confusion=None)
    with pytest.raises(ValueError, match="task 'guess' is none of"):
        Results("a", "b", "guess")


def test_write_replaces_the_page_in_one_piece(tmp_path, kinds):
    path = tmp_path / "runs" / "report.html"
    assert write(kinds["bare"](), path) == path
    write(kinds["hostile"](), path)
    assert "A" * 200 in path.read_text(encoding="utf-8")
    assert os.listdir(path.parent) == ["report.html"]


def test_write_tells_where_it_failed(tmp_path, kinds):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(JobError, match=r"could not be written to .*report\.html"):
        write(kinds["bare"](), tmp_path / "report.html")
    assert os.listdir(tmp_path) == ["report.html"]


def test_import_is_cheap_and_writing_needs_no_torch_and_no_pyplot(tmp_path):
    code = (
        "import sys, trainwell.report as r; heavy = {'numpy', 'matplotlib', 'jinja2', 'torch'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); "
        "epochs = ({'epoch': 1, 'train_loss': 1.0},); "
        "r.write(r.Results('a', 'b', 'regression', epochs=epochs), sys.argv[1]); "
        "assert 'matplotlib' in sys.modules and not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "report.html")], check=True)
