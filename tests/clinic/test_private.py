"""A program's own copy shares nothing that training changes."""

import pytest
import torch
from sick_programs import program
from torch import nn

from trainwell.clinic.private import Adjusted, adjust, built, parameters_covered, private
from trainwell.training.rebuilt_optimizer import Rebuilt


def two_groups(net):
    return torch.optim.SGD([{"params": net[0].parameters(), "lr": 0.1}, {"params": net[2].parameters()}], lr=0.01)


def net():
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


def test_an_instance_is_rebuilt_with_its_groups_over_the_copy():
    model = net()
    given = program(net=model, optimizer=two_groups(model))
    own = private(given)
    optimizer = built(own)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01]
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in own.model.parameters()} and not held & {id(p) for p in model.parameters()}
    before = {name: p.clone() for name, p in model.state_dict().items()}
    own.loss(own.model(given.train[0]), given.train[1]).backward()
    optimizer.step()
    assert all(torch.equal(before[name], p) for name, p in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_parameters_of_another_model_are_none_of_its_own():
    given = program(net=net(), optimizer=torch.optim.SGD(net().parameters(), lr=0.1))
    assert parameters_covered(private(given)) == set()


def test_rates_keep_their_proportions():
    model = net()
    optimizer = Adjusted(Rebuilt(two_groups(model), model), lr=1.0, momentum=0.5)(model)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, pytest.approx(0.1)]
    assert all(group["momentum"] == 0.5 for group in optimizer.param_groups)
    adjust(optimizer, lr=0.0)
    assert optimizer.param_groups[1]["lr"] == 0.0


def test_covered_parameters_are_those_of_the_optimizer():
    model = net()
    head = program(net=model, optimizer=torch.optim.SGD(model[2].parameters(), lr=0.1))
    assert parameters_covered(private(head)) == {"2.weight", "2.bias"}
    assert parameters_covered(private(program(net=model))) == {name for name, _ in model.named_parameters()}
