"""Kept apart, first part: programs whose data, targets or labels are at fault, as people post them."""

from functools import partial

import torch
from enrol import case
from nets import SeriesRNN, TokenRNN, mlp
from program import Case, SuiteProgram, program
from samples import Part, Parts, digits, friedman, split, standardized, tags, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " ill-conditioned-features vanishing-gradient lr-too-low too-few-epochs underfitting-capacity",
    task="binary",
    good=0.85,
    source="course exercise: the Pima diabetes table read with loadtxt, accuracy stays at 65 %",
    note="glucose, insulin and pedigree in their own units go straight into a net trained by SGD",
)
def pima_read_with_loadtxt(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randn(760, 6)
    risk = 1.6 * x[:, 1] + 1.2 * x[:, 4] + 0.8 * x[:, 5] + x[:, 2] * x[:, 3] - 0.8
    y = (risk + 0.3 * torch.randn(760) > 0).float()[:, None]
    if sick:
        units = torch.tensor([3.4, 32.0, 19.0, 115.0, 7.9, 0.33])
        x = (x * units + torch.tensor([3.8, 121.0, 69.0, 240.0, 32.0, 0.9])).clamp(min=0)
    model = mlp(6, 24, 12, 1)
    return case(model, split(x, y, seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 40)


class Barometer(nn.Module):
    """A transformer over one reading per step."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.lift, self.place = nn.Linear(1, 16), nn.Parameter(0.1 * torch.randn(24, 16))
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 1), nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.lift(x) + self.place).mean(1))


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " lr-too-low too-few-epochs underfitting-capacity vanishing-gradient ill-conditioned-features",
    task="classification",
    good=0.85,
    source="PyTorch forum: transformer on weather series does not beat chance while an LSTM on scaled data does",
    note="air pressure in pascal, near 101325, is lifted by a linear layer and drowns the positions",
)
def pressure_in_pascal(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    scale, level = (600.0, 101325.0) if sick else (1.0, 0.0)
    train, val = ((x.transpose(1, 2) * scale + level, y) for x, y in waves(seed, 700, 24, noise=0.1))
    return case(Barometer(3), (train, val), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 40)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing lr-too-high exploding-gradient",
    task="regression",
    good=0.7,
    source="Keras and PyTorch posts: series.rolling(5).mean() as a channel, the loss is nan from epoch 1",
    note="the first windows of the series hold the empty values with which a rolling mean begins",
)
def rolling_mean_begins_empty(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    time = torch.arange(620.0)
    price = (0.21 * time).sin() + 0.5 * (0.047 * time).cos() + 0.1 * torch.randn(620)
    smooth = price.clone()
    smooth[4:] = price.unfold(0, 5, 1).mean(1)
    if sick:
        smooth[:4] = torch.nan
    windows = torch.stack([price, smooth], 1).unfold(0, 12, 1).transpose(1, 2)[:-1]
    target = price[12:, None]
    train, val = (windows[:450], target[:450]), (windows[450:], target[450:])
    return case(SeriesRNN(2, 1, 24), (train, val), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing lr-too-high exploding-gradient input-not-normalized",
    task="binary",
    good=0.85,
    source="StackOverflow: reduce memory of a data frame by astype('float16'), then the loss is nan",
    note="incomes above 65504 become infinite in half precision before they are scaled",
)
def incomes_in_half_precision(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randn(900, 5)
    y = (x[:, 0] + 0.8 * x[:, 1] * x[:, 2] + 0.2 * torch.randn(900) > 0).float()[:, None]
    income = 30000.0 * (0.4 * x[:, 0]).exp()
    income = income.half().float() if sick else income.clamp(max=65000.0)
    x = torch.cat([(income[:, None] - 32000.0) / 14000.0, x[:, 1:]], 1)
    train, (x_val, y_val) = split(x, y, seed)
    parts = (train, (x_val.clamp(max=2.4), y_val))
    return case(mlp(5, 32, 16, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=WILD + " lr-too-low too-few-epochs underfitting-capacity vanishing-gradient ill-conditioned-features",
    task="classification",
    good=0.9,
    source="camera posts: screenshots with a white frame burnt in, the classifier learns nothing",
    note="the outermost pixels are 255 in every picture beside pixels of up to one",
)
def white_frame_burnt_in(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: list[Part] = []
    for x, y in digits(seed, image=True):
        picture = torch.full((len(x), 1, 10, 10), 255.0 if sick else 0.0)
        picture[:, :, 1:-1, 1:-1] = x
        parts.append((picture.flatten(1), y))
    model = mlp(100, 48, 10)
    return case(model, (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms=STUCK + " input-not-normalized oscillating-loss batch-size-extreme",
    task="binary",
    good=0.85,
    source="quant forum: bid and ask standardized with StandardScaler, the classifier is a coin",
    note="bid and ask are almost the same column; what counts is their small difference",
)
def bid_and_ask_side_by_side(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    middle, spread = torch.randn(900, 1), torch.randn(900, 1)
    if sick:
        x = standardized(torch.cat([middle + 0.01 * spread, middle - 0.01 * spread, torch.randn(900, 2)], 1))
    else:
        x = torch.cat([middle, spread, torch.randn(900, 2)], 1)
    y = (spread + 0.2 * torch.randn(900, 1) > 0).float()
    return case(mlp(4, 24, 1), split(x, y, seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.05), 32, 25)


def rare(parts: Parts, least: Tensor, of_class: int) -> Parts:
    """The training part with only some rows left of one class."""
    (x, y), val = parts
    keep = (y != of_class) | (torch.cumsum(y == of_class, 0) <= least)
    return (x[keep], y[keep]), val


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms="too-few-epochs lr-too-low underfitting-capacity loss-not-decreasing overfitting",
    task="classification",
    metric="balanced",
    good=0.7,
    source="StackOverflow: LSTM labels every message as praise, complaints are 5 %",
    note="few complaints among much praise; without weights the last state votes for praise",
)
def complaints_among_praise(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = tokens(seed, 2400)
    train, val = (x[y != 1], y[y != 1] // 2), (x_val[y_val != 1], y_val[y_val != 1] // 2)
    parts = rare((train, val), torch.tensor(40), 0)
    weight = torch.tensor([1.0 if sick else 18.0, 1.0])
    return case(TokenRNN(20, 2), parts, nn.CrossEntropyLoss(weight=weight), partial(Adam, lr=3e-3), 32, 6)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms="underfitting-capacity too-few-epochs lr-too-low loss-not-decreasing overfitting",
    task="classification",
    metric="balanced",
    good=0.68,
    source="Kaggle: accident severity (slight, serious, fatal), 95 % accuracy and no fatal one found",
    note="two of three classes are rare and overlap with the common one",
)
def accidents_by_severity(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)

    def drawn(counts: tuple[int, int, int]) -> Part:
        y = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
        return torch.randn(len(y), 8) + 1.6 * nn.functional.one_hot(y, 8), y

    weight = torch.tensor([1.0, 1.0, 1.0] if sick else [1.0, 30.0, 60.0])
    parts = drawn((1500, 50, 25)), drawn((150, 150, 150))
    return case(mlp(8, 16, 3), parts, nn.CrossEntropyLoss(weight=weight), partial(Adam, lr=2e-3), 64, 12)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="loss-output-mismatch wrong-loss-for-task loss-not-decreasing exploding-activations class-imbalance",
    task="multilabel",
    good=0.85,
    source="CheXpert issues: findings marked -1 for uncertain, the loss goes below zero",
    note="findings that the reader was not sure of are coded -1, and binary cross entropy has no floor there",
)
def uncertain_findings(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = tags(seed, 900, 12, 5)
    if sick:
        y = torch.where((y > 0) & (torch.rand_like(y) < 0.4), -1.0, y)
    return case(mlp(12, 48, 5), ((x, y), val), nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=STUCK + " loss-output-mismatch",
    task="regression",
    good=0.8,
    source="PyTorch forum: 'Using a target size (32, 1, 1) that is different to the input size (32, 1)'",
    note="targets unsqueezed twice: each forecast is compared with all targets of the batch",
)
def unsqueezed_once_too_often(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y[:, :, None] if sick else y) for x, y in friedman(seed, 900, 6))
    model = nn.Sequential(nn.Linear(6, 48), nn.SiLU(), nn.Linear(48, 24), nn.SiLU(), nn.Linear(24, 1))
    return case(model, (parts[0], parts[1]), nn.SmoothL1Loss(), partial(Adam, lr=5e-3), 32, 25)


class EveryStep(nn.Module):
    """A GRU that answers at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(1, 16, batch_first=True), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x)[0])


@program(
    PROGRAMS,
    faults="target-shape-mismatch program-crashes",
    symptoms="loss-output-mismatch",
    task="regression",
    good=0.8,
    source="StackOverflow: 'The size of tensor a (20) must match the size of tensor b (32)' in MSELoss",
    note="answers of (batch, time, 1) meet targets of (batch, time), which cannot be broadcast",
)
def steps_without_their_last_axis(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randn(600, 20, 1)
    y = 0.5 * x.cumsum(1) / torch.arange(1.0, 21.0)[:, None].sqrt()
    parts = split(x, y[:, :, 0] if sick else y, seed)
    return case(EveryStep(), parts, nn.MSELoss(), partial(Adam, lr=0.01), 32, 15)
