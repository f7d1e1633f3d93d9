"""What a rate and a number of steps are compared with."""

import copy
import math

import pytest
import torch
from sick_programs import program
from torch import nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, NAdam, RMSprop, Rprop
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, OneCycleLR, StepLR

from trainwell.clinic.curve import curve_of
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import rate
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import Subject
from trainwell.clinic.usual import mean_rate, peak_rate, rate_lacks, steps_lack, total_motion, usual_rate


def subject(**changes):
    return Subject(program(**changes), Meter(300))


@pytest.mark.parametrize(
    ("make", "usual"),
    [
        (lambda p: SGD(p, lr=1.0), 0.1),
        (lambda p: SGD(p, lr=1.0, momentum=0.9), 0.01),
        (lambda p: Adam(p, lr=1.0), 1e-3),
        (lambda p: AdamW(p, lr=1.0), 1e-3),
        (lambda p: RMSprop(p, lr=1.0), 1e-3),
    ],
)
def test_the_usual_rate_of_an_optimizer(make, usual):
    found = subject(optimizer=make)
    assert usual_rate(found.optimizer) == pytest.approx(usual)
    assert rate_lacks(found) == pytest.approx(math.log10(usual))


def test_a_schedule_counts_by_its_mean_and_its_peak():
    halved = subject(rate=0.1, scheduler=lambda o: StepLR(o, 50, gamma=0.5))  # 100 steps
    assert halved.steps == 100
    assert mean_rate(halved) == pytest.approx(0.075) and peak_rate(halved) == pytest.approx(0.1)


def test_a_schedule_that_sets_its_own_rate_is_read_as_it_is():
    own = subject(rate=0.1, scheduler=lambda o: OneCycleLR(o, 2.0, total_steps=100))
    assert peak_rate(own) == pytest.approx(2.0, rel=1e-3)
    scaled = subject(rate=0.1, scheduler=lambda o: LambdaLR(o, lambda step: 1.0))
    assert peak_rate(scaled) == pytest.approx(0.1)


def test_steps_are_compared_with_five_hundred():
    assert steps_lack(subject(epochs=50)) == pytest.approx(0)
    assert steps_lack(subject(epochs=5)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("make", "usual"),
    [
        (lambda p: Adadelta(p, lr=0.3), 1.0),
        (lambda p: Rprop(p, lr=0.3), 0.01),
        (lambda p: Adagrad(p, lr=0.3), 0.01),
        (lambda p: NAdam(p, lr=0.3), 1e-3),
    ],
)
def test_the_usual_rate_of_methods_that_pace_themselves(make, usual):
    assert usual_rate(subject(optimizer=make).optimizer) == pytest.approx(usual)


def measured(**changes):
    return Subject(program(**changes), Meter(1000))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_motion_of_all_steps_is_their_number_times_the_largest(momentum):  # closed form
    made = measured(optimizer=lambda p: SGD(p, lr=1e-4, momentum=momentum))
    size = math.sqrt(sum(float(p.detach().square().sum()) for p in made.program.model.parameters()))
    largest = 100 * 1e-4 * max(made.opening.norms) / (1 - momentum)
    assert total_motion(made) == pytest.approx(largest / size, rel=1e-6)
    halved = measured(optimizer=lambda p: SGD(p, lr=1e-4, momentum=momentum), scheduler=lambda o: StepLR(o, 50, 0.5))
    assert total_motion(halved) == pytest.approx(0.75 * total_motion(made), rel=1e-3)


def test_a_plain_training_moves_no_further_than_that():
    made = measured(optimizer=lambda p: SGD(p, lr=1e-3), epochs=3)  # 30 steps, the opening
    before = torch.cat([p.detach().flatten() for p in made.program.model.parameters()])
    after = torch.cat([p.detach().flatten() for p in made.opening.model.parameters()])
    assert float((after - before).norm() / before.norm()) <= total_motion(made)


@pytest.mark.parametrize("kind", [Adam, Adadelta, Rprop])
def test_adaptive_methods_have_no_such_bound(kind):
    assert total_motion(measured(optimizer=lambda p: kind(p, lr=1e-9))) == math.inf


class Faint(nn.Module):
    """Logits so small that the gradients are: the usual rate does not move the weights."""

    def __init__(self, body, size):
        super().__init__()
        self.body, self.size = body, size

    def forward(self, x):
        return self.body(x) * self.size


def dense():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def over_time():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.GRU(1, 16, batch_first=True), nn.Linear(16, 3)

        def forward(self, x):
            return self.head(self.cell(x[:, :, None])[0][:, -1])

    return Last()


