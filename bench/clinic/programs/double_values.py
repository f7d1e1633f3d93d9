"""Regressions, autoencoders and multi-label nets with two independent causes."""

import torch
from enrol import case
from program import Case, SuiteProgram, two_causes
from samples import digits, friedman, rings, sums, tags
from torch import Tensor, nn

PROGRAMS: list[SuiteProgram] = []


@two_causes(
    PROGRAMS,
    task="regression",
    causes="targets-not-normalized frozen-parameters",
    symptoms="lr-too-low lr-too-high exploding-gradient nonfinite-loss dead-relu exploding-activations too-few-epochs "
    "loss-not-decreasing oscillating-loss parameters-not-in-optimizer underfitting-capacity unused-parameters",
    good=0.75,
    note="prices in hundreds of thousands for SGD, and a first layer of eight units that is frozen",
    source="StackOverflow 37484783 (house prices) and copied fine-tuning code",
)
def double_prices_and_frozen(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed)
    scale, shift = (8e4, 2e5) if "targets-not-normalized" in left else (1.0, 0.0)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    model[0].requires_grad_("frozen-parameters" not in left)
    parts = (x, scale * y + shift), (x_val, scale * y_val + shift)
    optimizer = lambda p: torch.optim.SGD([q for q in p if q.requires_grad], lr=0.03, momentum=0.5)  # noqa: E731
    return case(model, parts, nn.MSELoss(), optimizer, 32, 40)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="bn-small-batch target-shape-mismatch",
    symptoms="bn-train-eval-mismatch batch-size-extreme oscillating-loss lr-too-high loss-not-decreasing "
    "underfitting-capacity loss-output-mismatch wrong-loss-for-task overfitting",
    good=0.7,
    note="targets (n,) against outputs (n, 1), and batch normalization over two samples",
    source="PyTorch forum 'MSELoss broadcasting warning'; tinghuiz/SfMLearner issue 30",
)
def double_broadcast_in_pairs(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed, 500)
    flat = "target-shape-mismatch" in left
    hidden = [nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU()]
    model = nn.Sequential(*hidden, nn.Linear(32, 1))
    parts = (x, y[:, 0] if flat else y), (x_val, y_val[:, 0] if flat else y_val)
    batch = 2 if "bn-small-batch" in left else 32
    return case(model, parts, nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=5e-3), batch, 12)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="missing-nonlinearity batch-size-extreme",
    symptoms="underfitting-capacity lr-too-low too-few-epochs loss-not-decreasing",
    good=0.8,
    note="three linear layers with nothing between, and 20 steps in all on the whole set",
    source="StackOverflow 56896399 (no activations) and full-batch loops copied from numpy tutorials",
)
def double_linear_whole_batch(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    between = nn.Identity if "missing-nonlinearity" in left else nn.ReLU
    model = nn.Sequential(nn.Linear(8, 64), between(), nn.Linear(64, 64), between(), nn.Linear(64, 1))
    batch = 1024 if "batch-size-extreme" in left else 32
    return case(model, friedman(seed), nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=2e-3), batch, 25)


@two_causes(
    PROGRAMS,
    task="binary",
    causes="symmetric-init input-nonfinite",
    symptoms="nonfinite-loss bad-init-scale vanishing-activations vanishing-gradient loss-not-decreasing dead-relu "
    "underfitting-capacity",
    good=0.9,
    note="one reading in two hundred is missing, and all weights start at 0.1",
    source="stats.stackexchange 294332 (equal weights) and StackOverflow 33962226 (NaN in the table)",
)
def double_gaps_and_equal_weights(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = rings(seed)
    if "input-nonfinite" in left:
        x = x.masked_fill(torch.rand(x.shape) < 0.005, float("nan"))
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    if "symmetric-init" in left:
        for p in model.parameters():
            nn.init.constant_(p, 0.1)
    parts = (x, y.float()[:, None]), (x_val, y_val.float()[:, None])
    return case(model, parts, nn.BCEWithLogitsLoss(), lambda p: torch.optim.Adam(p, lr=5e-3), 32, 20)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="loss-output-mismatch lr-too-low",
    symptoms="too-few-epochs loss-not-decreasing dead-relu vanishing-gradient underfitting-capacity "
    "wrong-loss-for-task targets-not-normalized saturated-activations",
    good=0.7,
    note="an autoencoder of standardized pixels that ends in ReLU, so that nothing below the mean can be answered",
    source="StackOverflow 47842931 (autoencoder ends in ReLU), with a rate of 1e-5 after fastai's finder",
)
def double_autoencoder_relu_slow(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, _), (x_val, _) = digits(seed)
    mean, std = x.mean(0), x.std(0).clamp(min=0.1)
    x, x_val = (x - mean) / std, (x_val - mean) / std
    layers = [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 64), nn.ReLU()]
    layers += [nn.Linear(64, 64)] + ([nn.ReLU()] if "loss-output-mismatch" in left else [])
    rate = 2e-5 if "lr-too-low" in left else 3e-3
    optimizer = lambda p: torch.optim.Adam(p, lr=rate)  # noqa: E731
    return case(nn.Sequential(*layers), ((x, x), (x_val, x_val)), nn.MSELoss(), optimizer, 32, 25)


@two_causes(
    PROGRAMS,
    task="multilabel",
    causes="wrong-loss-for-task lr-too-low",
    symptoms="loss-output-mismatch loss-not-decreasing too-few-epochs underfitting-capacity",
    good=0.88,
    note="cross entropy on rows with several labels, and SGD at 0.0003",
    source="PyTorch forum 'multi-label with CrossEntropyLoss'",
)
def double_tags_by_softmax(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    wrong = "wrong-loss-for-task" in left
    loss: nn.Module = nn.CrossEntropyLoss() if wrong else nn.BCEWithLogitsLoss()
    rate = 3e-4 if "lr-too-low" in left else 0.1
    model = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 5))
    return case(model, tags(seed), loss, lambda p: torch.optim.SGD(p, lr=rate, momentum=0.9), 32, 25)


class LastState(nn.Module):
    """Numbers read by an LSTM; the last state answers."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTM(2, 24, batch_first=True), nn.Linear(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(x)[0][:, -1])


@two_causes(
    PROGRAMS,
    task="regression",
    causes="input-not-normalized targets-not-normalized",
    symptoms="saturated-activations lr-too-low too-few-epochs loss-not-decreasing vanishing-gradient "
    "exploding-gradient bad-init-scale lr-too-high oscillating-loss",
    good=0.75,
    note="an LSTM on readings of thousands, which saturate its gates, for sums of thousands, which it cannot reach",
    source="StackOverflow 46918734 (LSTM on raw sensor values predicts the mean)",
)
def double_sensor_units(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = sums(seed, 1400, 6)
    scale = torch.tensor([300.0, 1.0]) if "input-not-normalized" in left else torch.ones(2)
    shift = torch.tensor([4000.0, 0.0]) if "input-not-normalized" in left else torch.zeros(2)
    unit, base = (300.0, 8000.0) if "targets-not-normalized" in left else (1.0, 0.0)
    parts = (x * scale + shift, y * unit + base), (x_val * scale + shift, y_val * unit + base)
    return case(LastState(), parts, nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=0.01), 32, 15)
