"""Inputs that were not prepared: raw scales and offsets, holes, constant and dependent columns."""

import torch
from nets import SeriesRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import blobs, cancer, diabetes, digits, friedman, split, standardized, waves, wine
from sklearn import datasets
from torch import Tensor, nn

PROGRAMS: list[SuiteProgram] = []
RAW = (
    "lr-too-high loss-not-decreasing oscillating-loss exploding-activations dead-relu saturated-activations "
    "exploding-gradient nonfinite-loss ill-conditioned-features lr-too-low too-few-epochs bad-init-scale "
    "vanishing-gradient underfitting-capacity momentum-too-high"
)
HOLES = "nonfinite-loss loss-not-decreasing lr-too-high exploding-gradient"


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=RAW,
    task="classification",
    good=0.9,
    source="StackOverflow: 'wine dataset, accuracy stuck at 0.4'; TheDeepChecker 'unscaled inputs'",
    note="proline is a thousand times larger than the other columns",
)
def wine_straight_from_the_csv(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = wine(seed, raw=sick)
    return {
        "model": mlp(13, 24, 3),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "batch_size": 16,
        "epochs": 30,
    }


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=RAW,
    task="binary",
    good=0.92,
    source="Kaggle beginners' notebooks on the Wisconsin data without StandardScaler",
    note="raw areas of up to 4000 saturate the tanh units",
)
def cancer_raw_into_tanh(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = cancer(seed, raw=sick)
    return {
        "model": mlp(30, 16, 16, 1, activation=nn.Tanh),
        "train": train,
        "val": val,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=RAW + " input-constant-feature",
    task="classification",
    good=0.88,
    source="UMLAUT's rule on inputs outside [-1, 1]: images of 0 ... 255 fed to a CNN",
    note="pixels of 0 to 255 at a rate meant for pixels of 0 to 1",
)
def pixels_up_to_255(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed, image=True)
    factor = 255.0 if sick else 1.0
    return {
        "model": digit_cnn(),
        "train": (x * factor, y),
        "val": (x_val * factor, y_val),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "batch_size": 32,
        "epochs": 8,
    }


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=RAW,
    task="classification",
    good=0.9,
    source="forecasting posts with temperatures in kelvin fed to an LSTM",
    note="a signal of about 290 kelvin that varies by one: the gates see a constant",
)
def kelvin_into_a_gru(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = waves(seed, n=700, length=24, noise=0.2)
    offset = 290.0 if sick else 0.0
    return {
        "model": SeriesRNN(1, 3, 24),
        "train": (x.transpose(1, 2) + offset, y),
        "val": (x_val.transpose(1, 2) + offset, y_val),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=RAW,
    task="regression",
    good=0.85,
    source="california-housing posts: population and income in one table, SGD gives nan",
    note="columns from thousandths to thousands, as tables with several units have",
)
def columns_in_many_units(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed)
    units = torch.tensor([1e-3, 40.0, 1.0, 1500.0, 0.1, 300.0, 7.0, 0.02]) if sick else torch.ones(8)
    return {
        "model": mlp(8, 32, 32, 1),
        "train": (x * units, y),
        "val": (x_val * units, y_val),
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=RAW,
    task="regression",
    good=0.85,
    source="tables in physical units far from 1; TheDeepChecker 'unscaled inputs'",
    note="sensor values of order 1e-4, so that the net sees almost nothing but its biases",
)
def volts_measured_in_kilovolts(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed)
    unit = 1e-4 if sick else 1.0
    return {
        "model": mlp(8, 24, 1),
        "train": (x * unit, y),
        "val": (x_val * unit, y_val),
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9),
        "batch_size": 32,
        "epochs": 20,
    }


