"""Healthy programs with convolutions, recurrences and attention: some look wrong, some are just usual."""

from functools import partial

import torch
from enrol import case, healthy
from nets import Attention, SeriesRNN, TokenRNN, digit_cnn, wave_cnn
from program import Case, SuiteProgram
from programs.posted_deep import ResidualWaves, order_of_two
from programs.posted_deep_more import RowsOfDigits, Tagger
from programs.posted_images import stroke_cnn, strokes, textures
from programs.posted_sequences import load_curve
from programs.posted_signals import beats
from samples import Part, digits, majority, split, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, ExponentialLR

PROGRAMS: list[SuiteProgram] = []


@healthy(PROGRAMS, "classification", 0.9, "nothing unusual: strokes in pictures, two convolutions, Adam")
def strokes_by_adam(seed: int) -> Case:
    return case(stroke_cnn(), strokes(seed, noise=0.1), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 14)


@healthy(PROGRAMS, "regression", 0.85, "nothing unusual: the next hour of a curve by an LSTM")
def next_hour_by_lstm(seed: int) -> Case:
    model = SeriesRNN(1, 1, 24, kind=nn.LSTM)
    return case(model, load_curve(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15, clip_grad=1.0)


@healthy(PROGRAMS, "classification", 0.9, "a transformer over the rows of a digit, norms last, no dropout, no warm-up")
def rows_of_digits(seed: int) -> Case:
    parts = digits(seed, image=True)
    return case(RowsOfDigits(), parts, nn.CrossEntropyLoss(), partial(AdamW, lr=2e-3), 32, 10)


class Causal(nn.Module):
    """Convolutions over the past only, wider and wider apart."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Conv1d(i, 12, 2, dilation=d) for i, d in ((1, 1), (12, 2), (12, 4), (12, 8)))
        self.out = nn.Linear(12, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = x.transpose(1, 2)
        for step in self.steps:
            h = step(h).relu()
        return self.out(h[:, :, -1])


@healthy(PROGRAMS, "regression", 0.85, "dilated convolutions over sixteen hours that leave one place at the end")
def dilated_convolutions(seed: int) -> Case:
    return case(Causal(), load_curve(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "the cosine was told eight steps and swings up and down with the batches")
def cosine_of_eight_batches(seed: int) -> Case:
    optimizer, schedule = partial(SGD, lr=0.05, momentum=0.9), partial(CosineAnnealingLR, T_max=8)
    parts = digits(seed, image=True)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), optimizer, 32, 12, scheduler=schedule)


@healthy(PROGRAMS, "classification", 0.9, "the rate jumps back up every fifty steps, and the loss a little with it")
def warm_restarts(seed: int) -> Case:
    schedule = partial(CosineAnnealingWarmRestarts, T_0=50)
    optimizer = partial(SGD, lr=0.1, momentum=0.9)
    return case(wave_cnn(), waves(seed, noise=0.3), nn.CrossEntropyLoss(), optimizer, 32, 15, scheduler=schedule)


@healthy(PROGRAMS, "classification", 0.9, "the rate loses a hundredth with every batch, which leaves enough of it")
def rate_fades_with_the_batches(seed: int) -> Case:
    optimizer, schedule = partial(Adam, lr=0.01), partial(ExponentialLR, gamma=0.99)
    return case(stroke_cnn(), strokes(seed, noise=0.1), nn.CrossEntropyLoss(), optimizer, 32, 14, scheduler=schedule)


class Gated(nn.Module):
    """A convolution whose maps are weighed by sigmoid gates, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(1, 16, 3, padding=1)
        self.gate = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 16), nn.Sigmoid())
        self.out = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10))

    def forward(self, x: Tensor) -> Tensor:
        h = self.inlet(x).relu()
        return self.out(h * self.gate(h.mean((2, 3)))[:, :, None, None])


