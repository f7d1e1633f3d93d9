"""``trainwell race`` and ``trainwell methods``: words, tables, JSON, exit codes."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import typer

from trainwell.cli import race_table
from trainwell.cli.race import duration, read_rates
from trainwell.optim import METHODS

CHEAP = (
    *("--model", "mlp", "--set", "model.width=8", "--set", "precision.dtype=float32"),
    *("--set", "precision.channels_last=false", "--set", "precision.threads=1", "--device", "cpu"),
)
RATES = ("--rates", "sgd=0.1,adamw=0.01")


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A race of 20 steps, its folder and what --json said of it."""
    folder = tmp_path_factory.mktemp("races") / "a race"
    words = ["race", "digits", "--methods", "sgd, adamw", "--steps", "20", *RATES, *CHEAP, "-o", str(folder), "--json"]
    done = subprocess.run([sys.executable, "-m", "trainwell", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_json_is_the_one_object_of_the_file(raced):
    folder, found = raced
    assert found == json.loads((folder / "race.json").read_text())
    assert found["race"] == str(folder) and found["steps_each"] == 20 and found["data"] == "digits"
    first = [method["curve"][0]["train_loss"] for method in found["methods"]]
    assert first[0] == first[1] and [method["lr"] for method in found["methods"]] == [0.1, 0.01]
    assert (folder / "race.html").is_file()


def test_a_second_race_into_the_folder_is_refused(raced, run):
    done = run("race", "digits", "-o", str(raced[0]))
    assert done.code == 2 and "exists" in done.err


def test_the_table_says_who_won(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("race", "digits", "--methods", "sgd,scgd", "--steps", "10", "--rates", "sgd=0.1", *CHEAP, "-q")
    assert done.code == 0 and done.err == ""
    lines = done.out.splitlines()
    assert lines[0].split()[:2] == ["method", "outcome"] and lines[1].split()[:4] == ["sgd", "finished", "0.1", "10"]
    assert "scgd: Left out" in done.out and "By the clock  sgd" in done.out
    assert f"Report        {pathlib.Path('races/digits-1/race.html')}" in done.out
    assert (tmp_path / "races" / "digits-1" / "race.html").is_file()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_tables_keep_within_the_terminal(run, monkeypatch, width):
    from trainwell.search.outcome import Entry, Look, Race

    monkeypatch.setattr(race_table, "width", lambda: width)
    looks = tuple(Look(i, i / 3, {"loss": 2.0 / (i + 1)}, {"loss": 2.0, "accuracy": 0.5}) for i in range(9))
    entries = tuple(
        Entry(name, "finished", lr=1e-3, looks=looks, batch_losses=(1.0,) * 1234, memory=2.0)
        for name in ("sgd", "schedule_free_adamw")
    )
    assert max(map(len, race_table.race_lines(Race(entries)))) <= max(width, 72)
    assert race_table.race_lines(Race(entries))[1].startswith("sgd")
    listed = run("methods").out.splitlines()
    assert max(map(len, listed)) <= width and ("0.001" in run("methods", "adamw").out)


def test_methods_lists_all(run):
    found = json.loads(run("methods", "--json").out)["methods"]
    assert [line["name"] for line in found] == list(METHODS)
    assert set(found[0]) >= {"name", "deck", "cost", "memory", "needs", "lr", "why"}
    shown = run("methods", "sgd").out
    assert "He et al. 2016" in shown and "adamw" not in shown


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        (("race", "digits", "--methods", "sgd,adamq"), "'adamq'", "Did you mean 'adam"),
        (("methods", "adamq"), "'adamq'", "Did you mean 'adam"),
        (("race", "digits", "--methods", ","), "no method is named", "trainwell methods"),
        (("race", "--methods", "sgd"), "No data", "digits"),
        (("race", "digits", "--budget", "0s"), "0s", "--help"),
        (("race", "digits", "--budget", "60s", "--steps", "3"), "both", "one of them"),
        (("race", "digits", "--rates", "sgd"), "NAME=RATE", "--help"),
        (("race", "digits", "--rates", "lion=1"), "lion, which does not race", "sgd"),
    ],
)
def test_wrong_words_are_input_errors(run, words, message, remedy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.code == 2 and message in done.err and remedy in done.err
    assert list(tmp_path.iterdir()) == []


def test_durations_and_rates_are_read():
    assert [duration(text) for text in ("90", "60s", "2m", "1.5h", "3 min")] == [90, 60, 120, 5400, 180]
    assert read_rates("sgd=0.1, adamw=1e-3") == {"sgd": 0.1, "adamw": 1e-3} and read_rates(None) == {}
    for wrong in ("", "s", "-1s", "1d", "0"):
        with pytest.raises(typer.BadParameter):
            duration(wrong)


@pytest.mark.skipif(os.name == "nt", reason="signals cannot be sent there")
def test_an_interrupted_race_reports_what_was_run(tmp_path):
    words = ["race", "digits", "--methods", "sgd,adamw", "--budget", "10m", *RATES, *CHEAP, "-o", str(tmp_path / "r")]
    command = [sys.executable, "-m", "trainwell", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("Racing"):
                break
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Stopped by SIGINT before the end" in err
    assert "stopped" in out and "By the clock" in out
    found = json.loads((tmp_path / "r" / "race.json").read_text())
    assert found["stopped"] == signal.SIGINT and all(m["status"] == "stopped" for m in found["methods"])
    assert "stopped by a signal" in (tmp_path / "r" / "race.html").read_text()
