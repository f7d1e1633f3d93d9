"""Layers that are not joined as they were meant: nothing between them, left out, or of sizes that do not fit."""

import torch
from nets import Attention, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import cancer, digits, friedman, majority, rings, tokens, waves
from torch import Tensor, nn

PROGRAMS: list[SuiteProgram] = []
LINEAR = "underfitting-capacity too-few-epochs lr-too-low loss-not-decreasing"
LEFT_OUT = LINEAR + " missing-nonlinearity parameters-not-in-optimizer frozen-parameters"


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=LINEAR,
    task="classification",
    good=0.95,
    source="StackOverflow and DeepFD: hidden layers without an activation, half-moons or XOR",
    note="three linear layers in a row can only draw a straight line",
)
def straight_line_for_half_moons(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = rings(seed, noise=0.08)
    return {
        "model": mlp(2, 24, 24, 2, activation=nn.Identity if sick else nn.ReLU),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=LINEAR,
    task="regression",
    good=0.9,
    source="AUTOTRAINER and UMLAUT's rule 'linear hidden layer'; regression nets written as Linear, Linear, Linear",
    note="Friedman's surface has products and squares, which no linear map has",
)
def linear_layers_for_friedman(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    layers = [nn.Linear(8, 64), nn.Linear(64, 32), nn.Linear(32, 1)]
    healthy = [layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]]
    return {
        "model": nn.Sequential(*(layers if sick else healthy)),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 20,
    }


class WaveNet(nn.Module):
    """Two convolutions over time with or without ReLU behind them, averaged over time."""

    def __init__(self, bent: bool) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 8, 5, padding=2)
        self.second = nn.Conv1d(8, 16, 5, padding=2)
        self.head = nn.Linear(16, 3)
        self.bent = bent

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h = self.second(h.relu() if self.bent else h)
        return self.head((h.relu() if self.bent else h).mean(2))


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=LINEAR,
    task="classification",
    good=0.85,
    source="forum posts: F.relu forgotten in forward although the layers are all there",
    note="linear filters averaged over time see the mean of the wave alone, which says nothing about its frequency",
)
def relu_forgotten_in_forward(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = waves(seed)
    return {
        "model": WaveNet(bent=not sick),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 12,
    }


class TwoPaths(nn.Module):
    """A linear path and a bent one; ``joined`` adds the second to the answer."""

    def __init__(self, joined: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 1)
        self.body = mlp(8, 32, 32, 1)
        self.joined = joined

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.body(x) if self.joined else self.linear(x)


@program(
    PROGRAMS,
    faults="unused-parameters",
    symptoms=LEFT_OUT,
    task="regression",
    good=0.88,
    source="DistributedDataParallel posts: 'parameters that were not used in producing loss'",
    note="the bent path of a wide-and-deep net is built and never called",
)
def deep_path_never_called(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": TwoPaths(joined=not sick),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 20,
    }


class Forgetful(nn.Module):
    """Three layers, whose middle one's output is overwritten unless ``kept``."""

    def __init__(self, kept: bool) -> None:
        super().__init__()
        self.first = nn.Linear(2, 24)
        self.second = nn.Linear(24, 24)
        self.head = nn.Linear(24, 2)
        self.kept = kept

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.head(self.second(h.tanh()).tanh()) if self.kept else self.head(h)


@program(
    PROGRAMS,
    faults="unused-parameters missing-nonlinearity",
    symptoms=LINEAR + " parameters-not-in-optimizer frozen-parameters",
    task="binary",
    good=0.95,
    source="posts of forward() with x1 = ..., x2 = f(x1), return head(x1)",
    note="the hidden layer with its activations is skipped by a wrong variable name",
)
def wrong_variable_in_forward(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = rings(seed, noise=0.08)
    return {
        "model": Forgetful(kept=not sick),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 20,
    }


class Counter(nn.Module):
    """Two token tables over one row: the mean of the first, and of the second unless it is left out."""

    def __init__(self, joined: bool) -> None:
        super().__init__()
        self.seen = nn.Embedding(20, 16)
        self.coarse = nn.Embedding(2, 16)
        self.head = mlp(16, 24, 3)
        self.joined = joined

    def forward(self, x: Tensor) -> Tensor:
        h = self.coarse((x >= 10).long()).mean(1)
        return self.head(h + self.seen(x).mean(1) if self.joined else h)


@program(
    PROGRAMS,
    faults="unused-parameters",
    symptoms=LEFT_OUT,
    task="classification",
    good=0.85,
    source="posts of an embedding that was defined in __init__ and forgotten in forward",
    note="the table of words is never read, the net sees only which half of the dictionary a word is in",
)
def embedding_never_read(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = tokens(seed)
    return {
        "model": Counter(joined=not sick),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="target-shape-mismatch",
    task="classification",
    good=0.85,
    source="PyTorch forum: 'mat1 and mat2 shapes cannot be multiplied' behind a Flatten",
    note="the head expects the features of an image of 12 × 12 pixels",
)
def flatten_of_another_image(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed, image=True)
    model = digit_cnn()
    model[-1] = nn.Linear(144 if sick else 64, 10)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 6,
    }


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="label-out-of-range input-not-normalized",
    task="classification",
    good=0.8,
    source="StackOverflow: 'IndexError: index out of range in self' of nn.Embedding",
    note="tokens go from 0 to 19, the embedding has 19 rows",
)
def embedding_one_row_short(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = tokens(seed)
    return {
        "model": TokenRNN(19 if sick else 20, 3),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="input-not-normalized",
    task="classification",
    good=0.9,
    source="PyTorch forum: 'expected input to have 1 channels, but got 32', the channel axis forgotten or misplaced",
    note="rows arrive as (n, length, 1) where the convolution wants (n, 1, length)",
)
def channels_last_by_mistake(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = waves(seed)
    if sick:
        x, x_val = x.transpose(1, 2), x_val.transpose(1, 2)
    return {
        "model": wave_cnn(),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 8,
    }


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="wrong-loss-for-task target-shape-mismatch loss-output-mismatch",
    task="binary",
    good=0.9,
    source="PyTorch forum: 'mat1 and mat2 must have the same dtype, but got Double and Float' with NumPy inputs",
    note="inputs came from NumPy in float64, the model's weights are float32",
)
def doubles_from_numpy(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = cancer(seed)
    if sick:
        x, x_val = x.double(), x_val.double()
    return {
        "model": mlp(30, 16, 1),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 10,
    }


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="target-shape-mismatch",
    task="classification",
    good=0.85,
    source="posts of positional tables shorter than the sequences: 'size of tensor a must match size of tensor b'",
    note="the table of positions has 10 rows, sequences have 12 tokens",
)
def positions_too_few(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = majority(seed)
    return {
        "model": Attention(4, 4, length=10 if sick else 12),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 7,
    }
