"""SIGINT and SIGTERM: noted in a step, immediate in validation, and everything put back afterwards."""

import os
import signal
import subprocess
import sys
import threading

import pytest
import torch
from small_programs import kill_at, mlp, program, weights
from torch import nn

from trainwell.training import Training, fit, stopping

BOTH = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])


def handlers():
    return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)


def hit(signum=signal.SIGTERM):
    os.kill(os.getpid(), signum)


@BOTH
def test_a_signal_ends_the_run_after_its_step_and_tells_which(signum, tmp_path):
    before, events = handlers(), []
    with pytest.raises(stopping.Stopped) as stop:
        fit(
            program(),
            folder=tmp_path,
            callbacks=[kill_at(5, signum=signum), lambda event, state: events.append((event, state.step))],
        )
    assert stop.value.signum == signum and stop.value.folder == tmp_path
    assert str(stop.value) == f"stopped by {signal.Signals(signum).name}"
    assert events[-1] == ("checkpoint_saved", 5) and ("step_end", 5) in events
    assert (tmp_path / "checkpoint" / "stopped-000000005.pt").is_file()
    assert handlers() == before


def test_the_weights_are_those_of_the_whole_step(tmp_path):
    """The signal comes in the middle of the forward pass of step 5; steps are never cut in half."""

    class Hit(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.calls = mlp(), 0

        def forward(self, x):
            self.calls += 1
            if self.calls == 5:
                hit()
            return self.body(x)

    made, reference = program(Hit()), program(Hit())
    with pytest.raises(stopping.Stopped):
        fit(made, folder=tmp_path)
    reference.model.calls = 10
    fit(reference, callbacks=[lambda event, state: event == "step_end" and state.step == 5 and state.stop()])
    assert torch.equal(weights(made.model), weights(reference.model))


def test_validation_is_left_at_once_and_repeated_later(tmp_path):
    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.validated = mlp(), 0

        def forward(self, x):
            if not self.training:
                self.validated += 1
                if self.validated == 2:
                    hit()
            return self.body(x)

    x, y = torch.randn(5 * 256, 5), torch.zeros(5 * 256, dtype=torch.long)
    made = program(Slow(), val=(x, y))
    with pytest.raises(stopping.Stopped):
        fit(made, folder=tmp_path)
    assert made.model.validated == 2  # of five batches
    assert made.model.training  # the mode was put back
    again = program(Slow(), val=(x, y), epochs=3)
    again.model.validated = 2
    assert len(fit(again, folder=tmp_path, resume=True).history) == 3


def test_without_a_folder_a_signal_still_ends_the_run():
    with pytest.raises(stopping.Stopped) as stop:
        fit(program(), callbacks=[kill_at(2)])
    assert stop.value.folder is None


def test_outside_a_shield_a_signal_raises_at_once():
    with stopping.listening(), pytest.raises(stopping.Stopped):
        hit()
        raise AssertionError("not reached")


def test_inside_a_shield_it_is_noted_until_asked_for():
    with stopping.listening(), pytest.raises(stopping.Stopped):
        with stopping.shielded():
            with stopping.shielded():
                hit()
                assert stopping.wished()
            assert stopping.wished()
        stopping.check()


def test_an_exposed_part_of_a_shield_raises_what_came_before_and_what_comes():
    with stopping.listening(), stopping.shielded():
        with pytest.raises(stopping.Stopped), stopping.exposed():
            hit()
            raise AssertionError("not reached")
        with pytest.raises(stopping.Stopped), stopping.exposed():
            raise AssertionError("not reached: the wish is still there")
        hit()  # the shield holds again


@pytest.mark.parametrize("how", ["normally", "by an error"])
def test_handlers_and_wishes_are_as_before_afterwards(how):
    before = handlers()
    try:
        with stopping.listening(), stopping.shielded():
            hit()
            assert handlers() != before
            if how == "by an error":
                raise RuntimeError
    except RuntimeError:
        pass
    assert handlers() == before and not stopping.wished()
    stopping.check()


def test_nested_listening_changes_nothing():
    with stopping.listening():
        inner = handlers()
        with stopping.listening():
            assert handlers() == inner
        assert handlers() == inner


def test_a_thread_may_fit_though_it_cannot_take_signals():
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(program(epochs=1)).history))
    thread.start()
    thread.join()
    assert len(found[0]) == 1


INSISTENT = """
import os, signal, sys
from trainwell.training import stopping
with stopping.listening(), stopping.shielded():
    for i in range(int(sys.argv[1])):
        os.kill(os.getpid(), signal.SIGINT)
    print("saved", flush=True)
"""


@pytest.mark.parametrize(("presses", "output", "code"), [(3, b"saved", 0), (4, b"", 130)])
def test_who_insists_is_obeyed_though_nothing_is_saved(presses, output, code):
    done = subprocess.run([sys.executable, "-c", INSISTENT, str(presses)], capture_output=True, check=False)
    assert done.stdout.strip() == output and done.returncode == code, done.stderr


def test_a_run_that_was_never_disturbed_hears_nothing():  # control
    assert len(fit(program(), training=Training()).history) == 3
