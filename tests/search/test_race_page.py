"""The page of a race: what it says, and how a browser shows it."""

import importlib.util
import json
import math
import pathlib
import re
import shutil

import pytest

from trainwell.report import render_race, write_race
from trainwell.report.drawing import LINES
from trainwell.search.outcome import Entry, Look, Race, Trial

HOSTILE = "<script>alert(1)</script>"


def entry(name: str, speed: float, steps: int = 40, status: str = "finished", **changes) -> Entry:
    """A method whose loss falls as e^(−speed · step / 10) from 2; ten looks."""
    at = range(0, steps + 1, max(1, steps // 10))
    loss = [2 * math.exp(-speed * step / 10) for step in at]
    looks = tuple(
        Look(step, step * 0.01, {"loss": value}, {"loss": value + 0.1, "accuracy": 1 - value / 4})
        for step, value in zip(at, loss, strict=True)
    )
    given = {"lr": 0.1, "lr_note": "best of 3 rates", "memory": 2.0, "batch_size": 32, **changes}
    trials = tuple(Trial(0.1 * factor, 1 / factor if factor < 3 else math.nan) for factor in (0.3, 1.0, 3.0))
    return Entry(name, status, trials=trials, looks=looks, batch_losses=(1.0,) * steps, **given)


def outcome(*entries: Entry, **changes) -> dict:
    about = {
        "created": "today", "data": "digits", "source": "digits", "model": "mlp", "parameters": 6826, "batch_size": 32,
        "seed": 0, "device": "cpu", "threads": 1, "dtype": "float32", "schedule": "one-cycle", "budget_seconds": 6.0,
        "seconds_each": 1.5, "steps_each": None, **changes,
    }  # fmt: skip
    return Race(entries, about, {"factors": (0.3, 1.0, 3.0), "steps": 5}, seconds=7.0).to_dict()


@pytest.fixture
def race():
    diverged = entry("lion", 0.1, 20, "diverged", note="The loss was nan at step 20.")
    skipped = Entry("scgd", "skipped", "Left out: it is for losses f(E g), not for a model and its data.")
    return outcome(entry("sgd", 0.5), entry("adamw", 1.0, 30), diverged, skipped)


def words(page: str) -> str:
    body = re.sub(r"<style>.*?</style>|<script>.*?</script>|<svg.*?</svg>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_the_page_says_who_wins_and_who_diverged(race):
    text = words(render_race(race))
    assert "adamw wins by steps and by the clock" in text
    assert "lion: The loss was nan at step 20." in text and "diverged" in text and "left out" in text
    assert (
        "Training loss by step" in text and "Training loss by second" in text and "Validation accuracy by step" in text
    )
    assert "trainwell race digits --methods sgd,adamw,lion,scgd --budget 6s" in text


def test_other_speeds_other_winner():  # control
    slow = entry("adamw", 0.2)
    assert "sgd wins by steps and by the clock" in words(render_race(outcome(entry("sgd", 0.5), slow)))
    looks = tuple(Look(look.step, look.seconds * 9, look.train, look.val) for look in entry("adamw", 1.0).looks)
    dear = Entry("adamw", "finished", looks=looks, batch_losses=(1.0,) * 40)
    assert "sgd wins by the clock, adamw by steps" in words(render_race(outcome(entry("sgd", 0.95), dear)))


def test_standings_have_a_row_a_method_in_its_own_colour(race):
    page = render_race(race)
    rows = re.search(r'<section id="standings">(.*?)</section>', page, re.DOTALL)[1].split("<tr")[2:]
    assert [words(f"<tr{row}").split()[0] for row in rows] == ["sgd", "adamw", "lion", "scgd"]
    assert re.findall(r"var\(--(c\d)\)", "".join(rows)) == ["c0", "c1", "c2", "c3"]
    assert all(colour not in page for colour in LINES)  # every placeholder became the page's own colour
    for svg in re.findall(r"<svg class=\"plot\".*?</svg>", page, re.DOTALL):
        assert "var(--c0)" in svg and "var(--c1)" in svg


def test_nothing_of_the_user_is_code(race):
    page = render_race({**race, "data": HOSTILE, "methods": [{**m, "note": HOSTILE} for m in race["methods"]]})
    assert HOSTILE not in page and "&lt;script&gt;" in page


def test_a_race_without_a_winner_has_a_page():
    page = words(render_race(outcome(Entry("scgd", "skipped", "Left out: no."))))
    assert "No method brought the training loss down" in page and "by step" not in page


def test_more_methods_than_colours_differ_by_their_dashes():
    page = render_race(outcome(*(entry(f"m{i}", 0.1 * (i + 1)) for i in range(10))))
    assert page.count("stroke-dasharray") > 0
    few = render_race(outcome(*(entry(f"m{i}", 0.1 * (i + 1)) for i in range(8))))  # control
    assert few.count("stroke-dasharray") == 0


def test_the_page_is_written_from_the_json_as_it_was_stored(race, tmp_path):
    stored = json.loads(json.dumps(race, allow_nan=False))
    path = write_race(stored, tmp_path / "race.html")
    content = path.read_text(encoding="utf-8")
    assert content == render_race(race)
    assert not re.search(r"(src|href)=\"(?!#|data:)", content) and len(content) < 500_000


@pytest.mark.skipif(shutil.which("chromium-headless-shell") is None, reason="chromium-headless-shell is not installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_overflow_or_complaint(race, tmp_path, width):
    place = pathlib.Path(__file__).parents[1] / "report" / "test_report_browser.py"
    spec = importlib.util.spec_from_file_location("report_browser", place)
    browser = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(browser)
    page = browser.with_script(render_race(race), browser.MEASURE)
    title, console = browser.show(page, tmp_path / "race.html", width, "--blink-settings=preferredColorScheme=0")
    assert title == f"[{width},{width}]" and console == ""
