"""Causes are what a cure on a copy shows to cost quality; symptoms are folded; passes are not overspent."""

import pytest
import torch
from sick_programs import program
from torch import nn

from trainwell.clinic import reasoning
from trainwell.clinic.cures.settings import set_field, set_rate
from trainwell.clinic.exam import examine
from trainwell.clinic.finding import Suspicion, severity
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
