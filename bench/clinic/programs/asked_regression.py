"""Numbers to be told from a table, as people post them when the answer is the same for every row."""

from functools import partial

import torch
from enrol import case
from nets import mlp
from program import Case, SuiteProgram, program
from samples import friedman, split, standardized
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adam, AdamW

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " ill-conditioned-features input-constant-feature underfitting-capacity lr-too-low "
    "too-few-epochs vanishing-gradient",
    task="regression",
    good=0.8,
    source="StackOverflow: bike-sharing counts by a net, the date was turned into seconds since 1970",
    note="a column of 1.6 billion seconds beside columns of unit size",
)
def seconds_since_1970(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(900, 5, generator=draw)
    hours = torch.rand(900, 1, generator=draw)
    y = standardized(x[:, :1] * x[:, 1:2] + x[:, 2:3] + 3 * hours + 0.2 * torch.randn(900, 1, generator=draw))
    time = 1.6e9 + 3.0e7 * hours if sick else standardized(hours)
    return case(
        mlp(6, 48, 24, 1), split(torch.cat([x, time], 1), y, seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25
    )


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=WILD + " underfitting-capacity lr-too-low too-few-epochs",
    task="regression",
    good=0.8,
    source="StackOverflow: salaries by years and grades, the loss is 4e9 and hardly moves",
    note="salaries of some sixty thousand, and Adam's thousandths would take a week to climb there",
)
def salaries_in_full(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = friedman(seed, 800, 6)
    if sick:
        parts = tuple((x, 62_000 + 14_000 * y) for x, y in parts)
    model = mlp(6, 48, 24, 1, activation=nn.Tanh)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " saturated-activations vanishing-gradient targets-not-normalized wrong-loss-for-task",
    task="regression",
    good=0.8,
    source="StackOverflow: 'my net only predicts values between -1 and 1', tanh in the last layer of a regression",
    note="temperatures of minus ten to thirty degrees, divided by ten, against a tanh",
)
def tanh_for_temperatures(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, 0.9 + 1.1 * y) for x, y in friedman(seed, 900, 6))
    model = mlp(6, 48, 24, 1)
    if sick:
        model.append(nn.Tanh())
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


class Squeezed(nn.Module):
    """A regression net whose last act is ``squeeze``, where it was told so."""

    def __init__(self, features: int, squeeze: bool) -> None:
        super().__init__()
        self.body, self.squeeze = mlp(features, 48, 24, 1, activation=nn.SiLU), squeeze

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return y.squeeze(1) if self.squeeze else y


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=STUCK + " loss-output-mismatch",
    task="regression",
    good=0.8,
    source="pytorch/pytorch issue 16045 and its many relatives: shapes [n, 1] and [n] go through MSELoss",
    note="the net squeezes its answers, the targets are still a column, and smooth L1 broadcasts",
)
def squeezed_answers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Squeezed(7, sick), friedman(seed, 900, 7), nn.SmoothL1Loss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " batch-size-extreme",
    task="regression",
    good=0.75,
    source="PyTorch forum: MSELoss(reduction='sum') copied from the first tutorial together with another one's rate",
    note="the error is summed over 64 rows, the rate is one for a mean",
)
def summed_error_at_a_usual_rate(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 0.02 if sick else 0.02 / 64
    return case(
        mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(reduction="sum"), partial(SGD, lr=rate, momentum=0.9), 64, 40
    )


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="loss-not-decreasing underfitting-capacity too-few-epochs",
    task="regression",
    good=0.75,
    source="GitHub issues: optimizer = getattr(torch.optim, name)(params, lr=1e-3) with name = 'Adadelta'",
    note="Adadelta's own rate is one; a thousandth stands in the configuration for all optimizers",
)
def adadelta_at_a_thousandth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(), partial(Adadelta, lr=1e-3 if sick else 1.0), 16, 25)


