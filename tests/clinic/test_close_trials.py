"""What is asked of a gain, which trials are repeated, and what is taken where nothing gains: on made-up rehearsals."""

import math
from dataclasses import replace

import pytest
import torch
from sick_programs import program

from trainwell.clinic.choosing import plainly_needed
from trainwell.clinic.cures.settings import set_field, set_rate
from trainwell.clinic.finding import NOTABLE, Suspicion
from trainwell.clinic.level import SLOW_STARTING, Level, level_of, needed
from trainwell.clinic.meter import Meter
from trainwell.clinic.reasoned import Reasoned
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import (
    Trial,
    _affords_longer,
    _compared,
    _paces,
    _rests,
    affords_repetition,
    repeated,
    tried,
)
from trainwell.clinic.trying import OF_LENGTH, confirmed, of_our_making, try_cures


def looked(train, val, *, factor=1.0, steps=50, losses=None):
    """A rehearsal with these scores."""
    losses = [1.0] * steps if losses is None else losses
    return Rehearsal(losses=losses, looks=[(len(losses), train, val)], factor=factor, steps=len(losses))


def errors_of(subject, score):
    return math.sqrt(score * (1 - score) / len(subject.scored[1].y))


def test_what_is_asked_is_what_matters_and_standard_errors():  # closed form
    subject = Subject(program(), Meter(1000))
    level = Level(looked(0.6, 0.6), {"steps": 50, "share": 1.0})
    error = errors_of(subject, 0.6)
    for prior, errors in ((0.9, 0.0), (0.5, 1.0), (0.1, 2.0)):
        assert needed(subject, level, prior) == pytest.approx(NOTABLE + errors * error)
    extreme = Level(looked(1.0, 1.0), {"steps": 50, "share": 1.0})
    assert needed(subject, extreme, 0.5) == pytest.approx(NOTABLE + errors_of(subject, 0.9))


def test_more_is_asked_of_a_hurried_rehearsal_unless_the_gain_was_measured_apart():
    subject = Subject(program(), Meter(1000))

    def asked(factor, share, **how):
        return needed(subject, Level(looked(0.6, 0.6, factor=factor), {"steps": 50, "share": share}), 0.9, **how)

    assert asked(10.0, 1.0) == pytest.approx(NOTABLE)
    assert asked(40.0, 1.0) == pytest.approx(NOTABLE + 0.2)  # two doublings beyond ten
    assert asked(40.0, 1.0, apart=True) == asked(40.0, 0.0) == pytest.approx(NOTABLE)
    slower = 40.0**-0.5  # a rehearsal at the root of the pace is hurried by that much
    assert asked(40.0 * slower, slower) == pytest.approx(NOTABLE)
    assert asked(400.0 * 400.0**-0.5, 400.0**-0.5) == pytest.approx(asked(20.0, 1.0))


@pytest.mark.parametrize("kind", [torch.optim.Adadelta, torch.optim.Rprop])
def test_methods_that_find_their_own_pace_are_asked_for_more(kind):
    subject = Subject(program(optimizer=lambda p: kind(p)), Meter(1000))
    whole = Level(looked(0.6, 0.6), {"steps": 50, "share": 1.0})
    assert needed(subject, whole, 0.9) == pytest.approx(SLOW_STARTING)
    assert needed(subject, whole, 0.9, apart=True) == pytest.approx(NOTABLE)
    assert needed(subject, Level(whole.run, {"steps": 30, "share": 0.0}), 0.9) == pytest.approx(NOTABLE)
    plain = Subject(program(optimizer=lambda p: torch.optim.Adam(p)), Meter(1000))
    assert needed(plain, whole, 0.9) == pytest.approx(NOTABLE)  # control


def staged(opening, whole, **changes):
    subject = Subject(program(**changes), Meter(1000))
    vars(subject).update(opening=opening, whole=whole)
    return subject


@pytest.mark.parametrize(
    ("opening", "share"),
    [((0.61, 0.62), 1.0), ((0.64, 0.605), 1.0), ((0.64, 0.64), 0.0), ((0.5, 0.5), 1.0)],
    ids=["alike", "just alike", "better", "worse"],
)
def test_of_two_alike_the_whole_training_is_the_level(opening, share):
    level = level_of(staged(looked(*opening, steps=30), looked(0.6, 0.6)))
    assert level.how["share"] == share


