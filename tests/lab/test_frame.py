"""The frame of the lab: the rule of verdicts, the catalogue, what is remembered, processes that crash."""

import json
import os
import time
from dataclasses import replace

import numpy as np
import pytest

from trainwell.errors import InputError
from trainwell.lab import remembered
from trainwell.lab.catalogue import TOPICS, Entry, entries, entry
from trainwell.lab.experiment import Check, judge
from trainwell.lab.many import run_many
from trainwell.lab.single import Options, run


def claim(value, about="claim"):
    return Check("factor", value, "equals", 1.0, 0.1, about, "a tenth")


GOOD, BAD = claim(1.0), claim(2.0)


@pytest.mark.parametrize(
    ("checks", "control", "verdict"),
    [
        ([GOOD, GOOD], [BAD, GOOD], "holds"),
        ([GOOD, BAD], [BAD, BAD], "in part"),
        ([GOOD, BAD], [GOOD, GOOD], "in part"),
        ([BAD, BAD], [GOOD, GOOD], "fails"),
        ([GOOD], [GOOD], "defect"),
        ([GOOD, claim(2.0, "theory")], [BAD], "defect"),
        ([GOOD, claim(1.0, "theory")], [BAD, claim(2.0, "theory")], "holds"),
    ],
)
def test_verdict_follows_from_the_checks_alone(checks, control, verdict):
    found, defects = judge(checks, control)
    assert found == verdict and bool(defects) == (verdict == "defect")


def test_theory_does_not_count_under_sabotage():
    assert judge([BAD, claim(2.0, "theory")], [GOOD], theory=False) == ("fails", [])


def test_an_experiment_without_a_claim_is_refused():
    with pytest.raises(ValueError, match="about the claim"):
        judge([claim(1.0, "theory")], [])


@pytest.mark.parametrize(
    ("value", "relation", "reference", "tolerance", "absolute", "passes"),
    [
        (0.514, "equals", 0.5, 0.03, False, True),
        (0.516, "equals", 0.5, 0.03, False, False),
        (-1.02, "equals", -1.0, 0.03, False, True),
        (0.02, "equals", 0.0, 0.03, False, True),
        (10.2, "equals", 10.0, 0.1, True, False),
        (0.9, "at_least", 1.0, 0.1, False, True),
        (0.8, "at_least", 1.0, 0.1, False, False),
        (50.0, "at_least", 1.0, 0.0, False, True),
        (1.1, "at_most", 1.0, 0.2, False, True),
        (1.3, "at_most", 1.0, 0.2, False, False),
        (float("nan"), "at_most", 1.0, 0.2, False, False),
        (float("inf"), "equals", 1.0, 0.2, False, False),
    ],
)
def test_a_check_passes_within_its_tolerance(value, relation, reference, tolerance, absolute, passes):
    assert Check("x", value, relation, reference, tolerance, "claim", "", absolute).passed == passes
    both = Check("x", [value, value], relation, [reference, reference], tolerance, "claim", "", absolute)
    assert both.passed == passes


def test_one_bad_element_fails_an_array_and_is_shown():
    check = Check("x", np.array([1.0, 1.5, 1.2]), "equals", np.array([1.0, 2.0, 1.2]), 0.1, "claim", "")
    assert not check.passed and check.worst == (1.5, 2.0, None)
    assert json.loads(json.dumps(check.to_dict()))["worst"] == {"value": 1.5, "reference": 2.0, "error": None}


def test_the_worst_value_is_shown_with_its_own_standard_error():
    check = Check("x", [1.0, 1.5], "equals", 1.0, 0.1, "claim", "", error=[0.01, 0.02])
    assert check.worst == (1.5, 1.0, 0.02)


def test_catalogue_reads_every_experiment():
    found = entries()
    assert len({one.id for one in found}) == len(found) >= 8
    for one in found:
        assert one.topic in TOPICS and one.decks and one.control and one.source and one.theory, one.id
    assert entries(("s",)) == [one for one in found if one.id.startswith("S")]


