"""``trainwell lab``: words, tables, JSON, exit codes, the gallery."""

import json

import pytest

from trainwell.cli.lab import lines, table

RESULT = {
    "id": "X01",
    "claim": "one is one",
    "verdict": "holds",
    "seconds": 1.5,
    "checks": [
        {
            "name": "one",
            "about": "claim",
            "passed": True,
            "relation": "equals",
            "tolerance": 0.03,
            "absolute": False,
            "worst": {"value": 1.01, "reference": 1.0},
        }
    ],
}


def test_list_names_every_experiment(run):
    done = run("lab", "list")
    assert done.code == 0 and "S05" in done.out and "Kaiming" in done.out
    found = json.loads(run("lab", "list", "--json", "--groups", "S").out)["experiments"]
    assert {"id", "claim", "decks", "topic"} <= set(found[0]) and found[0]["id"] == "S01" and found[0]["decks"] == ["R"]


def test_run_prints_one_object(run):
    done = run("lab", "run", "s08", "--seed", "3", "--json")
    found = json.loads(done.out)
    assert done.code == 0 and {"id", "verdict", "checks", "seconds"} <= set(found)
    assert found["id"] == "S08" and found["verdict"] == "holds" and found["setting"]["seed"] == 3
    assert {"name", "value", "relation", "reference", "tolerance", "about", "reason", "passed"} <= set(
        found["checks"][0]
    )
    assert "figure" not in found


def test_sabotage_does_not_hold_and_is_no_failure(run):
    done = run("lab", "run", "S08", "--sabotage")
    assert done.code == 0 and "Verdict       fails" in done.out and "control stands in the measured place" in done.out


def test_gallery_is_written(run, tmp_path):
    done = run("lab", "run", "S08", "S11", "--html", str(tmp_path / "g"), "-q")
    assert done.code == 0 and done.err == "" and "Gallery" in done.out
    assert sorted(path.name for path in (tmp_path / "g").iterdir()) == ["index.html", "s08.html", "s11.html"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("lab", "do"), "list, run, all"),
        (("lab", "run"), "needs an experiment"),
        (("lab", "run", "S99"), "no experiment 'S99'"),
        (("lab", "all", "S05"), "takes no ids"),
        (("lab", "all", "--jobs", "0"), "--jobs is 0"),
        (("lab", "all", "--groups", "Q"), "no group 'Q'"),
    ],
)
def test_wrong_words_are_explained(run, words, says):
    done = run(*words)
    assert done.code == 2 and says in done.err


def test_lines_of_a_result():
    told = lines(RESULT)
    assert told[0] == "X01  one is one" and told[3].split() == ["✓", "claim", "one", "1.010", "=", "1.000", "3", "%"]
    assert told[-1] == "Verdict       holds, 1.5 s"
    crashed = RESULT | {"verdict": "crashed", "checks": [], "error": "ArithmeticError: 0/0"}
    assert table([RESULT, crashed])[-1] == "X01: ArithmeticError: 0/0" and lines(crashed)[-1] == "ArithmeticError: 0/0"
