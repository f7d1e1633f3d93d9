"""Where nothing says why a net does not learn, the usual ones are guessed: tried last, told only if they gain much."""

import pytest
import torch
from sick_programs import program
from torch import nn

from trainwell.clinic import reasoning
from trainwell.clinic.cures.settings import set_field
from trainwell.clinic.exam import examine
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.level import level_of
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import nothing_seen
from trainwell.clinic.subject import Subject


def flat():
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(16, 16), nn.Sigmoid()) for _ in range(5)]
    return nn.Sequential(nn.Linear(6, 16), nn.Sigmoid(), *layers, nn.Linear(16, 3))


def guesses(given):
    made = Subject(given, Meter(1000))
    level_of(made)
    return list(nothing_seen.probe(made))


def test_a_net_that_does_not_learn_is_guessed_about_and_one_that_does_is_not():
    found = guesses(program(net=flat(), rate=0.05))
    assert {one.code for one in found} >= {"vanishing-gradient", "bad-init-scale"}
    assert all(one.guessed and one.prior < 0.2 for one in found)
    assert guesses(program()) == []


@pytest.mark.parametrize(("gain", "told"), [(0.2, []), (0.7, ["bad-init-scale"])])
def test_a_guess_is_told_only_if_it_gains_much(monkeypatch, gain, told):
    def guess(subject):
        if subject.program.epochs == 11:
            return []
        cures = (set_field(subject, "epochs", 11),)
        return [Suspicion("bad-init-scale", "the weights", "?", prior=0.15, guessed=True, gain=gain, cures=cures)]

    phases = {"training"}
    monkeypatch.setattr(reasoning, "suspicions", lambda subject, *asked: guess(subject) if phases & {*asked} else [])
    assert [f.code for f in examine(program(rate=1e-5)).findings] == told
