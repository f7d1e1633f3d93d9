"""Healthy programs that people ask about: what looks wrong is meant, or does no harm."""

from functools import partial

import torch
from enrol import case, healthy
from nets import Attention, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram
from samples import blobs, cancer, diabetes, digits, friedman, majority, rings, split, standardized, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CyclicLR

PROGRAMS: list[SuiteProgram] = []


@healthy(PROGRAMS, "classification", 0.9, "a log-softmax before cross entropy, which changes nothing: it is idempotent")
def log_softmax_twice(seed: int) -> Case:
    model = nn.Sequential(*mlp(64, 48, 10), nn.LogSoftmax(1))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@healthy(PROGRAMS, "regression", 0.75, "SGD at a rate of 3: the loss is a mean over 64 pixels, so gradients are small")
def rate_three_for_a_mean_of_pixels(seed: int) -> Case:
    parts = tuple((x, x) for x, _ in digits(seed))
    return case(mlp(64, 32, 64), parts, nn.MSELoss(), partial(SGD, lr=3.0, momentum=0.5), 32, 25)


def summed(output: Tensor, y: Tensor) -> Tensor:
    """Cross entropy summed over the batch."""
    return nn.functional.cross_entropy(output, y, reduction="sum")


@healthy(PROGRAMS, "classification", 0.93, "SGD at 0.003 without momentum: the loss is summed over the batch")
def small_rate_for_a_sum(seed: int) -> Case:
    return case(digit_cnn(), digits(seed, image=True), summed, partial(SGD, lr=3e-3), 32, 20)


