"""Kept apart, fifth part: healthy programs, some of them with something unusual that does no harm."""

from functools import partial

import torch
from enrol import case, healthy
from nets import Attention, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram
from samples import blobs, cancer, diabetes, digits, friedman, iris, majority, split, standardized, tags, waves, wine
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, NAdam, RMSprop
from torch.optim.lr_scheduler import StepLR

PROGRAMS: list[SuiteProgram] = []


@healthy(PROGRAMS, "classification", 0.9, "nothing unusual: a table, two layers, Adam")
def plain_wine(seed: int) -> Case:
    return case(mlp(13, 32, 3), wine(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 16, 20)


@healthy(PROGRAMS, "regression", 0.85, "nothing unusual: a series, a GRU, Adam and clipping")
def plain_series(seed: int) -> Case:
    x = torch.randn(700, 12, 2)
    y = standardized(x[:, -4:, 0].sum(1, keepdim=True) + x[:, -1:, 1] + 0.2 * torch.randn(700, 1))
    model = SeriesRNN(2, 1, 24)
    return case(model, split(x, y, seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20, clip_grad=1.0)


@healthy(PROGRAMS, "classification", 0.9, "nothing unusual: convolutions over time and a step schedule")
def plain_beats(seed: int) -> Case:
    schedule = partial(StepLR, step_size=200, gamma=0.3)
    parts = waves(seed, noise=0.3)
    return case(wave_cnn(), parts, nn.CrossEntropyLoss(), partial(AdamW, lr=3e-3), 32, 15, scheduler=schedule)


@healthy(PROGRAMS, "classification", 0.9, "SGD at one: a small tanh net with inputs within one bears it")
def rate_of_one_for_tanh(seed: int) -> Case:
    model = mlp(64, 32, 10, activation=nn.Tanh)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=1.0), 64, 20)


@healthy(
    PROGRAMS, "classification", 0.9, "ten sigmoids and binary cross entropy for one of ten classes, as YOLO does it"
)
def one_against_the_rest(seed: int) -> Case:
    parts = tuple((x, nn.functional.one_hot(y, 10).float()) for x, y in digits(seed))
    return case(mlp(64, 48, 10), (parts[0], parts[1]), nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "a hinge loss over classes, which is zero where the margin is kept")
def margin_over_classes(seed: int) -> Case:
    return case(mlp(64, 48, 10), digits(seed), nn.MultiMarginLoss(), partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "blank borders: most of the 144 pixels are zero in every picture")
def digits_on_a_blank_sheet(seed: int) -> Case:
    parts = tuple((nn.functional.pad(x, (2, 2, 2, 2)).flatten(1), y) for x, y in digits(seed, image=True))
    return case(mlp(144, 48, 10), (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "each picture is there three times with other noise: augmentation, no copies")
def three_noisy_views(seed: int) -> Case:
    (x, y), val = digits(seed, image=True)
    x = torch.cat([x + 0.1 * torch.randn_like(x) for _ in range(3)])
    return case(digit_cnn(), ((x, y.repeat(3)), val), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 64, 6)


@healthy(PROGRAMS, "regression", 0.85, "targets of mean three and deviation two: not standardized, and near enough")
def grades_from_minus_one_to_seven(seed: int) -> Case:
    parts = tuple((x, 2 * y + 3) for x, y in friedman(seed))
    return case(mlp(8, 48, 24, 1), (parts[0], parts[1]), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


@healthy(PROGRAMS, "regression", 0.3, "much of the target is chance: R2 of 0.45 is what these ten features can tell")
def lasting_loss_of_patients(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))
    return case(model, diabetes(seed), nn.MSELoss(), partial(AdamW, lr=3e-3, weight_decay=0.1), 32, 25)


@healthy(PROGRAMS, "binary", 0.92, "four rows a step and no norm: many small steps at a small rate")
def four_rows_a_step(seed: int) -> Case:
    return case(mlp(30, 16, 1), cancer(seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=5e-3, momentum=0.9), 4, 8)


@healthy(PROGRAMS, "classification", 0.85, "random word vectors stay frozen: 48 random numbers tell four words apart")
def frozen_table_of_few_words(seed: int) -> Case:
    model = TokenRNN(4, 4, 48)
    model.embed.weight.requires_grad = False
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 8)


@healthy(PROGRAMS, "multilabel", 0.88, "RMSprop at 0.003 with bounded Hardtanh units, flat beyond one on both sides")
def hardtanh_for_tags(seed: int) -> Case:
    model = mlp(12, 64, 5, activation=nn.Hardtanh)
    return case(model, tags(seed), nn.BCEWithLogitsLoss(), partial(RMSprop, lr=3e-3), 32, 25)


@healthy(
    PROGRAMS,
    "classification",
    0.9,
    "a seventh of the rows belongs to one class, which is far from the others",
    metric="balanced",
)
def seldom_but_far(seed: int) -> Case:
    (x, y), val = blobs(seed, 1400, 10, 3, distance=4.0)
    keep = (y > 0) | (torch.arange(len(y)) % 3 == 0)
    return case(mlp(10, 24, 3), ((x[keep], y[keep]), val), nn.CrossEntropyLoss(), partial(NAdam, lr=3e-3), 32, 15)


class Gated(nn.Module):
    """A block whose scales begin at a thousandth, after a post-norm encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet, self.outlet = nn.Linear(8, 32), nn.Linear(32, 1)
        self.blocks = nn.ModuleList(mlp(32, 64, 32, activation=nn.GELU) for _ in range(6))
        self.scales = nn.Parameter(torch.full((6, 32), 1e-3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.inlet(x)
        for block, scale in zip(self.blocks, self.scales, strict=True):
            h = h + scale * block(h)
        return self.outlet(h)


@healthy(PROGRAMS, "regression", 0.85, "layer scale: six blocks begin at a thousandth and grow")
def scales_of_a_thousandth(seed: int) -> Case:
    return case(Gated(), friedman(seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.88, "more than half of the inputs are dropped, of a wide table of many hints")
def many_hints_half_dropped(seed: int) -> Case:
    parts = blobs(seed, 1200, 60, 4, distance=5.0)
    model = nn.Sequential(nn.Dropout(0.6), nn.Linear(60, 64), nn.ReLU(), nn.Linear(64, 4))
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.85, "two transformer layers without a warm-up at a thousandth, a little dropout")
def transformer_without_warm_up(seed: int) -> Case:
    model = Attention(4, 4, layers=2, dropout=0.1)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=1e-3), 16, 8)


@healthy(
    PROGRAMS,
    "regression",
    0.7,
    "an autoencoder of sigmoids with a code of twelve, output within 0 and 1 as the pixels are",
)
def sigmoids_around_a_code(seed: int) -> Case:
    parts = tuple((x, x) for x, _ in digits(seed))
    model = nn.Sequential(nn.Linear(64, 12), nn.Sigmoid(), nn.Linear(12, 64), nn.Sigmoid())
    return case(model, (parts[0], parts[1]), nn.BCELoss(), partial(Adam, lr=0.02), 32, 30)


@healthy(PROGRAMS, "classification", 0.85, "Adam at 0.1 for a linear model of four columns, batch of 32")
def a_tenth_for_iris(seed: int) -> Case:
    return case(nn.Linear(4, 3), iris(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.1), 32, 25)
