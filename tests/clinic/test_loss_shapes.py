"""Losses that put targets in shape by themselves are told by what they want; losses that broadcast are still caught."""

import pytest
import torch
import torch.nn.functional as F
from contract_parts import mlp, program
from torch import nn

from trainwell.clinic.contract import contract_of, expected
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import targets
from trainwell.clinic.subject import Subject

# name: (loss, what it wants)
FLATTENING = {
    "squeezed squares": (lambda o, y: F.mse_loss(o.squeeze(1), y), "values"),
    "flat absolutes": (lambda o, y: (o.flatten() - y).abs().mean() ** 2, "values"),
    "view of targets": (lambda o, y: F.mse_loss(o, y.view(-1, 1)), "values"),
    "sum of squares": (lambda o, y: (o[:, 0] - y).square().sum(), "values"),
    "share of the variance": (lambda o, y: (o[:, 0] - y).square().sum() / (y - y.mean()).square().sum(), "values"),
    "squeezed logits": (lambda o, y: F.binary_cross_entropy_with_logits(o.squeeze(1), y.float()), "logit"),
    "flat logits of whole numbers": (
        lambda o, y: F.binary_cross_entropy_with_logits(o.view(-1), y.view(-1).to(o)), "logit",
    ),
    "squeezed probabilities": (lambda o, y: F.binary_cross_entropy(o.squeeze(1).clamp(0, 1), y.float()), "probability"),
}  # fmt: skip


def table(n=120):
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(0))
    return x, x[:, 0] + 0.3 * x[:, 1].square()


def pictures(n=120):
    x = torch.randn(n, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    return x, x.mean((1, 2, 3)) * 6 + 0.5


def dense(end=None):
    return lambda: mlp(6, 16, 1, end=end)


def convolutions():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 1))


def given(loss, data=None, model=None, task="regression"):
    return program(0, table() if data is None else data, model or dense(), loss, task)


def shapes(made):
    return [one for one in targets.probe(Subject(made, Meter(1e9))) if one.code == "target-shape-mismatch"]


@pytest.mark.parametrize("name", FLATTENING)
def test_what_a_loss_that_flattens_wants(name):
    loss, wants = FLATTENING[name]
    assert expected(loss, torch.randn(8, 1)) == (False, wants)


def test_what_is_compared_with_everything_wants_nothing_that_is_known():  # control: no shape makes it fit
    assert expected(lambda o, y: (o.reshape(-1, 1) - y.reshape(1, -1)).square().mean(), torch.randn(8, 1))[1] == ""


@pytest.mark.parametrize("name", FLATTENING)
def test_losses_that_flatten_are_let_be(name):
    loss, wants = FLATTENING[name]
    x, y = table()
    if wants != "values":
        y = (y > 0).long() if "whole" in name else (y > 0).float()
    end = nn.Sigmoid() if wants == "probability" else None
    task = "regression" if wants == "values" else "binary"
    made = given(loss, (x, y), dense(end), task)
    assert contract_of(Subject(made, Meter(100))).wants == wants
    assert shapes(made) == []


@pytest.mark.parametrize("name", ["squeezed squares", "sum of squares", "view of targets", "share of the variance"])
def test_flattening_losses_of_pictures_are_let_be(name):
    assert shapes(given(FLATTENING[name][0], pictures(), convolutions)) == []


BROADCAST = {
    "torch's squares": nn.MSELoss(),
    "torch's sum": nn.MSELoss(reduction="sum"),
    "by hand": lambda o, y: (o - y).square().mean(),
    "sum by hand": lambda o, y: (o - y).square().sum(),
    "huber": nn.SmoothL1Loss(),
}


@pytest.mark.parametrize("name", BROADCAST)
@pytest.mark.parametrize(("data", "model"), [(table, dense()), (pictures, convolutions)])
def test_broadcast_losses_are_caught_and_their_cure_compares_each_with_its_own(name, data, model):
    loss = BROADCAST[name]
    made = given(loss, data(), model)
    found = shapes(made)
    (one,) = found
    assert one.certain and "every target of the batch" in one.message and one.evidence["raises an error"] is False
    cured = one.cures[0].apply(made)
    x, y = cured.train
    assert y.shape == (len(x), 1)
    assert shapes(cured) == []
    assert torch.equal(y.flatten(), made.train[1])


def test_an_answer_per_sample_fits_targets_of_the_same_shape():  # controls
    x, y = table()
    assert shapes(given(nn.MSELoss(), (x, y[:, None]))) == []
    assert shapes(given(nn.MSELoss(), (x, y), lambda: nn.Sequential(mlp(6, 16, 1), nn.Flatten(0)))) == []
