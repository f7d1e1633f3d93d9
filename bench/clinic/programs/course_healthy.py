"""Healthy programs of a deep-learning course: what the lecture warns of is there, and does no harm."""

from functools import partial
from itertools import pairwise

import torch
from enrol import case, healthy
from nets import Attention, ResidualMLP, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram
from samples import (
    Parts,
    blobs,
    cancer,
    diabetes,
    digits,
    friedman,
    iris,
    majority,
    rings,
    split,
    tags,
    tokens,
    waves,
    wine,
)
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

PROGRAMS: list[SuiteProgram] = []


def normed(*widths: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear, batch normalization, activation for each step of the widths; the last step linear only."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths[:-1]):
        layers += [nn.Linear(wide, narrow), nn.BatchNorm1d(narrow), activation()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


@healthy(PROGRAMS, "classification", 0.93, "weights ten times too large, which batch normalization divides out")
def course_norm_forgives_the_start(seed: int) -> Case:
    model = normed(64, 64, 64, 10)
    for layer in list(model)[:-1]:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=1.0)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.93, "five sigmoid layers in a row, each behind a batch normalization")
def course_sigmoids_behind_norms(seed: int) -> Case:
    model = normed(64, 48, 48, 48, 48, 48, 10, activation=nn.Sigmoid)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 12)


@healthy(PROGRAMS, "classification", 0.93, "SGD at a rate of one: batch normalization allows it")
def course_rate_of_one(seed: int) -> Case:
    return case(normed(64, 64, 64, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=1.0), 64, 15)


@healthy(PROGRAMS, "regression", 0.85, "thirty residual blocks without a norm whose last weights start at zero")
def course_branches_start_at_zero(seed: int) -> Case:
    model = ResidualMLP(8, 1, blocks=30)
    for block in model.blocks:
        for p in block[2].parameters():
            nn.init.zeros_(p)
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 10)


@healthy(PROGRAMS, "classification", 0.88, "twenty-four tanh layers: orthogonal weights carry the signal through")
def course_orthogonal_and_deep(seed: int) -> Case:
    model = mlp(64, *[64] * 23, 10, activation=nn.Tanh)
    for p in model.parameters():
        nn.init.orthogonal_(p) if p.ndim > 1 else nn.init.zeros_(p)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.01, momentum=0.9), 32, 12)


@healthy(PROGRAMS, "binary", 0.93, "all weights start at zero, but it is logistic regression, which is convex")
def course_logistic_from_zero(seed: int) -> Case:
    model = nn.Linear(30, 1)
    for p in model.parameters():
        nn.init.zeros_(p)
    return case(model, cancer(seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.1), 32, 20)


@healthy(PROGRAMS, "classification", 0.93, "the last layer starts at zero, so the first loss is the logarithm of ten")
def course_last_layer_from_zero(seed: int) -> Case:
    model = digit_cnn()
    for p in model[-1].parameters():
        nn.init.zeros_(p)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.93, "pixels of 0 to 16, none of them negative, most borders constant")
def course_pixels_up_to_sixteen(seed: int) -> Case:
    parts = digits(seed, raw=True, image=True)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.85, "350 samples and forty thousand weights: overfitted and yet good")
def course_more_weights_than_samples(seed: int) -> Case:
    (x, y), val = digits(seed, share=0.2)
    return case(mlp(64, 512, 10), ((x[:350], y[:350]), val), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 40)


class RandomFeatures(nn.Module):
    """A fixed random layer of rectifiers and a linear layer that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.fixed, self.head = nn.Linear(64, 500), nn.Linear(500, 10)
        self.fixed.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(3 * self.fixed(x).relu())


@healthy(PROGRAMS, "classification", 0.92, "the hidden layer is frozen on purpose: five hundred random features do")
def course_random_features(seed: int) -> Case:
    model = RandomFeatures()
    optimizer = Adam(model.head.parameters(), lr=3e-3)
    return case(model, digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 15)


@healthy(PROGRAMS, "regression", 0.85, "a cosine that ends at a rate of zero, counted in batches")
def course_cosine_to_zero(seed: int) -> Case:
    plan = partial(CosineAnnealingLR, T_max=20 * 20)
    return case(mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(), partial(Adam, lr=0.01), 32, 20, scheduler=plan)


@healthy(PROGRAMS, "classification", 0.93, "one cycle up to a rate of 0.3 and down again")
def course_one_cycle(seed: int) -> Case:
    plan = partial(OneCycleLR, max_lr=0.3, total_steps=480)
    optimizer = partial(SGD, lr=0.01, momentum=0.9)
    model = normed(64, 64, 10)
    return case(model, digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 12, scheduler=plan)


@healthy(PROGRAMS, "classification", 0.88, "a staircase in batches: the rate falls tenfold after 200 of 300 batches")
def course_staircase(seed: int) -> Case:
    plan = partial(StepLR, step_size=200, gamma=0.1)
    parts = blobs(seed, distance=3.5)
    return case(mlp(10, 32, 4), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.2), 32, 15, scheduler=plan)


@healthy(PROGRAMS, "regression", 0.8, "a momentum of 0.99 beside a rate of 0.0005")
def course_heavy_ball(seed: int) -> Case:
    optimizer = partial(SGD, lr=5e-4, momentum=0.99, nesterov=True)
    return case(mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(), optimizer, 32, 30)


@healthy(PROGRAMS, "classification", 0.93, "half of 256 units are dropped: training looks worse than validation")
def course_half_of_a_wide_layer(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.85, "one sample at a time at a small rate, as in the perceptron's days")
def course_one_sample_at_a_time(seed: int) -> Case:
    return case(mlp(4, 12, 3, activation=nn.Tanh), iris(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.02), 1, 25)


@healthy(PROGRAMS, "classification", 0.9, "gradient descent on all samples at once, one step an epoch")
def course_whole_set_in_a_batch(seed: int) -> Case:
    return case(mlp(13, 24, 3), wine(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.02), 124, 60)


@healthy(PROGRAMS, "classification", 0.92, "squared error against rows of zeros and a one, old but fit")
def course_squares_on_one_hot(seed: int) -> Case:
    parts = tuple((x, nn.functional.one_hot(y, 10).float()) for x, y in digits(seed))
    return case(mlp(64, 64, 10), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 15)


def hinge(output: Tensor, y: Tensor) -> Tensor:
    """The support vector machine's loss for labels of plus and minus one."""
    return (1 - y * output).relu().mean()


