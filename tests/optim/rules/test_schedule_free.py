"""Schedule-free methods: the switch between the average and the point of the gradient."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import METHODS

BOTH = pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])


def trained(name, steps=7, dtype=torch.float64):
    w = nn.Parameter(torch.linspace(-1, 1, 6, dtype=dtype).reshape(2, 3))
    optimizer = METHODS[name]([{"params": [w]}], 0.1)
    points = []
    for _ in range(steps):
        w.grad = w.detach().sin()
        optimizer.step()
        points.append(optimizer.state[w]["z"].clone())
    return w, optimizer, points


@BOTH
def test_the_average_is_the_mean_of_all_z(name):
    w, optimizer, points = trained(name)
    optimizer.eval()
    assert_close(w.detach(), torch.stack(points).mean(0), rtol=1e-12, atol=1e-12)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_looking_changes_no_bit(name, dtype):
    w, optimizer, _ = trained(name, dtype=dtype)
    before, state = w.detach().clone(), copy.deepcopy(optimizer.state_dict())
    with optimizer.evaluation():
        assert not torch.equal(w, before)
        optimizer.eval()  # twice is once
    assert torch.equal(w, before)
    optimizer.train()
    assert torch.equal(w, before)
    assert optimizer.state_dict()["param_groups"] == state["param_groups"]
    assert optimizer.state_dict()["state"][0].keys() == state["state"][0].keys()


@BOTH
def test_a_state_saved_while_evaluating_goes_on_as_if_it_had_not(name):
    (w, optimizer, _), (v, other, _) = trained(name), trained(name)
    optimizer.eval()
    again = nn.Parameter(w.detach().clone())
    loaded = METHODS[name]([{"params": [again]}], 0.1)
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    loaded.train()
    for p, method in ((again, loaded), (v, other)):
        p.grad = p.detach().sin()
        method.step()
    assert torch.equal(again, v)


@BOTH
def test_a_step_on_the_average_is_refused(name):
    _, optimizer, _ = trained(name)
    optimizer.eval()
    with pytest.raises(RuntimeError, match=r"Call optimizer\.train\(\)"):
        optimizer.step()
    with pytest.raises(RuntimeError), optimizer.evaluation():
        raise RuntimeError
    assert optimizer.param_groups[0]["evaluating"]  # it was so before


@BOTH
def test_before_the_first_step_the_average_is_the_start(name):
    w, optimizer, _ = trained(name, steps=0)
    before = w.detach().clone()
    with optimizer.evaluation():
        assert torch.equal(w, before)


def test_the_average_beats_the_last_iterate_under_noise():  # what it is for; control: z itself
    generator = torch.Generator().manual_seed(0)
    w = nn.Parameter(torch.ones(200, dtype=torch.float64))
    optimizer = METHODS["schedule_free_sgd"]([{"params": [w]}], 0.5)
    for _ in range(500):
        w.grad = w.detach() + torch.randn(200, dtype=torch.float64, generator=generator)
        optimizer.step()
    optimizer.eval()
    assert w.detach().norm() < 0.3 * optimizer.state[w]["z"].norm()


def test_no_momentum_is_refused():
    with pytest.raises(ValueError, match="momentum=0"):
        METHODS["schedule_free_sgd"]([nn.Parameter(torch.zeros(1))], momentum=0.0)
