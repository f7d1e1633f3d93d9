"""The page of an exam and its part for notebooks: all that is known, escaped, readable at every width."""

import re

import pytest
import test_report_browser as browser

from trainwell.report.exam_page import drawings, exam_fragment, render_exam, write_exam

BAD = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> $\\frac{1$"
FINDING = {
    "code": "lr-too-high",
    "severity": "error",
    "where": f"optimizer.lr {BAD}",
    "message": f"At the rate 5 the loss is not finite. {BAD}",
    "trial": "The cure alone takes the score of a rehearsal from 0 to 0.8.",
    "evidence": {"rate": "5", BAD: BAD},
    "symptoms": ["nonfinite-loss", "dead-relu"],
    "cure": "divide the rate by 100",
    "changes": ["optimizer.lr: 5 → 0.05", f"model.{'very.long.path.' * 12}0: {BAD} → nn.ReLU()"],
    "because": ["O06", "S20"],
}
ASIDE = {**FINDING, "code": "input-constant-feature", "severity": "info", "cure": None, "changes": []}
RUN = {"losses": [2.3, 2.0, 1.5, 0.9, 0.3], "said": "each step stands for 3.4", "finite": True, "score": 0.8}
BROKEN = {"losses": [2.3, 40.0, 1e30, None], "said": "the first steps as they are", "finite": False, "score": 0.0}
SIGNAL = {
    "paths": ["0", "2", "4"],
    "moment": [1.0, 0.1, 0.01],
    "gradient": [0.001, 0.03, 1.0],
    "theory": {"moment": [1.0, 0.12, 0.012], "gradient": [0.0012, 0.031, 1.0]},
}
SPECTRA = {"paths": ["0", BAD], "values": [[1.2, 0.7, 0.1], [0.4, None]], "edges": [[0.1, 1.3], [0.2, 0.5]]}
ATTEMPT = {
    "name": f"divide the rate {BAD}",
    "codes": ["lr-too-high"],
    "after": [0.9, 0.91, 0.92],
    "gain": 0.9,
    "interval": [0.88, 0.92],
    "good": True,
    "factor": 1.0,
    "error": "",
}
PROOF = {
    **ATTEMPT,
    "cured": True,
    "before": [0.0, 0.0, 0.02],
    "tried": [ATTEMPT, {**ATTEMPT, "error": BAD}],
    "text": "",
}
FULL = {
    "healthy": False,
    "headline": "One cause was found: lr-too-high.",
    "cost": "Score in a rehearsal: 0, with the cure 0.8. 124 passes of one batch, 0.2 s.",
    "findings": [FINDING, {**FINDING, "severity": "warning"}, ASIDE],
    "tried": [{"code": "lr-too-high", "cure": BAD, "gain": 0.8, "taken": True}],
    "comparable": True,
    "runs": {"before": BROKEN, "after": RUN},
    "signal": {"before": SIGNAL, "after": {**SIGNAL, "theory": None}},
    "spectra": {"before": SPECTRA, "after": SPECTRA},
    "proof": PROOF,
}
HEALTHY = {
    **FULL,
    "healthy": True,
    "headline": "Healthy: nothing was found that costs quality.",
    "findings": [],
    "tried": [],
    "runs": {"before": None, "after": None},
    "signal": {"before": None, "after": None},
    "spectra": {"before": None, "after": None},
    "proof": None,
}


@pytest.mark.parametrize("render", [render_exam, exam_fragment])
def test_all_that_was_found_is_there_and_escaped(render):
    page = render(FULL)
    for words in ("One cause was found", "not finite", "divide the rate by 100", "optimizer.lr: 5 → 0.05", "dead-relu"):
        assert words in page
    assert "<script>alert" not in page and "<img" not in page and "&lt;img src=x onerror" in page
    assert page.count('<svg class="plot"') == 4 and not re.search(r"(?:src|href)=\"https?:", page)


def test_the_page_tells_of_proof_and_trials():
    page = render_exam(FULL)
    assert "proved</span>" in page and 'id="tried"' in page and "input-constant-feature" in page


def test_a_healthy_program_has_no_empty_sections():  # control
    page = render_exam(HEALTHY)
    assert "Healthy: nothing" in page and "<section id=" not in page and "<svg class" not in page
    assert "<figure" not in exam_fragment(HEALTHY)


def test_pictures_say_what_they_leave_out():
    loss, moment, gradient, spectra = drawings(FULL)
    assert "As given, it breaks off." in loss.note and "With the cure, it" not in loss.note
    assert "Dashed: what theory predicts." in moment.note and "Logarithmic axis." in gradient.note
    other = drawings({**FULL, "comparable": False})[0]
    assert "Each over its first value" in other.note
    alone = {**FULL, "signal": {"before": {**SIGNAL, "theory": None}, "after": None}}
    assert "Theory cannot follow" in drawings(alone)[1].note
    assert "Marchenko" in spectra.note and len(spectra.legend) == 2


def test_what_has_no_numbers_has_no_picture():  # control
    dead = {**SIGNAL, "moment": [None, None, None], "gradient": [0.0, 0.0, 0.0]}
    nothing = {"before": None, "after": None}
    kept = drawings({**FULL, "runs": nothing, "signal": {"before": dead, "after": None}, "spectra": nothing})
    assert [drawing.title for drawing in kept] == ["Gradient norm of each layer, over that of the last"]


def test_equal_exams_give_equal_pages(tmp_path):
    path = write_exam(FULL, tmp_path / "new" / "exam.html")
    assert path.read_text(encoding="utf-8") == render_exam(FULL)
    assert [p.name for p in path.parent.iterdir()] == ["exam.html"]


@pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium-headless-shell is not installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(tmp_path, width):
    for found in (FULL, HEALTHY):
        page = browser.with_script(render_exam(found), browser.MEASURE)
        assert browser.show(page, tmp_path / "page.html", width) == (f"[{width},{width}]", "")
