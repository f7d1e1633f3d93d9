"""Healthy programs of a class on training, second part: losses, starts, frozen parts, tables as they come."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from enrol import case, healthy
from nets import TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram
from samples import cancer, digits, friedman, iris, rings, split, standardized, tags, tokens, wine
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

PROGRAMS: list[SuiteProgram] = []


def focal(output: Tensor, y: Tensor) -> Tensor:
    """Cross entropy that looks away from what is sure."""
    each = nn.functional.cross_entropy(output, y, reduction="none")
    return ((1 - (-each).exp()).square() * each).mean()


@healthy(PROGRAMS, "classification", 0.92, "a loss of one's own, focal: it starts far below the logarithm of ten")
def class_focal_loss(seed: int) -> Case:
    return case(mlp(64, 48, 10), digits(seed), focal, partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "regression", 0.75, "Huber's loss, because a few training targets are far out")
def class_huber_for_outliers(seed: int) -> Case:
    (x, y), val = friedman(seed)
    far = torch.rand(len(y), 1, generator=torch.Generator().manual_seed(seed)) < 0.03
    parts = ((x, y + 6.0 * far), val)
    return case(mlp(8, 48, 1), parts, nn.SmoothL1Loss(beta=0.5), partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.92, "hinges instead of cross entropy: many samples give no gradient in the end")
def class_hinge_of_several_classes(seed: int) -> Case:
    return case(mlp(64, 48, 10), digits(seed), nn.MultiMarginLoss(), partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.92, "squared error against one-hot rows, which is proper if unusual")
def class_squares_of_one_hot(seed: int) -> Case:
    parts: Any = tuple((x, nn.functional.one_hot(y, 10).float()) for x, y in digits(seed))
    return case(mlp(64, 64, 10), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.92, "smoothed labels: the loss stays above a half for good")
def class_smoothed_labels(seed: int) -> Case:
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    return case(digit_cnn(), digits(seed, image=True), loss, partial(SGD, lr=0.05, momentum=0.9), 32, 10)


@healthy(
    PROGRAMS, "classification", 0.88, "random convolutions are frozen; the head reads five hundred of their outputs"
)
def class_frozen_random_filters(seed: int) -> Case:
    body = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()).requires_grad_(False)
    model = nn.Sequential(body, nn.Linear(288, 10))
    head = Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), head, 32, 20)


class Tied(nn.Module):
    """An autoencoder whose decoder is its encoder, transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(24, 64))
        self.into, self.out = nn.Parameter(torch.zeros(24)), nn.Parameter(torch.zeros(64))

    def forward(self, x: Tensor) -> Tensor:
        h = nn.functional.linear(x, self.weight, self.into).relu()
        return nn.functional.linear(h, self.weight.T, self.out)


