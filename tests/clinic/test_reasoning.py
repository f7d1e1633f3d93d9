"""Causes are what a cure on a copy shows to cost quality; symptoms are folded; passes are not overspent."""

from dataclasses import replace

import pytest
import torch
from sick_programs import program
from torch import nn

from trainwell.clinic import reasoning
from trainwell.clinic.cures.settings import set_field, set_rate
from trainwell.clinic.exam import examine
from trainwell.clinic.finding import NOTABLE, Suspicion, severity
from trainwell.clinic.level import Level
from trainwell.clinic.meter import Meter
from trainwell.clinic.reasoned import Reasoned
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import Trial
from trainwell.errors import InputError


@pytest.fixture
def suspect(monkeypatch):
    """Let the exam suspect what a test says, and nothing else."""

    def say(make):
        monkeypatch.setattr(reasoning, "suspicions", lambda subject, *phases: make(subject))

    return say


def slow(subject):
    rate = subject.optimizer.param_groups[0]["lr"]
    if rate >= 0.01:
        return []
    return [
        Suspicion("batch-size-extreme", "batch_size", "No.", prior=0.9, cures=(set_field(subject, "batch_size", 25),)),
        Suspicion("lr-too-low", "optimizer.lr", "Too low.", prior=0.5, cures=(set_rate(subject, 1000 * rate),)),
        Suspicion("loss-not-decreasing", "the loss", "Flat.", prior=0.9),
    ]


def test_the_cure_that_gains_names_the_cause(suspect):
    suspect(slow)
    exam = examine(program(rate=1e-5))
    first = exam.findings[0]
    assert (first.code, first.severity) == ("lr-too-low", "error") and not exam.healthy
    assert "loss-not-decreasing" in first.symptoms
    assert all(f.severity == "info" for f in exam.findings[1:])  # the batch size gained nothing
    cured = exam.cure()
    assert torch.optim.SGD in type(cured.optimizer(cured.model)).__mro__
    assert cured.optimizer(cured.model).param_groups[0]["lr"] == pytest.approx(1e-2)


def test_a_healthy_program_is_left_alone(suspect):
    suspect(lambda subject: [Suspicion("lr-too-high", "lr", "?", prior=0.9, cures=(set_rate(subject, 1e-3),))])
    exam = examine(program())
    assert exam.healthy and exam.cure() is None and [f.severity for f in exam.findings] == ["info"]


def test_of_two_that_gain_alike_the_explaining_one_is_the_cause(suspect):
    def both(subject):
        rate = subject.optimizer.param_groups[0]["lr"]
        if rate < 1:
            return []
        cure = set_rate(subject, 0.05)
        return [
            Suspicion("lr-too-high", "optimizer.lr", "High.", prior=0.9, cures=(cure,)),
            Suspicion("momentum-too-high", "optimizer.momentum", "High.", prior=0.3, cures=(cure,)),
        ]

    suspect(both)
    found = examine(program(rate=50.0)).findings
    assert found[0].code == "momentum-too-high" and found[0].symptoms == ("lr-too-high",)


def test_a_program_that_fails_says_what_failed(suspect):
    suspect(lambda subject: [])
    exam = examine(program(net=nn.Linear(5, 3)))
    assert [f.code for f in exam.findings] == ["program-crashes"] and not exam.healthy and exam.cure() is None
    assert "mat1 and mat2" in exam.findings[0].evidence["error"]


def test_passes_stay_within_what_is_allowed(suspect):
    def many(subject):
        cures = [set_rate(subject, 1e-6 * 1.1**k) for k in range(30)]
        return [Suspicion("lr-too-low", "optimizer.lr", "?", prior=0.5, cures=(cure,)) for cure in cures]

    suspect(many)
    exam = examine(program(rate=1e-5))
    assert 150 < exam.passes <= 300
    assert examine(program(rate=1e-5), effort=0.5).passes <= 150


def test_only_what_was_found_can_be_cured(suspect):
    suspect(slow)
    exam = examine(program(rate=1e-5))
    assert exam.cure(only=["lr-too-low"]) is not None
    with pytest.raises(InputError, match="found no 'dead-relu'"):
        exam.cure(only=["dead-relu"])


def test_severity_is_the_expected_loss():
    assert [severity(loss) for loss in (0.5, 0.1, 0.01)] == ["error", "warning", "info"]


def test_examine_takes_a_program_or_its_parts():
    given = program()
    with pytest.raises(InputError, match="both"):
        examine(given, epochs=3)
    with pytest.raises(InputError, match="effort"):
        examine(given, effort=0)


def made_up(subject, code, gain=0.1, **how):
    """A trial of a suspicion with a cure of its own, that gained so much."""
    level = Level(Rehearsal(losses=[1.0], looks=[(1, 0.3, 0.3)], steps=1), {"steps": 50, "share": 1.0})
    cure = how.pop("cure", None) or set_field(subject, "clip_grad", 1.0)
    suspicion = Suspicion(code, "somewhere", "?", cures=(cure,), **how)
    return Trial(suspicion, cure, level, level.run, gain)


def reasoned(*accepted, level=0.3):
    subject = Subject(program(), Meter(1000))
    found = Reasoned(subject, subject)
    found.accepted = [made_up(subject, *given, **how) for *given, how in accepted]
    found.cured = Level(Rehearsal(losses=[1.0], looks=[(1, level, level)], steps=1), {"steps": 50, "share": 1.0})
    return found


