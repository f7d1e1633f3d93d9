"""Healthy tables, recommenders and autoencoders that people ask about, and some that nobody would."""

from functools import partial

import torch
from enrol import case, healthy
from nets import mlp
from program import Case, SuiteProgram
from samples import Parts, cancer, digits, friedman, split, standardized, tags
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Rprop
from torch.optim.lr_scheduler import LambdaLR

PROGRAMS: list[SuiteProgram] = []


@healthy(
    PROGRAMS, "regression", 0.8, "BatchNorm1d(n, 0.8) as in well-known GAN samples: an eps of 0.8, which is odd only"
)
def eps_of_eight_tenths(seed: int) -> Case:
    first, second = nn.BatchNorm1d(48, 0.8), nn.BatchNorm1d(24, 0.8)
    model = nn.Sequential(
        nn.Linear(8, 48), first, nn.LeakyReLU(0.2), nn.Linear(48, 24), second, nn.LeakyReLU(0.2), nn.Linear(24, 1)
    )
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "multilabel", 0.85, "labels that one row in six has, weighed by three: what pos_weight is for")
def weights_of_three_for_rare_labels(seed: int) -> Case:
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.full((5,), 3.0))
    return case(mlp(12, 32, 5), tags(seed, 1200, offset=1.0), loss, partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "regression", 0.8, "Rprop, the whole table in one batch, sixty steps in all")
def rprop_of_the_whole_table(seed: int) -> Case:
    return case(mlp(8, 32, 1), friedman(seed), nn.MSELoss(), partial(Rprop, lr=1e-3), 630, 80)


