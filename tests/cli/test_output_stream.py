"""Pipes that close, and values that JSON cannot say."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from trainwell.cli.output import columns, plain, span

PUT_MUCH = """
import sys
from trainwell.cli import main as module, output
def much(words):
    for _ in range(20000):
        output.put("line")
module._run = much
sys.exit(module.main([]))
"""
JOB_WITH_CLOSED_STDERR = """
import sys
from trainwell.cli.display import Lines
from types import SimpleNamespace
lines = Lines()
for i in range(20000):
    lines("message", SimpleNamespace(text="a sentence that fills the pipe"))
print("done")
"""


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_reader_that_has_seen_enough_is_no_failure():
    command = subprocess.Popen([sys.executable, "-c", PUT_MUCH], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout and command.stderr
    assert command.stdout.readline() == b"line\n"
    command.stdout.close()
    assert command.stderr.read() == b"" and command.wait() == 0
    command.stderr.close()


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_job_goes_on_when_nobody_reads_its_progress():
    job = subprocess.Popen(
        [sys.executable, "-c", JOB_WITH_CLOSED_STDERR], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert job.stdout and job.stderr
    job.stderr.readline()
    job.stderr.close()
    assert job.stdout.read() == "done\n"
    job.stdout.close()
    job.wait()


def test_json_types():
    value = {"a": np.float32("nan"), "b": np.arange(2), "c": torch.tensor(0.5), "d": float("inf"), 5: (True, None)}
    assert plain(value) == {"a": None, "b": [0, 1], "c": 0.5, "d": None, "5": [True, None]}


def test_columns_stand_under_each_other():
    lines = columns([["a", "bb"], ["ccc", "d"]])
    assert lines == ["a     bb", "ccc    d"]
    assert columns([]) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0.0 s"), (59.6, "60 s"), (60, "1 min 00 s"), (3600, "1 h 00 min")]
)
def test_durations(seconds, text):
    assert span(seconds) == text