def with_holes(x: Tensor, value: float, every: int) -> Tensor:
    """The same rows with one entry in ``every`` replaced."""
    holed = x.clone()
    holed.view(-1)[::every] = value
    return holed


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms=HOLES + " input-not-normalized",
    task="classification",
    good=0.85,
    source="StackOverflow: 'loss is nan from the first batch', pandas columns with missing values",
    note="one entry in 97 is NaN, as read from a table with empty cells",
)
def empty_cells_of_a_table(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = wine(seed)
    hole = float("nan") if sick else 0.0
    return {
        "model": mlp(13, 24, 3),
        "train": (with_holes(x, hole, 97), y),
        "val": (with_holes(x_val, hole, 97), y_val),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 16,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms=HOLES + " input-not-normalized",
    task="regression",
    good=0.9,
    source="posts of log-transformed columns: the logarithm of a zero count is -inf",
    note="a few counts are zero and their logarithm is minus infinity",
)
def logarithm_of_zero_counts(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    counts = torch.poisson(torch.full((800, 6), 4.0), generator=draw)
    logs = counts.clamp(min=0.5).log()
    y = standardized(logs[:, :3].sum(1, keepdim=True) + 0.5 * (logs[:, 3:4] * logs[:, 4:5]))
    train, val = split(logs - logs.mean(0), y, seed)
    if sick:
        (x, y), (x_val, y_val) = train, val
        train = (x.masked_fill(x == x.amin(0), -torch.inf), y)
        val = (x_val.masked_fill(x_val == x.amin(0), -torch.inf), y_val)
    return {
        "model": mlp(6, 24, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="input-nonfinite input-constant-feature",
    symptoms=HOLES + " input-not-normalized",
    task="classification",
    good=0.9,
    source="posts of (x - mean) / std on MNIST-like pixels without a floor",
    note="border pixels never change, their standard deviation is 0, and 0 / 0 is NaN in every image",
)
def zero_over_zero_at_the_border(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed)
    mean, std = x.mean(0), x.std(0)
    std = std if sick else std.clamp(min=0.05)
    return {
        "model": mlp(64, 32, 10),
        "train": ((x - mean) / std, y),
        "val": ((x_val - mean) / std, y_val),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 10,
    }


@program(
    PROGRAMS,
    faults="input-constant-feature",
    symptoms="input-not-normalized bn-train-eval-mismatch overfitting",
    task="classification",
    good=0.85,
    source="posts of (x - mean) / (std + 1e-8) where a sensor was silent while training",
    note="a column is constant in training and divided by 1e-8; in validation it moves a little and drowns the others",
)
def silent_sensor_wakes_up(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = blobs(seed, n=700, features=10, classes=3, distance=3.0)
    noise = torch.randn(len(x_val), 1, generator=torch.Generator().manual_seed(seed + 1))
    if sick:
        x = torch.cat([x, torch.zeros(len(x), 1)], 1)
        x_val = torch.cat([x_val, 1e-3 * noise / 1e-8], 1)
    return {
        "model": mlp(x.shape[1], 24, 3),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=RAW,
    task="regression",
    good=0.35,
    source="tables that keep the year of the survey as a column",
    note="all rows are of the year 2019: a constant 2019 beside standardized columns acts as a huge bias",
)
def year_of_the_survey(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = diabetes(seed)
    if sick:
        x = torch.cat([x, torch.full((len(x), 1), 2019.0)], 1)
        x_val = torch.cat([x_val, torch.full((len(x_val), 1), 2019.0)], 1)
    return {
        "model": mlp(x.shape[1], 24, 1),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.02),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="input-constant-feature",
    symptoms="input-not-normalized bn-train-eval-mismatch overfitting",
    task="binary",
    good=0.9,
    source="one-hot columns of a category that the training part never shows, standardized by 1e-8",
    note="an unseen category has std 0 in training; its ones in validation become 1e6",
)
def category_never_seen(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = cancer(seed)
    if sick:
        x = torch.cat([x, torch.zeros(len(x), 2)], 1)
        seen = torch.rand(len(x_val), 2, generator=torch.Generator().manual_seed(seed)) < 0.5
        x_val = torch.cat([x_val, seen.float() / 1e-6], 1)
    return {
        "model": mlp(x.shape[1], 16, 1),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms="lr-too-low too-few-epochs loss-not-decreasing underfitting-capacity lr-too-high oscillating-loss "
    "input-not-normalized",
    task="regression",
    good=0.9,
    source="lecture homework: gradient descent on powers of one variable",
    note="powers 1 ... 8 of x in [0, 1], standardized, are almost one column; descent crawls along the others",
)
def polynomial_of_degree_eight(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.rand(500, 1, generator=draw, dtype=torch.float64)
    y = torch.sin(9.0 * x) + 0.1 * torch.randn(500, 1, generator=draw)
    powers = torch.cat([x**k for k in range(1, 9)], 1)
    powers = (powers - powers.mean(0)) / powers.std(0)
    if not sick:
        basis = torch.linalg.svd(powers, full_matrices=False)[0]
        powers = basis * len(basis) ** 0.5
    train, val = split(powers.float(), standardized(y.float()), seed)
    return {
        "model": nn.Linear(8, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.02),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms="lr-too-low too-few-epochs loss-not-decreasing underfitting-capacity lr-too-high oscillating-loss "
    "input-not-normalized",
    task="regression",
    good=0.9,
    source="sensor-array posts: all channels follow one common drift, the difference between them matters",
    note="twelve channels share a drift fifty times their own signal: standardizing columns does not help",
)
def channels_with_a_common_drift(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    own = torch.randn(800, 12, generator=draw)
    drift = 50.0 * torch.randn(800, 1, generator=draw)
    weights = torch.randn(12, 1, generator=draw)
    y = standardized((own - own.mean(1, keepdim=True)) @ weights)
    x = standardized(own + drift)
    if not sick:
        centred = x.double() - x.double().mean(0)
        basis = torch.linalg.svd(centred, full_matrices=False)[0]
        x = (basis * 800**0.5).float()
    train, val = split(x, y, seed)
    return {
        "model": nn.Linear(12, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms="lr-too-low too-few-epochs loss-not-decreasing underfitting-capacity lr-too-high oscillating-loss "
    "input-not-normalized vanishing-gradient",
    task="binary",
    good=0.9,
    source="LeCun et al. 1998, section 4.3: correlated inputs; posts of logistic regression on near-duplicates",
    note="the class is told by small differences of near-copies; descent first sees their common part",
)
def near_copies_of_columns(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = datasets.make_classification(
        900, 6, n_informative=6, n_redundant=0, class_sep=1.8, n_clusters_per_class=1, random_state=seed
    )
    signal = standardized(torch.tensor(x, dtype=torch.float32))
    common = torch.randn(900, 1, generator=torch.Generator().manual_seed(seed))
    columns = standardized(common + 0.02 * signal) if sick else signal
    train, val = split(columns, torch.tensor(y).float()[:, None], seed)
    return {
        "model": mlp(6, 16, 1, activation=nn.Tanh),
        "train": train,
        "val": val,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05),
        "batch_size": 32,
        "epochs": 20,
    }
