"""Healthy programs of a class on training, first part: rates, schedules, batches, lengths and noise."""

import math
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from enrol import case, healthy
from nets import Attention, ResidualMLP, SeriesRNN, digit_cnn, mlp
from program import Case, SuiteProgram
from samples import blobs, cancer, diabetes, digits, friedman, iris, majority, rings, split, standardized, waves, wine
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    SequentialLR,
    StepLR,
)

PROGRAMS: list[SuiteProgram] = []


def normed(*widths: int) -> nn.Sequential:
    """Linear layers, each but the last with batch normalization and a ReLU."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths[:-1]):
        layers += [nn.Linear(wide, narrow, bias=False), nn.BatchNorm1d(narrow), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


@healthy(PROGRAMS, "classification", 0.92, "SGD at a rate of 0.5: batch normalization bears it")
def class_rate_of_a_half_with_norms(seed: int) -> Case:
    return case(normed(64, 64, 64, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.5), 64, 15)


@healthy(PROGRAMS, "classification", 0.93, "one cycle up to a rate of 0.6 with momentum and back to nothing")
def class_one_cycle_to_a_high_peak(seed: int) -> Case:
    parts = digits(seed)
    steps = 12 * math.ceil(len(parts[0][0]) / 32)
    cycle = partial(OneCycleLR, max_lr=0.6, total_steps=steps)
    return case(
        normed(64, 64, 10), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 12, scheduler=cycle
    )


@healthy(PROGRAMS, "classification", 0.88, "the rate is next to nothing for the first hundred steps")
def class_long_warm_up(seed: int) -> Case:
    warm = partial(LambdaLR, lr_lambda=lambda step: min(1.0, (step + 1) / 100))
    model = Attention(4, 4, width=24, layers=2)
    return case(
        model, majority(seed, 1200), nn.CrossEntropyLoss(), partial(AdamW, lr=4e-3), 32, 12, clip_grad=1.0,
        scheduler=warm,
    )  # fmt: skip


@healthy(PROGRAMS, "classification", 0.93, "half a cosine down to a rate of zero; the last epochs hardly move")
def class_cosine_to_zero(seed: int) -> Case:
    parts = digits(seed, image=True)
    fall = partial(CosineAnnealingLR, T_max=10 * math.ceil(len(parts[0][0]) / 32))
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 10, scheduler=fall)


@healthy(PROGRAMS, "regression", 0.8, "warm restarts: the loss jumps up each time that the rate does")
def class_warm_restarts(seed: int) -> Case:
    again = partial(CosineAnnealingWarmRestarts, T_0=60)
    return case(
        mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 24, scheduler=again
    )


@healthy(
    PROGRAMS, "classification", 0.95, "a triangle of rates between 0.001 and 0.2: the loss goes up and down with it"
)
def class_triangles_of_rates(seed: int) -> Case:
    cycle = partial(CyclicLR, base_lr=0.001, max_lr=0.2, step_size_up=40)
    return case(
        mlp(2, 32, 32, 2), rings(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 40,
        scheduler=cycle,
    )  # fmt: skip


@healthy(PROGRAMS, "classification", 0.9, "warm-up, then a decay of half a percent each step")
def class_two_schedules_in_a_row(seed: int) -> Case:
    def both(optimizer: torch.optim.Optimizer) -> SequentialLR:
        rise, fall = LinearLR(optimizer, 0.05, total_iters=30), ExponentialLR(optimizer, 0.995)
        return SequentialLR(optimizer, [rise, fall], [30])

    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 12, scheduler=both)


@healthy(PROGRAMS, "regression", 0.8, "the rate falls tenfold at two thirds of the way, whereupon the loss steps down")
def class_one_step_down(seed: int) -> Case:
    fall = partial(StepLR, step_size=260, gamma=0.1)
    return case(mlp(8, 64, 1), friedman(seed), nn.MSELoss(), partial(RMSprop, lr=0.01), 32, 20, scheduler=fall)


@healthy(PROGRAMS, "binary", 0.92, "each step sees one patient; the loss jumps, the small rate averages")
def class_one_patient_a_step(seed: int) -> Case:
    return case(mlp(30, 12, 1), cancer(seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.005), 1, 8)


@healthy(PROGRAMS, "classification", 0.92, "all flowers in one batch, but three hundred steps of it")
def class_all_flowers_at_once(seed: int) -> Case:
    return case(mlp(4, 16, 3), iris(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 150, 300)


@healthy(PROGRAMS, "classification", 0.9, "batches of 512 out of 1257 digits, at a rate that suits them")
def class_three_steps_an_epoch(seed: int) -> Case:
    return case(mlp(64, 64, 10), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 512, 30)


@healthy(PROGRAMS, "classification", 0.9, "three epochs only, of batches of four: nine hundred steps")
def class_three_epochs_suffice(seed: int) -> Case:
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(SGD, lr=0.01, momentum=0.9), 4, 3)


@healthy(PROGRAMS, "classification", 0.92, "four hundred epochs of a linear net on wines: nothing to learn by heart")
def class_four_hundred_epochs(seed: int) -> Case:
    return case(nn.Linear(13, 3), wine(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, weight_decay=0.01), 32, 400)


@healthy(PROGRAMS, "regression", 0.5, "two thirds of a wage can be told from the table, the rest is luck")
def class_wages_are_luck(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1200, 6, generator=draw)
    wage = x[:, :1] + 0.7 * x[:, 1:2] * (x[:, 2:3] > 0) + 0.8 * torch.randn(1200, 1, generator=draw)
    return case(mlp(6, 16, 1), split(x, standardized(wage), seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "binary", 0.66, "the better team wins three games in four at best: more cannot be told")
def class_games_are_luck(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1600, 5, generator=draw)
    better = (x @ torch.tensor([1.0, -1.0, 0.5, 0.0, 0.5]) > 0).float()[:, None]
    won = torch.where(torch.rand(1600, 1, generator=draw) < 0.75, better, 1 - better)
    return case(mlp(5, 8, 1), split(x, won, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 12)


@healthy(PROGRAMS, "regression", 0.35, "a year of diabetes can hardly be told: half of the variance is out of reach")
def class_diabetes_by_a_small_net(seed: int) -> Case:
    return case(mlp(10, 8, 1), diabetes(seed), nn.MSELoss(), partial(SGD, lr=0.02, weight_decay=1e-2), 16, 30)


@healthy(PROGRAMS, "classification", 0.88, "one in twenty-five is rare, but far away from the rest", metric="balanced")
def class_rare_and_far_away(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(1500, generator=draw) < 0.04).long()
    x = torch.randn(1500, 8, generator=draw) + 2.0 * y[:, None]
    return case(mlp(8, 24, 2), split(x, y, seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.92, "seven of ten units drop out, but there are 512 of them")
def class_dropout_of_seventy_percent(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Dropout(0.7), nn.Linear(512, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.92, "forty linear layers in a row, with a shortcut around each two of them")
def class_twenty_residual_blocks(seed: int) -> Case:
    model = ResidualMLP(64, 10, width=32, blocks=20, gain=0.5)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.95, "five layers of tanh with Xavier's start")
def class_five_layers_of_tanh(seed: int) -> Case:
    model = mlp(2, 24, 24, 24, 24, 24, 2, activation=nn.Tanh)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, 5 / 3)
    return case(model, rings(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 40)


@healthy(PROGRAMS, "classification", 0.92, "two layers of sigmoids under Adam: slower, but it gets there")
def class_two_layers_of_sigmoids(seed: int) -> Case:
    model = mlp(64, 64, 48, 10, activation=nn.Sigmoid)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "flowers in centimetres; all four are of the same size")
def class_flowers_in_centimetres(seed: int) -> Case:
    return case(mlp(4, 32, 3), iris(seed, raw=True), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 16, 60)


@healthy(PROGRAMS, "classification", 0.93, "pixels from 0 to 16 as they are, for which the rate is low enough")
def class_pixels_up_to_sixteen(seed: int) -> Case:
    return case(digit_cnn(), digits(seed, raw=True, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 10)


@healthy(PROGRAMS, "classification", 0.85, "Adagrad at 0.1, as its steps shrink by themselves")
def class_adagrad_at_a_tenth(seed: int) -> Case:
    return case(mlp(10, 32, 4), blobs(seed, distance=4.0), nn.CrossEntropyLoss(), partial(Adagrad, lr=0.1), 32, 15)


@healthy(PROGRAMS, "classification", 0.85, "a GRU over a hundred steps; the mark is in every part of the wave")
def class_a_hundred_steps(seed: int) -> Case:
    parts: Any = tuple((x.transpose(1, 2), y) for x, y in waves(seed, 900, 100, noise=0.1))
    return case(SeriesRNN(1, 3, 32), parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20, clip_grad=1.0)


def swapped(y: Tensor, share: float, classes: int, seed: int) -> Tensor:
    """Labels of which a share is drawn anew."""
    draw = torch.Generator().manual_seed(seed + 1)
    other = torch.randint(0, classes, y.shape, generator=draw)
    return torch.where(torch.rand(len(y), generator=draw) < share, other, y)


@healthy(
    PROGRAMS,
    "classification",
    0.85,
    "a fifth of the training labels is drawn at random; the net is small and stops early",
)
def class_sloppy_annotators(seed: int) -> Case:
    (x, y), val = digits(seed)
    parts = ((x, swapped(y, 0.2, 10, seed)), val)
    return case(mlp(64, 24, 10), parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)