@healthy(PROGRAMS, "binary", 0.92, "labels of minus and plus one: the hinge loss wants them")
def course_hinge_on_plus_and_minus(seed: int) -> Case:
    parts = tuple((x, 2 * y - 1) for x, y in cancer(seed))
    return case(nn.Linear(30, 1), parts, hinge, partial(SGD, lr=0.05, weight_decay=0.01), 32, 20)


@healthy(PROGRAMS, "classification", 0.92, "label smoothing of 0.2: the loss stays near one although all is learned")
def course_smoothed_labels(seed: int) -> Case:
    loss = nn.CrossEntropyLoss(label_smoothing=0.2)
    return case(digit_cnn(), digits(seed, image=True), loss, partial(AdamW, lr=5e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.8, "gradients are cut to a norm of 0.05, which Adam scales back")
def course_clipped_for_adam(seed: int) -> Case:
    model = TokenRNN(20, 3)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20, clip_grad=0.05)


@healthy(PROGRAMS, "classification", 0.9, "samples lie class by class, but each epoch is shuffled")
def course_sorted_and_shuffled(seed: int) -> Case:
    (x, y), val = waves(seed)
    order = y.argsort()
    return case(wave_cnn(), ((x[order], y[order]), val), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@healthy(PROGRAMS, "binary", 0.95, "one positive in twelve, but the clouds lie far apart", metric="balanced")
def course_rare_but_clear(seed: int) -> Case:
    y = (torch.rand(1200, 1) < 1 / 12).float()
    parts = split(torch.randn(1200, 6) + 2.5 * y, y, seed)
    return case(mlp(6, 16, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


class Jitter(nn.Module):
    """Noise on what passes, while training."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.3 * torch.randn_like(x) if self.training else x


@healthy(PROGRAMS, "regression", 0.35, "noise on the inputs and heavy decay: the fit is poor because the data are")
def course_noise_as_a_regularizer(seed: int) -> Case:
    model = nn.Sequential(Jitter(), *mlp(10, 24, 1))
    return case(model, diabetes(seed), nn.MSELoss(), partial(AdamW, lr=5e-3, weight_decay=0.1), 32, 20)


@healthy(PROGRAMS, "regression", 0.8, "batches of two beside group normalization, which does not look at the batch")
def course_pairs_and_groups(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(8, 32), nn.GroupNorm(4, 32), nn.ReLU(), nn.Linear(32, 1))
    return case(model, friedman(seed, 600), nn.MSELoss(), partial(Adam, lr=2e-3), 2, 12)


@healthy(PROGRAMS, "multilabel", 0.9, "Adagrad at 0.1, whose step shrinks by itself")
def course_adagrad_at_a_tenth(seed: int) -> Case:
    return case(mlp(12, 48, 5), tags(seed), nn.BCEWithLogitsLoss(), partial(Adagrad, lr=0.1), 32, 15)


@healthy(PROGRAMS, "classification", 0.85, "a transformer that warms up from a rate of nearly zero")
def course_warmed_up(seed: int) -> Case:
    plan = partial(OneCycleLR, max_lr=5e-3, total_steps=22 * 15, pct_start=0.2)
    model = Attention(4, 4, layers=2, dropout=0.1, norm_first=False)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(AdamW, lr=5e-3), 32, 15, scheduler=plan)


@healthy(PROGRAMS, "classification", 0.93, "leaky rectifiers and RMSprop with momentum on two half-moons")
def course_leaky_and_rms(seed: int) -> Case:
    optimizer = partial(RMSprop, lr=1e-3, momentum=0.9)
    model = mlp(2, 32, 32, 2, activation=nn.LeakyReLU)
    return case(model, rings(seed), nn.CrossEntropyLoss(), optimizer, 32, 25)


def next_values(seed: int) -> Parts:
    """Windows (n, 16, 1) of noisy sines of random phase and the value that follows."""
    draw = torch.Generator().manual_seed(seed)
    start = 6.3 * torch.rand(700, 1, generator=draw)
    wave = (start + 0.4 * torch.arange(17)).sin() + 0.1 * torch.randn(700, 17, generator=draw)
    return split(wave[:, :16, None], wave[:, 16:], seed)


@healthy(PROGRAMS, "regression", 0.9, "overlapping series in a GRU, values never normalized and in -1 to 1 anyway")
def course_next_value(seed: int) -> Case:
    return case(SeriesRNN(1, 1), next_values(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15, clip_grad=1.0)
