"""Probes that read the rehearsals: too little time is told from too low a rate, learning by heart is seen."""

import pytest
import torch
from sick_programs import classes, program
from torch import nn

from trainwell.clinic.exam import examine
from trainwell.clinic.level import level_of
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import (
    batches,
    capacity,
    class_balance,
    generalization,
    idle_weights,
    rate,
    squared_probabilities,
    through_time,
    time,
)  # fmt: skip
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import Subject


def subject(**changes):
    made = Subject(program(**changes), Meter(1000))
    level_of(made)
    return made


def seen(probe, made):
    return {one.code: one for one in probe.probe(made)}


def test_few_steps_at_a_usual_rate_are_too_few_epochs():
    short = subject(rate=0.01, epochs=1, train=tuple(t[:40] for t in classes()))
    assert "lr-too-low" not in seen(rate, short)
    assert seen(time, short)["too-few-epochs"].prior > 0.5


def test_many_steps_at_a_low_rate_are_too_low_a_rate():
    slow = subject(rate=1e-5, epochs=40)
    found = seen(rate, slow)["lr-too-low"]
    assert found.prior > 0.6 and "too-few-epochs" in found.explains
    assert seen(time, slow).get("too-few-epochs", found).prior <= 0.1 or "too-few-epochs" not in seen(time, slow)


def test_a_rate_far_above_the_usual_is_too_high_though_the_loss_stays_finite():
    made = subject(optimizer=lambda p: torch.optim.RMSprop(p, lr=30.0))
    assert "lr-too-high" in seen(rate, made)


def looks(made, *points):
    """Rehearsals of the whole training in place of the measured ones: (share of the training, train, val)."""
    for (share, train, val), name in zip(points, ("opening", "whole"), strict=True):
        run = Rehearsal(losses=[1.0], looks=[(round(share * made.steps), train, val)], steps=1)
        vars(made)[name] = run
    return made


def test_a_validation_score_that_falls_while_the_training_score_rises_is_overfitting():
    made = looks(Subject(program(), Meter(1000)), (0.1, 0.7, 0.75), (1.0, 0.95, 0.6))
    found = seen(generalization, made)["overfitting"]
    assert found.gain == pytest.approx(0.15) and found.cures[0].changes[0].after == 1
    rises, rests, hardly = ((0.7, 0.7), (0.95, 0.8)), ((0.9, 0.8), (0.9, 0.7)), ((0.5, 0.5), (1.0, 0.49))
    for first, last in (rises, rests, hardly):  # controls
        assert seen(generalization, looks(Subject(program(), Meter(1000)), (0.1, *first), (1.0, *last))) == {}


def test_a_rare_class_is_missed_also_where_the_validation_classes_are_balanced():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(1200, 4, generator=generator)
    y = (X[:, 0] + torch.randn(1200, generator=generator) > 2.0).long()
    rare, common = (y == 1).nonzero().flatten(), (y == 0).nonzero().flatten()
    val = torch.cat([rare[:20], common[:20]])
    train = torch.cat([rare[20:], common[20:]])
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    made = subject(net=net, train=(X[train], y[train]), val=(X[val], y[val]))
    assert seen(class_balance, made)["class-imbalance"].certain


def test_the_width_of_a_recurrent_net_is_not_taken_for_none():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.GRU(1, 16, batch_first=True), nn.Linear(16, 3)

        def forward(self, x):
            return self.head(self.cell(x[:, :, None])[0][:, -1])

    assert seen(capacity, subject(net=Last(), rate=1e-4)) == {}
    narrow = nn.Sequential(nn.Linear(6, 1), nn.ReLU(), nn.Linear(1, 3))
    assert "underfitting-capacity" in seen(capacity, subject(net=narrow))


def test_a_batch_of_two_under_batch_norm_is_the_norm_s_matter():
    normed = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    assert set(seen(batches, subject(net=normed, batch_size=2))) == {"bn-small-batch"}
    assert set(seen(batches, subject(batch_size=2, rate=0.5))) == {"batch-size-extreme"}
    assert set(seen(batches, subject(batch_size=2))) == set()  # a slower rehearsal does well: the noise is the hurry's


