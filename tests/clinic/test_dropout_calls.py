"""Dropout that is called as a function: read from the calls, made milder, told when it is evaluation."""

import pytest
import torch
import torch.nn.functional as F
from sick_programs import program
from torch import nn
from torch.testing import assert_close

from trainwell.clinic.cures.dropout_calls import DropoutTold, milder_calls, none_in_evaluation
from trainwell.clinic.dropout_calls import DropoutCall, dropout_calls
from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import dropout_in_evaluation, dropout_rate
from trainwell.clinic.subject import Subject


class Dropping(nn.Module):
    """Dropout by a call that is made by ``drop``; a module of dropout besides."""

    def __init__(self, drop, rate=0.9):
        super().__init__()
        self.first, self.layer, self.last = nn.Linear(6, 32), nn.Dropout(0.1), nn.Linear(32, 3)
        self.drop, self.keep = drop, rate

    def forward(self, x):
        return self.last(self.drop(self, self.layer(self.first(x).relu())))


CALLS = {
    "attribute": lambda net, h: F.dropout(h, net.keep, net.training),
    "number": lambda net, h: F.dropout(h, p=0.9, training=net.training),
    "never told": lambda net, h: F.dropout(h, 0.9),
    "torch's own": lambda net, h: torch.dropout(h, 0.9, net.training),
}


def subject_of(drop):
    torch.manual_seed(0)
    return Subject(program(net=Dropping(CALLS[drop])), Meter(300))


@pytest.mark.parametrize("drop", CALLS)
def test_calls_are_heard_and_modules_are_not(drop):
    subject = subject_of(drop)
    assert dropout_calls(subject, training=True) == [DropoutCall(0.9, True)]
    assert [call.training for call in dropout_calls(subject, training=False)] == [drop == "never told"]


def test_listening_leaves_generator_and_modes():
    subject = subject_of("never told")
    state, modes = torch.get_rng_state(), [m.training for m in subject.program.model.modules()]
    dropout_calls(subject, training=False)
    assert torch.equal(state, torch.get_rng_state())
    assert modes == [m.training for m in subject.program.model.modules()]


@pytest.mark.parametrize("drop", CALLS)
def test_a_probability_of_nine_tenths_is_suspected_and_made_milder(drop):
    subject = subject_of(drop)
    found = next(s for s in dropout_rate.probe(subject) if s.prior >= 0.9)
    assert found.code == "dropout-too-high" and "90 %" in found.message
    cured = subject.cured(found.cures[0])
    assert [call.probability for call in dropout_calls(cured, training=True)] == [0.2]
    assert ("keep" in found.cures[0].changes[0].target) == (drop == "attribute")


def test_dropout_that_was_never_told_is_told():
    subject = subject_of("never told")
    (found,) = dropout_in_evaluation.probe(subject)
    assert found.code == "wrong-mode" and "90%" in found.message
    model, x = none_in_evaluation().apply(subject.fresh()).model.eval(), torch.randn(40, 6)
    assert_close(model(x), model(x))
    assert not torch.equal(subject.program.model.eval()(x), subject.program.model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
    assert list(dropout_in_evaluation.probe(subject_of("number"))) == []


def test_the_exam_tells_it():
    torch.manual_seed(0)
    exam = examine(program(net=Dropping(lambda net, h: F.dropout(h, 0.5)), rate=0.1))
    assert any(f.code == "wrong-mode" for f in exam.findings) or exam.reasoned.level.run.good


def test_the_share_that_stays_is_scaled_by_what_is_left():
    torch.manual_seed(0)
    held = DropoutTold(Dropping(CALLS["number"]), 0.5, 0.2).train()
    held.model.layer.p = 0.0
    held.model.last = nn.Identity()
    h = held.model.first(torch.ones(1, 6)).relu()
    given = held(torch.ones(2000, 6))
    assert float((given[:, h[0] > 0] == 0).float().mean()) == pytest.approx(0.2, abs=0.01)
    assert_close(given.mean(0), h[0], rtol=0.1, atol=0.01)


def test_milder_calls_say_what_they_do():
    (change,) = milder_calls(0.5, 0.9).changes
    assert (change.before, change.after) == ("dropout(x, 0.9)", "dropout(x, 0.2)")