class Spread(nn.Module):
    """Mean and variance of an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.mean, self.width = mlp(8, 48, 24), nn.Linear(24, 1), nn.Linear(24, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x).relu()
        return self.mean(h), nn.functional.softplus(self.width(h)) + 1e-3


def gaussian(output: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    """Minus the log-likelihood, which may well be negative."""
    return nn.functional.gaussian_nll_loss(output[0], y, output[1])


@healthy(PROGRAMS, "regression", 0.85, "the loss goes below zero, as densities above one allow")
def loss_below_zero(seed: int) -> Case:
    return case(Spread(), friedman(seed, noise=0.2), gaussian, partial(Adam, lr=5e-3), 32, 20, clip_grad=5.0)


class Variational(nn.Module):
    """A variational autoencoder of pictures with a code of eight numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.mean, self.width = nn.Linear(64, 64), nn.Linear(64, 8), nn.Linear(64, 8)
        self.out = mlp(8, 64, 64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.into(x).relu()
        mean, width = self.mean(h), self.width(h)
        code = mean + torch.randn_like(mean) * (0.5 * width).exp() if self.training else mean
        return self.out(code), mean, width


def evidence(output: tuple[Tensor, Tensor, Tensor], y: Tensor) -> Tensor:
    """Reconstruction and divergence, summed over pixels and code."""
    picture, mean, width = output
    divergence = 0.5 * (mean.square() + width.exp() - 1 - width).sum(1).mean()
    return 10 * (picture - y).square().sum(1).mean() + divergence


@healthy(
    PROGRAMS, "regression", 0.6, "a variational autoencoder: noise in the middle, and a loss that stays near thirty"
)
def noisy_code(seed: int) -> Case:
    parts = tuple((x, x) for x, _ in digits(seed))
    return case(Variational(), parts, evidence, partial(Adam, lr=3e-3), 32, 20)


class Cosine(nn.Module):
    """Cosines between features and class vectors, divided by a temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.classes = mlp(64, 64, 24), nn.Parameter(torch.randn(10, 24))

    def forward(self, x: Tensor) -> Tensor:
        h = nn.functional.normalize(self.body(x), dim=1)
        return h @ nn.functional.normalize(self.classes, dim=1).T / 0.07


@healthy(PROGRAMS, "classification", 0.92, "cosines over a temperature of 0.07: logits of ±14 from the first step on")
def cosines_over_a_temperature(seed: int) -> Case:
    return case(Cosine(), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


class Echo(nn.Module):
    """A fixed random recurrence whose mean states are read by a head."""

    def __init__(self) -> None:
        super().__init__()
        self.echo, self.head = nn.RNN(1, 200, batch_first=True), nn.Linear(400, 3)
        nn.init.orthogonal_(self.echo.weight_hh_l0, gain=0.95)
        nn.init.uniform_(self.echo.weight_ih_l0, -0.7, 0.7)
        self.echo.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        states = self.echo(x.transpose(1, 2))[0]
        return self.head(torch.cat([states.abs().mean(1), states[:, -1]], 1))


@healthy(
    PROGRAMS, "classification", 0.9, "an echo state network: the recurrence is random and frozen, as it is meant to be"
)
def echo_state(seed: int) -> Case:
    model = Echo()
    return case(model, waves(seed, 700, 24, noise=0.2), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "not shuffled; the classes take turns, so that every batch holds all of them")
def classes_take_turns(seed: int) -> Case:
    (x, y), val = digits(seed)
    count = int(y.bincount().min())
    turns = torch.stack([(y == c).nonzero()[:count, 0] for c in range(10)], 1).flatten()
    model = mlp(64, 48, 10)
    return case(
        model, ((x[turns], y[turns]), val), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12, shuffle=False
    )


@healthy(PROGRAMS, "binary", 0.85, "the rare class is there ten times over, on purpose", metric="balanced")
def oversampled_rare_class(seed: int) -> Case:
    (x, y), (x_val, y_val) = blobs(seed, 1500, 8, 12, 4.0)
    rare, rest = x[y == 0], x[y != 0]
    x = torch.cat([rest, rare.repeat(10, 1)])
    y = torch.cat([torch.zeros(len(rest), 1), torch.ones(10 * len(rare), 1)])
    parts = (x, y), (x_val, (y_val == 0).float()[:, None])
    return case(mlp(8, 24, 1), parts, nn.BCEWithLogitsLoss(), partial(AdamW, lr=3e-3, weight_decay=0.01), 64, 12)


@healthy(PROGRAMS, "binary", 0.68, "a fifth of the labels is wrong in both parts: nobody gets beyond four fifths")
def a_fifth_of_coins(seed: int) -> Case:
    (x, y), (x_val, y_val) = rings(seed, 1400, 0.1)
    draw = torch.Generator().manual_seed(seed)
    noisy = lambda y: torch.where(torch.rand(len(y), generator=draw) < 0.2, 1 - y, y).float()[:, None]  # noqa: E731
    parts = (x, noisy(y)), (x_val, noisy(y_val))
    return case(mlp(2, 24, 24, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.93, "the rate swings between 0.01 and 0.2, and the loss with it")
def swinging_rate(seed: int) -> Case:
    swing = partial(CyclicLR, base_lr=0.01, max_lr=0.2, step_size_up=40, cycle_momentum=False)
    parts = digits(seed, image=True)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.1), 32, 18, scheduler=swing)


class Scaled(nn.Module):
    """A net whose answer is multiplied and shifted to the range of the targets."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.body = mlp(10, 24, 1)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) * self.std + self.mean


@healthy(PROGRAMS, "regression", 0.3, "targets of 25 to 346, to which the model itself scales its answer")
def scale_inside_the_model(seed: int) -> Case:
    train, val = diabetes(seed, raw_target=True)
    model = Scaled(train[1].mean(), train[1].std())
    return case(model, (train, val), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 20)


@healthy(PROGRAMS, "multilabel", 0.92, "labels that contain each other: larger than one, than two, than three ...")
def thresholds_as_labels(seed: int) -> Case:
    parts = tuple((x, (4 * y > torch.tensor([-6.0, -3, 0, 3, 6])).float()) for x, y in friedman(seed))
    return case(mlp(8, 64, 5), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "Adam with a first beta of 0.5 and ten thousand times the usual epsilon")
def odd_settings_of_adam(seed: int) -> Case:
    optimizer = partial(Adam, lr=5e-3, betas=(0.5, 0.99), eps=1e-4)
    return case(wave_cnn(), waves(seed), nn.CrossEntropyLoss(), optimizer, 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "seven tenths of 600 units are dropped, and enough are left")
def seven_tenths_dropped_of_many(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 600), nn.ReLU(), nn.Dropout(0.7), nn.Linear(600, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


class Biased(nn.Module):
    """Ratings from vectors that start near zero, and from biases that start at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(30, 4), nn.Embedding(25, 4)
        self.a, self.b = nn.Embedding(30, 1), nn.Embedding(25, 1)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=0.05)
        for table in (self.a, self.b):
            nn.init.zeros_(table.weight)

    def forward(self, x: Tensor) -> Tensor:
        i, j = x[:, 0], x[:, 1]
        return (self.user(i) * self.item(j)).sum(1, keepdim=True) + self.a(i) + self.b(j)


@healthy(PROGRAMS, "regression", 0.65, "a recommender that starts at almost zero everywhere, biases at zero itself")
def recommender_from_nothing(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    user, item = torch.randn(30, 3, generator=draw), torch.randn(25, 3, generator=draw)
    x = torch.stack([torch.randint(0, 30, (2000,), generator=draw), torch.randint(0, 25, (2000,), generator=draw)], 1)
    y = user[x[:, 0], :1] + item[x[:, 1], :1] + user[x[:, 0], 1][:, None] * item[x[:, 1], 1:2]
    y = standardized(y + 0.3 * torch.randn(2000, 1, generator=draw))
    return case(Biased(), split(x, y, seed), nn.MSELoss(), partial(Adam, lr=0.02, weight_decay=1e-5), 32, 20)


@healthy(PROGRAMS, "binary", 0.92, "no hidden layer at all: a perceptron, and the tumours need no more")
def logistic_regression(seed: int) -> Case:
    return case(nn.Linear(30, 1), cancer(seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.1), 32, 20)


@healthy(PROGRAMS, "classification", 0.85, "gradients are clipped at 0.1 in every step, which Adam does not notice")
def clipped_at_a_tenth(seed: int) -> Case:
    model = TokenRNN(20, 3, kind=nn.LSTM)
    return case(model, tokens(seed, 1200), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20, clip_grad=0.1)


class Pooled(nn.Module):
    """A learnt query over words, by hand, behind word vectors drawn at 0.02."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.query, self.head = nn.Embedding(4, 16), nn.Linear(16, 1), mlp(16, 24, 4)
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        return self.head((self.query(h).softmax(1) * h).sum(1))


@healthy(PROGRAMS, "classification", 0.9, "word vectors drawn at 0.02 and a softmax in the middle: both are usual")
def attention_pooling(seed: int) -> Case:
    return case(Pooled(), majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 12)


@healthy(PROGRAMS, "classification", 0.88, "AdamW with a decay of one, which a rate of 0.003 makes three per mille")
def decay_of_one(seed: int) -> Case:
    optimizer = partial(AdamW, lr=3e-3, weight_decay=1.0)
    return case(Attention(20, 3), tokens(seed, 1500), nn.CrossEntropyLoss(), optimizer, 32, 16)
