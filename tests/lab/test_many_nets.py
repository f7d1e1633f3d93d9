"""Nets trained at once are the nets trained one by one."""

import copy

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from trainwell.lab.many_nets import ManyNets, best_rate

RATES = (0.1, 0.5)


def net():
    return nn.Sequential(nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()


def together(nets, X, y, **options):
    many = ManyNets(nets)
    many.descend(X, y, rates=torch.tensor(RATES), steps=6, generator=torch.Generator().manual_seed(3), **options)
    return many


def data():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    return X, torch.randint(3, (20,), generator=generator)


def test_whole_batches_give_the_same_as_torchs_optimizer():  # all rows: their order is no matter
    torch.manual_seed(0)
    (X, y), nets = data(), [net(), net()]
    many = together(nets, X, y, batch=20, momentum=0.5)
    outputs = many(X)
    for place, rate in enumerate(RATES):
        alone = copy.deepcopy(nets[place]).train()
        optimizer = torch.optim.SGD(alone.parameters(), lr=rate, momentum=0.5)
        for _ in range(6):
            optimizer.zero_grad()
            cross_entropy(alone(X), y).backward()
            optimizer.step()
        assert_close(outputs[place], alone.eval()(X), rtol=1e-5, atol=1e-6)  # the rates are float32


def test_what_needs_no_gradient_stays_and_the_modules_too():
    torch.manual_seed(0)
    (X, y), nets = data(), [net(), net()]
    for each in nets:
        each[0].requires_grad_(False)
    before = copy.deepcopy(nets[0].state_dict())
    many = together(nets, X, y, batch=5)
    assert_close(many.parameters["0.weight"][0], before["0.weight"], rtol=0, atol=0)
    assert not torch.equal(many.parameters["3.weight"][0], before["3.weight"])
    assert_close(nets[0].state_dict(), before, rtol=0, atol=0)


def test_orders_pass_over_all_rows_and_counted_ones_come_first():
    many = ManyNets([net(), net()])
    rows = many._orders(12, 6, 3, torch.Generator().manual_seed(0))
    drawn = [next(rows) for _ in range(4)]
    for place in range(2):
        assert sorted(torch.cat([each[place, :3] for each in drawn]).tolist()) == list(range(12))
        assert all(len(set(each[place].tolist())) == 6 for each in drawn)


def test_the_best_rate_ends_lowest_and_does_not_diverge():
    losses = torch.tensor([[9.0, 9.0, 9.0, 9.0, 9.0, 9.0], [3.0, 5.0, 1.0, float("nan"), 2.0, 1.0]])
    assert best_rate(losses, 3, 1) == 2  # means 4, none, 1.5
    assert best_rate(losses[:, :4], 2, 1) == 0
