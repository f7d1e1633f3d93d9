"""Whole command lines in processes of their own, on embedded data."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CHEAP = (
    *("--model", "mlp", "--lr", "0.01", "--set", "precision.dtype=float32", "--set", "precision.channels_last=false"),
    *("--set", "precision.threads=1", "--set", "output.report=false"),
)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "trainwell", *map(str, words)]


def run(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, dict]:
    """A run of one epoch on the digits, and what --json said of it."""
    folder = tmp_path_factory.mktemp("runs") / "digits run"
    done = run("train", "digits", "--epochs", 1, *CHEAP, "-o", folder, "--json")
    return folder, json.loads(done.stdout)


def test_train_says_what_the_folder_holds(trained):
    folder, result = trained
    assert result["run"] == str(folder) and result["best_epoch"] == 1 and result["task"] == "classification"
    assert set(result["metrics"]) == {"train", "val", "test"} and 0.1 < result["metrics"]["test"]["accuracy"] <= 1
    assert (folder / "recipe.toml").is_file() and (folder / "best.safetensors").is_file()


def test_evaluate_measures_the_same_again(trained):
    folder, result = trained
    again = json.loads(run("evaluate", folder, "--json").stdout)
    assert again["metrics"]["test"]["accuracy"] == pytest.approx(result["metrics"]["test"]["accuracy"])


def test_predict_is_a_table_with_a_row_a_sample(trained, tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((7, 1, 8, 8), np.uint8))
    rows = list(csv.DictReader(io.StringIO(run("predict", trained[0], tmp_path / "images.npy").stdout)))
    assert len(rows) == 7
    assert sum(float(value) for name, value in rows[0].items() if name.startswith("p(")) == pytest.approx(1, abs=1e-5)


def test_summary_of_a_run_counts_its_parameters(trained):
    layers = json.loads(run("summary", trained[0], "--json").stdout)
    assert layers["parameters"] == sum(layer["parameters"] for layer in layers["layers"]) > 0


def test_a_second_run_into_the_folder_is_refused(trained):
    refused = run("train", "digits", "-o", trained[0], code=2)
    assert "exists" in refused.stderr and refused.stdout == ""


def test_data_that_are_not_there(tmp_path):
    error = json.loads(run("train", tmp_path / "absent.csv", "--json", code=2).stdout)["error"]
    assert "absent.csv" in error["message"] and error["remedy"]


def test_no_data_at_all():
    assert "No data" in run("train", code=2).stderr


@pytest.mark.skipif(os.name == "nt", reason="signals cannot be sent there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on_and_goes_on(number, tmp_path):
    folder = tmp_path / "stopped"
    words = command("train", "digits", "--epochs", 30, *CHEAP, "-o", folder, "--json")
    job = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert job.stdout and job.stderr
    for line in job.stderr:
        if " 2/30" in line:
            break
    job.send_signal(number)
    out, err = job.communicate(timeout=60)
    assert job.returncode == 128 + number and f"trainwell resume {folder}" in err
    assert str(folder) in json.loads(out)["error"]["message"]
    if number == signal.SIGINT:
        result = json.loads(run("resume", folder, "--json", "--quiet").stdout)
        assert result["run"] == str(folder) and result["metrics"]["test"]["accuracy"] > 0.9
