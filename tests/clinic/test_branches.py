"""The ends of residual branches are found in the traced net, and may start at zero."""

import pytest
import torch
from sick_programs import program
from torch import nn
from torch.testing import assert_close

from trainwell.clinic.branches import branch_ends
from trainwell.clinic.cures.shortcuts import start_at_zero
from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.subject import Subject


class Blocks(nn.Module):
    """h + branch(h), some times; ``turned`` writes branch(h) + h."""

    def __init__(self, count=4, gain=1.0, turned=False, plain=False):
        super().__init__()
        self.inlet, self.outlet = nn.Linear(6, 16), nn.Linear(16, 3)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16)) for _ in range(count)
        )
        self.turned, self.plain = turned, plain
        with torch.no_grad():
            for parameter in self.blocks.parameters():
                parameter.mul_(gain)

    def forward(self, x):
        h = self.inlet(x)
        for block in self.blocks:
            h = block(h) if self.plain else block(h) + h if self.turned else h + block(h)
        return self.outlet(h)


def subject_of(**how):
    torch.manual_seed(0)
    return Subject(program(net=Blocks(**how)), Meter(300))


@pytest.mark.parametrize("turned", [False, True])
def test_the_last_layer_of_each_branch(turned):
    assert branch_ends(subject_of(turned=turned).chain) == [f"blocks.{i}.2" for i in range(4)]


def test_a_plain_net_has_none_nor_has_a_sum_of_two_branches():
    assert branch_ends(subject_of(plain=True).chain) == []

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 3), nn.Linear(6, 3)

        def forward(self, x):
            return self.a(x) + self.b(x)

    assert branch_ends(Subject(program(net=Two()), Meter(300)).chain) == []


def test_branches_that_start_at_zero_add_nothing_and_learn():
    subject = subject_of()
    model = start_at_zero(subject, branch_ends(subject.chain)).apply(subject.fresh()).model
    x = subject.train.x[:8]
    assert_close(model(x), model.outlet(model.inlet(x)))
    model(x).square().sum().backward()
    assert all(bool(model.blocks[i][2].weight.grad.any()) for i in range(4))


def test_the_exam_mends_branches_that_add_up():
    torch.manual_seed(0)
    exam = examine(program(net=Blocks(count=16, gain=3.0), rate=5e-3))
    first = exam.findings[0]
    assert first.code in ("exploding-activations", "bad-init-scale", "exploding-gradient") and first.severity == "error"
    assert exam.cure() is not None