def test_a_whole_training_that_breaks_off_is_no_level_however_close():
    broken = looked(0.6, 0.6, losses=[1.0, math.nan])
    assert level_of(staged(looked(0.1, 0.1, steps=30), broken)).how["share"] == 0.0


# close trials are repeated


def trial_of(subject, gain, prior=0.9):
    level = Level(looked(0.6, 0.6), {"steps": 50, "share": 1.0})
    cure = set_rate(subject, 0.01)
    suspicion = Suspicion("lr-too-high", "optimizer.lr", "?", prior=prior, cures=(cure,))
    return Trial(suspicion, cure, level, looked(0.6 + gain, 0.6 + gain), gain, {"steps": 50, "share": 1.0})


def counted(subject, gains):
    """Rehearsals that are worth 0.5 without, and that much more with a cure, in turn."""
    asked, left = [], iter(gains)

    def rehearse(cure=None, *, again=0, **how):
        asked.append((cure is not None, again, how["steps"]))
        subject.meter.spend(how["steps"])
        score = 0.5 + (next(left) if cure is not None else 0.0)
        return looked(score, score)

    vars(subject)["rehearse"] = rehearse
    return asked


def test_a_repeated_trial_has_the_mean_of_its_gains():
    subject = Subject(program(), Meter(1000))
    asked = counted(subject, [0.2, 0.4])
    once = repeated(subject, trial_of(subject, 0.06), 1)
    assert once.gain == pytest.approx((0.06 + 0.2) / 2)
    twice = repeated(subject, once, 2)
    assert twice.gain == pytest.approx((0.06 + 0.2 + 0.4) / 3) and twice.run is not None
    assert asked == [(False, 1, 50), (True, 1, 50), (False, 2, 50), (True, 2, 50)]


def test_another_turn_is_another_order_of_the_samples():
    subject = Subject(program(), Meter(1000))
    first, again, third = (subject.rehearse(None, steps=10, share=0.0, again=k) for k in (0, 0, 1))
    assert first.losses == again.losses and first.losses != third.losses


@pytest.mark.parametrize(
    ("gain", "more", "turns", "end"),
    [
        (NOTABLE + 0.01, [0.0, 0.0], 2, None),  # it comes out close again
        (NOTABLE - 0.02, [0.4], 1, (NOTABLE - 0.02 + 0.4) / 2),
        (NOTABLE + 0.02, [-0.3], 1, (NOTABLE + 0.02 - 0.3) / 2),
        (NOTABLE + 0.2, [], 0, NOTABLE + 0.2),
        (NOTABLE - 0.2, [], 0, NOTABLE - 0.2),
    ],
    ids=["undecided", "won", "lost", "clear", "clearly none"],
)
def test_a_close_trial_is_repeated_and_a_clear_one_is_not(gain, more, turns, end):
    subject = Subject(program(), Meter(1000))
    found = Reasoned(subject, subject)
    trial = trial_of(subject, gain)
    other = trial_of(subject, -0.3)
    found.trials = [trial, other]
    asked = counted(subject, more)
    after = confirmed(found, [trial, other])
    assert len(asked) == 2 * turns and after[1] is other and found.trials == after
    if end is not None:
        assert after[0].gain == pytest.approx(end)
    assert (after[0] is trial) == (turns == 0)


def test_a_close_trial_is_left_where_it_cannot_be_repeated():
    poor = Subject(program(), Meter(100))
    trial = trial_of(poor, NOTABLE + 0.01)
    poor.meter.spend(1.0)
    assert not affords_repetition(poor, trial)  # two rehearsals of fifty, and their scores
    rich = Subject(program(), Meter(150))
    assert affords_repetition(rich, trial) and not affords_repetition(rich, replace(trial, how={}))
    found = Reasoned(poor, poor)
    asked = counted(poor, [])
    assert confirmed(found, [trial]) == [trial] and asked == []


def test_what_a_probe_has_measured_is_not_repeated():
    subject = Subject(program(), Meter(1000))
    trial = trial_of(subject, NOTABLE + 0.01)
    known = replace(trial, suspicion=replace(trial.suspicion, gain=trial.gain))
    unmade = replace(trial, run=trial.before.run)
    asked = counted(subject, [])
    assert confirmed(Reasoned(subject, subject), [known, unmade]) == [known, unmade] and asked == []