@pytest.mark.parametrize("make", [dense, over_time])
@pytest.mark.parametrize("power", [3, 4])
def test_steps_that_do_not_move_the_weights_are_too_low_a_rate_by_that_power_of_ten(make, power):
    torch.manual_seed(0)
    moving = measured(net=make(), optimizer=lambda p: SGD(p, lr=1e-4))
    slow = 1e-4 * rate.MOVED * 10**-power / total_motion(moving)
    made = measured(net=moving.program.model, optimizer=lambda p: SGD(p, lr=slow))
    assert total_motion(made) == pytest.approx(rate.MOVED * 10**-power, rel=0.1)
    (found,) = rate.probe(made)
    assert found.code == "lr-too-low" and "too-few-epochs" in found.explains and "of their size" in found.message
    afters = [cure.changes[0].after for cure in found.cures]
    assert afters == pytest.approx([slow * 10**power, slow * 10 ** (power - 1)])


def test_the_usual_rate_is_too_low_too_where_gradients_are_faint():
    torch.manual_seed(0)
    made = measured(net=Faint(dense(), 1e-4), optimizer=lambda p: SGD(p, lr=0.1))
    assert rate_lacks(made) == pytest.approx(0) and total_motion(made) < rate.STILL
    (found,) = rate.probe(made)
    assert found.code == "lr-too-low" and found.evidence["motion over size"] < rate.STILL


def test_a_loss_that_leaps_from_batch_to_batch_is_no_sign_of_a_high_rate_where_nothing_moves():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(300, 6, generator=generator)
    y = torch.randn(300, 1, generator=generator)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))

    def made(size):
        torch.manual_seed(0)
        parts = {"train": (X[:200], y[:200]), "val": (X[200:], y[200:]), "loss": nn.MSELoss(), "batch_size": 2}
        faint = Faint(copy.deepcopy(net), size)
        return measured(net=faint, optimizer=lambda p: SGD(p, lr=0.05), **parts)

    still, moving = made(1e-6), made(1.0)
    assert curve_of(still.opening).swing > rate.LEAPING and total_motion(still) < rate.STILL
    assert [one.code for one in rate.probe(still)] == ["lr-too-low"]
    assert [one.code for one in rate.probe(moving)] == ["lr-too-high"]  # control


@pytest.mark.parametrize("make", [lambda p: SGD(p, lr=0.1), lambda p: Adam(p, lr=3e-3), lambda p: Rprop(p, lr=0.01)])
def test_rates_that_work_are_let_be(make):
    assert [one for one in rate.probe(measured(optimizer=make)) if one.prior > 0.2] == []


def test_a_clipped_gradient_moves_no_further_than_its_norm():
    plain, clipped = (
        Subject(program(rate=0.01, clip_grad=limit), Meter(300)) for limit in (None, 1e-3)
    )  # fmt: skip
    size = math.sqrt(sum(float(p.detach().square().sum()) for p in clipped.program.model.parameters()))
    assert total_motion(clipped) == pytest.approx(clipped.steps * 0.01 * 1e-3 / 0.1 / size)
    assert total_motion(plain) > 100 * total_motion(clipped)
    (found,) = (s for s in rate.probe(clipped) if s.code == "lr-too-low")
    assert "clipped to 0.001" in found.message and found.cures[0].changes[0].target == "clip_grad"


@pytest.mark.parametrize(
    ("schedule", "found"),
    [
        (lambda o: StepLR(o, 5, gamma=0.5), True),  # halved twenty times in a hundred steps
        (lambda o: StepLR(o, 50, gamma=0.1), False),
        (lambda o: CosineAnnealingLR(o, 100), False),
        (lambda o: ExponentialLR(o, 0.93), False),  # a third of the steps at less than a hundredth
        (None, False),
    ],
    ids=["halved every few steps", "a tenth at half", "cosine", "exponential", "constant"],
)
def test_a_schedule_that_leaves_most_steps_no_rate(schedule, found):
    made = subject(scheduler=schedule)
    vars(made)["whole"] = Rehearsal(losses=[1.0] * 50, looks=[(50, 0.4, 0.4)], factor=2.0, steps=50)
    vars(made)["opening"] = Rehearsal(losses=[1.0 - 0.01 * i for i in range(30)], looks=[(30, 0.4, 0.4)], steps=30)
    first = next(iter(rate.probe(made)), None)
    assert (first is not None and first.where == "scheduler") is found
    if first is not None and found:
        assert first.code == "lr-too-low" and first.evidence["share of the steps without a rate"] == pytest.approx(0.65)
        assert "constant" in first.cures[0].name
