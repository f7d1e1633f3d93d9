"""A net that answers well by each batch's own statistics and not by the running ones is found, and mended by groups."""

import pytest
import torch
from contract_parts import digits, picture
from sick_programs import program
from torch import nn
from torch.testing import assert_close

from trainwell.clinic.cures.normalization import without_running_statistics
from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built
from trainwell.clinic.probes import norm_gap
from trainwell.clinic.subject import Subject


class InTraining(nn.Module):
    """Changes what it is given, in training alone."""

    def __init__(self, factor, shift):
        super().__init__()
        self.factor, self.shift = factor, shift

    def forward(self, x):
        return self.factor * x + self.shift if self.training else x


def dense(*first, norm=nn.BatchNorm1d, dropped=0.0):
    more = [nn.Dropout(dropped)] if dropped else []
    return nn.Sequential(*first, nn.Linear(64, 32), *more, norm(32), nn.ReLU(), nn.Linear(32, 10))


def convolutions(*first, norm=nn.BatchNorm2d):
    return nn.Sequential(
        *first, nn.Conv2d(1, 8, 3, padding=1), norm(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)
    )


def given(make, data=None, **changes):
    torch.manual_seed(0)
    x, y = digits(0) if data is None else data
    parts = {"train": (x[:600], y[:600]), "val": (x[600:], y[600:])}
    return program(net=make(), **{**parts, "batch_size": 30, "rate": 0.02, **changes})


def pictures():
    return picture(digits(0))


def shifted():
    """Training samples that were changed in a way that validation samples were not."""
    x, y = pictures()
    x = x.clone()
    x[:600] = 3 * x[:600] + 2
    return x, y


SICK = {
    "scaled in training": lambda: given(lambda: dense(InTraining(4.0, 1.0))),
    "scaled pictures": lambda: given(lambda: convolutions(InTraining(4.0, 2.0)), pictures()),
    "samples changed": lambda: given(convolutions, shifted()),
    "dropout before": lambda: given(lambda: dense(InTraining(1.0, 0.0), dropped=0.9), rate=0.1),
}
HEALTHY = {
    "plain": lambda: given(dense, rate=0.001),
    "pictures": lambda: given(convolutions, pictures(), rate=0.001),
    "no running statistics": lambda: given(lambda: dense(InTraining(4.0, 1.0), norm=nn.LayerNorm)),
    "statistics that never arrive": lambda: given(
        lambda: dense(InTraining(4.0, 1.0), norm=lambda n: nn.BatchNorm1d(n, momentum=0.01))
    ),
    "batches of four": lambda: given(lambda: dense(InTraining(4.0, 1.0)), batch_size=4),
    "does not learn": lambda: given(lambda: dense(InTraining(4.0, 1.0)), rate=1e-7),
}


def suspected(made):
    subject = Subject(made, Meter(1000))
    return subject, list(norm_gap.probe(subject))


@pytest.mark.parametrize("name", SICK)
def test_running_statistics_that_do_not_fit_are_found(name):
    subject, (found,) = suspected(SICK[name]())
    assert found.code == "bn-train-eval-mismatch" and found.prior >= 0.5 and found.message.endswith(".")
    assert isinstance(subject.program.model.get_submodule(found.where), nn.modules.batchnorm._BatchNorm)
    assert found.evidence["of each batch"] > found.evidence["running"] + 0.12
    assert found.evidence["running"] == subject.opening.score
    if name != "dropout before":  # which is taken away first
        assert len(found.cures) == 1
        assert subject.rehearse(found.cures[0], steps=30, share=0.0).score > subject.opening.score + 0.12


def test_dropout_in_front_of_a_norm_is_taken_away_first():
    subject, (found,) = suspected(SICK["dropout before"]())
    less, grouped = found.cures
    assert {(change.before, change.after) for change in less.changes} == {(0.9, 0.0)}
    assert subject.rehearse(less, steps=30, share=0.0).score > subject.opening.score + 0.2
    assert "GroupNorm" in grouped.changes[0].after


@pytest.mark.parametrize("name", HEALTHY)
def test_look_alikes_are_let_be(name):
    subject, found = suspected(HEALTHY[name]())
    assert found == [] and not (name in ("plain", "pictures") and subject.whole.good)  # silent not because it is good


def test_the_probe_takes_one_look_and_leaves_the_program_alone():
    subject = Subject(SICK["samples changed"](), Meter(1000))
    subject.whole, subject.opening  # noqa: B018 - made before
    before, trained = subject.meter.spent, subject.opening.model.training
    state = {name: value.clone() for name, value in subject.opening.model.state_dict().items()}
    assert list(norm_gap.probe(subject))
    assert subject.meter.spent - before <= norm_gap.COST and subject.opening.model.training == trained
    assert all(torch.equal(value, state[name]) for name, value in subject.opening.model.state_dict().items())


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (2, 1), (3, 1), (4, 2), (6, 2), (8, 4), (12, 4)])
def test_groups_have_two_channels_at_least(channels, groups):
    subject = Subject(given(lambda: nn.Sequential(nn.Linear(64, channels), nn.BatchNorm1d(channels))), Meter(10))
    made = without_running_statistics(subject, ["1"]).apply(subject.fresh()).model[1]
    assert isinstance(made, nn.GroupNorm) and (made.num_groups, made.num_channels) == (groups, channels)


@pytest.mark.parametrize("make", [dense, convolutions])
def test_groups_answer_alike_in_training_and_evaluation(make):
    data = digits(0) if make is dense else pictures()
    subject = Subject(given(make, data), Meter(10))
    cured = without_running_statistics(subject, ["1"]).apply(subject.fresh())
    x = 5 * data[0][:40] + 1
    assert_close(cured.model.train()(x), cured.model.eval()(x), rtol=0, atol=0)
    plain = subject.fresh().model
    assert not torch.allclose(plain.train()(x), plain.eval()(x), atol=1e-2)  # control
    held = {id(p) for group in built(cured).param_groups for p in group["params"]}
    assert held == {id(p) for p in cured.model.parameters()}


def test_groups_keep_type_and_shared_places():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = self.again = nn.BatchNorm1d(8).double().eval()

    subject = Subject(given(Shared), Meter(10))
    model = without_running_statistics(subject, ["norm"]).apply(subject.fresh()).model
    assert model.norm is model.again and isinstance(model.norm, nn.GroupNorm)
    assert model.norm.weight.dtype == torch.float64 and not model.norm.training


def test_the_exam_names_the_norm_of_a_net_whose_pictures_are_scaled_in_training():
    exam = examine(SICK["scaled pictures"]())
    assert next(f.code for f in exam.findings if f.severity != "info") == "bn-train-eval-mismatch"
    assert any("GroupNorm" in str(change.after) for change in exam.findings[0].cure.changes)