# a training that has come to rest


@pytest.mark.parametrize(
    ("losses", "rests"),
    [
        ([1.0] * 60, True),
        ([1.0 + 0.02 * i for i in range(60)], True),
        ([1.0 / (1 + 3 * i) for i in range(60)], True),  # fallen, and no more
        ([1.0 - 0.01 * i for i in range(60)], False),
        ([0.97**i for i in range(60)], False),
        ([1.0] * 20, False),
    ],
    ids=["flat", "rising", "fallen", "falling", "decaying", "too short"],
)
def test_a_loss_that_does_not_fall_or_no_more_rests(losses, rests):
    assert bool(_rests(looked(0.5, 0.5, losses=losses))) is rests
    assert not _rests(looked(0.5, 0.5, losses=[*losses[:-1], math.nan]))


def test_a_longer_opening_is_not_made_of_schedules_or_with_few_passes_left():
    schedule = Subject(program(scheduler=lambda o: torch.optim.lr_scheduler.StepLR(o, 50)), Meter(1000))
    poor, rich = Subject(program(), Meter(100)), Subject(program(), Meter(1000))
    assert [_affords_longer(subject) for subject in (schedule, poor, rich)] == [False, False, True]
    vars(poor)["longer"] = looked(0.5, 0.5)  # made before: costs nothing
    assert _affords_longer(poor)


def test_a_rate_that_is_too_high_is_compared_with_more_steps_at_its_own_pace():
    subject = staged(looked(0.5, 0.5, steps=30), looked(0.2, 0.2))
    vars(subject)["longer"] = looked(0.5, 0.5, losses=[1.0] * 60)
    opening = Level(subject.opening, {"steps": 30, "share": 0.0})
    high = replace(trial_of(subject, 0.0).suspicion, prior=0.5)
    assert _compared(subject, high, opening).run is subject.longer
    assert _compared(subject, replace(high, prior=0.2), opening) is opening
    vars(subject)["longer"] = looked(0.5, 0.5, losses=[1.0 - 0.01 * i for i in range(60)])
    assert _compared(subject, high, opening) is opening  # it goes on: control
    late = replace(high, code="lr-too-low")
    assert _compared(subject, late, opening).run is subject.whole


def test_what_plainly_swings_is_compared_over_the_whole_and_cured_more_slowly_first():
    subject = staged(looked(0.5, 0.5, steps=30), looked(0.2, 0.2))
    vars(subject)["longer"], vars(subject)["steps"] = looked(0.5, 0.5, losses=[1.0] * 60), 450
    opening = Level(subject.opening, {"steps": 30, "share": 0.0})
    swings = replace(trial_of(subject, 0.0).suspicion, code="momentum-too-high")
    level = _compared(subject, swings, opening)
    assert level.run is subject.whole
    shares = [how["share"] for how in _paces(subject, swings, swings.cures[0], level)]
    assert shares == pytest.approx([1 / 3, 1.0])  # nine times the pace, and the root of it
    likely = replace(swings, code="lr-too-low")
    shares = [how["share"] for how in _paces(subject, likely, likely.cures[0], level)]
    assert shares == pytest.approx([1.0, 1 / 3])  # control


def test_a_cure_is_tried_at_the_pace_at_which_the_program_did_no_better():
    subject = staged(looked(0.5, 0.5, steps=30), looked(0.2, 0.2))
    opening = Level(subject.opening, {"steps": 30, "share": 0.0})
    cause = trial_of(subject, 0.0).suspicion
    assert [how["share"] for how in _paces(subject, cause, cause.cures[0], opening)] == [0.0, 1.0]
    subject.slower_share = 0.3
    paces = list(_paces(subject, cause, cause.cures[0], opening))
    assert [(how["steps"], how["share"]) for how in paces] == [(30, 0.0), (50, 0.3)]


def test_many_small_batches_are_rehearsed_slowly_and_in_more_steps_than_the_program_has():
    subject = staged(looked(0.5, 0.5, steps=12), looked(0.2, 0.2, steps=12))
    vars(subject)["steps"] = 12
    smaller = set_field(subject, "batch_size", 4, steps=40.0)
    whole = Level(subject.whole, {"steps": 12, "share": 1.0})
    assert whole.alike(smaller)["steps"] == 50 and whole.alike(set_rate(subject, 0.1))["steps"] == 12
    assert Level(subject.whole, {"steps": 50, "share": 1.0}).alike(smaller)["steps"] == 100
    few = Suspicion("batch-size-extreme", "batch_size", "?", prior=0.8, cures=(smaller,))
    shares = [how["share"] for how in _paces(subject, few, smaller, whole)]
    assert shares == pytest.approx([(50 / 480) ** 0.5, 1.0])