@healthy(PROGRAMS, "classification", 0.85, "two hundred columns that are zero almost everywhere: towns as one-hot rows")
def towns_as_one_hot_rows(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    town = torch.randint(0, 200, (2400,), generator=draw)
    kind = torch.randint(0, 3, (200,), generator=draw)
    x = torch.cat([nn.functional.one_hot(town, 200).float(), torch.randn(2400, 3, generator=draw)], 1)
    return case(mlp(203, 32, 3), split(x, kind[town], seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@healthy(PROGRAMS, "regression", 0.8, "targets of 250 ± 4 in full, and the last bias begins at their mean")
def last_bias_begins_at_the_mean(seed: int) -> Case:
    parts = tuple((x, 250 + 4 * y) for x, y in friedman(seed))
    model = mlp(8, 48, 24, 1)
    nn.init.constant_(model[-1].bias, float(parts[0][1].mean()))
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


def thousandfold(output: Tensor, y: Tensor) -> Tensor:
    """Squared error, in thousandths."""
    return 1000 * (output - y).square().mean()


@healthy(PROGRAMS, "regression", 0.8, "the loss is multiplied by a thousand, of which Adam takes no notice")
def loss_in_thousandths(seed: int) -> Case:
    return case(mlp(8, 48, 24, 1), friedman(seed), thousandfold, partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "binary", 0.93, "Adam at a tenth: a logistic regression bears it")
def adam_at_a_tenth_for_a_line(seed: int) -> Case:
    return case(nn.Linear(30, 1), cancer(seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=0.1), 64, 20)


@healthy(
    PROGRAMS, "binary", 0.75, "a passenger list of a few coarse columns: most rows have twins, some with another answer"
)
def passengers_with_many_twins(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    grade, woman = torch.randint(0, 3, (900,), generator=draw), torch.randint(0, 2, (900,), generator=draw)
    child, port = torch.randint(0, 2, (900,), generator=draw), torch.randint(0, 3, (900,), generator=draw)
    chance = (3.5 * woman - 1.4 * grade + 1.5 * child - 1.2).sigmoid()
    y = (torch.rand(900, generator=draw) < chance).float()[:, None]
    x = standardized(torch.stack([grade, woman, child, port], 1).float())
    return case(mlp(4, 16, 8, 1), split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "regression", 0.85, "a tanh at the end of a regression, whose targets are sines")
def tanh_for_sines(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(900, 4, generator=draw)
    y = (x[:, :1] + 0.5 * x[:, 1:2] * x[:, 2:3]).sin() + 0.02 * torch.randn(900, 1, generator=draw)
    model = nn.Sequential(*mlp(4, 64, 64, 1), nn.Tanh())
    return case(model, split(x, y, seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 40)


class WideAndDeep(nn.Module):
    """A linear form of the row and a small net, added."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.deep = nn.Linear(8, 1), mlp(8, 48, 24, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.wide(x) + self.deep(x)


@healthy(PROGRAMS, "regression", 0.8, "wide and deep with a rate and a decay of their own for each part")
def wide_and_deep_with_two_rates(seed: int) -> Case:
    model = WideAndDeep()
    groups = [
        {"params": model.wide.parameters(), "lr": 3e-2, "weight_decay": 0.0},
        {"params": model.deep.parameters(), "lr": 5e-3, "weight_decay": 0.1},
    ]
    return case(model, friedman(seed), nn.MSELoss(), AdamW(groups), 32, 20)


def pinball(output: Tensor, y: Tensor) -> Tensor:
    """The quantile loss at six tenths."""
    return torch.maximum(0.6 * (y - output), -0.4 * (y - output)).mean()


@healthy(
    PROGRAMS, "regression", 0.75, "a quantile loss: the answers lie above the targets more often than below, as asked"
)
def sixth_decile(seed: int) -> Case:
    return case(mlp(8, 48, 24, 1), friedman(seed), pinball, partial(Adam, lr=5e-3), 32, 25)


class Sparse(nn.Module):
    """An autoencoder wider than its input, whose code is a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(64, 128), nn.Linear(128, 64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(x).relu()
        return self.decoder(code), code


def sparse(output: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    """Squared error and a small price for every unit of the code that speaks."""
    return nn.functional.mse_loss(output[0], y) + 1e-3 * output[1].abs().mean()


@healthy(PROGRAMS, "regression", 0.8, "a sparse autoencoder: most units of the code are silent for any one picture")
def silent_units_of_a_sparse_code(seed: int) -> Case:
    parts: Parts = tuple((x, x) for x, _ in digits(seed))
    return case(Sparse(), parts, sparse, partial(Adam, lr=3e-3), 32, 20)


class Tables(nn.Module):
    """Products of two small vectors and the sum of two levels, around the mean of all stars."""

    def __init__(self, mean: float, scale: float) -> None:
        super().__init__()
        self.person, self.film = nn.Embedding(40, 4), nn.Embedding(40, 4)
        self.likes, self.liked = nn.Embedding(40, 1), nn.Embedding(40, 1)
        for table in (self.person, self.film, self.likes, self.liked):
            nn.init.normal_(table.weight, std=scale)
        self.register_buffer("mean", torch.tensor(mean))

    def forward(self, x: Tensor) -> Tensor:
        product = (self.person(x[:, 0]) * self.film(x[:, 1])).sum(1, keepdim=True)
        return self.mean + product + self.likes(x[:, 0]) + self.liked(x[:, 1])


def five_stars(seed: int) -> Parts:
    """Pairs of a person and a film, and stars from one to five as a column."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 40, (2800, 2), generator=draw)
    taste, trait = torch.randn(2, 40, 2, generator=draw)
    y = (taste[x[:, 0]] * trait[x[:, 1]]).sum(1, keepdim=True) + 0.7 * trait[x[:, 1], :1]
    return split(x, (3.2 + y).round().clamp(1, 5), seed)


@healthy(PROGRAMS, "regression", 0.65, "vectors that start at a hundredth, stars in full around their mean")
def vectors_of_a_hundredth(seed: int) -> Case:
    return case(Tables(3.2, 0.01), five_stars(seed), nn.MSELoss(), partial(Adam, lr=0.02), 32, 20)


@healthy(
    PROGRAMS, "regression", 0.65, "factorization by SGD at a rate of one half: a row is seen once in forty batches"
)
def factors_by_sgd_at_a_half(seed: int) -> Case:
    return case(Tables(3.2, 0.3), five_stars(seed), nn.MSELoss(), partial(SGD, lr=0.5), 32, 30)


@healthy(
    PROGRAMS,
    "classification",
    0.85,
    "missing cells are minus one on a scale of zero to one, each with a flag beside it",
)
def minus_one_and_a_flag_for_missing(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 3, (1200,), generator=draw)
    centres = torch.rand(3, 8, generator=draw)
    x = (centres[y] + 0.15 * torch.randn(1200, 8, generator=draw)).clamp(0, 1)
    gap = torch.rand(1200, 8, generator=draw) < 0.2
    x = torch.cat([x.masked_fill(gap, -1.0), gap.float()], 1)
    return case(mlp(16, 48, 24, 3), split(x, y, seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "regression", 0.8, "the rate falls in a straight line to zero, and the loss stands still at the end")
def rate_falls_to_zero(seed: int) -> Case:
    steps = 20 * 25
    model = mlp(8, 48, 24, 1, activation=nn.SiLU)
    return case(
        model,
        friedman(seed),
        nn.MSELoss(),
        partial(Adam, lr=0.01),
        32,
        25,
        scheduler=lambda o: LambdaLR(o, lambda step: max(0.0, 1 - step / steps)),
    )


@healthy(PROGRAMS, "binary", 0.85, "nothing at all: a table of shares, two hidden layers, Adam")
def plain_loans(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1100, 6, generator=draw)
    y = (x[:, 0] - x[:, 1] + x[:, 2] * x[:, 3] + 0.2 * x[:, 4] > 0.2).float()[:, None]
    return case(mlp(6, 32, 16, 1), split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "multilabel", 0.88, "nothing at all: six tags, one hidden layer, SGD with momentum")
def plain_tags(seed: int) -> Case:
    return case(
        mlp(14, 48, 6), tags(seed, 1000, 14, 6), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 15
    )