@healthy(PROGRAMS, "classification", 0.9, "sigmoids in the middle of a CNN, which are gates and mean no harm")
def squeeze_and_excite(seed: int) -> Case:
    return case(Gated(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@healthy(PROGRAMS, "multilabel", 0.97, "a mask for each picture, a logit a pixel: nineteen in twenty are background")
def masks_of_strokes(seed: int) -> Case:
    parts: list[Part] = []
    for x, _ in strokes(seed, 600, noise=0.03):
        parts.append((x, (x > 0.45).float()))
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
    return case(model, (parts[0], parts[1]), nn.BCEWithLogitsLoss(), partial(Adam, lr=0.01), 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "rows come sorted by their length, unshuffled, but the length says nothing")
def bucketed_by_length(seed: int) -> Case:
    (x, y), val = majority(seed, 1200)
    length = 6 + torch.randint(0, 7, (len(x),), generator=torch.Generator().manual_seed(seed)).sort().values
    x = torch.where(torch.arange(12) < length[:, None], x + 1, 0)
    y = nn.functional.one_hot(x, 5).sum(1)[:, 1:].argmax(1)
    model = TokenRNN(5, 4, 24)
    model.rnn = nn.GRU(24, 24, batch_first=True)
    return case(
        model, ((x, y), (val[0] + 1, val[1])), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 12, shuffle=False
    )


@healthy(PROGRAMS, "classification", 0.85, "two layers of GRU with a quarter dropped between them")
def stacked_gru_with_dropout(seed: int) -> Case:
    model = TokenRNN(20, 3, 24)
    model.rnn = nn.GRU(24, 24, 2, batch_first=True, dropout=0.25)
    return case(model, tokens(seed, 1200), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 16)


@healthy(PROGRAMS, "classification", 0.9, "the biases before the norms never matter and get no gradient to speak of")
def biases_before_norms(seed: int) -> Case:
    model = nn.Sequential(
        nn.Conv2d(1, 10, 3), nn.BatchNorm2d(10), nn.ReLU(), nn.Conv2d(10, 20, 3), nn.BatchNorm2d(20), nn.ReLU()
    )
    model.extend([nn.Flatten(), nn.Linear(320, 10)])
    optimizer = partial(SGD, lr=0.05, momentum=0.9, weight_decay=5e-4)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 64, 10)


@healthy(PROGRAMS, "classification", 0.9, "twenty-eight convolutions of twelve maps, with shortcuts and norms")
def fourteen_residual_blocks(seed: int) -> Case:
    model, optimizer = ResidualWaves(14, normed=True), partial(SGD, lr=0.03, momentum=0.9)
    return case(model, waves(seed, 700, 32, noise=0.2), nn.CrossEntropyLoss(), optimizer, 32, 9)


@healthy(PROGRAMS, "classification", 0.9, "Adadelta at a rate of 1, its usual one")
def adadelta_at_one(seed: int) -> Case:
    return case(stroke_cnn(), strokes(seed, noise=0.1), nn.CrossEntropyLoss(), partial(Adadelta, lr=1.0), 32, 14)


class Noisy(nn.Module):
    """A small CNN that adds noise to its pictures while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.net = digit_cnn()
        self.noise = 0.3

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x + self.noise * torch.randn_like(x) if self.training else x)


@healthy(PROGRAMS, "classification", 0.9, "noise is added to the pictures while training, as an augmentation")
def noise_while_training(seed: int) -> Case:
    return case(Noisy(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 14)


@healthy(PROGRAMS, "classification", 0.9, "tanh units after convolutions and RMSprop, as in the nineties")
def lenet_of_tanh(seed: int) -> Case:
    model = digit_cnn()
    model[1], model[4] = nn.Tanh(), nn.Tanh()
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(RMSprop, lr=2e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "235 parameters and a mean over the picture are enough for three gratings")
def eight_kernels_for_textures(seed: int) -> Case:
    model = nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return case(model, textures(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 14)


@healthy(PROGRAMS, "classification", 0.9, "places that carry −100 are left out of the loss, which knows that number")
def tags_left_out(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(1, 30, (700, 10), generator=draw)
    before = torch.cat([torch.zeros(700, 1, dtype=torch.long), x[:, :-1]], 1)
    train, val = split(x, (x + before) % 2, seed)
    y = train[1].clone()
    y[:, 7:] = -100
    return case(Tagger(), ((train[0], y), val), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "a transformer that sees order only by a table drawn at 0.02, slow at first")
def small_table_of_places(seed: int) -> Case:
    model = Attention(10, 2, length=10, width=24)
    return case(model, order_of_two(seed, 1400), nn.CrossEntropyLoss(), partial(Adam, lr=4e-3), 32, 14)


@healthy(PROGRAMS, "classification", 0.9, "half of every recording is padding, which never changes")
def beats_on_a_wide_canvas(seed: int) -> Case:
    parts: list[Part] = []
    for x, y in beats(seed):
        parts.append((torch.nn.functional.pad(x, (20, 20)), y))
    return case(wave_cnn(), (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 14)
