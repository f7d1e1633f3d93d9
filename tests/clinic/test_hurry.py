"""What only the hurry of a rehearsal shows is no finding: slower rehearsals, annealed schedules, texts that repeat."""

from functools import partial

import pytest
import torch
from sick_programs import program
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from trainwell.clinic.cures.settings import set_rate
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.level import Level
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import batches, sample_copies, through_time, time
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import tried


def run(score, factor=20.0):
    losses = [1.0 - 0.002 * i for i in range(50)]
    return Rehearsal(losses=losses, looks=[(50, score, score)], factor=factor, steps=50)


def subject_of(whole, slower, **how):
    subject = Subject(program(**how), Meter(1000))
    subject.whole, subject._slower = run(whole), run(slower, factor=4.5)
    return subject


def test_what_a_slower_rehearsal_does_better_counts():
    assert subject_of(0.2, 0.7).hurt_by_hurry == pytest.approx(0.5)
    assert subject_of(0.2, 0.24).hurt_by_hurry == pytest.approx(0.04)
    assert subject_of(0.7, 0.2).hurt_by_hurry == 0.0
    assert Subject(program(), Meter(10)).hurt_by_hurry == 0.0


@pytest.mark.parametrize("slower, found", [(0.25, True), (0.8, False)])
def test_its_gain_is_taken_off_a_guess(slower, found):
    subject = subject_of(0.2, slower, rate=0.05)
    subject.rehearse = lambda cure=None, **how: run(0.9)
    cure = set_rate(subject, 0.01)
    guess = Suspicion("lr-too-high", "optimizer.lr", "A guess.", prior=0.15, cures=(cure,), guessed=True)
    level = Level(subject.whole, {"steps": 50, "share": 1.0})
    trial = tried(subject, guess, cure, level, 0.3)
    assert (trial.gain > 0.3) == found


def test_batches_of_two_that_a_slower_rehearsal_bears_are_not_suspected():
    sick, sound = subject_of(0.2, 0.2, batch_size=2), subject_of(0.2, 0.7, batch_size=2)
    assert [s.code for s in batches.probe(sick)] == ["batch-size-extreme"]
    assert list(batches.probe(sound)) == []


def test_more_epochs_take_their_schedule_with_them():
    plan = partial(OneCycleLR, max_lr=0.02, total_steps=100)
    subject = Subject(program(scheduler=plan, rate=1e-3), Meter(1000))
    subject.whole = run(0.3)
    subject.whole.losses[:] = [1.0 - 0.01 * i for i in range(50)]
    (found,) = time.probe(subject)
    longer = subject.cured(found.cures[0])
    assert longer.steps == 500 and longer.first_step.error == ""
    assert longer.rates.max() == pytest.approx(subject.rates.max(), rel=1e-3)
    assert longer.rates.argmax() == pytest.approx(5 * subject.rates.argmax(), abs=6)


def test_a_loss_that_falls_at_the_end_of_a_schedule_is_less_of_a_sign():
    fall = partial(CosineAnnealingLR, T_max=100)
    plain, annealed = (Subject(program(scheduler=plan), Meter(1000)) for plan in (None, fall))
    for subject in (plain, annealed):
        subject.whole = run(0.3)
        subject.whole.losses[:] = [1.0 - 0.01 * i for i in range(50)]
    (one,), (other,) = time.probe(plain), time.probe(annealed)
    assert other.prior == pytest.approx(one.prior / 2)


def texts(n, letters, length, leak=0):
    """Short texts that repeat by nature; ``leak`` of the validation texts are copies."""
    draw = torch.Generator().manual_seed(0)
    X = torch.randint(0, letters, (n, length), generator=draw)
    train, val = X[: 3 * n // 4], X[3 * n // 4 :].clone()
    val[:leak] = train[:leak]
    net = nn.Sequential(nn.Embedding(letters, 8), nn.Flatten(), nn.Linear(8 * length, 2))
    parts = [(part, part.sum(1) % 2) for part in (train, val)]
    return Subject(program(net=net, train=parts[0], val=parts[1]), Meter(300))


@pytest.mark.parametrize("how, leaks", [((400, 4, 4), False), ((400, 20, 12, 60), True), ((400, 20, 12), False)])
def test_short_texts_meet_by_chance_and_long_ones_do_not(how, leaks):
    codes = [s.code for s in sample_copies.probe(texts(*how))]
    assert ("train-val-leak" in codes) == leaks


class Recurrent(nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.cell, self.head = nn.RNN(1, 16, nonlinearity="relu", batch_first=True), nn.Linear(16, 2)
        with torch.no_grad():
            self.cell.weight_hh_l0.copy_(gain * torch.eye(16))

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


@pytest.mark.parametrize("gain, code", [(1.6, "exploding-gradient"), (1.0, None)])
def test_a_gradient_that_grows_on_its_way_to_the_first_step(gain, code):
    draw = torch.Generator().manual_seed(0)
    X = torch.randn(200, 20, 1, generator=draw)
    torch.manual_seed(0)
    subject = Subject(program(net=Recurrent(gain), train=(X, (X.sum((1, 2)) > 0).long()), val=None), Meter(300))
    subject.whole = run(0.3)
    assert [s.code for s in through_time.probe(subject)] == ([code] if code else [])
