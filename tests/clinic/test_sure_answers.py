"""A loss of classes written by hand: its sign, and its value where an answer is surely wrong."""

import pytest
import torch
from sick_programs import program
from torch import nn

from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import sure_answers
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import Subject


def classes(loss, outputs=3):
    draw = torch.Generator().manual_seed(0)
    X = torch.randn(240, 6, generator=draw)
    y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()
    y = y if outputs > 1 else (X[:, :1] > 0).float()
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, outputs))
    return program(net=net, train=(X[:180], y[:180]), val=(X[180:], y[180:]), loss=loss, epochs=10)


def likelihood(sign):
    return lambda o, y: sign * o.log_softmax(1).gather(1, y[:, None]).mean()


def by_hand(floor):
    return lambda o, y: -(o.softmax(1) + floor).log().gather(1, y[:, None]).mean()


def suspected(given, *, finite=True):
    subject = Subject(given, Meter(300))
    if not finite:
        subject.whole = Rehearsal(error="")
        assert not subject.whole.finite
    return list(sure_answers.probe(subject))


def test_a_minus_that_was_forgotten():
    (found,) = suspected(classes(likelihood(1.0)))
    assert found.code == "wrong-loss-for-task" and "prefers wrong answers" in found.message and found.gain > 0.3
    assert suspected(classes(likelihood(-1.0))) == []


def test_the_exam_names_and_mends_it():
    exam = examine(classes(likelihood(1.0)))
    assert exam.findings[0].code == "wrong-loss-for-task"
    assert isinstance(exam.cure().loss, nn.CrossEntropyLoss)


def test_a_binary_one_turned_round():
    (found,) = suspected(classes(lambda o, y: -nn.functional.binary_cross_entropy_with_logits(o, y), outputs=1))
    assert isinstance(found.cures[0].apply(classes(None, 1)).loss, nn.BCEWithLogitsLoss)


@pytest.mark.parametrize("floor, finite, names", [(0.0, False, 1), (0.0, True, 0), (1e-6, False, 0)])
def test_the_logarithm_of_a_rounded_probability(floor, finite, names):
    found = suspected(classes(by_hand(floor)), finite=finite)
    assert [s.code for s in found] == ["nonfinite-loss"] * names


def test_losses_of_torch_are_not_asked():
    assert suspected(classes(nn.CrossEntropyLoss()), finite=False) == []
    assert suspected(classes(nn.functional.cross_entropy), finite=False) == []
