"""The gallery of the lab: an index and a page for each claim, from plain results."""

import pytest
import test_report_browser as browser

from trainwell.report.gallery_page import command, render_claim, render_index

CHECK = {
    "name": "a < b & c",
    "about": "claim",
    "passed": True,
    "value": [1.0, 1.1],
    "relation": "equals",
    "reference": 1.0,
    "tolerance": 0.2,
    "absolute": False,
    "reason": "a fifth",
    "worst": {"value": 1.1, "reference": 1.0},
}
RESULT = {
    "id": "X01",
    "claim": "One is <b>one</b>",
    "decks": ["K"],
    "topic": "signal",
    "theory": "It is.",
    "source": "Peano 1889",
    "removed": "Two.",
    "verdict": "holds",
    "defects": [],
    "checks": [CHECK],
    "control": [{**CHECK, "passed": False}],
    "seconds": 1.0,
    "setting": {"seed": 3},
}
CRASHED = {name: value for name, value in RESULT.items() if name not in ("control", "setting", "defects")} | {
    "id": "X02",
    "verdict": "crashed",
    "checks": [],
    "error": "ArithmeticError: 0/0",
}


def test_pages_show_what_is_known_and_escape_it():
    page = render_claim(RESULT)
    assert "One is &lt;b&gt;one" in page and "a &lt; b &amp; c" in page and "± 20 %" in page and "Peano" in page
    assert command(RESULT) == "trainwell lab run X01 --seed 3" and command(RESULT) in page
    assert "ArithmeticError: 0/0" in render_claim(CRASHED)
    index = render_index([RESULT, CRASHED])
    assert 'href="x01.html"' in index and 'class="badge unsound"' in index


def test_a_kept_result_of_the_published_setting_stands_beside():
    published = {
        "verdict": "in part",
        "seconds": 7200,
        "hardware": "an <old> card",
        "setting": {"n": 5},
        "checks": [CHECK],
    }
    page = render_claim({**RESULT, "published": published})
    assert "an &lt;old&gt; card" in page and "trainwell lab run X01 --seed 3 --full" in page and "an <old>" not in page
    assert "published setting" not in render_claim(RESULT)
    assert "published setting" not in render_claim({**RESULT, "published": published, "full": True})


def test_a_control_with_other_checks_stands_beside_those_of_its_name():
    other = {**CHECK, "name": "another", "worst": {"value": 7.25, "reference": 1.0, "error": 0.5}}
    result = {**RESULT, "checks": [CHECK, other], "control": [{**other, "passed": False}]}
    page = render_claim(result)
    assert "7.25 ± 0.5 ✗" in page and page.count("✗") == 1


@pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium-headless-shell is not installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(tmp_path, width):
    for page in (render_index([RESULT, CRASHED]), render_claim(RESULT), render_claim(CRASHED)):
        shown = browser.show(browser.with_script(page, browser.MEASURE), tmp_path / "page.html", width)
        assert shown == (f"[{width},{width}]", "")


@pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium-headless-shell is not installed")
def test_filter_leaves_what_matches(tmp_path):
    script = """
    addEventListener("load", () => {
      const filter = document.getElementById("filter");
      filter.value = "crashed x02";
      filter.dispatchEvent(new Event("input"));
      const left = [...document.querySelectorAll("[data-text]:not([hidden]) a")];
      document.title = left.map((e) => e.textContent).join();
    });
    """
    page = browser.with_script(render_index([RESULT, CRASHED]), script)
    assert browser.show(page, tmp_path / "page.html", 800) == ("X02", "")
