"""The suite of the clinic: every program builds and takes a step, and the marks are those of made-up reports."""

import importlib
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trainwell import Program
from trainwell.clinic.meter import Meter
from trainwell.clinic.probing import suspicions
from trainwell.clinic.subject import Subject

FOLDER = Path(__file__).parents[2] / "bench" / "clinic"
sys.path.insert(0, str(FOLDER))
marks = importlib.import_module("marks")
suite = importlib.import_module("program")
baselines = importlib.import_module("baselines")
loop = importlib.import_module("loop")

PROGRAMS = suite.load_programs()
SICK = suite.SuiteProgram(
    "made_up", "", "binary", ("lr-too-high",), ("nonfinite-loss",), 0.9, "", lambda seed, sick: {}
)
DOUBLE = replace(SICK, faults=("lr-too-high", "dead-relu"), causes=("lr-too-high", "dead-relu"))
HEALTHY = replace(SICK, faults=(), symptoms=())


def one_step(case: dict[str, Any]) -> float:
    """The loss of a first step of the loop: forward, backward, optimizer, schedule."""
    model, (x, y), size = case["model"], case["train"], min(case["batch_size"], 64)
    optimizer = case["optimizer"]
    if not isinstance(optimizer, torch.optim.Optimizer):
        optimizer = optimizer(model.parameters())
    loss = case["loss"](model.train()(x[:size]), y[:size])
    loss.backward()
    optimizer.step()
    return float(loss)


@pytest.mark.parametrize("name", sorted(PROGRAMS))
@pytest.mark.filterwarnings("ignore")
def test_the_repaired_program_takes_a_step_and_the_sick_one_is_built(name: str) -> None:
    program = PROGRAMS[name]
    assert one_step(program.build(0, False)) < float("inf")
    sick, again = program.build(0, True), program.build(0, True)
    assert set(sick) >= {"model", "train", "val", "loss", "optimizer", "batch_size", "epochs"}
    torch.testing.assert_close(again["train"][0], sick["train"][0], rtol=0, atol=0, equal_nan=True)  # drawn by the seed
    for a, b in zip(sick["model"].parameters(), again["model"].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def test_faults_symptoms_and_causes_are_codes_of_the_clinic() -> None:
    codes = importlib.import_module("trainwell.clinic.codes").CODES
    for program in PROGRAMS.values():
        assert {*program.faults, *program.symptoms, *program.causes} <= set(codes), program.id


def test_both_halves_have_healthy_sick_and_doubly_sick_programs() -> None:
    for half in ("tuning", "held-out"):
        own = [program for program in PROGRAMS.values() if program.half == half]
        kinds = Counter("healthy" if not p.faults else "double" if p.causes else "sick" for p in own)
        assert kinds["healthy"] >= 20 and kinds["sick"] >= 30 and kinds["double"] >= 4, (half, kinds)
        assert {p.task for p in own if not p.faults} >= {"classification", "binary", "regression"}


def test_every_double_program_leaves_one_cause_in() -> None:
    for program in PROGRAMS.values():
        if program.causes:
            assert program.build_with is not None and len(program.causes) == 2
            assert program.build_with(0, frozenset(program.causes[:1])) is not None


def test_a_perfect_report_gets_every_mark() -> None:
    report = marks.Report(codes=["lr-too-high"], before=0.2, cure=0.95)
    got = marks.judge(report, SICK, gain=0.75)
    assert got == marks.Marks(True, 1, 1, 1, 1, hit1=True, hit3=True, fair1=True, cured=True)


def test_control_a_silent_report_gets_none() -> None:
    got = marks.judge(marks.Report(before=0.2), SICK, gain=0.75)
    assert got == marks.Marks(True, 0, 0, 1, 0)
    assert marks.totals([(marks.Report(before=0.2), got)])["recall"] == 0


@pytest.mark.parametrize(
    ("cure", "problem", "cured"),
    [(0.91, "", True), (0.6, "", True), (0.5, "", False), (0.95, "asks another question", False), (None, "", False)],
)
def test_a_cure_counts_from_half_of_the_gain_on(cure: float | None, problem: str, cured: bool) -> None:
    report = marks.Report(before=0.2, cure=cure, problem=problem)
    assert marks.judge(report, SICK, gain=0.75).cured is cured


def test_a_symptom_first_is_fair_but_no_hit() -> None:
    got = marks.judge(marks.Report(codes=["nonfinite-loss", "overfitting", "lr-too-high"]), SICK, gain=0.5)
    assert (got.hit1, got.hit3, got.fair1, got.named, got.right) == (False, True, True, 3, 2)


def test_independent_causes_count_one_by_one_and_names_of_one_cause_once() -> None:
    report = marks.Report(codes=["dead-relu"])
    names = replace(DOUBLE, causes=())
    assert [(m.found, m.causes) for m in (marks.judge(report, p, 0.5) for p in (DOUBLE, names))] == [(1, 2), (1, 1)]


def test_alarms_and_harm_on_healthy_programs() -> None:
    calm = marks.Report(before=0.95)
    loud = marks.Report(codes=["overfitting"], errors=["overfitting"], before=0.95, cure=0.85, passes=400, steps=1000)
    pairs = [(r, marks.judge(r, HEALTHY, 0.0)) for r in (calm, loud)]
    total = marks.totals(pairs)
    assert (total["false_alarms"], total["errors_on_healthy"], total["harmed"]) == (0.5, 1, 0.5)
    assert total["within_budget"] == 0.5 and total["hit1"] is None
    assert not marks.judge(replace(loud, cure=0.91), HEALTHY, 0.0).harmed  # control: 0.04 is noise


def test_an_exam_may_cost_fifteen_percent_of_a_long_training() -> None:
    report = marks.Report(passes=400, steps=4000)
    assert marks.totals([(report, marks.judge(report, HEALTHY, 0.0))])["within_budget"] == 1


def test_the_same_codes_in_another_order_are_the_same_verdict() -> None:
    assert marks.same_verdict([[["a", "b"], ["b", "a"]], [["a"], []]]) == 0.5


def test_the_rules_name_a_rate_that_doubles_the_loss_and_not_one_that_falls() -> None:
    assert baselines.loss_rules([1.0, 0.5, 1.5, 3.0, 4.0]) == ["lr-too-high"]
    assert baselines.loss_rules([1.0, float("nan")]) == ["nonfinite-loss"]
    assert baselines.loss_rules([1.0, 0.8, 0.6, 0.4, 0.2]) == []  # control


@pytest.mark.filterwarnings("ignore")
def test_the_baselines_leave_a_healthy_case_answerable() -> None:
    program = PROGRAMS["healthy_raw_iris"]
    case = program.build(0, True)
    said = baselines.rules(case, program.task, 0)
    assert "input-not-normalized" in said.alarms and said.cured is None
    cured = baselines.random_cure(program.build(0, True), program.task, 0).cured
    assert cured is not None and loop.same_question(case, cured, program.task)


LOOKED_AT = sorted(PROGRAMS)[::12]


@pytest.mark.parametrize("name", LOOKED_AT)
def test_no_probe_fails_on_a_program_of_the_suite(name):
    """A probe that raises is passed over, so that a stranger's program is examined all the same; none should here."""
    case = PROGRAMS[name].build(0, True)
    keys = importlib.import_module("diagnosis").KEYS
    given = Program(**{key: case[key] for key in keys if case.get(key) is not None}, task=PROGRAMS[name].task)
    subject = Subject(given, Meter(300))
    ran = not subject.first_step.error
    suspicions(subject, "contract", "structure", *(("signal", "training") if ran else ()))
    assert subject.unasked == []
