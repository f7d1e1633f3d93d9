"""Losses that measure only something near the task are told apart from those that measure it."""

import pytest
import torch
from sick_programs import program
from torch import nn
from torch.nn.functional import cosine_similarity, one_hot

from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import loss_preferences
from trainwell.clinic.subject import Subject


def suspected(outputs, y, loss, task=None, end=()):
    X = torch.randn(len(y), 6, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, outputs), *end)
    given = program(net=net, train=(X, y), val=(X, y), loss=loss, task=task)
    return list(loss_preferences.probe(Subject(given, Meter(300)))), given


def quantities(columns=1, n=96):
    return torch.randn(n, columns, generator=torch.Generator().manual_seed(1))


def mostly_zero(share, n=96):
    y = quantities(1, n).abs() + 1
    y[: round(share * n)] = 0.0
    return y[torch.randperm(n, generator=torch.Generator().manual_seed(2))]


def zeros_and_ones(n=96):
    return (quantities(1, n) > 0).float()


def correlation(o, y):
    o, y = o - o.mean(), y - y.mean()
    return 1 - (o * y).sum() / (o.norm() * y.norm())


def cosine(o, y):
    return 1 - cosine_similarity(o, y).mean()


def overlap(p, y):
    return 1 - 2 * (p * y).sum() / (p.sum() + y.sum())


def first_output(o, y):
    return (o[:, 0] - y).square().mean()


def margins(o, y):
    """Crammer and Singer's: every output counts."""
    right = o.gather(1, y[:, None])
    return (1 + o - right).clamp(min=0).mean()


@pytest.mark.parametrize("loss, columns", [(correlation, 1), (cosine, 4)])
def test_a_loss_that_does_not_see_the_size_of_answers(loss, columns):
    (found,), given = suspected(columns, quantities(columns), loss)
    assert found.code == "wrong-loss-for-task" and "three times" in found.message
    assert isinstance(found.cures[0].apply(given).loss, nn.MSELoss)


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), lambda o, y: (o - y).cosh().log().mean()])
def test_losses_that_see_it(loss):
    assert suspected(1, quantities(), loss)[0] == []


def test_an_absolute_error_of_mostly_zeros_prefers_zero():
    (found,), _ = suspected(1, mostly_zero(0.7), nn.L1Loss())
    assert found.code == "wrong-loss-for-task" and "70%" in found.message and not found.certain


def test_a_squared_error_of_them_does_not_nor_an_absolute_one_of_few():
    assert suspected(1, mostly_zero(0.7), nn.MSELoss())[0] == []
    assert suspected(1, mostly_zero(0.2), nn.L1Loss())[0] == []


def test_the_distance_to_one_hot_rows_prefers_none_of_the_classes():
    rows = one_hot(torch.arange(100) % 10, 10).float()
    (found,), given = suspected(10, rows, nn.L1Loss(), task="classification")
    assert isinstance(found.cures[0].apply(given).loss, nn.CrossEntropyLoss)
    assert suspected(10, rows, nn.MSELoss(), task="classification")[0] == []


def test_a_margin_of_minus_and_plus_one_given_zeros_and_ones():
    (found,), given = suspected(1, zeros_and_ones(), nn.SoftMarginLoss())
    assert found.code == "label-out-of-range" and found.certain and "whose target is 0" in found.message
    assert isinstance(found.cures[0].apply(given).loss, nn.BCEWithLogitsLoss)
    assert suspected(1, 2 * zeros_and_ones() - 1, nn.SoftMarginLoss())[0] == []
    assert suspected(1, zeros_and_ones(), nn.BCEWithLogitsLoss())[0] == []


def test_an_overlap_of_raw_scores():
    (found,), given = suspected(1, zeros_and_ones(), overlap)
    assert found.code == "loss-output-mismatch"
    cured = found.cures[0].apply(given)
    X, y = given.train
    assert 0 <= float(cured.loss(cured.model(X), y)) <= 1
    assert suspected(1, zeros_and_ones(), overlap, end=[nn.Sigmoid()])[0] == []


def test_outputs_that_the_loss_never_reads():
    classes = torch.arange(96) % 3
    (found,), _ = suspected(3, classes, first_output, task="classification")
    assert found.certain and "Of the 3 outputs the loss reads 1" in found.message
    assert suspected(3, classes, margins, task="classification")[0] == []
    assert suspected(3, classes, nn.CrossEntropyLoss())[0] == []
