"""Tables and numbers that train, only worse than they should: the milder slips that people ask about."""

from functools import partial

import torch
from enrol import case
from nets import mlp
from program import Case, SuiteProgram, program
from samples import friedman, split, standardized, tags
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


def product(seed: int, n: int = 1200, features: int = 6, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """Standard normal rows and a standardized target with a product, a square and a line in it."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, features, generator=draw)
    y = x[:, :1] * x[:, 1:2] + 0.7 * x[:, 2:3] ** 2 + x[:, 3:4]
    return x, standardized(y + noise * torch.randn(n, 1, generator=draw))


@program(
    PROGRAMS,
    faults="lr-too-low too-few-epochs",
    symptoms="loss-not-decreasing underfitting-capacity",
    task="regression",
    good=0.8,
    source="forum posts that quote 'Adam at 3e-4 is always right' for five hundred steps in all",
    note="a rate for a long training in a short one: the error is on its way down when the loop ends",
)
def constant_of_long_trainings(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = split(*product(seed), seed)
    return case(mlp(6, 48, 24, 1), parts, nn.MSELoss(), partial(Adam, lr=3e-4 if sick else 5e-3), 32, 18)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=STUCK + " lr-too-high exploding-gradient",
    task="regression",
    good=0.8,
    source="StackOverflow: 'R² stays at 0.5', occupancy in percent as the target and Adam's default rate",
    note="percentages of fifty and more: most of the training is spent on the way to their mean",
)
def percentages_as_targets(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = product(seed)
    parts = split(x, 65 + 12 * y if sick else y, seed)
    return case(mlp(6, 64, 32, 1), parts, nn.MSELoss(), partial(Adam, lr=1e-3), 32, 50)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms="underfitting-capacity loss-not-decreasing too-few-epochs bn-train-eval-mismatch",
    task="regression",
    good=0.8,
    source="Kaggle: dropout of 0.5 after each of three narrow layers 'against overfitting'",
    note="half of sixteen units are dropped thrice, in a net that has none to spare",
)
def half_of_sixteen_units_thrice(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for wide in (6, 16, 16):
        layers += [nn.Linear(wide, 16), nn.ReLU(), nn.Dropout(0.5 if sick else 0.0)]
    model = nn.Sequential(*layers, nn.Linear(16, 1))
    return case(model, split(*product(seed), seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 30)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms="underfitting-capacity loss-not-decreasing vanishing-activations",
    task="regression",
    good=0.8,
    source="PyTorch forum: weight_decay=0.15 with Adam, training and test error stop at the same height",
    note="Adam's penalty of 0.15 leaves the net too flat for a product",
)
def penalty_that_flattens(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=5e-3, weight_decay=0.15 if sick else 0.0)
    return case(mlp(6, 48, 24, 1), split(*product(seed), seed), nn.MSELoss(), optimizer, 32, 25)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " underfitting-capacity vanishing-gradient",
    task="regression",
    good=0.85,
    source="StackOverflow: 'the loss falls at first and then jumps about', Adam at 0.2 in four layers",
    note="the error falls to a half and dances there, steps of a fifth are too coarse for the rest",
)
def falls_at_first_then_jumps_about(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(6, 64, 64, 64, 1)
    return case(model, split(*product(seed), seed), nn.MSELoss(), partial(Adam, lr=0.2 if sick else 2e-3), 32, 25)


@program(
    PROGRAMS,
    faults="input-not-normalized ill-conditioned-features",
    symptoms=STUCK + " oscillating-loss lr-too-high dead-relu exploding-gradient",
    task="regression",
    good=0.75,
    source="StackOverflow: four columns between zero and one and one in percent, SGD needs a tiny rate",
    note="a column of up to a hundred makes the steps, and the others are hardly seen",
)
def one_column_in_percent(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = product(seed)
    percent = 50 + 17 * x[:, 5:]
    x = torch.cat([x[:, :5], percent if sick else standardized(percent)], 1)
    return case(mlp(6, 48, 24, 1), split(x, y, seed), nn.MSELoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 25)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="too-few-epochs lr-too-low loss-not-decreasing dead-relu",
    task="multilabel",
    good=0.88,
    source="course exercise: hidden = (inputs + outputs) / 10, rounded down, for ten tags",
    note="two units for ten tags that have nothing in common",
)
def two_units_for_ten_tags(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(14, 2 if sick else 48, 10)
    return case(model, tags(seed, 1000, 14, 10), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms="underfitting-capacity wrong-loss-for-task overfitting",
    task="binary",
    metric="balanced",
    good=0.72,
    source="Kaggle: employees who leave, one in nine; good accuracy and a recall of a quarter",
    note="leavers are one in nine and overlap with the others, so that few of them pass the threshold",
)
def leavers_one_in_nine(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(2400, 1, generator=draw) < 1 / 9).float()
    x = torch.randn(2400, 6, generator=draw) + 0.65 * y
    loss = nn.BCEWithLogitsLoss(pos_weight=None if sick else torch.tensor(8.0))
    return case(mlp(6, 16, 1), split(x, y, seed), loss, partial(Adam, lr=2e-3), 32, 10)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms=WILD + " lr-too-low too-few-epochs",
    task="regression",
    good=0.8,
    source="GitHub issues: 'I raised momentum to 0.995 since more is smoother', the loss swings in long waves",
    note="the step is a sum over two hundred batches, which runs past each valley and back",
)
def long_waves_of_momentum(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.01, momentum=0.995 if sick else 0.9)
    model = mlp(8, 48, 24, 1, activation=nn.Tanh)
    return case(model, friedman(seed), nn.MSELoss(), optimizer, 32, 30)
