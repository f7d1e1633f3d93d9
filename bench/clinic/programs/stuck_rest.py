"""Programs of people who are stuck, third part: starts, norms and batches; and healthy ones that look suspicious."""

from functools import partial
from typing import Any

import torch
from enrol import case, healthy
from nets import Attention, ResidualMLP, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program, two_causes
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
    standardized,
    sums,
    tags,
    tokens,
    waves,
    wine,
)
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import OneCycleLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs vanishing-gradient"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="overfitting input-not-normalized too-few-epochs ill-conditioned-features",
    task="classification",
    good=0.88,
    source="techqa.club 74946623 (own momentum for batch norm) and 19633.com 1003052967 (batch norm for the inputs)",
    note="batch norm at the inlet with a momentum of 0.003: averages of hundreds are still unknown at the end",
)
def stuck_norm_at_the_inlet(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.BatchNorm1d(13, momentum=0.003 if sick else 0.1), *mlp(13, 24, 3))
    return case(model, wine(seed, raw=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 16, 20)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " bad-init-scale vanishing-activations",
    task="classification",
    good=0.85,
    source="course exercises: nn.init.constant_(layer.weight, 0.05) so that runs can be compared",
    note="all units of a layer start alike and stay alike",
)
def stuck_constant_weights(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 10, activation=nn.Tanh)
    for parameter in model.parameters() if sick else ():
        nn.init.constant_(parameter, 0.05)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms="bn-train-eval-mismatch batch-size-extreme oscillating-loss lr-too-high underfitting-capacity",
    task="regression",
    good=0.8,
    source="posts on large volumes: batch_size=2 is all that fits, and every layer has a batch norm",
    note="batch norm over two rows leaves little but signs of differences",
)
def stuck_two_at_a_time(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for wide, narrow in ((6, 32), (32, 32)):
        layers += [nn.Linear(wide, narrow), nn.BatchNorm1d(narrow), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(32, 1))
    return case(model, friedman(seed, 700, 6), nn.MSELoss(), partial(SGD, lr=0.01), 2 if sick else 16, 25)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms=STUCK,
    task="classification",
    good=0.85,
    source="posts 'the GPU was idle, so I took the largest batch that fits'",
    note="all rows in one batch make fifteen steps of fifteen epochs",
)
def stuck_largest_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    batch = 1257 if sick else 32
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), batch, 15)


class Loop(nn.Module):
    """A ReLU recurrence whose recurrent matrix starts as a multiple of a rotation, and a head on the last state."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(1, 24, nonlinearity="relu", batch_first=True), nn.Linear(24, 3)
        nn.init.orthogonal_(self.rnn.get_parameter("weight_hh_l0"), gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x.transpose(1, 2))[0][:, -1])


@program(
    PROGRAMS,
    faults="exploding-gradient bad-init-scale exploding-activations",
    symptoms=WILD,
    task="classification",
    good=0.75,
    source="posts on nn.RNN with nonlinearity='relu': the loss is in the millions, then nan",
    note="a recurrent matrix of gain 2 doubles the state at each of 24 steps, and nothing is clipped",
)
def stuck_doubling_state(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = waves(seed, 800, 24, noise=0.1)
    return case(Loop(2.0 if sick else 1.0), parts, nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 25)


@program(
    PROGRAMS,
    faults="bad-init-scale vanishing-activations vanishing-gradient",
    symptoms=STUCK + " symmetric-init",
    task="classification",
    good=0.88,
    source="PyTorch forum 159152 and others: own initialisation, here normal_(0, 0.01) for every layer",
    note="five layers of weights around 0.01 shrink the signal to nothing",
)
def stuck_normal_of_a_hundredth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 48, 48, 48, 10)
    for parameter in model.parameters() if sick else ():
        nn.init.normal_(parameter, std=0.01)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="target-shape-mismatch loss-output-mismatch",
    task="classification",
    good=0.88,
    source="posts 'mat1 and mat2 shapes cannot be multiplied' after a second pooling layer was added",
    note="the linear layer was counted for pictures twice as wide as they are",
)
def stuck_counted_wrongly(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*list(digit_cnn())[:-1], nn.Linear(256 if sick else 64, 10))
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10)


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=STUCK + " " + WILD + " ill-conditioned-features",
    task="regression",
    good=0.75,
    source="Kaggle posts: the year of the survey was left among the columns",
    note="a ninth column is 2023 in every row and drowns the other eight",
)
def stuck_year_of_the_survey(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    year = 2023.0 if sick else 0.0
    (x, y), (x_val, y_val) = friedman(seed)
    parts = tuple((torch.cat([rows, torch.full((len(rows), 1), year)], 1), to) for rows, to in ((x, y), (x_val, y_val)))
    return case(mlp(9, 48, 24, 1), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " overfitting",
    task="classification",
    good=0.8,
    source="forum advice 'Adagrad shrinks the rate anyway, start high'",
    note="a rate of 1 in Adagrad saturates the gates in the first few batches",
)
def stuck_adagrad_starts_high(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adagrad, lr=1.0 if sick else 0.05)
    return case(TokenRNN(20, 3, 20), tokens(seed), nn.CrossEntropyLoss(), optimizer, 32, 20)


def log_error(output: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of logarithms."""
    return (output.log() - y.log()).square().mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss loss-output-mismatch",
    symptoms="loss-not-decreasing lr-too-high exploding-gradient wrong-loss-for-task targets-not-normalized",
    task="regression",
    good=0.6,
    source="Kaggle posts: the logarithmic error of the contest as the loss, nan in the first epoch",
    note="the net may answer below zero, of which there is no logarithm",
)
def stuck_error_of_the_contest(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, (0.7 * y - 2).exp()) for x, y in friedman(seed))
    model = nn.Sequential(*mlp(8, 48, 24, 1), *([] if sick else [nn.Softplus()]))
    return case(model, parts, log_error, partial(Adam, lr=5e-3), 32, 20)


