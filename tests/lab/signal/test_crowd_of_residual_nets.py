"""Residual nets in one crowd are the nets one by one, and start as their rules say."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from trainwell.lab.labelled_pictures import Pictures
from trainwell.lab.signal.crowd_of_residual_nets import (
    SCALARS,
    Maps,
    Norms,
    Residual,
    accuracies,
    crowd,
    growth,
    train,
)
from trainwell.nn.blocks.fixup import ScalarScale, ScalarShift

NETS, FEATURES, WIDTH, BLOCKS = 3, 6, 8, 4
RATES = torch.tensor([0.02, 0.1, 0.5])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures():
    X = torch.randn(20, FEATURES, generator=seeded(1))
    y = torch.randint(10, (20,), generator=seeded(2))
    return Pictures(X, y, X, y)


def share(kind, place):
    """The net of a crowd at a place, as ordinary layers on (batch, features)."""
    whole = crowd(kind, NETS, FEATURES, WIDTH, BLOCKS, seeded())

    def ordinary(module):
        if isinstance(module, Residual):
            return Alone(nn.Sequential(*map(ordinary, module.branch)))
        if isinstance(module, Maps):
            linear = nn.Linear(*module.weight.shape[:0:-1], bias=module.bias is not None)
            linear.weight = nn.Parameter(module.weight[place].detach().clone())
            if module.bias is not None:
                nn.init.zeros_(linear.bias)
            return linear
        if isinstance(module, Norms):
            return nn.BatchNorm1d(WIDTH)
        return nn.ReLU() if isinstance(module, nn.ReLU) else type(module)()

    return nn.Sequential(*map(ordinary, whole))


class Alone(nn.Module):
    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return x + self.branch(x)


@pytest.mark.parametrize("kind", ["fixup", "batch"])
def test_each_net_descends_as_alone_at_its_own_rate(kind):  # all rows: their order is no matter
    data, model = pictures(), crowd(kind, NETS, FEATURES, WIDTH, BLOCKS, seeded())
    losses = train(model, data, RATES, 5, 20, seeded(3))
    model.eval()
    outputs = model(data.X.T.expand(NETS, -1, -1))
    for place, rate in enumerate(RATES.tolist()):
        alone = share(kind, place)
        slow = [p for m in alone.modules() if isinstance(m, ScalarScale | ScalarShift) for p in m.parameters()]
        fast = [p for p in alone.parameters() if not any(p is each for each in slow)]
        groups = [{"params": fast, "lr": rate}, {"params": slow, "lr": SCALARS * rate}]
        optimizer = torch.optim.SGD(groups if slow else fast, lr=rate)
        for each in range(5):
            optimizer.zero_grad()
            loss = cross_entropy(alone(data.X), data.y)
            assert_close(losses[each, place], loss.detach(), rtol=1e-3, atol=1e-4)
            loss.backward()
            optimizer.step()
        assert_close(outputs[place].T, alone.eval()(data.X), rtol=1e-2, atol=1e-3)


def test_a_net_that_diverges_disturbs_no_other():
    data = pictures()
    calm, wild = (crowd("fixup", 2, FEATURES, WIDTH, BLOCKS, seeded()) for _ in range(2))
    first = train(calm, data, torch.tensor([0.02, 0.02]), 30, 20, seeded(3))
    second = train(wild, data, torch.tensor([0.02, 1e9]), 30, 20, seeded(3))
    assert not second[-1, 1].isfinite()
    assert_close(first[:, 0], second[:, 0], rtol=1e-4, atol=1e-5)
    assert accuracies(wild, data.X, data.y, 2)[1] == 0


def test_fixup_starts_as_the_identity_and_guesses():
    model = crowd("fixup", NETS, FEATURES, WIDTH, BLOCKS, seeded())
    assert model(torch.randn(NETS, FEATURES, 5)).abs().max() == 0
    assert_close(growth(model, torch.randn(NETS, WIDTH, 2)), torch.ones(BLOCKS, NETS), rtol=0, atol=0)


def test_growth_of_hes_weights_is_that_of_the_blocks():  # control: with He's the blocks are no identity
    model = crowd("he", NETS, FEATURES, WIDTH, BLOCKS, seeded())
    x = torch.randn(NETS, WIDTH, 2, generator=seeded(4))
    through = x
    for block in model:
        if isinstance(block, Residual):
            through = block(through)
    expected = through.square().sum((1, 2)) / x.square().sum((1, 2))
    assert_close(growth(model, x).prod(0), expected)
    assert (expected > 1.5).all()
