"""A signal while nothing is being trained ends the process at once, with one sentence and 128 + its number."""

import json
import os
import signal
import subprocess
import sys

import pytest

WAIT = """
import sys, time
from trainwell.cli import main as module
def wait(words):
    print("ready", file=sys.stderr, flush=True)
    time.sleep(60)
module._run = wait
sys.exit(module.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals cannot be sent there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_one_sentence_and_the_code(number, words):
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr and process.stderr.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert err.count("\n") == 1 and number.name in err and "\x1b" not in err
    if words:
        assert number.name in json.loads(out)["error"]["message"]
    else:
        assert out == ""


def test_handlers_are_put_back(run):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run("--version")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("ending", [True, False])
def test_a_signal_while_the_finished_process_is_taken_down_does_not_change_its_exit_code(number, ending):
    code = (
        "import os, signal\nfrom trainwell.cli.main import main\n"
        f"signal.signal({int(number)}, signal.SIG_DFL)\n"  # whoever runs the tests in the background may ignore it
        f"main(['--version'], ending={ending})\nos.kill(os.getpid(), {int(number)})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == ending  # control: the process would end by the signal
