"""Kernels of one place are suspected where neighbours matter and nothing else compares them; three places mend it."""

import pytest
import torch
from sick_programs import program
from torch import nn
from torch.testing import assert_close

from trainwell.clinic.cures.kernels import _wider, widen_kernels
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built
from trainwell.clinic.probes import receptive_field
from trainwell.clinic.subject import Subject


def series(n=300, length=32):
    """Two waves of the same values, a slow one and a fast one: only neighbours tell them apart."""
    draw = torch.Generator().manual_seed(0)
    y = torch.randint(0, 2, (n,), generator=draw)
    phase = 6.3 * torch.rand(n, 1, generator=draw)
    return torch.sin(torch.arange(float(length)) * (0.3 + 1.7 * y[:, None]) + phase)[:, None], y


def stripes(n=300, side=8):
    """Lying or standing stripes: the same pixels in another order."""
    draw = torch.Generator().manual_seed(0)
    y = torch.randint(0, 2, (n,), generator=draw)
    line = (torch.arange(side) + torch.randint(0, 2, (n, 1), generator=draw)) % 2 - 0.5
    lying = line[:, None, :].expand(n, side, side)
    picture = torch.where(y[:, None, None] == 1, lying, lying.transpose(1, 2))
    return (picture + 0.1 * torch.randn(picture.shape, generator=draw))[:, None], y


def brightness(n=300, side=8):
    """Light or dark pictures: every place alone tells them apart."""
    x, y = stripes(n, side)
    return x + 2 * y[:, None, None, None], y


class Global(nn.Module):
    def forward(self, x):
        return x.flatten(2).mean(2)


def net(conv, size=1, *between, end=None, **how):
    return nn.Sequential(
        conv(1, 8, size, padding=size // 2, **how), nn.ReLU(), *between, conv(8, 8, size, padding=size // 2), nn.ReLU(),
        *(end or (Global(), nn.Linear(8, 2))),
    )  # fmt: skip


class Listening(nn.Module):
    """Kernels of one place, and a recurrent net that reads one step after the other."""

    def __init__(self):
        super().__init__()
        self.conv, self.gru, self.out = nn.Conv1d(1, 8, 1), nn.GRU(8, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, x):
        return self.out(self.gru(torch.relu(self.conv(x)).transpose(1, 2))[0][:, -1])


def given(data, make, **changes):
    torch.manual_seed(0)
    x, y = data
    return program(net=make(), train=(x[:200], y[:200]), val=(x[200:], y[200:]), **changes)


SICK = {
    "series": lambda: given(series(), lambda: net(nn.Conv1d)),
    "pictures": lambda: given(stripes(), lambda: net(nn.Conv2d)),
    "head of convolutions": lambda: given(
        stripes(), lambda: net(nn.Conv2d, end=(nn.Conv2d(8, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    ),
    "steps of two": lambda: given(series(), lambda: net(nn.Conv1d, stride=2)),
}
HEALTHY = {
    "kernels of three": lambda: given(series(), lambda: net(nn.Conv1d, 3), rate=1e-6),
    "all places are read": lambda: given(
        stripes(), lambda: net(nn.Conv2d, end=(nn.Flatten(), nn.Linear(512, 2))), rate=1e-6
    ),
    "places matter alone": lambda: given(brightness(), lambda: net(nn.Conv2d)),
    "a recurrent net reads them": lambda: given(series(), Listening, rate=1e-6),
    "four places": lambda: given(stripes(side=2), lambda: net(nn.Conv2d), rate=1e-6),
    "no convolutions": lambda: program(rate=1e-6),
}


def suspected(made):
    subject = Subject(made, Meter(1000))
    return subject, list(receptive_field.probe(subject))


@pytest.mark.parametrize("name", SICK)
def test_kernels_of_one_place_are_found_and_wider_ones_learn(name):
    subject, (found,) = suspected(SICK[name]())
    assert found.code == "underfitting-capacity" and found.prior > 0.5 and found.message.endswith(".")
    assert found.evidence["convolutions"] == len([m for m in subject.program.model.modules() if "Conv" in repr(m)[:4]])
    (cure,) = found.cures
    assert all((change.before, change.after) == (1, 3) for change in cure.changes)
    after = subject.rehearse(cure, steps=50, share=1.0)
    assert after.score > subject.whole.score + 0.2
    assert suspected(cure.apply(subject.fresh()))[1] == []


@pytest.mark.parametrize("name", HEALTHY)
def test_look_alikes_are_let_be(name):
    assert suspected(HEALTHY[name]())[1] == []


CONVOLUTIONS = [
    nn.Conv1d(4, 6, 1), nn.Conv2d(4, 6, 1, stride=2, bias=False), nn.Conv2d(4, 8, 1, groups=2), nn.Conv3d(4, 2, 1),
    nn.ConvTranspose2d(4, 6, 1, stride=2), nn.Conv1d(4, 6, 1, dtype=torch.float64),
]  # fmt: skip


@pytest.mark.parametrize("old", CONVOLUTIONS, ids=str)
def test_wider_kernels_keep_shape_kind_and_mode(old):
    old.eval()
    new = _wider(old)
    x = torch.randn(2, 4, *[7] * len(old.kernel_size), dtype=old.weight.dtype)
    assert new(x).shape == old(x).shape and new(x).dtype == old.weight.dtype
    assert type(new) is type(old) and not new.training
    assert (new.bias is None, new.groups, new.stride) == (old.bias is None, old.groups, old.stride)


def test_wider_kernels_see_neighbours_and_the_old_ones_do_not():
    subject = Subject(SICK["pictures"](), Meter(100))
    cured = widen_kernels(subject, ["0"]).apply(subject.fresh())
    x = torch.zeros(1, 1, 8, 8)
    beside = x.clone()
    beside[..., 3, 4] = 1.0
    for model, seen in ((cured.model, True), (subject.program.model, False)):
        first = model[0]
        assert bool((first(beside) - first(x))[..., 3, 3].abs().max() > 0) == seen
    moved = {id(p) for group in built(cured).param_groups for p in group["params"]}
    assert moved == {*map(id, cured.model.parameters())}
    assert subject.program.model[0].kernel_size == (1, 1)
    assert_close(cured.model[2].weight, subject.program.model[2].weight)
