"""How cures are tried: defects first, two together where neither gains alone, at another pace, within the passes."""

import pytest
import torch
from sick_programs import classes, program
from torch import nn

from trainwell.clinic import reasoning
from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.settings import set_field, set_rate
from trainwell.clinic.exam import examine
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.level import Level, level_of
from trainwell.clinic.meter import Meter
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import tried


def two_scales():
    """A net that learns only where neither of two factors 1e-4 is left in front of its logits."""

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
            self.a = self.b = 1e-4

        def forward(self, x):
            return self.net(x) * self.a * self.b + 1e-3 * x[:, :3].detach()

    return program(net=Small(), rate=0.05)


def without(name):
    def apply(given):
        setattr(given.model, name, 1.0)
        return given

    return Cure(f"{name} = 1", (Change(f"model.{name}", 1e-4, 1.0),), apply)


def test_two_that_gain_nothing_alone_are_both_causes(monkeypatch):
    def both(subject):
        left = [name for name in "ab" if getattr(subject.program.model, name) != 1.0]
        code = {"a": "bad-init-scale", "b": "frozen-parameters"}
        return [Suspicion(code[name], name, "Small.", prior=0.9, cures=(without(name),)) for name in left]

    monkeypatch.setattr(reasoning, "suspicions", lambda subject, *phases: both(subject))
    exam = examine(two_scales())
    assert {f.code for f in exam.findings if f.severity != "info"} == {"bad-init-scale", "frozen-parameters"}
    cured = exam.cure()
    assert cured.model.a == cured.model.b == 1.0


def test_one_of_a_pair_that_does_it_alone_is_the_only_cause(monkeypatch):
    given = two_scales()
    given.model.b = 1.0

    def both(subject):
        found = [Suspicion("vanishing-gradient", "b", "Small.", prior=0.95, cures=(without("b"),))]
        if subject.program.model.a != 1.0:
            found.append(Suspicion("bad-init-scale", "a", "Small.", prior=0.9, cures=(without("a"),)))
        return found

    monkeypatch.setattr(reasoning, "suspicions", lambda subject, *phases: both(subject))
    exam = examine(given)
    assert [f.code for f in exam.findings if f.severity != "info"] == ["bad-init-scale"]


def test_a_defect_is_mended_before_others_are_tried():
    X, y = classes()
    exam = examine(program(train=(X[:200], y[:200] + 1), val=(X[200:], y[200:] + 1), rate=1e-5))
    assert {f.code for f in exam.findings if f.severity != "info"} == {"label-out-of-range", "lr-too-low"}
    assert exam.passes <= 300


def test_a_cure_that_does_not_bear_the_pace_is_tried_more_slowly():
    given = program(rate=0.05, epochs=60)  # 600 steps: twelve times the rate
    given.model[0].weight.data.zero_()  # it bears that, since it learns next to nothing
    given.model[2].weight.data.zero_()
    given.model[0].bias.data.fill_(-1.0)
    subject = Subject(given, Meter(1000))
    level = Level(subject.whole, {"steps": 50, "share": 1.0})

    def redrawn(made):
        torch.manual_seed(0)
        for place in (0, 2):
            made.model[place].reset_parameters()
        return made

    cure = Cure("draw anew", (), redrawn)
    found = tried(subject, Suspicion("dead-relu", "0", "Dead.", prior=0.9, cures=(cure,)), cure, level, 0.1)
    assert level.run.factor > 9 and found.how["share"] < 1 and found.gain > 0.3 and found.level is None


@pytest.mark.parametrize("effort", [0.5, 1.0])
def test_passes_suffice_whatever_is_suspected(effort):
    X, y = classes()
    labels = nn.functional.one_hot(y, 3).float()
    sick = program(train=(1e4 * X[:200], labels[:200]), val=(1e4 * X[200:], labels[200:]), rate=3.0, loss=nn.MSELoss())
    assert examine(sick, effort=effort).passes <= 300 * effort


def test_a_cure_with_many_more_steps_has_a_longer_rehearsal():
    subject = Subject(program(), Meter(1000))
    level = level_of(subject)
    assert level.alike(set_field(subject, "batch_size", 5, steps=4))["steps"] == 2 * level.how["steps"]
    assert level.alike(set_rate(subject, 0.01))["steps"] == level.how["steps"]


def test_a_rate_that_is_divided_twice_is_one_cause():
    exam = examine(program(rate=0.5, epochs=30))
    rate_causes = [f for f in exam.findings if f.code == "lr-too-high" and f.severity != "info"]
    assert len(rate_causes) <= 1
    taken = [t for t in exam.reasoned.accepted if t.suspicion.code == "lr-too-high"]
    if len(taken) > 1:  # both changes are in the one cure
        assert len(rate_causes[0].cure.changes) == len(taken)


def test_what_all_but_always_harms_is_named_when_the_passes_are_used_up(monkeypatch):
    def frozen(subject):
        found = [Suspicion("lr-too-low", "optimizer.lr", "Low.", prior=0.9, cures=(set_rate(subject, 1e-3),))]
        cure = set_field(subject, "shuffle", True)
        return [*found, Suspicion("unshuffled-data", "shuffle", "Sorted.", prior=0.8, cures=(cure,))]

    monkeypatch.setattr(reasoning, "suspicions", lambda subject, *phases: frozen(subject))
    monkeypatch.setattr(reasoning, "affords_round", lambda subject, *, known: False)
    for much, found in ((-1.0, {"lr-too-low", "unshuffled-data"}), (2.0, {"lr-too-low"})):  # left to gain
        monkeypatch.setattr(reasoning, "MUCH", much)
        exam = examine(program(rate=1e-6))
        assert {f.code for f in exam.findings if f.severity != "info"} == found


def test_one_hot_rows_are_classes_whatever_the_loss():
    X, y = classes()
    rows = nn.functional.one_hot(y, 3).float()
    given = program(train=(X[:200], rows[:200]), val=(X[200:], rows[200:]), loss=nn.MSELoss())
    assert Subject(given, Meter(10)).task == "classification"
    blurred = program(train=(X[:200], 0.9 * rows[:200]), val=None, loss=nn.MSELoss())
    assert Subject(blurred, Meter(10)).task == "regression"  # control: no rows of zeros and a one
