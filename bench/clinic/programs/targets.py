"""Targets that do not fit: labels outside the range, shapes that broadcast, scales far from one."""

import torch
from nets import ResidualMLP, SeriesRNN, TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import blobs, cancer, diabetes, digits, friedman, sums, tags, tokens, waves, wine
from torch import nn

PROGRAMS: list[SuiteProgram] = []
RANGE = "loss-output-mismatch wrong-loss-for-task program-crashes"
SHAPE = "loss-output-mismatch wrong-loss-for-task loss-not-decreasing program-crashes underfitting-capacity"
SCALE = (
    "lr-too-high exploding-gradient nonfinite-loss dead-relu exploding-activations loss-not-decreasing "
    "oscillating-loss lr-too-low too-few-epochs saturated-activations underfitting-capacity momentum-too-high"
)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms=RANGE + " nonfinite-loss loss-not-decreasing lr-too-high",
    task="binary",
    good=0.9,
    source="PyTorch forum: negative losses of BCEWithLogitsLoss with labels 1 and 2",
    note="labels 1 and 2 for no and yes: the loss has no lower bound and every answer runs to yes",
)
def labels_one_and_two(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = blobs(seed, n=700, features=16, classes=2, distance=3.0)
    y, y_val = y.float()[:, None], y_val.float()[:, None]
    if sick:
        y, y_val = 1 + y, 1 + y_val
    return {
        "model": mlp(16, 16, 1),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms=RANGE,
    task="classification",
    good=0.85,
    source="PyTorch forum: 'IndexError: Target 10 is out of bounds' with ten outputs",
    note="house-number labels 1 ... 10 (10 for zero) against ten outputs",
)
def digits_one_to_ten(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed, image=True)
    if sick:
        y, y_val = torch.where(y == 0, 10, y), torch.where(y_val == 0, 10, y_val)
    return {
        "model": digit_cnn(),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 6,
    }


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms=RANGE,
    task="classification",
    good=0.8,
    source="posts of a filtered data set whose labels keep their old numbers",
    note="three classes kept of a larger set still carry the codes 2, 5 and 7",
)
def codes_of_a_larger_set(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = tokens(seed)
    if sick:
        old = torch.tensor([2, 5, 7])
        y, y_val = old[y], old[y_val]
    return {
        "model": TokenRNN(20, 3),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms=RANGE + " nonfinite-loss loss-not-decreasing lr-too-high",
    task="multilabel",
    good=0.85,
    source="masks of segmentation posts stored as 0 and 255",
    note="marks stored as 0 and 255, not as 0 and 1: the loss falls without bound",
)
def marks_of_255(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = tags(seed, offset=0.5)
    factor = 255.0 if sick else 1.0
    return {
        "model": mlp(12, 32, 5),
        "train": (x, y * factor),
        "val": (x_val, y_val * factor),
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms=RANGE,
    task="classification",
    good=0.9,
    source="PyTorch forum: unlabelled samples marked -1 and cross entropy with ignore_index=-100",
    note="unlabelled rows carry the label -1, which the loss takes for a class",
)
def unlabelled_marked_minus_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = wine(seed)
    unknown = torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) < 0.15
    if sick:
        y = y.masked_fill(unknown, -1)
    else:
        x, y = x[~unknown], y[~unknown]
    return {
        "model": mlp(13, 16, 3),
        "train": (x, y),
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 16,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=SHAPE,
    task="regression",
    good=0.85,
    source="PyTorch forum: 'Using a target size (torch.Size([32])) that is different to the input size'",
    note="targets (n,) against outputs (n, 1) broadcast to (n, n), and the net learns the mean",
)
def flat_targets_broadcast(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed)
    if sick:
        y, y_val = y[:, 0], y_val[:, 0]
    return {
        "model": mlp(8, 32, 32, 1),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=SHAPE,
    task="binary",
    good=0.9,
    source="PyTorch forum: 'Target size must be the same as input size' of BCEWithLogitsLoss",
    note="labels (n,) against logits (n, 1): this loss refuses to broadcast",
)
def flat_labels_refused(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = cancer(seed)
    if sick:
        y, y_val = y[:, 0], y_val[:, 0]
    return {
        "model": mlp(30, 16, 1),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=SHAPE,
    task="classification",
    good=0.9,
    source="PyTorch forum: '0D or 1D target tensor expected, multi-target not supported'",
    note="class indices as a column (n, 1), as read from a table",
)
def indices_as_a_column(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = wine(seed)
    if sick:
        y, y_val = y[:, None], y_val[:, None]
    return {
        "model": mlp(13, 16, 3),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 16,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=SHAPE,
    task="regression",
    good=0.9,
    source="Keras and PyTorch posts on L1 and Huber losses that broadcast, LSTM regression",
    note="the LSTM's outputs are (n, 1), the targets (n,): smooth L1 compares each with all",
)
def lstm_huber_broadcast(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = sums(seed, length=5)
    if sick:
        y, y_val = y[:, 0], y_val[:, 0]
    return {
        "model": SeriesRNN(2, 1, 24),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.SmoothL1Loss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=SCALE,
    task="regression",
    good=0.85,
    source="house-price homework: targets in dollars, 'loss is 4e10'",
    note="prices of some 200 000 dollars: Adam moves the output by a thousandth a step",
)
def prices_in_dollars(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed)
    if sick:
        y, y_val = 200_000 + 60_000 * y, 200_000 + 60_000 * y_val
    return {
        "model": mlp(8, 32, 32, 1),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=SCALE,
    task="regression",
    good=0.8,
    source="TheDeepChecker 'over-scaled outputs'; forum posts of SGD that returns nan at the second batch",
    note="targets of order a hundred with SGD on a residual net",
)
def residual_net_raw_targets(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed)
    if sick:
        y, y_val = 150 + 40 * y, 150 + 40 * y_val
    return {
        "model": ResidualMLP(8, 1, blocks=2),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.02),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=SCALE,
    task="regression",
    good=0.3,
    source="age-estimation posts: an L1 loss that stays at the mean age",
    note="an L1 loss pushes by one unit whatever the error; targets of 25 to 346 are out of its reach",
)
def absolute_error_of_raw_targets(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = diabetes(seed, raw_target=sick)
    return {
        "model": mlp(10, 24, 1, activation=nn.Tanh),
        "train": train,
        "val": val,
        "loss": nn.L1Loss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=SCALE,
    task="regression",
    good=0.9,
    source="sensor posts: concentrations of 1e-4, 'loss is 1e-8 from the start but the predictions are flat'",
    note="targets of order 1e-4 vanish beside the net's own initial noise, and Adam's steps are a hundred times larger",
)
def tiny_concentrations(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = waves(seed, n=700)
    amplitude = 1e-4 if sick else 1.0
    y, y_val = (y.float()[:, None] - 1) * amplitude, (y_val.float()[:, None] - 1) * amplitude
    return {
        "model": nn.Sequential(nn.Flatten(), *mlp(32, 48, 24, 1)),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=2e-3),
        "batch_size": 32,
        "epochs": 15,
    }
