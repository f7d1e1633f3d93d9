"""Many epochs of a net with many weights a sample that bring nothing more are found, without waiting for a fall."""

import math

import pytest
import torch
from contract_parts import digits
from sick_programs import classes, program
from torch import nn

from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import generalization
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import Subject


def noisy(n=120, features=12):
    """Classes of which a third of the labels are wrong."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(n + 200, features, generator=draw)
    y = (x[:, 0] + 1.5 * torch.randn(len(x), generator=draw) > 0).long()
    return x, y, n


def dense():
    return nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))


def convolutions():
    return nn.Sequential(
        nn.Unflatten(1, (1, 12)), nn.Conv1d(1, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(384, 32),
        nn.ReLU(), nn.Linear(32, 2),
    )  # fmt: skip


def narrow():
    return nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 2))


def given(make=dense, epochs=100, **changes):
    torch.manual_seed(0)
    x, y, n = noisy()
    parts = {"train": (x[:n], y[:n]), "val": (x[n:], y[n:])}
    return Subject(program(net=make(), epochs=epochs, **{**parts, **changes}), Meter(1000))


def seen(subject):
    return list(generalization.probe(subject))


@pytest.mark.parametrize("make", [dense, convolutions])
@pytest.mark.parametrize("epochs", [60, 200])
def test_many_epochs_of_many_weights_are_found(make, epochs):
    subject = given(make, epochs)
    (found,) = seen(subject)
    assert found.code == "overfitting" and found.gain >= generalization.COSTS and "learning by heart" in found.message
    assert found.evidence["weights a sample"] == sum(p.numel() for p in make().parameters()) / 120
    (change,) = found.cures[0].changes
    assert change.target == "epochs" and change.before == epochs and 1 <= change.after <= epochs / 2
    assert found.cures[0].factor == change.after / epochs


@pytest.mark.parametrize(
    ("make", "changes"),
    [(narrow, {}), (dense, {"epochs": 40}), (dense, {"epochs": 3}), (dense, {"val": None})],
    ids=["few weights", "fewer epochs", "few epochs", "no validation"],
)
def test_look_alikes_are_not_found_barren(make, changes):
    assert not [one for one in seen(given(make, **changes)) if "weights a sample" in one.evidence]


def test_nets_whose_samples_teach_are_let_be():
    x, y = classes(300)
    wide = nn.Sequential(nn.Linear(6, 200), nn.ReLU(), nn.Linear(200, 3))
    easy = Subject(program(net=wide, epochs=100, train=(x[:200], y[:200]), val=(x[200:], y[200:])), Meter(1000))
    x, y = digits(0)
    wide = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    slow = Subject(
        program(net=wide, epochs=100, train=(x[:600], y[:600]), val=(x[600:], y[600:]), rate=0.01), Meter(1000)
    )
    assert seen(easy) == [] and seen(slow) == []


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ((0.6, 0.7, 0.7, 0.7, 0.71), "barren"),  # nothing new after two fifths
        ((0.6, 0.7, 0.7, 0.7, 0.73), None),  # it goes on rising
        ((0.8, 0.86, 0.86, 0.86, 0.86), None),  # as good as it gets
        ((0.6, 0.8, 0.75, 0.7, 0.6), "barren"),
    ],
)
def test_barren_is_what_brings_nothing_after_two_fifths(monkeypatch, scores, told):
    looks = [(10 * (i + 1), score, math.nan) for i, score in enumerate(scores)]
    run = Rehearsal(losses=[1.0] * 50, looks=looks, steps=50)
    monkeypatch.setattr(generalization.Small, "run", run)
    found = [one for one in seen(given()) if one.gain is not None]
    assert [("barren" if "weights a sample" in one.evidence else None) for one in found] == ([told] if told else [])
    if told:
        fall = max(scores) - scores[-1]
        assert found[0].gain == pytest.approx(max(generalization.COSTS, fall / 2))


def test_few_weights_fall_back_to_what_falls(monkeypatch):
    looks = [(10 * (i + 1), score, math.nan) for i, score in enumerate((0.8, 0.8, 0.75, 0.7, 0.6))]
    monkeypatch.setattr(generalization.Small, "run", Rehearsal(losses=[1.0] * 50, looks=looks, steps=50))
    (found,) = seen(given(narrow))
    assert "weights a sample" not in found.evidence and found.gain == pytest.approx(0.1) and found.prior == 0.6


@pytest.mark.parametrize("score, epochs, make, told", [
    (0.9, 80, dense, True), (0.66, 80, dense, False), (0.9, 10, dense, False), (0.9, 80, narrow, False),
])  # fmt: skip
def test_training_labels_that_contradict_the_rule_are_told_from_the_scores_of_a_rehearsal(score, epochs, make, told):
    subject = given(make, epochs)
    subject.whole = Rehearsal(losses=[1.0] * 50, looks=[(50, 0.62, score)], steps=50)
    found = [s for s in seen(subject) if "wrong in part" in s.message]
    assert bool(found) == told
    if told:
        assert found[0].evidence["validation over training"] == pytest.approx(0.28)
        assert found[0].gain == pytest.approx(0.14) and found[0].cures[0].factor < 0.1
