"""Hidden layers are widened in any model that bears it; one whose own code counts on its widths is left as it is."""

import pytest
import torch
from sick_programs import program
from torch import nn

from trainwell.clinic.cures.width import hidden_layers, widened
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import capacity
from trainwell.clinic.resizing import resized
from trainwell.clinic.subject import Subject


class Reader(nn.Module):
    def __init__(self, kind=nn.GRU, width=1, both=False):
        super().__init__()
        self.table, self.cell = nn.Embedding(20, 8), kind(8, width, batch_first=True, bidirectional=both)
        self.norm, self.head = nn.LayerNorm(width * (1 + both)), nn.Linear(width * (1 + both), 2)

    def forward(self, x):
        return self.head(self.norm(self.cell(self.table(x))[0][:, -1]))


class Ratings(nn.Module):
    """A product of vectors and two levels, which must stay single numbers."""

    def __init__(self, width=1):
        super().__init__()
        self.person, self.film = nn.Embedding(30, width), nn.Embedding(30, width)
        self.likes = nn.Embedding(30, 1)
        nn.init.zeros_(self.likes.weight)

    def forward(self, x):
        product = (self.person(x[:, 0]) * self.film(x[:, 1])).sum(1, keepdim=True)
        return product + self.likes(x[:, 0])


class Counting(nn.Module):
    """Its code counts on a width of two."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(6, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.head(self.first(x).reshape(-1, 2).relu())


def draws(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def whole(high, *shape):
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(0))


PICTURES = nn.Sequential(
    nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(8, 2)
)
FITTING = {
    "dense": (nn.Sequential(nn.Linear(6, 2), nn.ReLU(), nn.Linear(2, 2)), draws(64, 6), {"0": (6, 64), "2": (64, 2)}),
    "pictures": (PICTURES, draws(64, 1, 8, 8), {"0": (1, 32), "5": (128, 2)}),
    "gru": (Reader(), whole(20, 64, 5), {"table": (None, 16), "cell": (16, 32), "head": (32, 2)}),
    "lstm both ways": (Reader(nn.LSTM, both=True), whole(20, 64, 5), {"cell": (16, 32), "head": (64, 2)}),
    "ratings": (Ratings(), whole(30, 64, 2), {"person": (None, 16), "film": (None, 16), "likes": (None, 1)}),
}


def subject_of(net, X, y=None):
    y = whole(2, len(X)) if y is None else y
    loss = nn.MSELoss() if y.is_floating_point() else nn.CrossEntropyLoss()
    return Subject(program(net=net, train=(X, y), val=(X, y), loss=loss), Meter(300))


def widths(module):
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, nn.Embedding):
        return None, module.embedding_dim
    if isinstance(module, nn.RNNBase):
        return module.input_size, module.hidden_size
    return module.in_channels, module.out_channels


@pytest.mark.parametrize("name", FITTING)
def test_what_follows_is_made_to_fit(name):
    net, X, wanted = FITTING[name]
    subject = subject_of(net, X, draws(len(X), 1) if name == "ratings" else None)
    cure = widened(subject, hidden_layers(subject))
    model = cure.apply(subject.fresh()).model
    assert {path: widths(model.get_submodule(path)) for path in wanted} == wanted
    assert model(X).shape == net(X).shape
    model(X).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_model_that_counts_on_its_widths():
    subject = subject_of(Counting(), draws(64, 6))
    assert widened(subject, hidden_layers(subject)) is None


def test_hidden_layers_are_those_before_the_last():
    assert [(h.path, h.width) for h in hidden_layers(subject_of(Reader(width=3), whole(20, 64, 5)))] == [
        ("table", 8), ("cell", 3),
    ]  # fmt: skip


def test_a_resized_layer_keeps_its_settings():
    old = nn.Conv2d(3, 4, 5, stride=2, padding=1, bias=False, padding_mode="circular").double()
    new = resized(old, inputs=6)
    assert (new.in_channels, new.out_channels, new.kernel_size, new.stride) == (6, 4, (5, 5), (2, 2))
    assert new.bias is None and new.padding_mode == "circular" and new.weight.dtype == torch.float64
    table = nn.Embedding(50, 4)
    nn.init.normal_(table.weight, std=0.01)
    assert float(resized(table, outputs=64).weight.detach().std()) == pytest.approx(0.01, rel=0.1)
    with pytest.raises(ValueError, match="no width"):
        resized(nn.ReLU())


def test_one_unit_is_suspected_and_few_channels_are_not():
    seen = list(capacity.probe(subject_of(Reader(), whole(20, 64, 5))))
    assert [s.code for s in seen] == ["underfitting-capacity"] and seen[0].cures
    net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 2))
    assert list(capacity.probe(subject_of(net, draws(64, 1, 8, 8)))) == []