@pytest.mark.parametrize("prior", [0.3, 0.5])
def test_what_was_taken_early_for_a_symptom_is_counted_to_its_cause(prior):
    found = reasoned(("lr-too-high", 0.1, {"prior": prior}), ("momentum-too-high", 0.2, {"prior": 0.9}))
    first, second = found.accepted
    reasoning._without_symptoms(found)
    (one,) = found.accepted
    assert one.suspicion is second.suspicion and one.gain == pytest.approx(0.3) and one.before is first.before
    assert one.cure.changes == (*first.cure.changes, *second.cure.changes)


@pytest.mark.parametrize(
    "accepted",
    [
        [("lr-too-high", 0.1, {"prior": 0.5}), ("momentum-too-high", 0.2, {"prior": 0.85})],
        [("lr-too-high", 0.1, {"prior": 0.7}), ("momentum-too-high", 0.2, {"prior": 0.9})],
        [("lr-too-high", 0.1, {"prior": 0.3}), ("momentum-too-high", 0.2, {"prior": 0.6})],
        [("lr-too-high", 0.1, {"prior": 0.3}), ("unused-parameters", 0.2, {"prior": 0.9})],
        [("momentum-too-high", 0.1, {"prior": 0.3}), ("lr-too-high", 0.2, {"prior": 0.9})],
        [("lr-too-high", 0.1, {"prior": 0.3})],
    ],
    ids=["likely itself", "strong itself", "no likelier cause", "not explained", "the other way round", "alone"],
)
def test_other_causes_stay_two(accepted):
    found = reasoned(*accepted)
    before = list(found.accepted)
    reasoning._without_symptoms(found)
    assert found.accepted == before


def test_what_the_later_cause_explains_here_is_counted_to_it_too():
    explains = {"prior": 0.9, "explains": frozenset(["bad-init-scale"])}
    found = reasoned(("bad-init-scale", 0.1, {"prior": 0.2}), ("input-not-normalized", 0.2, explains))
    reasoning._without_symptoms(found)
    assert [t.suspicion.code for t in found.accepted] == ["input-not-normalized"]


def few_epochs(subject, prior=0.9):
    cure = set_field(subject, "epochs", 100, factor=10.0)
    return Suspicion("too-few-epochs", "epochs", "Few.", prior=prior, cures=(cure,))


@pytest.fixture
def no_early(monkeypatch):
    monkeypatch.setattr(reasoning, "suspicions", lambda subject, *phases: [])


def named(found, *suspicions):
    found.remaining = list(suspicions)
    before = len(found.accepted)
    reasoning._name_untried(found)
    return [t.suspicion.code for t in found.accepted[before:]]


def test_too_few_epochs_are_named_beside_another_cause_that_would_explain_them(no_early):
    explains = {"prior": 0.9, "explains": frozenset(["too-few-epochs", "loss-not-decreasing"])}
    found = reasoned(("vanishing-gradient", 0.2, explains))
    assert named(found, few_epochs(found.subject)) == ["too-few-epochs"]
    assert found.accepted[-1].gain == NOTABLE and found.subject.program.epochs == 100
    explained = replace(few_epochs(found.subject), code="batch-size-extreme")
    other = reasoned(("vanishing-gradient", 0.2, {**explains, "explains": frozenset(["batch-size-extreme"])}))
    assert named(other, explained) == []  # control: what is no length is explained


def test_too_few_epochs_are_not_named_where_a_cure_made_the_steps_fewer(no_early):
    found = reasoned(("batch-size-extreme", 0.2, {"prior": 0.9}))
    larger = set_field(found.subject, "batch_size", 100, steps=0.2)
    found.accepted = [replace(found.accepted[0], cure=larger)]
    assert named(found, few_epochs(found.subject)) == []


@pytest.mark.parametrize(
    ("how", "level"),
    [({"prior": 0.7}, 0.3), ({"prior": 0.9}, 0.9)],
    ids=["not likely enough", "little left to gain"],
)
def test_what_is_doubtful_or_gains_little_is_not_named(no_early, how, level):
    found = reasoned(("unshuffled-data", 0.2, {"prior": 0.9}), level=level)
    assert named(found, few_epochs(found.subject, **how)) == []


def test_what_was_tried_measured_or_taken_is_not_named(no_early):
    found = reasoned(("unshuffled-data", 0.2, {"prior": 0.9}))
    few = few_epochs(found.subject)
    found.trials = [made_up(found.subject, "too-few-epochs", 0.0)]
    assert named(found, few) == []
    found.before = 1  # tried, but before the last cure was taken
    assert named(found, replace(few, gain=0.2)) == []
    assert named(found, replace(few, code="unshuffled-data")) == []
    assert named(found, few) == ["too-few-epochs"]


def test_only_what_lets_a_step_run_is_named(no_early):
    found = reasoned(("unshuffled-data", 0.2, {"prior": 0.9}))
    broken = set_field(found.subject, "loss", lambda output, y: output.no_such_thing)
    untried = replace(few_epochs(found.subject), cures=(broken,))
    assert named(found, untried) == [] and found.failed
    assert named(found, replace(untried, cures=(broken, *few_epochs(found.subject).cures))) == ["too-few-epochs"]
