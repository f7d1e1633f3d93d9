"""``trainwell train`` watches what it trains: said while it happens, kept in the report, and nothing is changed."""

import json

import pytest
from safetensors.torch import load_file

FAST = [
    *("--set", "precision.dtype=float32", "--set", "precision.threads=1", "--set", "precision.channels_last=false"),
    *("--model", "mlp", "--set", "model.width=32", "--set", "model.depth=1"),
    *("--epochs", "3", "--no-exam", "--json"),
]
WILD = ["--set", "optimizer.name=sgd", "--lr", "150"]  # far too high


@pytest.fixture(autouse=True)
def every_step_is_looked_at(monkeypatch):
    """What is found does not depend on the clock here."""
    from trainwell.clinic.watching.pace import Pace

    monkeypatch.setattr(Pace, "due", lambda pace, step: True)
    monkeypatch.setattr(Pace, "tired", False)


def test_what_goes_wrong_is_said_and_kept(tmp_path, run):
    done = run("train", "digits", *FAST, *WILD, "-o", str(tmp_path / "wild"))
    assert done.code == 0
    (line,) = [line for line in done.err.splitlines() if line.startswith("At step ")]
    assert "lr-too-high at optimizer.lr" in line
    for file in ("report.html", "log.txt"):
        assert "lr-too-high at optimizer.lr" in (tmp_path / "wild" / file).read_text(encoding="utf-8")
    again = run("resume", str(tmp_path / "wild"), "--json")  # it is done: nothing is trained, nothing is said
    assert again.code == 0 and "At step " not in again.err


def test_it_can_be_left_out(tmp_path, run):
    done = run("train", "digits", *FAST, *WILD, "--set", "training.watch=false", "-o", str(tmp_path / "unseen"))
    assert done.code == 0 and "At step " not in done.err


def test_a_healthy_run_is_silent_and_the_same_bit_for_bit(tmp_path, run):
    weights = []
    for name, watch in (("seen", "true"), ("unseen", "false")):
        done = run("train", "digits", *FAST, "--set", f"training.watch={watch}", "-o", str(tmp_path / f"calm-{name}"))
        assert done.code == 0 and "At step " not in done.err and json.loads(done.out)["metrics"]
        weights.append(load_file(tmp_path / f"calm-{name}" / "model.safetensors"))
    assert weights[0].keys() == weights[1].keys()
    assert all(bool((weights[0][key] == weights[1][key]).all()) for key in weights[0])


def test_folds_are_watched(tmp_path, run):
    done = run("train", "digits", *FAST, *WILD, "--folds", "2", "-o", str(tmp_path / "folds"))
    assert done.code == 0
    assert sum(line.startswith("At step ") for line in done.err.splitlines()) == 2
