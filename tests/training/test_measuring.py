"""Picking arithmetic, layout and threads by timing, with a clock that we hold in our hands."""

import json

import pytest
import torch
from small_programs import mlp, program, weights
from torch import nn

from trainwell.training import measure
from trainwell.training.measure import Choice, choices, pick, seconds_per_step

CPU = torch.device("cpu")
PLAIN, LOW, LAST = Choice(1), Choice(1, "bfloat16"), Choice(1, "float32", True)


@pytest.fixture
def timed(monkeypatch, tmp_path):
    """Each choice's steps take what the test says."""
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path))
    seconds: dict[str, float] = {}
    counts: dict[str, int] = {}

    def time_step(trial, batch, device):
        name = str(Choice(torch.get_num_threads(), "bfloat16" if trial.step.forward._low else "float32"))
        counts[name] = counts.get(name, 0) + 1
        return seconds[name]

    monkeypatch.setattr(measure, "_time_step", time_step)
    monkeypatch.setattr(measure, "give_back", lambda: None)
    monkeypatch.setattr(measure, "_busy", lambda: False)
    return seconds, counts


@pytest.mark.parametrize(("low", "chosen"), [(0.5, LOW), (0.86, LOW), (0.88, PLAIN), (1.0, PLAIN), (2.0, PLAIN)])
def test_only_a_clear_gain_is_taken(low, chosen, timed):
    seconds, _ = timed
    seconds.update({str(PLAIN): 1.0, str(LOW): low})
    found = pick(program(), "cpu", [PLAIN, LOW], None)
    assert found.choice == chosen and seconds_per_step(found) == seconds[str(chosen)]
    other = LOW if chosen == PLAIN else PLAIN
    ratio = seconds[str(other)] / seconds[str(chosen)]
    assert found.why() == f"measured: {other} takes {ratio:.2f} times as long"


def test_what_was_measured_is_remembered_by_model_and_machine(timed, tmp_path):
    seconds, counts = timed
    seconds.update({str(PLAIN): 1.0, str(LOW): 0.5})
    first = pick(program(), "cpu", [PLAIN, LOW], None)
    done = dict(counts)
    again = pick(program(), "cpu", [PLAIN, LOW], None)
    assert counts == done and again.remembered and again.choice == first.choice and "measured before" in again.why()
    pick(program(mlp(norm=True)), "cpu", [PLAIN, LOW], None)
    assert counts != done
    (tmp_path / "measured.json").write_text("{cut sho")
    assert not pick(program(), "cpu", [PLAIN, LOW], None).remembered
    assert len(json.loads((tmp_path / "measured.json").read_text())) == 1


def test_what_was_measured_on_a_busy_machine_is_not_remembered(timed, tmp_path, monkeypatch):
    seconds, _ = timed
    seconds.update({str(PLAIN): 1.0, str(LOW): 0.5})
    monkeypatch.setattr(measure, "_busy", lambda: True)
    assert pick(program(), "cpu", [PLAIN, LOW], None).choice == LOW
    assert not pick(program(), "cpu", [PLAIN, LOW], None).remembered


def test_a_cache_that_cannot_be_written_costs_nothing_else(timed, tmp_path, monkeypatch):
    seconds, _ = timed
    seconds.update({str(PLAIN): 1.0, str(LOW): 0.5})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path / "file" / "below"))
    assert pick(program(), "cpu", [PLAIN, LOW], None).choice == LOW


def test_one_choice_is_not_timed():
    found = pick(program(), "cpu", [PLAIN], None)
    assert found.choice == PLAIN and found.why() == "nothing to choose" and seconds_per_step(found) is None


def test_the_program_and_the_random_state_stay_as_they_are(monkeypatch, tmp_path):
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path))
    made = program(mlp(0.5, norm=True))
    before, state, threads = weights(made.model), torch.get_rng_state(), torch.get_num_threads()
    told = []
    pick(made, "cpu", [PLAIN, LOW], told.append)
    assert torch.equal(weights(made.model), before) and torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads and set(told) == {str(PLAIN), str(LOW)}


def test_choices_are_what_settings_leave_open():
    auto = {"threads": 1, "dtype": "auto", "channels_last": "auto", "device": CPU}
    plain, pictures = program(), program(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()))
    assert choices(plain, low=True, **auto) == [PLAIN, LOW]
    assert choices(plain, low=False, **auto) == [PLAIN]
    assert choices(pictures, low=False, **auto) == [PLAIN, LAST]
    assert choices(pictures, low=True, **{**auto, "dtype": "bfloat16", "channels_last": True}) == [
        Choice(1, "bfloat16", True)
    ]
    assert {c.threads for c in choices(plain, low=False, **{**auto, "threads": "auto"})} <= {1, torch.get_num_threads()}
