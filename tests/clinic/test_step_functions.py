"""round, sign and thresholds are told from whatever else gives exact zeros: zero layers, dead and saturated units."""

import pytest
import torch
from net_programs import digits, friedman, mlp, program, tokens, waves
from torch import nn

from trainwell import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import step_functions
from trainwell.clinic.subject import Subject


class Then(nn.Module):
    """A body, a function of what it gives, and a head."""

    def __init__(self, body, function, head):
        super().__init__()
        self.body, self.function, self.head = body, function, head

    def forward(self, x):
        return self.head(self.function(self.body(x)))


class Branch(nn.Module):
    """x + last(body(x)), the last layer zero: the body gets no gradient in the first step."""

    def __init__(self, scale):
        super().__init__()
        self.inner, self.last, self.head = mlp(8, 32, 32), nn.Linear(32, 8), nn.Linear(8, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x):
        return self.head(x + self.scale * self.last(self.inner(x)))


class Experts(nn.Module):
    """Four experts of which a rule, that is no function of the weights, lets two speak; the others times zero."""

    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(mlp(8, 8, 1) for _ in range(4))

    def forward(self, x):
        chosen = nn.functional.one_hot((x[:, 0] > 0).long(), 4).float()
        return sum(chosen[:, [i]] * expert(x) for i, expert in enumerate(self.experts))


class Straight(nn.Module):
    """Rounds, and lets the gradient through."""

    def forward(self, x):
        return x + (x.round() - x).detach()


class Code(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(20, 12), nn.GRU(12, 12, batch_first=True)

    def forward(self, x):
        return self.rnn(self.embed(x))[0][:, -1]


def counts():
    return tuple((x, (3 + 2 * y).round()) for x, y in friedman(0))


def conv():
    return nn.Sequential(nn.Conv2d(1, 3, 3, stride=2), nn.Flatten(), nn.Linear(27, 4))


def zero_head():
    net = mlp(8, 32, 32, 1)
    nn.init.zeros_(net[-1].weight)
    return net


def dead():
    net = mlp(64, 16, 16, 10)
    nn.init.constant_(net[2].bias, -50.0)
    return net


def frozen_body():
    net = mlp(8, 64, 2, 1)
    net[0].requires_grad_(False)
    return net


def given(name):
    torch.manual_seed(0)
    huge = tuple((1e5 * x, y) for x, y in friedman(0))
    return {
        "rounded_counts": lambda: program(Then(mlp(8, 32, 1), torch.round, nn.Identity()), counts(), lr=5e-3),
        "signs_of_a_convolution": lambda: program(Then(conv(), torch.sign, nn.Linear(4, 10)), digits(0, images=True)),
        "floor_of_a_recurrent_net": lambda: program(Then(Code(), lambda h: (4 * h).floor(), nn.Linear(12, 3)),
                                                    tokens(0, 16)),
        "ceil_of_a_code": lambda: program(Then(mlp(64, 24, 3), torch.ceil, mlp(3, 24, 10)), digits(0)),
        "zero_head": lambda: program(zero_head(), friedman(0), epochs=2),
        "zero_branch": lambda: program(Branch(1.0), friedman(0), epochs=2),
        "zero_branch_times_zero": lambda: program(Branch(0.0), friedman(0), epochs=2),
        "inactive_experts": lambda: program(Experts(), friedman(0), epochs=2),
        "rare_words": lambda: program(Then(nn.Embedding(500, 8), lambda h: h.mean(1), nn.Linear(8, 3)), tokens(0),
                                      epochs=1),
        "dead_layer": lambda: program(dead(), digits(0)),
        "saturated_by_its_inputs": lambda: program(mlp(8, 32, 32, 1, act=nn.Tanh), huge),
        "frozen_body": lambda: program(frozen_body(), friedman(0), epochs=1),
        "straight_through": lambda: program(Then(mlp(8, 32, 1), Straight(), nn.Identity()), counts(), epochs=1),
        "clamped_from_above": lambda: program(Then(mlp(8, 16, 1), lambda h: (h + 9).clamp(0, 1), nn.Identity()),
                                              friedman(0)),
    }[name]()  # fmt: skip


SICK = ["rounded_counts", "signs_of_a_convolution", "floor_of_a_recurrent_net", "ceil_of_a_code"]
SILENT = [
    "zero_head",
    "zero_branch",
    "zero_branch_times_zero",
    "inactive_experts",
    "rare_words",
    "dead_layer",
    "saturated_by_its_inputs",
    "frozen_body",
    "straight_through",
    "clamped_from_above",
]


def suspected(name):
    subject = Subject(given(name), Meter(300))
    subject.whole, subject.opening  # noqa: B018  others ask for them anyway
    before = subject.meter.spent
    return list(step_functions.probe(subject)), subject.meter.spent - before


@pytest.mark.parametrize("name", SICK)
def test_a_step_in_between_is_found(name):
    (one,), passes = suspected(name)
    assert (one.code, one.certain, one.loss) == ("vanishing-gradient", True, 0.15)
    assert one.evidence["share of the weights"] >= 0.1 and passes < 12


@pytest.mark.parametrize("name", SILENT)
def test_what_else_gives_zeros_is_not(name):
    assert suspected(name)[0] == []


def test_a_net_that_gets_gradients_costs_its_first_step_alone():
    subject = Subject(program(nn.Sequential(nn.Flatten(), mlp(40, 16, 2)), waves(0)), Meter(300))
    assert list(step_functions.probe(subject)) == [] and subject.meter.spent == 1.0


def test_the_exam_names_it():
    told = [f.code for f in examine(given("rounded_counts")).findings if f.severity != "info"]
    assert told == ["vanishing-gradient"]
