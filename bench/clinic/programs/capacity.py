"""Nets that learn too much by heart, and nets too small for what they have to learn."""

import torch
from nets import SeriesRNN, TokenRNN, mlp
from program import Case, SuiteProgram, program
from samples import blobs, diabetes, digits, friedman, majority, rings
from torch import Tensor, nn

PROGRAMS: list[SuiteProgram] = []
SMALL = "loss-not-decreasing too-few-epochs lr-too-low missing-nonlinearity"


def mislabelled(y: Tensor, share: float, classes: int, seed: int) -> Tensor:
    """Labels of which a share is drawn anew among the other classes."""
    draw = torch.Generator().manual_seed(seed)
    shift = torch.randint(1, classes, (len(y),), generator=draw)
    return torch.where(torch.rand(len(y), generator=draw) < share, (y + shift) % classes, y)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="",
    task="classification",
    good=0.82,
    source="Zhang et al. 2017: wrong labels learnt by heart, digits",
    note="a third of 500 labels is wrong, and a wide net has epochs enough to learn each of them",
)
def wrong_digits_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    x, y = x[:500], mislabelled(y[:500], 0.35, 10, seed)
    return {
        "model": mlp(64, 256, 10),
        "train": (x, y),
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.AdamW(p, lr=2e-3, weight_decay=0.0 if sick else 0.3),
        "batch_size": 32,
        "epochs": 70 if sick else 8,
    }


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="",
    task="regression",
    good=0.3,
    source="posts of diabetes or housing nets: training R² 0.99, validation below zero",
    note="a wide net, 300 noisy rows and 100 epochs: validation R² falls from 0.5 to nothing",
)
def diabetes_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = diabetes(seed)
    return {
        "model": mlp(10, 128, 128, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=2e-3),
        "batch_size": 32,
        "epochs": 100 if sick else 6,
    }


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="",
    task="classification",
    good=0.72,
    source="recurrent-net posts: training accuracy 100 %, validation far below after many epochs",
    note="a GRU learns 200 partly mislabelled rows by heart",
)
def few_series_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = blobs(seed, n=900, features=20, classes=3, distance=2.3)
    x, y = x[:200], mislabelled(y[:200], 0.3, 3, seed)
    steps = x.view(-1, 5, 4), val[0].view(-1, 5, 4)
    return {
        "model": SeriesRNN(4, 3, 48),
        "train": (steps[0], y),
        "val": (steps[1], val[1]),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.AdamW(p, lr=5e-3, weight_decay=0.0 if sick else 0.3),
        "batch_size": 25,
        "epochs": 80 if sick else 8,
    }


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="",
    task="binary",
    good=0.78,
    source="posts of annotations by volunteers: training accuracy 100 %, validation 70 %",
    note="twenty columns of which four matter, 400 rows with three tenths of wrong labels",
)
def wrong_labels_in_few_rows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1000, 20, generator=draw)
    clean = (x[:, :4].sum(1) > 0).long()
    y = clean[:, None].float()
    noisy = mislabelled(clean[:400], 0.3, 2, seed)[:, None].float()
    return {
        "model": mlp(20, 128, 1),
        "train": (x[:400], noisy),
        "val": (x[400:], y[400:]),
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.AdamW(p, lr=3e-3, weight_decay=0.0 if sick else 0.3),
        "batch_size": 30,
        "epochs": 80 if sick else 4,
    }


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms=SMALL,
    task="classification",
    good=0.9,
    source="DeepFD's fault 'number of neurons'; a hidden layer of one unit",
    note="ten digits have to pass through one hidden unit",
)
def digits_through_one_unit(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed)
    width = 1 if sick else 32
    return {
        "model": mlp(64, width, 10, activation=nn.Tanh),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms=SMALL,
    task="binary",
    good=0.95,
    source="TensorFlow playground: one unit for a shape that needs more",
    note="one tanh unit draws one straight line",
)
def one_unit_for_half_moons(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = rings(seed, noise=0.08)
    width = 1 if sick else 24
    return {
        "model": mlp(2, width, 2, activation=nn.Tanh),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.02),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms=SMALL,
    task="regression",
    good=0.8,
    source="autoencoder homework: a code of one number for data of many directions",
    note="twelve features of six clouds are squeezed through one number",
)
def code_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, _), (x_val, _) = blobs(seed, n=900, features=12, classes=6, distance=6.0)
    return {
        "model": mlp(12, 24, 1 if sick else 8, 24, 12),
        "train": (x, x),
        "val": (x_val, x_val),
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms=SMALL + " vanishing-gradient",
    task="classification",
    good=0.9,
    source="posts of recurrent nets with hidden_size=1",
    note="a GRU with one hidden unit has to count two things at once",
)
def gru_of_one_unit(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = majority(seed)
    return {
        "model": TokenRNN(4, 4, 1 if sick else 16),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms=SMALL,
    task="regression",
    good=0.88,
    source="homework: two hidden units for a surface of five features",
    note="two ReLU units for Friedman's surface leave a quarter unexplained",
)
def two_units_for_a_surface(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": mlp(8, 2, 1) if sick else mlp(8, 48, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 25,
    }