@two_causes(
    PROGRAMS,
    causes="duplicate-samples input-not-normalized",
    symptoms="overfitting " + WILD + " " + STUCK,
    task="classification",
    good=0.8,
    source="posts with small tables: rows were copied to have more of them, and the columns are as measured",
    note="six hundred rows are thirty, and the columns lie around 60 with a spread of 20",
)
def stuck_copied_and_raw(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = blobs(seed, 900, 16, 4, 3.0)
    x, y = x[:600], y[:600]
    if "duplicate-samples" in left:
        x, y = x[:30].repeat(20, 1), y[:30].repeat(20)
    if "input-not-normalized" in left:
        x, x_val = 60 + 20 * x, 60 + 20 * x_val
    optimizer = partial(SGD, lr=0.05, momentum=0.9)
    return case(mlp(16, 32, 4), ((x, y), (x_val, y_val)), nn.CrossEntropyLoss(), optimizer, 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "SGD at 0.5 with plain digits: high, but one layer bears it")
def stuck_softmax_regression(seed: int) -> Case:
    return case(nn.Linear(64, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.5), 64, 30)


@healthy(PROGRAMS, "regression", 0.3, "the loss stops at a half, as the progression of the illness is mostly noise")
def stuck_at_half_the_variance(seed: int) -> Case:
    optimizer = partial(AdamW, lr=2e-3, weight_decay=0.05)
    return case(mlp(10, 16, 1), diabetes(seed), nn.MSELoss(), optimizer, 32, 15)


@healthy(PROGRAMS, "binary", 0.9, "a batch of one, with a rate that is low enough for it")
def stuck_batch_of_one(seed: int) -> Case:
    return case(mlp(30, 12, 1), cancer(seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=5e-3), 1, 8)


@healthy(PROGRAMS, "classification", 0.9, "the whole table is one batch, with steps enough")
def stuck_full_batch(seed: int) -> Case:
    return case(mlp(13, 24, 3), wine(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 124, 80)


@healthy(PROGRAMS, "classification", 0.9, "SGD at 0.001 looks low, but momentum and batches of four make up for it")
def stuck_rate_of_a_thousandth(seed: int) -> Case:
    optimizer = partial(SGD, lr=1e-3, momentum=0.9)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 4, 12)


@healthy(PROGRAMS, "classification", 0.93, "momentum of 0.97 with a rate that is low enough for it")
def stuck_heavy_ball(seed: int) -> Case:
    optimizer = partial(SGD, lr=5e-3, momentum=0.97, nesterov=True)
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 15)


@healthy(
    PROGRAMS, "regression", 0.75, "targets between 15 and 45 are not standardized, but Adam has the time to get there"
)
def stuck_degrees_celsius(seed: int) -> Case:
    parts = tuple((x, 30 + 5 * y) for x, y in friedman(seed))
    return case(mlp(8, 48, 24, 1), parts, nn.MSELoss(), partial(Adam, lr=0.01), 32, 60)


