"""Running statistics that never arrive are a defect by themselves, those of a training before are not."""

import pytest
import torch
from contract_parts import digits, picture
from sick_programs import program
from torch import nn

from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import norm_modes
from trainwell.clinic.subject import Subject


def dense(momentum, norm=nn.BatchNorm1d):
    return nn.Sequential(nn.Linear(6, 16), norm(16, momentum=momentum), nn.ReLU(), nn.Linear(16, 3))


def convolutions(momentum):
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8, momentum=momentum), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
    )


def given(make, momentum, before=False, **changes):
    torch.manual_seed(0)
    net = make(momentum)
    if before:  # a training before
        net[1].running_mean.normal_()
        net[1].running_var.uniform_(0.5, 2.0)
    if make is convolutions:
        x, y = picture(digits(0, 300))
        changes = {"train": (x[:200], y[:200]), "val": (x[200:], y[200:]), **changes}
    return program(net=net, **changes)


def suspected(made):
    subject = Subject(made, Meter(300))
    return subject, list(norm_modes.probe(subject))


@pytest.mark.parametrize("make", [dense, convolutions])
@pytest.mark.parametrize("momentum", [0.0, 1e-4])
def test_statistics_that_never_leave_their_start_are_a_defect(make, momentum):
    subject, (found,) = suspected(given(make, momentum))
    assert (found.code, found.where) == ("bn-train-eval-mismatch", "1")
    assert found.certain and found.loss == norm_modes.COSTS and found.evidence["share of the start left"] > 0.9
    assert suspected(found.cures[0].apply(subject.fresh()))[1] == []


@pytest.mark.parametrize("make", [dense, convolutions])
def test_statistics_of_a_training_before_are_only_suspected(make):
    _, (found,) = suspected(given(make, 0.0, before=True))
    assert not found.certain and found.loss == 0.0 and found.cures


def test_one_statistic_that_was_learned_is_enough():
    made = given(dense, 0.0)
    made.model[1].running_var[3] = 1.5
    assert not suspected(made)[1][0].certain


def test_what_arrives_in_part_is_only_suspected():
    _, (found,) = suspected(given(dense, 0.005))  # (1 − 0.005)¹⁰⁰ = 0.61
    assert not found.certain and found.evidence["share of the start left"] == pytest.approx(0.995**100)


@pytest.mark.parametrize(
    "made",
    [
        lambda: given(dense, 0.1),
        lambda: given(dense, 0.01, epochs=40),
        lambda: given(dense, None),
        lambda: given(convolutions, 0.1),
        lambda: given(lambda m: dense(m, lambda n, momentum: nn.BatchNorm1d(n, track_running_stats=False)), 0.0),
        lambda: given(lambda m: dense(m, lambda n, momentum: nn.LayerNorm(n)), 0.0),
    ],
    ids=["usual", "slow for long", "cumulative", "pictures", "none kept", "no batch"],
)
def test_statistics_that_arrive_are_let_be(made):
    assert suspected(made())[1] == []


def test_the_last_batch_alone_is_suspected_but_no_defect():
    _, (found,) = suspected(given(dense, 1.0))
    assert not found.certain and "last batch" in found.message


def test_the_exam_names_it_though_the_short_run_hides_it():
    codes = [f.code for f in examine(given(dense, 0.0)).findings if f.severity != "info"]
    assert codes == ["bn-train-eval-mismatch"]
    assert examine(given(dense, 0.1)).healthy  # control