@healthy(PROGRAMS, "regression", 0.75, "encoder and decoder share one matrix")
def class_tied_autoencoder(seed: int) -> Case:
    parts: Any = tuple((x, x) for x, _ in digits(seed))
    return case(Tied(), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


class Twice(nn.Module):
    """One block of weights, gone through three times."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet, self.block, self.outlet = nn.Linear(64, 48), nn.Linear(48, 48), nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inlet(x).relu()
        for _ in range(3):
            h = h + self.block(h).relu()
        return self.outlet(h)


@healthy(PROGRAMS, "classification", 0.92, "the same layer is called three times in each pass")
def class_one_layer_three_times(seed: int) -> Case:
    return case(Twice(), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


class Taught(nn.Module):
    """A student that predicts the frozen features of a random teacher besides the class."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = mlp(64, 32, 8)
        self.body, self.head, self.mimic = mlp(64, 64, 32), nn.Linear(32, 10), nn.Linear(32, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.body(x).relu()
        return self.head(h), self.mimic(h), self.teacher(x).detach()


def taught(output: tuple[Tensor, Tensor, Tensor], y: Tensor) -> Tensor:
    """Cross entropy and the distance to the teacher."""
    answer, mine, yours = output
    return nn.functional.cross_entropy(answer, y) + nn.functional.mse_loss(mine, yours)


@healthy(PROGRAMS, "classification", 0.92, "the teacher's output is detached on purpose: its weights have no gradient")
def class_detached_teacher(seed: int) -> Case:
    return case(Taught(), digits(seed), taught, partial(Adam, lr=3e-3), 32, 12)


class Writer(nn.Module):
    """Predicts each next token from the true ones before it."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embed, self.rnn, self.head = (
            nn.Embedding(words, 16),
            nn.GRU(16, 32, batch_first=True),
            nn.Linear(32, words),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(x))[0]).transpose(1, 2)


@healthy(PROGRAMS, "classification", 0.7, "the true text is fed at each step, and a tenth of it cannot be foretold")
def class_true_text_at_each_step(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    text = torch.zeros(600, 13, dtype=torch.long)
    text[:, :2] = torch.randint(0, 8, (600, 2), generator=draw)
    for place in range(2, 13):
        new = torch.randint(0, 8, (600,), generator=draw)
        text[:, place] = torch.where(torch.rand(600, generator=draw) < 0.1, new, (text[:, place - 1] + 3) % 8)
    parts = split(text[:, :-1], text[:, 1:], seed)
    return case(Writer(8), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 12)


@healthy(PROGRAMS, "classification", 0.92, "gradients are cut to a norm of 0.1, which Adam makes good")
def class_clipped_to_a_tenth(seed: int) -> Case:
    return case(mlp(64, 64, 32, 10), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12, clip_grad=0.1)


@healthy(PROGRAMS, "classification", 0.9, "a decay of 1 under AdamW, that is of three thousandths a step")
def class_decay_of_one(seed: int) -> Case:
    optimizer = partial(AdamW, lr=3e-3, weight_decay=1.0)
    return case(mlp(64, 96, 10), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 15)


@healthy(PROGRAMS, "classification", 0.92, "the last layer starts at zero, so that all classes are alike at first")
def class_last_layer_from_zero(seed: int) -> Case:
    model = digit_cnn()
    for parameter in model[-1].parameters():
        nn.init.zeros_(parameter)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 10)


@healthy(PROGRAMS, "classification", 0.92, "no layer has an offset; pixels need none")
def class_no_offsets_at_all(seed: int) -> Case:
    model = nn.Sequential(
        nn.Linear(64, 64, bias=False),
        nn.ReLU(),
        nn.Linear(64, 32, bias=False),
        nn.ReLU(),
        nn.Linear(32, 10, bias=False),
    )
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 12)


@healthy(PROGRAMS, "classification", 0.88, "three hidden units for three species: it is all that is needed")
def class_three_hidden_units(seed: int) -> Case:
    return case(mlp(4, 3, 3, activation=nn.Tanh), iris(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.03), 8, 40)


@healthy(PROGRAMS, "binary", 0.9, "eight yes-or-no answers: the same rows come up again and again, by nature")
def class_table_of_eight_flags(seed: int) -> Case:
    x = torch.randint(0, 2, (800, 8), generator=torch.Generator().manual_seed(seed)).float()
    y = (x[:, :3].sum(1) + x[:, 3] * x[:, 4] >= 2).float()[:, None]
    return case(mlp(8, 24, 1), split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 20)


@healthy(
    PROGRAMS,
    "classification",
    0.85,
    "the rare class was copied until it was as frequent as the other",
    metric="balanced",
)
def class_rare_rows_copied(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(1400, generator=draw) < 0.06).long()
    x = torch.randn(1400, 6, generator=draw) + 1.8 * y[:, None]
    (x, y), val = split(x, y, seed)
    rare = (y == 1).nonzero()[:, 0].repeat(14)
    parts = ((torch.cat([x, x[rare]]), torch.cat([y, y[rare]])), val)
    return case(mlp(6, 12, 2), parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10)


@healthy(PROGRAMS, "classification", 0.93, "digits in a wide black frame: three pixels in four never change")
def class_digits_in_a_frame(seed: int) -> Case:
    parts: Any = tuple((nn.functional.pad(x, (4, 4, 4, 4)), y) for x, y in digits(seed, image=True))
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(1024, 10),
    )  # fmt: skip
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 8)


@healthy(PROGRAMS, "regression", 0.75, "incomes as they are, skewed with a long tail, yet of a usual size")
def class_skewed_incomes(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = (0.6 * torch.randn(1000, 5, generator=draw)).exp()
    y = x.log()[:, :1] + x.log()[:, 1:2] * 0.5 + 0.2 * torch.randn(1000, 1, generator=draw)
    return case(mlp(5, 48, 1), split(x, standardized(y), seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 30)


@healthy(PROGRAMS, "regression", 0.75, "targets around 3 with a spread of 1: the last offset goes there by itself")
def class_targets_around_three(seed: int) -> Case:
    parts: Any = tuple((x, y + 3.0) for x, y in friedman(seed))
    return case(mlp(8, 48, 24, 1), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 40)


@healthy(
    PROGRAMS, "classification", 0.9, "641 rows in batches of 32: the last batch has one, under batch normalization"
)
def class_one_row_left_over(seed: int) -> Case:
    (x, y), val = digits(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    return case(model, ((x[:641], y[:641]), val), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "regression", 0.75, "everything in double precision")
def class_double_precision(seed: int) -> Case:
    parts: Any = tuple((x.double(), y.double()) for x, y in friedman(seed))
    return case(mlp(8, 48, 1).double(), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


def by_depth(parameters: Iterator[nn.Parameter]) -> Adam:
    """A tenth of the rate for the first layer, decay for weights only."""
    first, second, *rest = parameters
    groups: list[dict[str, Any]] = [
        {"params": [first, second], "lr": 1e-3},
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": 1e-4},
        {"params": [p for p in rest if p.ndim == 1]},
    ]
    return Adam(groups, lr=1e-2)


@healthy(PROGRAMS, "classification", 0.92, "three groups of parameters, the first at a tenth of the rate")
def class_three_groups(seed: int) -> Case:
    return case(mlp(64, 64, 32, 10), digits(seed), nn.CrossEntropyLoss(), by_depth, 32, 12)


@healthy(PROGRAMS, "multilabel", 0.85, "each label is true of one row in seven; still each is learned")
def class_seldom_true_labels(seed: int) -> Case:
    return case(mlp(12, 48, 5), tags(seed, offset=1.0), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.85, "a third of the words tells nothing, and an LSTM finds that out")
def class_words_that_never_matter(seed: int) -> Case:
    model = TokenRNN(20, 3, 24, nn.LSTM)
    return case(model, tokens(seed, 1400, 14), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@healthy(PROGRAMS, "binary", 0.92, "thirty raw measures, which a first batch normalization puts on one scale")
def class_norm_before_all(seed: int) -> Case:
    model = nn.Sequential(nn.BatchNorm1d(30), *mlp(30, 16, 1))
    return case(model, cancer(seed, raw=True), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "the table is sorted by class, but drawn in a new order each epoch")
def class_sorted_wines_shuffled_anew(seed: int) -> Case:
    (x, y), val = wine(seed)
    order = y.argsort()
    return case(mlp(13, 24, 3), ((x[order], y[order]), val), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 16, 25)


class Spiral(nn.Module):
    """Fixed sines of the inputs, then a linear head: parameters that are buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.waves: Tensor
        self.register_buffer("waves", 2.0 * torch.randn(2, 128))
        self.head = nn.Linear(256, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = x @ self.waves
        return self.head(torch.cat([h.sin(), h.cos()], 1))


@healthy(PROGRAMS, "classification", 0.95, "the first layer is a buffer of random waves; only the head learns")
def class_random_waves(seed: int) -> Case:
    return case(Spiral(), rings(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.2, momentum=0.9), 32, 25)
