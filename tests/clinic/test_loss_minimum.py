"""A custom loss is suspected where it falls without end, or has no gradient at the targets; usual ones never are."""

import pytest
import torch
from sick_programs import program
from torch import nn

from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import loss_minimum
from trainwell.clinic.subject import Subject


def regression(loss, targets=None):
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(120, 6, generator=generator)
    y = X[:, :1] * 2 + 1 if targets is None else targets(X[:, :1])
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    return program(net=net, train=(X, y), val=(X, y), loss=loss)


def suspected(given):
    return list(loss_minimum.probe(Subject(given, Meter(300))))


LOST = {
    "negative squared error": lambda o, y: -(o - y).square().mean(),
    "difference without absolute": lambda o, y: (o - y).mean(),
    "minus likelihood's sign": lambda o, y: (-(o - y).abs()).mean(),
}
SOUND = {
    "squared": nn.MSELoss(),
    "absolute": nn.L1Loss(),
    "huber": nn.HuberLoss(),
    "log cosh": lambda o, y: (o - y).cosh().log().clamp(max=1e30).mean(),
    "quantile": lambda o, y: torch.maximum(0.9 * (y - o), 0.1 * (o - y)).mean(),
    "root with a floor": lambda o, y: ((o - y).square().mean() + 1e-12).sqrt(),
    "relative": lambda o, y: ((o - y) / (y.abs() + 1)).square().mean(),
}


@pytest.mark.parametrize("name", LOST)
def test_a_loss_that_falls_without_end(name):
    (found,) = suspected(regression(LOST[name]))
    assert found.code == "wrong-loss-for-task" and "without end" in found.message and found.cures


@pytest.mark.parametrize("name", SOUND)
def test_usual_losses_are_not_suspected(name):
    assert suspected(regression(SOUND[name])) == []


def test_poisson_is_not_suspected_though_its_least_is_not_at_the_targets():
    assert suspected(regression(nn.PoissonNLLLoss(), lambda x: torch.poisson(x.exp()))) == []


def test_a_root_has_no_gradient_where_the_answer_is_right():
    (found,) = suspected(regression(lambda o, y: (o - y).square().mean().sqrt()))
    assert found.code == "nonfinite-loss" and "lr-too-high" in found.explains
    cured = found.cures[0].apply(regression(lambda o, y: (o - y).square().mean().sqrt()))
    assert isinstance(cured.loss, nn.MSELoss)


def test_losses_of_classes_are_left_alone():
    assert suspected(program()) == []


def by_hand(o, y):
    return -(y * o.log() + (1 - y) * (1 - o).log()).mean()


def test_a_logarithm_without_a_floor_is_no_number_where_the_answer_is_sure():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(120, 6, generator=generator)
    y = (X[:, :1] > 0).float()
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
    given = program(net=net, train=(X, y), val=(X, y), loss=by_hand)
    (found,) = suspected(given)
    assert found.code == "nonfinite-loss" and found.certain
    cured = found.cures[0].apply(given).loss
    assert torch.isfinite(cured(y, y)) and not torch.isfinite(by_hand(y, y))
    assert suspected(program(net=net, train=(X, y), val=(X, y), loss=nn.BCELoss())) == []  # control: it is clamped


def percentage(o, y):
    return ((o - y) / y).abs().mean()


def squared_share(o, y):
    return ((o / y - 1) ** 2).mean()


def logarithms(o, y):
    return (o.abs().clamp(min=1e-3).log() - y.log()).square().mean()


def with_zeros(x):
    return torch.where(x > 0.9, 0.0, x.abs() + 0.5)


def pictures(loss, targets):
    x = torch.randn(60, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))
    return program(net=net, train=(x, targets(x)), val=(x, targets(x)), loss=loss, task="regression")


@pytest.mark.parametrize("loss", [percentage, squared_share, logarithms])
@pytest.mark.parametrize("make", [regression, pictures])
def test_a_loss_that_divides_by_targets_of_zero(loss, make):
    def few(x):
        y = x.abs() + 0.5
        y.view(-1)[: 12 * y[0].numel() : 4 * y[0].numel()] = 0.0  # of every fourth of the first twelve
        return y

    given = make(loss, few)
    (found,) = suspected(given)
    assert found.code == "nonfinite-loss" and found.certain and found.message.startswith("For a target of 0 ")
    assert found.evidence["samples"] == 3 and "lr-too-high" in found.brings_about
    cured = found.cures[0].apply(given)
    assert isinstance(cured.loss, nn.MSELoss) and suspected(cured) == []


@pytest.mark.parametrize("make", [regression, pictures])
def test_such_a_loss_is_let_be_where_no_target_is_zero(make):  # control
    assert suspected(make(percentage, lambda x: x.abs() + 0.5)) == []
    assert suspected(make(nn.MSELoss(), with_zeros)) == []
    floored = make(lambda o, y: ((o - y) / y.abs().clamp(min=0.1)).abs().mean(), with_zeros)
    assert suspected(floored) == []

    def without_them(o, y):  # of one sample alone with a target of zero it is no number
        return ((o - y)[y != 0] / y[y != 0]).abs().mean()

    assert suspected(make(without_them, with_zeros)) == []


def test_a_loss_that_is_no_number_for_most_targets_is_another_matter():
    def most(x):
        y = x.abs() + 0.5
        y[:80] = 0.0
        return y

    assert [one for one in suspected(regression(percentage, most)) if "For a target" in one.message] == []


def test_classes_are_not_asked_target_by_target():
    asked = []

    def counting(o, y):
        asked.append(len(o))
        return nn.functional.cross_entropy(o, y)

    assert suspected(program(loss=counting)) == [] and 1 not in asked


def test_the_exam_names_the_loss_and_its_cure_learns():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(300, 6, generator=generator)
    y = (X[:, :1] + 0.5 * X[:, 1:2]).clamp(min=0.0)
    y[y > 0] += 0.2
    y[:200][torch.arange(200) % 3 > 0] += 0.1
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
    exam = examine(program(net=net, train=(X[:200], y[:200]), val=(X[200:], y[200:]), loss=percentage))
    (found,) = [f for f in exam.findings if f.severity != "info"]
    assert found.code == "nonfinite-loss" and isinstance(exam.cure().loss, nn.MSELoss)