@healthy(PROGRAMS, "classification", 0.9, "pixels from 0 to 16 as they are: Adam at 0.001 copes")
def stuck_raw_pixels(seed: int) -> Case:
    return case(mlp(64, 48, 10), digits(seed, raw=True), nn.CrossEntropyLoss(), partial(Adam, lr=1e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.88, "dropout of a half in two places, which the wide net bears")
def stuck_half_dropped(seed: int) -> Case:
    layers: list[nn.Module] = [nn.Linear(64, 160), nn.ReLU(), nn.Dropout(0.5), nn.Linear(160, 80), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(80, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 15)


@healthy(PROGRAMS, "binary", 0.7, "a tenth of the rows are ill, and the loss is weighted for it", metric="balanced")
def stuck_one_in_ten_weighted(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(1800, 1, generator=draw) < 0.1).float()
    x = torch.randn(1800, 10, generator=draw) + y * torch.linspace(0, 1.2, 10)
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([9.0]))
    return case(mlp(10, 16, 1), split(x, y, seed), loss, partial(Adam, lr=2e-3), 64, 12)


@healthy(
    PROGRAMS,
    "binary",
    0.85,
    "one row in eight is ill without any weight, but the classes lie far apart",
    metric="balanced",
)
def stuck_one_in_eight_far_apart(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(1500, 1, generator=draw) < 0.125).float()
    x = torch.randn(1500, 6, generator=draw) + 1.6 * y
    return case(mlp(6, 16, 1), split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 15)


class Tuned(nn.Module):
    """A frozen random layer of many features, read by a head: random features are enough."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(64, 400), nn.Linear(400, 10)
        self.body.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).relu())


@healthy(PROGRAMS, "classification", 0.92, "a frozen first layer of four hundred random features, as was meant")
def stuck_random_features(seed: int) -> Case:
    model = Tuned()
    optimizer = Adam(model.head.parameters(), lr=3e-3)
    return case(model, digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "rows in order, not shuffled by the loader, but drawn at random beforehand")
def stuck_not_shuffled_again(seed: int) -> Case:
    return case(
        digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10, shuffle=False
    )


@healthy(PROGRAMS, "regression", 0.8, "twelve blocks deep, but with shortcuts")
def stuck_deep_with_shortcuts(seed: int) -> Case:
    model = ResidualMLP(8, 1, width=24, blocks=12, gain=0.3)
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 20)


@healthy(
    PROGRAMS,
    "classification",
    0.85,
    "a one-cycle schedule that starts at a twenty-fifth of the rate and ends near zero",
)
def stuck_one_cycle(seed: int) -> Case:
    schedule: Any = partial(OneCycleLR, max_lr=0.01, total_steps=700)
    return case(
        TokenRNN(20, 3, 20),
        tokens(seed, 2000),
        nn.CrossEntropyLoss(),
        partial(Adam, lr=1e-3),
        32,
        15,
        scheduler=schedule,
    )


@healthy(PROGRAMS, "regression", 0.85, "the adding problem with RMSprop and clipping: flat at first, then it falls")
def stuck_flat_at_first(seed: int) -> Case:
    model = SeriesRNN(2, 1, 24, nn.GRU)
    return case(model, sums(seed, 900, 8), nn.MSELoss(), partial(RMSprop, lr=3e-3), 32, 30, clip_grad=1.0)


def copies(seed: int) -> Parts:
    """Digits as their own targets."""
    (x, _), (x_val, _) = digits(seed)
    return (x, x), (x_val, x_val)


@healthy(PROGRAMS, "regression", 0.55, "an autoencoder with a code of four: the loss stays above zero, as it has to")
def stuck_code_of_four(seed: int) -> Case:
    return case(mlp(64, 48, 4, 48, 64, activation=nn.ELU), copies(seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 30)


@healthy(PROGRAMS, "multilabel", 0.85, "the sum over tags of a loss that is small for each of them")
def stuck_many_tags(seed: int) -> Case:
    return case(mlp(12, 48, 8), tags(seed, labels=8), nn.BCEWithLogitsLoss(), partial(Adagrad, lr=0.05), 32, 25)


@healthy(
    PROGRAMS,
    "classification",
    0.88,
    "an encoder with post-norm and dropout of 0.2; the training loss is above the other",
)
def stuck_encoder_with_dropout(seed: int) -> Case:
    model = Attention(4, 4, width=24, layers=2, dropout=0.2, norm_first=False)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(AdamW, lr=2e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.85, "batch norm with batches of eight over pooled waves, in a small net")
def stuck_norm_over_eight(seed: int) -> Case:
    layers = [nn.BatchNorm1d(1), *wave_cnn(width=8)]
    return case(nn.Sequential(*layers), waves(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 8, 10)


@healthy(
    PROGRAMS,
    "classification",
    0.75,
    "a fifth of the training labels is wrong, so that the loss stays high; no harm is done",
)
def stuck_wrong_labels_but_brief(seed: int) -> Case:
    (x, y), val = blobs(seed, 900, 10, 4, 3.0)
    draw = torch.Generator().manual_seed(seed)
    y = torch.where(torch.rand(len(y), generator=draw) < 0.2, torch.randint(0, 4, y.shape, generator=draw), y)
    return case(mlp(10, 16, 4), ((x, y), val), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.85, "a net of hinges: multi-margin loss instead of cross entropy")
def stuck_hinges(seed: int) -> Case:
    return case(mlp(4, 24, 3), iris(seed), nn.MultiMarginLoss(), partial(Adam, lr=0.01), 16, 30)


@healthy(PROGRAMS, "binary", 0.93, "tanh of plane points with mean squared error to labels of 0 and 1, as in old books")
def stuck_squares_for_classes(seed: int) -> Case:
    (x, y), (x_val, y_val) = rings(seed)
    parts = ((standardized(x), y.float()[:, None]), (x_val, y_val.float()[:, None]))
    model = nn.Sequential(*mlp(2, 32, 32, 1, activation=nn.Tanh), nn.Sigmoid())
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=0.01), 32, 30)