class Rounded(nn.Module):
    """Counts told by a small net, rounded to whole numbers where it was told so."""

    def __init__(self, rounds: bool) -> None:
        super().__init__()
        self.body, self.rounds = mlp(6, 32, 16, 1), rounds

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return y.round() if self.rounds else y


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=STUCK + " frozen-parameters loss-output-mismatch dead-relu parameters-not-in-optimizer",
    task="regression",
    good=0.75,
    source="PyTorch forum: torch.round in forward since the targets are whole numbers, the loss is constant",
    note="rounding has a slope of zero everywhere, and with it every gradient",
)
def counts_rounded_in_forward(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, (3 + 2 * y).clamp(min=0).round()) for x, y in friedman(seed, 800, 6))
    return case(Rounded(sick), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


class LoopOfEpochs(SGD):
    """SGD under a loop whose ``zero_grad`` stands outside the loop over batches: it works once in ``every`` calls."""

    def __init__(self, params: object, lr: float, every: int) -> None:
        super().__init__(params, lr=lr)  # type: ignore[arg-type]
        self.every, self.calls = every, 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.calls % self.every == 0:
            super().zero_grad(set_to_none)
        self.calls += 1


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms=WILD + " batch-size-extreme",
    task="regression",
    good=0.75,
    source="StackOverflow: zero_grad() one indentation too far to the left",
    note="the gradients are emptied once an epoch, and every step takes the sum of all since then",
)
def emptied_once_an_epoch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(LoopOfEpochs, lr=0.1, every=20 if sick else 1)
    return case(mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(), optimizer, 32, 40)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms=STUCK + " class-imbalance targets-not-normalized dead-relu",
    task="regression",
    good=0.6,
    source="sales-forecast posts: L1Loss on daily sales of slow items, the net learns to say zero",
    note="on most days nothing is sold, and the median that L1 asks for is nothing; the question is for long-run means",
)
def absolute_error_of_days_without_sales(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(3000, 5, generator=draw)
    share = 0.49 * (2 * x[:, :1]).sigmoid()
    sold = torch.rand(3000, 1, generator=draw) < share
    amount = 2 + 0.2 * x[:, 1:2]
    train, _ = split(x, sold * amount, seed)
    x_val, y_val = split(x, share * amount, seed)[1]
    loss = nn.L1Loss() if sick else nn.MSELoss()
    return case(mlp(5, 16, 1), (train, (x_val, y_val)), loss, partial(Adam, lr=2e-3), 32, 10)


def percentage(output: Tensor, y: Tensor, least: float) -> Tensor:
    """Mean absolute percentage error, a divisor of at least ``least``."""
    return ((output - y) / y.abs().clamp(min=least)).abs().mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="exploding-gradient loss-not-decreasing lr-too-high loss-output-mismatch wrong-loss-for-task "
    "exploding-activations targets-not-normalized",
    task="regression",
    good=0.6,
    source="Kaggle store sales: MAPE as the loss, shops that are shut on Sunday sell zero",
    note="a percentage of zero sales is infinite, and its gradient not a number",
)
def percentage_of_zero_sales(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, (2 + y).clamp(min=0)) for x, y in friedman(seed, 900, 6))
    loss = partial(percentage, least=0.0 if sick else 1.0)
    return case(mlp(6, 48, 24, 1), parts, loss, partial(Adam, lr=3e-3), 32, 30)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms=STUCK + " oscillating-loss lr-too-high input-not-normalized batch-size-extreme",
    task="regression",
    good=0.85,
    source="econometrics posts: running totals of every month as columns, SGD on a linear model",
    note="each column is the sum of the months so far; the target asks for differences of neighbours",
)
def running_totals_of_the_months(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    months = torch.randn(800, 16, generator=draw)
    signs = torch.tensor([1.0, -1.0]).repeat(8)[:, None]
    y = standardized(months @ signs + 0.3 * torch.randn(800, 1, generator=draw))
    x = standardized(months.cumsum(1)) if sick else months
    return case(nn.Linear(16, 1), split(x, y, seed), nn.MSELoss(), partial(SGD, lr=0.01), 32, 25)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms="underfitting-capacity oscillating-loss loss-not-decreasing bn-train-eval-mismatch loss-output-mismatch",
    task="regression",
    good=0.8,
    source="StackOverflow: nn.Dropout(0.5) in a loop over all layers, the last one among them",
    note="half of the answers themselves are dropped while training, so that the net learns to say half",
)
def dropout_of_the_answers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(6, 64, 32, 1)
    if sick:
        model.append(nn.Dropout(0.5))
    return case(model, friedman(seed, 900, 6), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 30)


def merged(x: Tensor, y: Tensor, key: Tensor, times: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each row ``times`` times, with its own target once and else with targets of rows that share its key."""
    targets = [y]
    for _ in range(times - 1):
        other = torch.arange(len(x))
        for group in key.unique():
            rows = (key == group).nonzero()[:, 0]
            other[rows] = rows[torch.randperm(len(rows), generator=draw)]
        targets.append(y[other])
    return x.repeat(times, 1), torch.cat(targets)


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms=STUCK + " overfitting",
    task="regression",
    good=0.75,
    source="pandas posts: merge on a key that repeats on both sides, six times the rows it should be",
    note="every row comes back six times, five of them with the target of another row of the same town",
)
def merge_on_a_repeated_key(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    (x, y), val = friedman(seed, 700, 6)
    if sick:
        x, y = merged(x, y, (x[:, 0] > 0).long(), 6, draw)
    return case(mlp(6, 48, 24, 1), ((x, y), val), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="batch-size-extreme",
    task="regression",
    good=0.27,
    source="Kaggle beginners: two layers of 256 for a hundred flats, and 'my validation loss goes up after epoch 10'",
    note="a large net learns a hundred noisy prices by heart; the repair is a strong decay and an early stop",
)
def a_hundred_flats_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = friedman(seed, 900, 10, noise=4.0)
    optimizer = partial(AdamW, lr=1e-3, weight_decay=0.0 if sick else 1.0)
    return case(mlp(10, 256, 256, 1), ((x[:100], y[:100]), val), nn.MSELoss(), optimizer, 16, 150 if sick else 10)