def test_squared_probabilities_are_suspected_only_where_they_do_not_learn():
    X, y = classes()
    rows = nn.functional.one_hot(y, 3).float()
    parts = {"train": (X[:200], rows[:200]), "val": (X[200:], rows[200:]), "loss": nn.MSELoss()}
    net = [nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(dim=1)]
    assert "wrong-loss-for-task" in seen(squared_probabilities, subject(net=nn.Sequential(*net), rate=1e-4, **parts))
    learns = looks(subject(net=nn.Sequential(*net), **parts), (0.5, 0.9, 0.9), (1.0, 0.95, 0.95))
    assert seen(squared_probabilities, learns) == {}


class Recurrent(nn.Module):
    """Reads the first of ten steps through a tanh layer."""

    def __init__(self, size):
        super().__init__()
        self.cell, self.head = nn.RNN(1, 16, batch_first=True), nn.Linear(16, 2)
        with torch.no_grad():
            self.cell.weight_hh_l0.copy_(size * torch.linalg.qr(torch.randn(16, 16))[0])

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


def first_of_ten():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(300, 10, 1, generator=generator)
    y = (X[:, 0, 0] > 0).long()
    return {"train": (X[:200], y[:200]), "val": (X[200:], y[200:])}


def test_steps_that_no_gradient_reaches_are_found_and_orthogonal_weights_pass_it():
    torch.manual_seed(0)
    found = seen(through_time, subject(net=Recurrent(0.1), rate=0.01, **first_of_ten()))["vanishing-gradient"]
    assert found.evidence["reach"] < 1e-6 and found.evidence["steps"] == 10
    cured = Subject(found.cures[0].apply(program(net=Recurrent(0.1), **first_of_ten())), Meter(100))
    assert through_time.reached(cured, ["cell"])[1] > 1e-3
    torch.manual_seed(0)
    assert seen(through_time, subject(net=Recurrent(1.0), rate=1e-5, **first_of_ten())) == {}  # control


class LeftOut(nn.Module):
    def __init__(self, joined):
        super().__init__()
        self.line, self.body, self.joined = nn.Linear(6, 3), nn.Sequential(nn.Linear(6, 64), nn.Linear(64, 3)), joined

    def forward(self, x):
        return self.line(x) + self.body(x) if self.joined else self.line(x)


def test_large_parts_that_take_no_part_are_named_where_the_rest_does_not_learn():
    assert seen(idle_weights, subject(net=LeftOut(joined=False), rate=1e-5))["unused-parameters"].certain
    assert seen(idle_weights, subject(net=LeftOut(joined=True), rate=1e-5)) == {}
    learns = looks(subject(net=LeftOut(joined=False)), (0.5, 0.9, 0.9), (1.0, 0.95, 0.95))
    assert seen(idle_weights, learns) == {}


def test_a_feature_that_only_validation_varies_is_left_out_by_the_cure():
    X, y = classes()
    X = torch.cat([X, torch.zeros(300, 1)], 1)
    X[200:, -1] = 50 * torch.randn(100, generator=torch.Generator().manual_seed(1))
    net = nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 3))
    given = program(net=net, train=(X[:200], y[:200]), val=(X[200:], y[200:]))
    exam = examine(given)
    assert [f.code for f in exam.findings if f.severity != "info"] == ["input-constant-feature"]
    cured = exam.cure().model.eval()
    other = X[200:].clone()
    other[:, -1] = 7.0
    torch.testing.assert_close(cured(X[200:]), cured(other))
    X[200:, -1] = 0.0
    assert examine(program(net=net, train=(X[:200], y[:200]), val=(X[200:], y[200:]))).healthy  # control


def test_labels_of_samples_without_one_are_ignored_by_the_cure():
    X, y = classes()
    y = y.clone()
    y[::10] = -1
    found = examine(program(train=(X[:200], y[:200]), val=(X[200:], y[200:])))
    assert [f.code for f in found.findings if f.severity != "info"] == ["label-out-of-range"]
    assert found.cure().loss.ignore_index == -1
