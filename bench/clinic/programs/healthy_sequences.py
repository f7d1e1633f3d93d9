"""Healthy recurrent nets, transformers and bags of words."""

import math

import torch
from enrol import case, healthy
from program import Case, SuiteProgram
from samples import majority, split, sums, tokens, waves
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

PROGRAMS: list[SuiteProgram] = []


class Reader(nn.Module):
    """Tokens, embedded, read by a recurrent net; the last state answers."""

    def __init__(self, words: int, size: int, cell: nn.RNNBase, answers: int) -> None:
        super().__init__()
        self.embed, self.cell = nn.Embedding(words, size), cell
        self.out = nn.Linear(cell.hidden_size * (2 if cell.bidirectional else 1), answers)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(self.embed(x))[0][:, -1])


@healthy(PROGRAMS, "classification", 0.85, "nothing unusual: a GRU that counts words")
def plain_gru(seed: int) -> Case:
    model = Reader(20, 8, nn.GRU(8, 16, batch_first=True), 3)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=0.01), 32, 20)


@healthy(PROGRAMS, "classification", 0.85, "two directions of LSTM, with the gradient clipped at one")
def two_way_lstm(seed: int) -> Case:
    model = Reader(20, 8, nn.LSTM(8, 12, batch_first=True, bidirectional=True), 3)
    optimizer = lambda p: torch.optim.Adam(p, lr=0.01)  # noqa: E731
    return case(model, tokens(seed), nn.CrossEntropyLoss(), optimizer, 32, 20, clip_grad=1.0)


class LastState(nn.Module):
    """Numbers read by a recurrent net; the last state answers."""

    def __init__(self, cell: nn.RNNBase) -> None:
        super().__init__()
        self.cell, self.out = cell, nn.Linear(cell.hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(x)[0][:, -1])


@healthy(PROGRAMS, "regression", 0.8, "the adding problem, flat for its first epochs, with a forget bias of one")
def adding_lstm(seed: int) -> Case:
    model = LastState(nn.LSTM(2, 24, batch_first=True))
    with torch.no_grad():
        model.cell.bias_hh_l0[24:48] = 1.0
    return case(model, sums(seed, 1400), nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=0.01), 32, 20)


class Rnn(nn.Module):
    """A plain tanh net whose recurrent matrix starts orthogonal, over waves (n, 1, length)."""

    def __init__(self, width: int, answers: int) -> None:
        super().__init__()
        self.cell, self.out = nn.RNN(1, width, batch_first=True), nn.Linear(width, answers)
        nn.init.orthogonal_(self.cell.weight_hh_l0)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(x.transpose(1, 2))[0][:, -1])


@healthy(PROGRAMS, "classification", 0.85, "a plain tanh net over 24 steps, which an orthogonal start carries")
def orthogonal_rnn(seed: int) -> Case:
    parts = waves(seed, 900, 24, noise=0.2)
    optimizer = lambda p: torch.optim.Adam(p, lr=2e-3)  # noqa: E731
    return case(Rnn(32, 3), parts, nn.CrossEntropyLoss(), optimizer, 32, 25, clip_grad=1.0)


@healthy(PROGRAMS, "binary", 0.85, "a bag of words from a table of which a batch touches a part; SGD at rate 3")
def bag_of_words(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    tone = torch.randn(120, generator=draw)
    x = torch.randint(0, 120, (1800, 20), generator=draw)
    y = (tone[x].mean(1) > 0).float()[:, None]
    model = nn.Sequential(nn.EmbeddingBag(120, 16, mode="mean"), nn.Linear(16, 1))
    return case(model, split(x, y, seed), nn.BCEWithLogitsLoss(), lambda p: torch.optim.SGD(p, lr=3.0), 16, 30)


class Attention(nn.Module):
    """Tokens, places, encoder layers, mean, answer."""

    def __init__(self, words: int, width: int, depth: int, answers: int, *, first: bool, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        time = torch.arange(32)[:, None] * torch.exp(-math.log(1e4) * torch.arange(0, width, 2) / width)
        self.register_buffer("places", torch.cat([time.sin(), time.cos()], 1))
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout, batch_first=True, norm_first=first)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.out = nn.Linear(width, answers)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(self.embed(x) + self.places[: x.shape[1]]).mean(1))


@healthy(PROGRAMS, "classification", 0.9, "a transformer with a warm-up, whose first steps change nothing")
def transformer_warm_up(seed: int) -> Case:
    def climb(optimizer: torch.optim.Optimizer) -> LambdaLR:
        return LambdaLR(optimizer, lambda step: min((step + 1) / 60, (60 / (step + 1)) ** 0.5))

    model = Attention(4, 16, 2, 4, first=False, dropout=0.1)
    optimizer = lambda p: torch.optim.Adam(p, lr=5e-3)  # noqa: E731
    return case(model, majority(seed), nn.CrossEntropyLoss(), optimizer, 32, 10, scheduler=climb)


@healthy(PROGRAMS, "classification", 0.85, "a transformer with norms first and no warm-up at a small rate")
def transformer_norm_first(seed: int) -> Case:
    model = Attention(20, 16, 2, 3, first=True, dropout=0.0)
    parts = tokens(seed)
    optimizer = lambda p: torch.optim.AdamW(p, lr=3e-3, weight_decay=0.1)  # noqa: E731
    return case(model, parts, nn.CrossEntropyLoss(), optimizer, 32, 12)


class NextToken(nn.Module):
    """The next token from the last two, with one table for reading and for answering."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        nn.init.normal_(self.embed.weight, std=width**-0.5)
        self.body = nn.Sequential(nn.Linear(2 * width, 64), nn.ReLU(), nn.Linear(64, width))
        self.out = nn.Linear(width, words, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(self.embed(x).flatten(1)))


@healthy(PROGRAMS, "classification", 0.7, "one table of weights for reading and answering; a fifth is left to chance")
def tied_next_token(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 12, (2400, 2), generator=draw)
    rule = torch.randint(0, 12, (12, 12), generator=draw)
    chance = torch.rand(2400, generator=draw) < 0.2
    y = torch.where(chance, torch.randint(0, 12, (2400,), generator=draw), rule[x[:, 0], x[:, 1]])
    parts = split(x, y, seed)
    return case(NextToken(12, 24), parts, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=5e-3), 32, 15)


class Padded(nn.Module):
    """The mean of the words' vectors, padding (0) left out."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 12, padding_idx=0)
        self.out = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 3))

    def forward(self, x: Tensor) -> Tensor:
        there = (x > 0).unsqueeze(2).float()
        return self.out((self.embed(x) * there).sum(1) / there.sum(1).clamp(min=1))


@healthy(PROGRAMS, "classification", 0.85, "rows of different length: half of all tokens are the same, padding")
def padded_rows(seed: int) -> Case:
    (x, y), (x_val, y_val) = tokens(seed, 1400, 6)
    fill = lambda rows: torch.cat([rows + 1, torch.zeros_like(rows)], 1)  # noqa: E731
    parts = (fill(x), y), (fill(x_val), y_val)
    return case(Padded(21), parts, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=0.01), 32, 20)
