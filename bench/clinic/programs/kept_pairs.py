"""Kept apart, fourth part: programs with two independent causes."""

from functools import partial

import torch
from enrol import case
from nets import Attention, SeriesRNN, digit_cnn, mlp
from program import Case, SuiteProgram, two_causes
from samples import digits, friedman, split, standardized, tags, tokens
from torch import nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity too-few-epochs vanishing-gradient"


@two_causes(
    PROGRAMS,
    causes="lr-too-high dropout-too-high",
    symptoms=STUCK + " oscillating-loss saturated-activations exploding-activations exploding-gradient lr-too-low",
    task="classification",
    good=0.85,
    source="HuggingFace forum: a small transformer with every setting turned up",
    note="a rate of 0.05 throws the attention about, and nine tenths of what is left are dropped",
)
def double_hot_transformer_dropped(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = Attention(20, 3, layers=2, dropout=0.9 if "dropout-too-high" in causes else 0.0, norm_first=False)
    rate = partial(Adam, lr=0.05 if "lr-too-high" in causes else 2e-3)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), rate, 32, 10)


@two_causes(
    PROGRAMS,
    causes="targets-not-normalized missing-nonlinearity",
    symptoms=STUCK + " lr-too-low exploding-gradient lr-too-high",
    task="regression",
    good=0.85,
    source="course exercise: house prices by three nn.Linear in a row, Adam at its default",
    note="prices in full and no activation: the answer crawls up from zero and would be a plane at best",
)
def double_prices_by_a_plane(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    high = "targets-not-normalized" in causes
    parts = tuple((x, 80000 * y + 210000 if high else y) for x, y in friedman(seed, 800, 6))
    activation = nn.Identity if "missing-nonlinearity" in causes else nn.ReLU
    model = mlp(6, 48, 24, 1, activation=activation)
    return case(model, (parts[0], parts[1]), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@two_causes(
    PROGRAMS,
    causes="parameters-not-in-optimizer weight-decay-too-high",
    symptoms=STUCK + " frozen-parameters unused-parameters lr-too-low vanishing-activations",
    task="regression",
    good=0.75,
    source="PyTorch forum: Adam(model.head.parameters(), weight_decay=0.5) in a forecast by GRU",
    note="the GRU keeps its random weights and the head is pulled to zero",
)
def double_head_only_and_pulled(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = SeriesRNN(1, 1, 12)
    x = torch.randn(600, 12, 1)
    y = standardized((x[:, 0] * 0.5 + x[:, 4] + x[:, 8] - x[:, 11]) + 0.05 * torch.randn(600, 1))
    moved = model.head if "parameters-not-in-optimizer" in causes else model
    decay = 0.5 if "weight-decay-too-high" in causes else 0.0
    rate = Adam(moved.parameters(), lr=0.01, weight_decay=decay)
    return case(model, split(x, y, seed), nn.MSELoss(), rate, 32, 25)


@two_causes(
    PROGRAMS,
    causes="input-nonfinite lr-too-low",
    symptoms=STUCK + " nonfinite-loss lr-too-high exploding-gradient",
    task="classification",
    good=0.85,
    source="StackOverflow: loss is nan, 'I already lowered the learning rate to 1e-6'",
    note="a few pictures hold empty pixels, and the rate was lowered against it, which did not help",
)
def double_empty_pixels_and_lowered(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed, image=True)
    x = x.clone()
    if "input-nonfinite" in causes:
        x[torch.randperm(len(x))[:4], 0, 3, 3] = torch.nan
    rate = partial(Adam, lr=1e-6 if "lr-too-low" in causes else 3e-3)
    return case(digit_cnn(), ((x, y), val), nn.CrossEntropyLoss(), rate, 32, 10)


@two_causes(
    PROGRAMS,
    causes="label-out-of-range lr-too-low",
    symptoms=STUCK + " loss-output-mismatch wrong-loss-for-task exploding-activations class-imbalance",
    task="multilabel",
    good=0.85,
    source="GitHub issue of a multi-label demo: labels -1 and 1 with BCEWithLogitsLoss, SGD(lr=1e-4)",
    note="absent tags are coded -1 for a loss that wants zero, and the rate moves nothing",
)
def double_absent_tags_and_slow(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = tags(seed, offset=-0.8)
    y = 2 * y - 1 if "label-out-of-range" in causes else y
    rate = partial(SGD, lr=1e-4 if "lr-too-low" in causes else 0.05, momentum=0.9)
    return case(mlp(12, 32, 5), ((x, y), val), nn.BCEWithLogitsLoss(), rate, 32, 20)


@two_causes(
    PROGRAMS,
    causes="symmetric-init too-few-epochs",
    symptoms="loss-not-decreasing underfitting-capacity lr-too-low bad-init-scale vanishing-gradient",
    task="classification",
    good=0.88,
    source="course exercise: own layers filled with 0.01, one epoch to see whether it runs",
    note="all weights are the same number, and there is one epoch",
)
def double_same_number_and_one_epoch(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 10)
    if "symmetric-init" in causes:
        for p in model.parameters():
            nn.init.constant_(p, 0.01)
    epochs = 1 if "too-few-epochs" in causes else 15
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=1e-3), 32, epochs)


@two_causes(
    PROGRAMS,
    causes="target-shape-mismatch dropout-too-high",
    symptoms=STUCK + " lr-too-low loss-output-mismatch",
    task="regression",
    good=0.75,
    source="StackOverflow: regression predicts the mean; y of shape (n,) and Dropout(0.8) from a classifier",
    note="flat targets are broadcast against a column, and four of five units are dropped",
)
def double_flat_targets_and_dropped(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    flat = "target-shape-mismatch" in causes
    parts = tuple((x, y[:, 0] if flat else y) for x, y in friedman(seed, 800, 6))
    drop = nn.Dropout(0.8 if "dropout-too-high" in causes else 0.0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), drop, nn.Linear(32, 16), nn.ReLU(), drop, nn.Linear(16, 1))
    return case(model, (parts[0], parts[1]), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)
