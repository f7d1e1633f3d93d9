"""``trainwell train`` runs the exam first: what the user sees of it, in all the places."""

import json
import pathlib

import pytest

FAST = [
    *("--set", "precision.dtype=float32", "--set", "precision.threads=1", "--set", "precision.channels_last=false"),
    *("--model", "mlp", "--set", "model.width=32", "--set", "model.depth=1", "--set", "optimizer.name=adamw"),
    *("--epochs", "6", "--json"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("examined")


@pytest.fixture(scope="module")
def ill(folder):
    """A run at a rate far too high, by the user's own wish: (what was printed, what was said)."""
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    from trainwell.cli.main import main

    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        assert main(["train", "digits", *FAST, "--lr", "50", "-o", str(folder / "ill")]) == 0
    return json.loads(out.getvalue()), err.getvalue()


def test_json_has_what_was_found(ill, folder):
    exam = ill[0]["exam"]
    assert exam == json.loads((folder / "ill" / "exam.json").read_text(encoding="utf-8"))
    assert exam["findings"][0]["code"] == "lr-too-high" and exam["applied"] == {} and not exam["healthy"]


def test_a_line_is_said_for_each_finding(ill):
    lines = [line for line in ill[1].splitlines() if line.startswith(("Exam:", "Exam, "))]
    assert lines == ill[0]["exam"]["said"] and len(lines) == 1


def test_the_recipe_in_the_folder_is_the_one_used(ill, folder):
    text = (folder / "ill" / "recipe.toml").read_text(encoding="utf-8")
    assert "\nlr = 50.0 " in text and "\nexam = true " in text


def test_the_report_has_the_exam(ill, folder):
    page = (folder / "ill" / "report.html").read_text(encoding="utf-8")
    assert '<section id="exam">' in page and "lr-too-high</h3>" in page


def test_the_report_written_anew_has_it_escaped(ill, folder, run):
    file = folder / "ill" / "exam.json"
    content = file.read_text(encoding="utf-8")
    told = json.loads(content)
    told["said"][0] = "<script>alert(1)</script>"
    file.write_text(json.dumps(told), encoding="utf-8")
    assert run("report", str(folder / "ill")).code == 0
    page = (folder / "ill" / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page and "<script>alert(1)" not in page
    file.write_text(content, encoding="utf-8")


def test_resuming_does_not_examine_again(ill, folder, run, monkeypatch):
    monkeypatch.setattr("trainwell.clinic.recipe_exam.RecipeExam.__call__", None)
    done = run("resume", str(folder / "ill"), "--json")
    assert done.code == 0 and json.loads(done.out)["exam"] == ill[0]["exam"] and "Exam" not in done.err


def test_no_exam(folder, run):
    done = run("train", "digits", *FAST, "--lr", "50", "--no-exam", "-o", str(folder / "none"))
    assert done.code == 0 and json.loads(done.out)["exam"] is None and "Exam" not in done.err
    assert not (folder / "none" / "exam.json").exists()
    assert "\nexam = false " in (folder / "none" / "recipe.toml").read_text(encoding="utf-8")
    assert '<section id="exam">' not in (folder / "none" / "report.html").read_text(encoding="utf-8")


def test_what_the_user_set_reaches_the_exam(run, jobs, monkeypatch):
    seen = []
    monkeypatch.setattr(
        jobs, "train", lambda spec, recipe, *, callbacks, before, watch: seen.append(before) or jobs.run
    )
    run("train", "digits", "--lr", "0.1", "--set", "model.depth=3")
    assert {"optimizer.lr", "model.depth"} <= seen[0].given and "optimizer.name" not in seen[0].given
    run("train", "digits", "--set", "training.exam=false")
    assert seen[1] is None


def test_folds_are_not_examined(run, jobs, monkeypatch):
    monkeypatch.setattr("trainwell.clinic.recipe_exam.RecipeExam.__init__", None)
    assert run("train", "digits", "--folds", "2").code == 0