def test_a_part_of_the_training_says_nothing_of_its_length():
    subject = staged(looked(0.5, 0.5, steps=30), looked(0.2, 0.2))
    longer = set_field(subject, "epochs", 20, factor=5.0)
    short = Suspicion("too-few-epochs", "epochs", "?", prior=0.5, cures=(longer,))
    part = Level(looked(0.5, 0.5), {"steps": 50, "share": 0.4})
    assert tried(subject, short, longer, part, 0.1) is None
    assert tried(subject, short, longer, Level(subject.whole, {"steps": 50, "share": 1.0}), 0.1) is not None


# what is taken though nothing shows that it helps


@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        ({}, True),
        ({"prior": 0.8}, False),
        ({"gain": -0.2}, False),
        ({"score": 0.7}, False),  # it learns
        ({"factor": 80.0}, False),  # its rehearsal says little
        ({"accepted": True}, False),
        ({"losses": [1.0, math.nan]}, False),
    ],
    ids=["needed", "not likely", "harms", "learns", "hurried", "something was found", "breaks off"],
)
def test_what_all_but_always_costs_quality_is_taken_where_nothing_helps(changed, taken):
    subject = Subject(program(), Meter(1000))
    given = {"prior": 0.9, "gain": 0.0, "score": 0.2, "factor": 2.0, "accepted": False, "losses": None, **changed}
    level = Level(looked(given["score"], given["score"], factor=given["factor"]), {"steps": 50, "share": 1.0})
    cured = looked(given["score"], given["score"], losses=given["losses"])
    trial = replace(trial_of(subject, given["gain"], given["prior"]), before=level, run=cured)
    found = Reasoned(subject, subject)
    found.accepted = [trial] if given["accepted"] else []
    chosen = plainly_needed(found, [trial_of(subject, 0.0, 0.3), trial], level)
    assert [t.suspicion.prior for t in chosen] == ([0.9] if taken else [])
    assert all(t.gain == NOTABLE for t in chosen)


def test_of_several_the_likeliest_is_taken():
    subject = Subject(program(), Meter(1000))
    level = Level(looked(0.2, 0.2), {"steps": 50, "share": 1.0})
    trials = [trial_of(subject, gain, prior) for prior, gain in ((0.86, 0.03), (0.95, 0.01), (0.95, 0.02))]
    (chosen,) = plainly_needed(Reasoned(subject, subject), trials, level)
    assert chosen.cure is trials[2].cure and chosen.suspicion.prior == 0.95


def test_the_length_of_the_training_is_of_our_making_once_a_cure_has_changed_it():
    subject = Subject(program(), Meter(1000))
    found = Reasoned(subject, subject)
    assert of_our_making(found) == frozenset()
    found.accepted = [trial_of(subject, 0.1)]
    assert of_our_making(found) == frozenset()
    smaller = set_field(subject, "batch_size", 5, steps=4.0)
    found.accepted = [replace(trial_of(subject, 0.1), cure=smaller)]
    assert of_our_making(found) == OF_LENGTH
    longer = replace(trial_of(subject, 0.1).suspicion, code="too-few-epochs")
    found.accepted = [replace(trial_of(subject, 0.1), suspicion=longer)]
    assert of_our_making(found) == OF_LENGTH


def test_what_is_of_our_making_is_not_tried():
    subject = Subject(program(), Meter(1000))
    level = Level(looked(0.2, 0.2), {"steps": 50, "share": 1.0})
    cure = set_field(subject, "epochs", 100)
    few = Suspicion("too-few-epochs", "epochs", "?", prior=0.9, cures=(cure,))
    for changes, tries in (({}, 1), ({"steps": 4.0}, 0)):
        found = Reasoned(subject, subject)
        smaller = set_field(subject, "batch_size", 5, **changes)
        found.accepted = [replace(trial_of(subject, 0.1), cure=smaller)]
        counted(subject, [0.3])
        assert len(try_cures(found, [few], level)) == tries