def test_unknown_names_say_what_there_is():
    with pytest.raises(InputError, match="no experiment 'S55'") as error:
        entry("S55")
    assert error.value.remedy.startswith("Did you mean 'S")
    with pytest.raises(InputError, match="no group 'Q'"):
        entries(("Q",))
    assert entry("s05").id == "S05"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder that stands for the package: an experiment that imports a theory that imports another."""
    for room in ("lab", "theory"):
        (tmp_path / room).mkdir()
    (tmp_path / "lab" / "x.py").write_text("from trainwell.theory.a import f\n")
    (tmp_path / "theory" / "__init__.py").write_text("places = {'g': 'b'}\n")
    (tmp_path / "theory" / "a.py").write_text("from trainwell.theory import g\nf = g\n")
    (tmp_path / "theory" / "b.py").write_text("g = 1\n")
    (tmp_path / "theory" / "other.py").write_text("h = 1\n")
    for name in remembered.FRAME:
        (tmp_path / "lab" / name).write_text("")
    monkeypatch.setattr(remembered, "ROOT", tmp_path)
    return tmp_path


def test_what_a_result_depends_on_changes_its_name(place):
    setting = Options(seed=0)  # any frozen dataclass
    source = place / "lab" / "x.py"
    names = [remembered.key(source, setting, False)]
    assert remembered.key(source, setting, False) == names[0]
    names += [remembered.key(source, setting, True), remembered.key(source, replace(setting, seed=1), False)]
    for file in ("lab/x.py", "theory/a.py", "theory/b.py", "lab/experiment.py"):
        with (place / file).open("a") as opened:
            opened.write("# changed\n")
        names.append(remembered.key(source, setting, False))
    assert len(set(names)) == len(names)
    (place / "theory" / "other.py").write_text("h = 2\n")  # control: nothing imports it
    assert remembered.key(source, setting, False) == names[-1]


def test_another_version_of_a_library_changes_the_name(place, monkeypatch):
    before = remembered.key(place / "lab" / "x.py", Options(), False)
    monkeypatch.setattr(remembered, "versions", lambda: {"numpy": "0"})
    assert remembered.key(place / "lab" / "x.py", Options(), False) != before


def test_a_second_run_is_remembered_and_again_measures(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path))
    first, second, third = (run(entry("S08"), how) for how in (Options(), Options(), Options(again=True)))
    assert [r["remembered"] for r in (first, second, third)] == [False, True, False]
    assert first["checks"] == second["checks"] == third["checks"] and second["seconds"] == first["seconds"]
    next((tmp_path / "lab").glob("*.json")).write_text("{half")
    assert run(entry("S08"))["verdict"] == "holds"  # what cannot be read is measured anew


def fake(one: Entry, options: Options):
    """Stands for ``run`` in the processes: S01 dies, S02 raises, the others hold."""
    if one.id == "S01":
        os._exit(7)
    if one.id == "S02":
        raise ArithmeticError("0/0")
    return {"id": one.id, "verdict": "holds", "threads": os.environ["OMP_NUM_THREADS"]}


def slow(one: Entry, options: Options):
    time.sleep(60)


def test_a_crash_takes_no_other_with_it():
    told = []
    found = run_many(entries()[:3], jobs=2, told=lambda *words: told.append(words[1:]), runner=fake)
    assert [r["verdict"] for r in found.results] == ["crashed", "crashed", "holds"] and found.stopped is None
    assert "exit code 7" in found.results[0]["error"] and found.results[1]["error"] == "ArithmeticError: 0/0"
    assert found.results[2]["threads"] == "1" and told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_signal_ends_the_series_and_its_processes():
    import signal
    import threading

    before = signal.getsignal(signal.SIGINT)

    def interrupt():
        while signal.getsignal(signal.SIGINT) is before:  # else the signal would end the tests themselves
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    began = time.monotonic()
    found = run_many(entries()[:2], jobs=2, runner=slow)
    assert found.stopped == signal.SIGINT and found.results == [] and time.monotonic() - began < 20
    assert signal.getsignal(signal.SIGINT) is before
