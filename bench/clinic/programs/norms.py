"""Normalization and dropout: batches too small, statistics that never arrive, and too many units dropped."""

import torch
from nets import Attention
from program import Case, SuiteProgram, program
from samples import blobs, cancer, digits, friedman, majority, waves
from torch import nn

PROGRAMS: list[SuiteProgram] = []
SMALL = (
    "bn-train-eval-mismatch batch-size-extreme oscillating-loss lr-too-high loss-not-decreasing underfitting-capacity"
)
GAP = "overfitting bn-small-batch oscillating-loss"
DROPPED = "loss-not-decreasing underfitting-capacity too-few-epochs lr-too-low oscillating-loss bn-train-eval-mismatch"


def normed_mlp(*widths: int, momentum: float = 0.1, dropout: float = 0.0) -> nn.Sequential:
    """Linear, BatchNorm1d, ReLU and perhaps dropout, again and again; a linear head."""
    layers: list[nn.Module] = []
    for i in range(len(widths) - 2):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.BatchNorm1d(widths[i + 1], momentum=momentum), nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def normed_cnn(momentum: float = 0.1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8, momentum=momentum),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16, momentum=momentum),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms=SMALL,
    task="classification",
    good=0.88,
    source="Wu & He 2018 (group normalization): batches of two; detection posts with one image a GPU",
    note="batch norm over two samples leaves only which of the two is larger",
)
def two_blobs_a_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = blobs(seed, n=500, features=12, classes=6, distance=3.5)
    return {
        "model": normed_mlp(12, 32, 32, 6),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 2 if sick else 32,
        "epochs": 8,
    }


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms=SMALL,
    task="regression",
    good=0.7,
    source="posts of batch_size=3 'because of memory' with normalized regression nets",
    note="batches of three: what a sample is normalized to depends on its two neighbours",
)
def triples_through_batch_norm(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed, n=600)
    return {
        "model": normed_mlp(8, 32, 32, 32, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
        "batch_size": 3 if sick else 32,
        "epochs": 10,
    }


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms=SMALL,
    task="binary",
    good=0.9,
    source="CNTK and Keras issues on batch normalization with minibatches of two samples",
    note="four normalized layers over batches of two forget the size of every feature",
)
def cancer_two_at_a_time(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = cancer(seed)
    return {
        "model": normed_mlp(30, 24, 24, 24, 24, 1),
        "train": train,
        "val": val,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 2 if sick else 32,
        "epochs": 5,
    }


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms=GAP + " input-constant-feature",
    task="classification",
    good=0.9,
    source="PyTorch forum: 'works in train(), chance in eval()'; Keras' momentum 0.99 is torch's 0.01",
    note="momentum 1e-5: after 240 steps the running statistics are still those of the start",
)
def running_statistics_never_arrive(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed, image=True)
    return {
        "model": normed_cnn(1e-5 if sick else 0.1),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "batch_size": 32,
        "epochs": 6,
    }


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms=GAP + " input-not-normalized",
    task="regression",
    good=0.85,
    source="PyTorch issues on batch norm's momentum of 0.0 in ported code",
    note="momentum 0: running mean and variance stay 0 and 1 whatever the layers' inputs are",
)
def batch_norm_momentum_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": normed_mlp(8, 32, 32, 1, momentum=0.0 if sick else 0.1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms=GAP,
    task="classification",
    good=0.88,
    source="scripts that put momentum=0.001 into every norm for stability, short trainings",
    note="a hundred steps at momentum 1e-3: nine tenths of the running statistics are still the start's",
)
def short_training_slow_statistics(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = blobs(seed, n=700, features=12, classes=6, distance=4.0)
    offset, factor = 2.0, 0.3
    train, val = (train[0] * factor + offset, train[1]), (val[0] * factor + offset, val[1])
    return {
        "model": normed_mlp(12, 32, 32, 32, 6, momentum=1e-3 if sick else 0.1),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 8,
    }


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=DROPPED + " input-constant-feature",
    task="classification",
    good=0.85,
    source="UMLAUT's rule on dropout above 0.5; the keep probability of TensorFlow 1 given as p",
    note="0.95 was meant as the share to keep and is the share that is dropped",
)
def keep_probability_as_p(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed)
    p = 0.95 if sick else 0.05
    return {
        "model": nn.Sequential(
            nn.Linear(64, 32), nn.ReLU(), nn.Dropout(p), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(p), nn.Linear(32, 10)
        ),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=DROPPED,
    task="regression",
    good=0.85,
    source="regression posts: dropout 0.8 before every layer, even the inputs",
    note="four of five inputs are dropped, so that no two of them are ever seen together",
)
def four_of_five_inputs_dropped(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    p = 0.8 if sick else 0.0
    return {
        "model": nn.Sequential(nn.Dropout(p), nn.Linear(8, 48), nn.ReLU(), nn.Dropout(p), nn.Linear(48, 1)),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=DROPPED,
    task="classification",
    good=0.85,
    source="transformer posts with dropout 0.9 on small data",
    note="nine of ten entries dropped in attention, residual branches and feed-forward layers of an encoder",
)
def encoder_dropout_of_nine_tenths(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = majority(seed)
    model = Attention(4, 4, dropout=0.95 if sick else 0.05)
    head = nn.Sequential(nn.LayerNorm(16), nn.Dropout(0.95 if sick else 0.05), nn.Linear(16, 4))
    model.head = head
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 10,
    }


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=DROPPED,
    task="classification",
    good=0.9,
    source="posts of Dropout(0.9) behind every convolution",
    note="maps of a one-dimensional CNN are dropped with 0.9 twice in a row",
)
def dropout_between_convolutions(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = waves(seed)
    p = 0.93 if sick else 0.1
    model = nn.Sequential(
        nn.Conv1d(1, 8, 5, padding=2),
        nn.ReLU(),
        nn.Dropout1d(p),
        nn.Conv1d(8, 16, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(4),
        nn.Flatten(),
        nn.Dropout(p),
        nn.Linear(64, 3),
    )
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 10,
    }
