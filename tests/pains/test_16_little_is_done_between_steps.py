"""Lightning-AI/pytorch-lightning#6196, #8857, #3568, neural_prophet#972: 1.5 to 2.3 times the bare loop on small nets.

Timings are in ``bench/overhead.py``; here is what makes the difference: nothing waits for the device in a step, and few
functions of ours are called.
"""

import sys

import pytest
import torch
from pain_programs import mlp, program, table
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from trainwell.training import Training, fit

WAITING = ("item", "tolist", "__float__", "__int__", "__bool__", "cpu", "numpy")
QUIET = Training(log_every=10_000, checkpoint_every=10_000)
FEW, MANY = 10, 60  # steps


def fused(parameters):
    return torch.optim.AdamW(parameters, lr=0.01, fused=True)


def one_epoch(steps, **changes):
    made = {"train": table(8 * steps), "val": None, "epochs": 1, "optimizer": fused, **changes}
    return program(**made)


@pytest.fixture
def waits(monkeypatch):
    """Calls that need a tensor's value, and so wait for the device."""
    calls = []
    for name in WAITING:
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda *args, real=real, name=name: (calls.append(name), real(*args))[1]
        )
    return calls


def scheduler(optimizer):
    return OneCycleLR(optimizer, max_lr=0.05, total_steps=1000)


CASES = {
    "plain": {},
    "clipped": {"clip_grad": 1.0},
    "scheduled": {"scheduler": scheduler},
    "weighted": {"weighted": True},
    "averaged": {"training": {"ema": 0.9}},
}


@pytest.mark.parametrize("case", CASES)
def test_no_step_waits_for_the_device(case, waits):
    changes = dict(CASES[case])
    training = QUIET.with_(**changes.pop("training", {}))
    weighted = changes.pop("weighted", False)
    counts = []
    for steps in (FEW, MANY):
        x, y = table(8 * steps)
        data = (x, y, torch.linspace(0.5, 1.5, len(y))) if weighted else (x, y)
        waits.clear()
        fit(one_epoch(steps, train=data, **changes), training=training)
        counts.append(len(waits))
    assert counts[0] == counts[1]


def test_a_loop_that_sums_the_loss_waits_in_every_step(waits):  # control
    model, total = mlp(), 0.0
    optimizer = fused(model.parameters())
    x, y = table(8 * MANY)
    for start in range(0, len(y), 8):
        optimizer.zero_grad()
        loss = cross_entropy(model(x[start : start + 8]), y[start : start + 8])
        loss.backward()
        optimizer.step()
        total += loss.item()
    assert len(waits) >= MANY


def calls_of_ours(steps):
    """Calls of Python functions of trainwell in a run of so many steps."""
    count = 0

    def profile(frame, event, _):
        nonlocal count
        count += event == "call" and frame.f_globals.get("__name__", "").startswith("trainwell")

    made = one_epoch(steps)
    sys.setprofile(profile)
    try:
        fit(made, training=QUIET)
    finally:
        sys.setprofile(None)
    return count


def test_a_step_is_a_dozen_calls_of_ours_at_most():
    assert (calls_of_ours(MANY) - calls_of_ours(FEW)) / (MANY - FEW) <= 12  # 10 in this program


def test_callbacks_are_told_of_steps_only_where_there_are_any():
    told = []
    fit(one_epoch(FEW), training=QUIET, callbacks=[lambda event, state: told.append(event)])
    assert told.count("step_end") == FEW
