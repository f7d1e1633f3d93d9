"""Class weights are tried at the program's own pace, and more slowly where no rare sample at all was found at that."""

import pytest
import torch
from sick_programs import program
from torch import nn

from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import class_balance
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import Subject


def table(n=1200):
    """One sample of twelve is rare, of a class that can be told from the other."""
    draw = torch.Generator().manual_seed(0)
    y = (torch.arange(n) % 12 == 0).long()
    return torch.randn(n, 6, generator=draw) + 1.5 * y[:, None], y


def series(n=1200):
    x, y = table(n)
    return x[:, :, None], y


def dense():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRU(1, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


KINDS = [(table, dense), (series, Recurrent)]


def given(kind, recalls, *, factor=4.0):
    """A program whose rehearsals find these shares of the rare class: as it is, then with each cure."""
    data, net = kind
    x, y = data()
    torch.manual_seed(0)
    subject = Subject(program(net=net(), train=(x[:800], y[:800]), val=(x[800:], y[800:])), Meter(1000))
    paces = []

    def made(share):
        found = recalls[len(paces)]
        paces.append(share)
        run = Rehearsal(losses=[0.5] * 50, looks=[(50, 0.9, 0.9)], steps=50, factor=factor * share)
        run.found = found
        return run

    vars(subject)["whole"] = made(1.0)
    vars(subject)["rehearse"] = lambda cure, *, steps, share: made(share)
    return subject, paces


@pytest.fixture(autouse=True)
def _recall(monkeypatch):
    common = {0.0: 1.0, 0.05: 1.0}

    def recall_of(subject, run, found):
        return torch.tensor([common.get(run.found, 0.95), run.found], dtype=torch.double)

    monkeypatch.setattr(class_balance, "recall_of", recall_of)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_slower_pace_shows_what_the_first_does_not(kind):
    subject, paces = given(kind, [0.0, 0.0, 0.8])
    (found,) = class_balance.probe(subject)
    assert paces == [1.0, 1.0, 0.5] and found.certain  # 4 to the power of −½
    assert found.gain == pytest.approx((0.95 + 0.8) / 2 - 0.5) and found.evidence["recall of the rarest class"] == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_pace_is_enough_where_it_gains(kind):
    subject, paces = given(kind, [0.0, 0.6])
    (found,) = class_balance.probe(subject)
    assert paces == [1.0, 1.0] and found.certain


def test_where_some_rare_ones_were_found_the_pace_is_borne():
    subject, paces = given(KINDS[0], [0.05, 0.05])
    (found,) = class_balance.probe(subject)
    assert paces == [1.0, 1.0] and not found.certain and found.prior < 0.1


def test_weights_that_help_at_neither_pace_are_not_told():  # control
    subject, paces = given(KINDS[0], [0.0, 0.0, 0.0])
    (found,) = class_balance.probe(subject)
    assert paces == [1.0, 1.0, 0.5] and not found.certain and found.prior < 0.1


def test_a_program_that_is_not_compressed_has_no_slower_pace():
    subject, paces = given(KINDS[0], [0.0, 0.0], factor=1.0)
    list(class_balance.probe(subject))
    assert paces == [1.0, 1.0]


def test_the_better_of_both_counts():
    subject, _ = given(KINDS[0], [0.0, 0.1, 0.05])
    (found,) = class_balance.probe(subject)
    assert found.evidence["mean recall with weights"] == pytest.approx((0.95 + 0.1) / 2)


def test_no_pace_is_tried_without_passes():
    subject, paces = given(KINDS[0], [0.0, 0.0, 0.8])
    subject.meter.spend(subject.meter.left - 30)
    (found,) = class_balance.probe(subject)
    assert paces == [1.0] and found.prior < 0.1
