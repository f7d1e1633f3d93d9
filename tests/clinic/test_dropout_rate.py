"""Dropout between recurrent layers, in attention and called as a function is suspected and mended like its layers."""

import pytest
import torch
import torch.nn.functional as F
from contract_parts import ce, curve, mlp, program, tokens, waves
from torch import Tensor, nn

from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import dropout_rate
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], layers: int, dropout: float) -> None:
        super().__init__()
        self.net = kind(1, 8, layers, dropout=dropout, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.net(x)[0][:, -1])


class Encoder(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=dropout, batch_first=True, norm_first=True)
        self.out = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(self.embed(x)).mean(1))


class Attention(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(20, 16), nn.Linear(16, 3)
        self.attention = nn.MultiheadAttention(16, 2, dropout=dropout, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        return self.out((h + self.attention(h, h, h, need_weights=False)[0]).mean(1))


class Block(nn.Module):
    def __init__(self, dropout: float, inputs: int = 6, outputs: int = 1) -> None:
        super().__init__()
        self.first, self.second, self.drop = nn.Linear(inputs, 32), nn.Linear(32, outputs), dropout

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.dropout(self.first(x).relu(), self.drop, self.training))


def recurrent(kind: type[nn.RNNBase], dropout: float, layers: int = 2) -> Program:
    return program(0, waves(0), lambda: Recurrent(kind, layers, dropout), ce(), "classification")


def reading(model: type[nn.Module], dropout: float) -> Program:
    return program(0, tokens(0), lambda: model(dropout), ce(), "classification")


def blocks(dropout: float) -> Program:
    return program(
        0, curve(0), lambda: nn.Sequential(Block(dropout, 6, 8), nn.ReLU(), Block(dropout, 8)), nn.MSELoss(),
        "regression",
    )  # fmt: skip


def calling(dropout: float) -> Program:
    return program(0, curve(0), lambda: Block(dropout), nn.MSELoss(), "regression")


def plain(dropout: float) -> Program:
    layers = lambda: nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(dropout), mlp(32, 16, 1))  # noqa: E731
    return program(0, curve(0), layers, nn.MSELoss(), "regression")


PLACES = {
    "lstm": (lambda p: recurrent(nn.LSTM, p), {"net": "dropout"}),
    "gru": (lambda p: recurrent(nn.GRU, p), {"net": "dropout"}),
    "rnn": (lambda p: recurrent(nn.RNN, p), {"net": "dropout"}),
    "encoder": (
        lambda p: reading(Encoder, p),
        {"encoder.self_attn": "dropout", **{f"encoder.dropout{i}": "p" for i in ("", "1", "2")}},
    ),
    "attention": (lambda p: reading(Attention, p), {"attention": "dropout"}),
    "blocks": (blocks, {"0": "drop", "2": "drop"}),
    "whole": (calling, {"": "drop"}),
    "layer": (plain, {"2": "p"}),
}


def suspected(made: Program) -> tuple[Subject, list]:
    subject = Subject(made, Meter(1e9))
    return subject, list(dropout_rate.probe(subject))


@pytest.mark.parametrize("name", PLACES)
def test_much_is_suspected_wherever_it_is_and_the_cure_sets_all_of_it(name):
    make, places = PLACES[name]
    subject, (found,) = suspected(make(0.95))
    assert found.code == "dropout-too-high" and found.prior == 0.9 and found.evidence["probability"] == 0.95
    assert "95 %" in found.message and found.message.endswith(".")
    cured = found.cures[0].apply(subject.fresh()).model
    assert all(getattr(cured.get_submodule(path), name) == 0.2 for path, name in places.items())
    assert len(found.cures[0].changes) == len(places) == found.evidence["layers above a half"]
    assert suspected(Program(**{**vars(make(0.2)), "model": cured}))[1] == []


@pytest.mark.parametrize("name", PLACES)
def test_half_or_less_is_let_be(name):
    assert suspected(PLACES[name][0](0.5))[1] == []


@pytest.mark.filterwarnings("ignore:dropout option adds dropout after all but last")
def test_one_recurrent_layer_drops_nothing():  # control: torch has no place for it
    assert suspected(recurrent(nn.LSTM, 0.95, layers=1))[1] == []


def test_number_of_another_meaning_is_let_be():
    class Power(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.p = nn.Linear(6, 1), 0.9

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x.abs().pow(self.p))

    assert suspected(program(0, curve(0), Power, nn.MSELoss(), "regression"))[1] == []


def test_cure_lets_what_was_dropped_through():  # control: as given, the same layer drops it
    torch.manual_seed(0)
    subject, (found,) = suspected(recurrent(nn.LSTM, 0.95))
    x, cured = subject.train.x[:64], found.cures[0].apply(subject.fresh()).model

    def noise(model: nn.Module) -> float:
        with torch.no_grad():
            model.train()
            answers = torch.stack([model(x) for _ in range(20)])
        return float(answers.std(0).mean())

    assert noise(cured) < 0.5 * noise(subject.fresh().model)
