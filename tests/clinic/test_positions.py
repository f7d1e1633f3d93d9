"""Positions that are never added to the tokens are offered to be, by a module that is sane to copy and to keep."""

import copy
import io

import pytest
import torch
from net_programs import program, tokens, waves
from torch import nn

from trainwell import examine
from trainwell.clinic.cures.connections import Placed, add_positions
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built
from trainwell.clinic.probes import trainable
from trainwell.clinic.subject import Subject


class Encoder(nn.Module):
    """Tokens or points through an encoder layer, the mean over time, a head; ``places`` are there but not added."""

    def __init__(self, embed, places, width=16, classes=2, first=False):
        super().__init__()
        self.embed, self.first = embed, first
        if places is not None:
            self.places = places
        self.layer = nn.TransformerEncoderLayer(width, 2, 32, dropout=0.0, batch_first=not first)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        h = self.embed(x.transpose(0, 1) if self.first else x)
        return self.head(self.layer(h).mean(0 if self.first else 1))


def order_of_two(n=900, length=10):
    """Words of ten kinds; whether the one stands before the nought. A bag of words cannot tell."""
    g = torch.Generator().manual_seed(0)
    x = torch.randint(2, 10, (n, length), generator=g)
    first, second = torch.rand(n, length, generator=g).topk(2).indices.T
    x[torch.arange(n), first], x[torch.arange(n), second] = 0, 1
    y = (first < second).long()
    return (x[:650], y[:650]), (x[650:], y[650:])


def parameter(*shape, std=0.5):
    return nn.Parameter(std * torch.randn(shape))


def given(name):
    torch.manual_seed(0)
    fields = {"lr": 5e-3, "batch_size": 32, "epochs": 14}
    words = nn.Embedding(10, 16)
    if name == "raw_table":
        return program(Encoder(words, parameter(1, 12, 16)), order_of_two(), **fields)
    if name == "embedding_of_places":
        return program(Encoder(words, nn.Embedding(64, 16)), order_of_two(), **fields)
    if name == "time_first":
        return program(Encoder(words, parameter(10, 16), first=True), order_of_two(), **fields)
    if name == "projected_points":
        return program(Encoder(nn.Linear(2, 16), parameter(20, 16)), waves(0), **fields)
    if name == "too_short":
        return program(Encoder(words, parameter(6, 16)), order_of_two(), **fields)
    if name == "another_width":
        return program(Encoder(words, parameter(10, 12)), order_of_two(), **fields)
    if name == "order_does_not_matter":
        return program(Encoder(nn.Embedding(20, 16), parameter(10, 16), classes=3), tokens(0), **fields)
    return program(Encoder(words, None), order_of_two(), **fields)


SICK = ["raw_table", "embedding_of_places", "time_first", "projected_points"]


@pytest.mark.parametrize("name", SICK)
def test_places_are_offered_to_be_added_where_they_fit(name):
    (one,) = trainable.probe(Subject(given(name), Meter(300)))
    assert (one.code, one.prior) == ("unused-parameters", 0.5) and not one.certain
    assert "to the output of embed" in one.cures[0].name


@pytest.mark.parametrize("name", ["too_short", "another_width", "no_places"])
def test_what_does_not_fit_is_not(name):
    assert all(one.prior < 0.1 and not one.cures for one in trainable.probe(Subject(given(name), Meter(300))))


@pytest.mark.parametrize("name", ["raw_table", "embedding_of_places", "time_first"])
def test_added_they_get_gradients_and_are_moved(name):
    subject = Subject(given(name), Meter(300))
    (cure,) = add_positions(subject, trainable.idle(subject)[0])
    cured = subject.cured(cure)
    assert trainable.idle(cured) == ({}, 0.0)
    held = {id(p) for group in built(cured.program).param_groups for p in group["params"]}
    assert held == {id(p) for p in cured.program.model.parameters()}


def test_with_places_the_order_is_learned():
    exam = examine(given("time_first"))
    first = next(f for f in exam.findings if f.severity != "info")
    assert first.code == "unused-parameters" and first.cure is not None


def test_where_the_order_tells_nothing_the_trial_gains_nothing():  # control
    codes = [f.code for f in examine(given("order_does_not_matter")).findings if f.severity != "info"]
    assert "unused-parameters" not in codes


@pytest.mark.parametrize("places", [parameter(1, 7, 4), nn.Embedding(7, 4)])
def test_the_sum_is_that_of_both_and_survives_copies(places):
    layer, x = nn.Embedding(9, 4), torch.randint(0, 9, (3, 5))
    table = (places.weight if isinstance(places, nn.Embedding) else places).reshape(7, 4)
    net = Placed(layer, places, -2)
    torch.testing.assert_close(net(x), layer(x) + table[:5])
    torch.testing.assert_close(Placed(layer, places, -3)(x.T), (layer(x) + table[:5]).transpose(0, 1))
    assert torch.equal(net(torch.zeros(2, 8, dtype=torch.long)), layer(torch.zeros(2, 8, dtype=torch.long)))
    assert net.weight is layer.weight and net.embedding_dim == 4 and not hasattr(net, "no_such_thing")
    other = copy.deepcopy(net)
    other.load_state_dict(net.state_dict())
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    for again in (other, torch.load(file, weights_only=False)):
        assert torch.equal(again(x), net(x)) and again.weight is not net.weight
