"""Lightning-AI/pytorch-lightning#17543: resumed ≠ uninterrupted though deterministic; the global step is off by one."""

import pytest
import torch
from pain_programs import SETTINGS, adam, interrupted, mlp, program, table, weights
from torch.nn.functional import cross_entropy

from trainwell.training import fit

FILES = ("metrics.jsonl", "model.safetensors", "best.safetensors")


@pytest.mark.parametrize("step", [1, 5, 12, 16])
def test_files_are_equal_byte_for_byte_and_every_step_is_counted_once(step, tmp_path):
    counted = []

    def count(event, state):
        if event == "step_end":
            counted.append(state.step)

    whole = fit(program(), training=SETTINGS, folder=tmp_path / "whole")
    again = interrupted(program, tmp_path / "again", step, callbacks=[count])
    assert counted == list(range(1, 25))
    assert torch.equal(weights(again.model), weights(whole.model)) and again.history == whole.history
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def bare(stop):
    """24 steps of a page of PyTorch; at ``stop`` the weights and the optimizer's state go through a checkpoint."""
    torch.manual_seed(0)
    model = mlp()
    optimizer = adam(model.parameters())
    x, y = table()
    for step in range(24):
        if step == stop:
            saved = model.state_dict(), optimizer.state_dict()
            model = mlp()
            optimizer = adam(model.parameters())
            model.load_state_dict(saved[0])
            optimizer.load_state_dict(saved[1])
            torch.manual_seed(999)  # a new process
        index = torch.randperm(len(y))[:8]
        optimizer.zero_grad()
        cross_entropy(model(x[index]), y[index]).backward()
        optimizer.step()
    return weights(model)


def test_weights_and_moments_alone_are_not_the_whole_state():  # control
    assert not torch.equal(bare(stop=12), bare(stop=None))
    assert torch.equal(bare(stop=None), bare(stop=None))
