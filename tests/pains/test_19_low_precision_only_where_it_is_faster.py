"""pytorch/pytorch#118499, #146508: bfloat16 on a CPU without units for it is up to 499 times slower, unwarned."""

import pytest
from pain_programs import program

from trainwell.training import Recipe, measure
from trainwell.training.measure import Choice, choices, pick

PLAIN, LOW = Choice(1), Choice(1, "bfloat16")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine on which a step in bfloat16 takes ``ratio`` times as long as in float32."""
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path))

    def set_ratio(ratio):
        real = measure._time_step
        calls = []

        def timed(trial, batch, device):
            calls.append(real(trial, batch, device))
            return 0.01 * (ratio if trial.step.forward._low else 1.0)

        monkeypatch.setattr(measure, "_time_step", timed)
        return calls

    return set_ratio


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(499.0, "float32"), (1.3, "float32"), (1.0, "float32"), (0.95, "float32"), (0.5, "bfloat16"), (0.2, "bfloat16")],
)
def test_what_is_measured_decides(ratio, expected, machine):
    calls = machine(ratio)
    picked = pick(program(), "cpu", [PLAIN, LOW])
    assert picked.choice.dtype == expected and len(calls) >= 4
    other = LOW if expected == "float32" else PLAIN
    assert str(other) in picked.why() and "measured" in picked.why()


def test_the_other_choice_is_taken_on_the_other_machine(machine):  # control: the same model and code
    machine(0.2)
    assert pick(program(), "cpu", [PLAIN, LOW]).choice == LOW


def test_what_was_asked_for_is_not_measured(machine):
    calls = machine(499.0)
    assert pick(program(), "cpu", [LOW]).choice == LOW and not calls
    assert Recipe().precision.dtype == "auto"


def test_a_regression_is_never_put_into_low_precision_by_itself():
    device = measure.resolve_device("cpu")
    tried = choices(program(), threads=1, dtype="auto", channels_last=False, low=False, device=device)
    assert tried == [PLAIN]
    assert LOW in choices(program(), threads=1, dtype="auto", channels_last=False, low=True, device=device)
