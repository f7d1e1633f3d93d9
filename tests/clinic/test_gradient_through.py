"""A forward pass whose detach(), .data, no_grad() or round() stop the gradient lets it through; its answers stay."""

import pytest
import torch
from sick_programs import program
from torch import nn
from torch.testing import assert_close

from trainwell.clinic.cures.gradient_through import leave_attached, straight_through
from trainwell.clinic.exam import examine


class Stopped(nn.Module):
    """Two layers; what stops the gradient between them is a function of the first one's output."""

    def __init__(self, stop):
        super().__init__()
        self.first, self.second, self.stop = nn.Linear(2, 6), nn.Linear(6, 2), stop

    def forward(self, x):
        return self.second(self.stop(self.first, x))


def without_grad(first, x):
    with torch.no_grad():
        return first(x).relu()


CUT = {
    "detach": lambda first, x: first(x).relu().detach(),
    "data": lambda first, x: first(x).relu().data,
    "tensor": lambda first, x: torch.tensor(first(x).relu()),
    "no_grad": without_grad,
}
STEPS = {
    "round": lambda first, x: first(x).round(),
    "sign": lambda first, x: torch.sign(first(x)),
    "floor": lambda first, x: torch.floor(first(x)),
}


def moons(stop):
    draw = torch.Generator().manual_seed(0)
    angle = 6.3 * torch.rand(600, generator=draw)
    y = (torch.rand(600, generator=draw) < 0.5).long()
    X = torch.stack([angle.cos(), angle.sin()], 1) * (1 + y[:, None]) + 0.1 * torch.randn(600, 2, generator=draw)
    torch.manual_seed(0)
    return program(net=Stopped(stop), train=(X[:450], y[:450]), val=(X[450:], y[450:]), epochs=20)


def reached(model, x):
    model.zero_grad()
    model(x).square().sum().backward()
    return {name: p.grad is not None and bool(p.grad.any()) for name, p in model.named_parameters()}


@pytest.mark.filterwarnings("ignore:To copy construct")
@pytest.mark.parametrize("name", [*CUT, *STEPS])
def test_the_gradient_comes_through_and_the_answers_stay(name):
    given = moons(CUT[name] if name in CUT else STEPS[name])
    x = given.train[0][:32]
    before, was = given.model(x), reached(given.model, x)
    assert not was["first.weight"] and was["second.weight"]
    cured = (leave_attached() if name in CUT else straight_through()).apply(given).model
    if name == "sign":  # a tanh, which has the same ends
        assert_close(cured.model.second(cured.model.first(x).tanh()), cured(x))
    else:
        assert_close(cured(x), before)
    assert all(reached(cured, x).values())
    assert torch.is_grad_enabled()


def test_outside_of_training_no_graph_is_made():
    cured = leave_attached().apply(moons(CUT["detach"])).model
    with torch.no_grad():
        assert not cured(torch.zeros(1, 2)).requires_grad


def test_the_exam_cures_a_detached_layer():
    exam = examine(moons(CUT["detach"]))
    assert exam.findings[0].code == "frozen-parameters" and "detach" in exam.findings[0].cure.name
    optimizer = exam.cure().optimizer
    model = exam.cure().model
    made = optimizer(model) if getattr(optimizer, "takes_model", False) else optimizer(model.parameters())
    assert sum(len(group["params"]) for group in made.param_groups) == 4
