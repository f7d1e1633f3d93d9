"""Sick programs of a class on training, first part: tables, targets, losses and the order of the samples."""

from functools import partial
from typing import Any

import torch
from enrol import case
from nets import digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import cancer, digits, friedman, iris, split, standardized, tags, wine
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
    symptoms=STUCK + " " + WILD + " vanishing-gradient input-constant-feature",
    task="classification",
    good=0.9,
    source="StackOverflow: forgot to divide the pixels by 255, accuracy near 10 %",
    note="pixels up to 255 close every sigmoid of the first layer",
)
def class_pixels_up_to_255(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x * 255 if sick else x, y) for x, y in digits(seed))
    model = mlp(64, 48, 10, activation=nn.Sigmoid)
    return case(model, parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.3, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="input-not-normalized ill-conditioned-features",
    symptoms=STUCK + " " + WILD,
    task="binary",
    good=0.93,
    source="Kaggle beginners: load_breast_cancer into a net without StandardScaler",
    note="areas of thousands beside roughnesses of hundredths in one table",
)
def class_tumours_without_a_scaler(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = cancer(seed, raw=sick)
    return case(mlp(30, 16, 8, 1), parts, nn.BCEWithLogitsLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 20)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing lr-too-high exploding-gradient program-crashes",
    task="binary",
    good=0.72,
    source="Titanic on Kaggle: the column of ages has holes, the loss is nan",
    note="a tenth of the ages is missing; the mean in their place repairs it",
)
def class_ages_with_holes(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    sex, rank = torch.randint(0, 2, (900, 1), generator=draw), torch.randint(1, 4, (900, 1), generator=draw)
    age = torch.randn(900, 1, generator=draw)
    lives = (2.5 * sex - 1.0 * (rank - 2) - 0.8 * age - 1.2 + torch.randn(900, 1, generator=draw) > 0).float()
    holes = torch.rand(900, 1, generator=draw) < 0.1
    age = torch.where(holes, torch.full_like(age, torch.nan if sick else 0.0), age)
    (x, y), (x_val, y_val) = split(torch.cat([sex.float(), rank.float(), age], 1), lives, seed)
    parts = ((x, y), (x_val.nan_to_num(), y_val))
    return case(mlp(3, 16, 8, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="ill-conditioned-features input-not-normalized",
    symptoms=STUCK + " " + WILD,
    task="regression",
    good=0.8,
    source="course exercise: polynomial regression by gradient descent, x to x^6 as they are",
    note="powers of numbers up to 3: columns up to 700, nearly parallel",
)
def class_powers_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = 6 * torch.rand(500, 1, generator=torch.Generator().manual_seed(seed)) - 3
    y = standardized((1.5 * x).sin() + 0.3 * x)
    powers = torch.cat([x**k for k in range(1, 8)], 1)
    if not sick:
        left, _, _ = torch.linalg.svd(standardized(powers), full_matrices=False)
        powers = standardized(left)
    return case(nn.Linear(7, 1), split(powers, y, seed), nn.MSELoss(), partial(SGD, lr=0.02), 32, 30)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=STUCK + " overfitting wrong-loss-for-task",
    task="binary",
    metric="balanced",
    good=0.72,
    source="credit-card fraud on Kaggle: 97 % accuracy, recall zero",
    note="one payment in thirty is a fraud and lies close to the others; a weight for it repairs",
)
def class_frauds_among_payments(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(2400, 1, generator=draw) < 0.035).float()
    x = torch.randn(2400, 8, generator=draw) + 0.75 * y
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0 if sick else 28.0]))
    return case(mlp(8, 8, 1), split(x, y, seed, 0.6), loss, partial(SGD, lr=0.03, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="label-out-of-range program-crashes",
    symptoms="loss-output-mismatch",
    task="classification",
    good=0.9,
    source="StackOverflow: IndexError: Target 10 is out of bounds",
    note="the digits are coded 1 to 10 for ten outputs",
)
def class_digits_from_one_to_ten(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, y + 1 if sick else y) for x, y in digits(seed, image=True))
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=STUCK + " loss-output-mismatch",
    task="regression",
    good=0.75,
    source="PyTorch forum: 'Using a target size that is different to the input size' is only a warning",
    note="targets of shape (n,) and outputs of shape (n, 1) make a square of differences: the mean is learned",
)
def class_flat_targets(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, y[:, 0] if sick else y) for x, y in friedman(seed))
    return case(mlp(8, 48, 1), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=STUCK + " exploding-gradient oscillating-loss dead-relu",
    task="regression",
    good=0.75,
    source="Kaggle house prices: MSE of 3e10 after a hundred epochs with Adam",
    note="prices near two hundred thousand: the last layer moves by a thousandth at each step",
)
def class_prices_in_dollars(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, 180_000 + 80_000 * y if sick else y) for x, y in friedman(seed))
    return case(mlp(8, 64, 32, 1), parts, nn.MSELoss(), partial(Adam, lr=2e-3), 32, 30)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms=STUCK + " oscillating-loss batch-size-extreme lr-too-high overfitting",
    task="classification",
    good=0.88,
    source="PyTorch forum: ImageFolder and a loader without shuffle, the net knows only the last class",
    note="the files come class by class and the loader keeps their order",
)
def class_folder_after_folder(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed, image=True)
    order = y.argsort(stable=True)
    parts = ((x[order], y[order]), val)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 8, shuffle=not sick)


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting too-few-epochs",
    task="classification",
    good=0.88,
    source="GitHub: a join with the wrong key wrote every row forty times",
    note="nine hundred rows, but only thirty different ones",
)
def class_join_that_multiplies(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    if sick:
        x, y = x[:30].repeat(30, 1), y[:30].repeat(30)
    return case(mlp(64, 48, 10), ((x[:900], y[:900]), val), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " vanishing-gradient saturated-activations",
    task="binary",
    good=0.82,
    source="PyTorch forum: sigmoid in the model and BCEWithLogitsLoss outside",
    note="the loss squashes probabilities once more: no answer can be lower than one half",
)
def class_sigmoid_and_logits_loss(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1000, 6, generator=draw)
    y = (x[:, :1] + x[:, 1:2] * x[:, 2:3] > 0.9).float()
    model = nn.Sequential(*mlp(6, 24, 1), *([nn.Sigmoid()] if sick else []))
    return case(model, split(x, y, seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.03, momentum=0.9), 32, 25)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " dead-relu vanishing-gradient targets-not-normalized",
    task="regression",
    good=0.75,
    source="StackOverflow: my regression never predicts anything below zero",
    note="a ReLU after the last layer, though half of the targets are negative",
)
def class_relu_at_the_end(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(8, 48, 24, 1), *([nn.ReLU()] if sick else []))
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task target-shape-mismatch",
    symptoms=STUCK + " loss-output-mismatch targets-not-normalized",
    task="classification",
    good=0.9,
    source="course exercise: the loss of last week's regression on this week's digits",
    note="squared error between one output and the digit as a number",
)
def class_digit_as_a_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, y.float()[:, None] if sick else y) for x, y in digits(seed))
    loss = nn.MSELoss() if sick else nn.CrossEntropyLoss()
    return case(mlp(64, 48, 1 if sick else 10), parts, loss, partial(Adam, lr=3e-3), 32, 15)


def softmax_loss(output: Tensor, y: Tensor) -> Tensor:
    """Cross entropy that shares one unit of probability among the labels."""
    return nn.functional.cross_entropy(output, y)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms=STUCK + " target-shape-mismatch overfitting",
    task="multilabel",
    good=0.88,
    source="PyTorch forum: CrossEntropyLoss for several labels per picture",
    note="labels that are mostly true together are made to compete, and the loss knows no zero to decide by",
)
def class_labels_that_compete(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = softmax_loss if sick else nn.BCEWithLogitsLoss()
    return case(mlp(12, 32, 5), tags(seed, offset=-0.8), loss, partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="loss-output-mismatch wrong-loss-for-task target-shape-mismatch",
    task="classification",
    good=0.93,
    source="StackOverflow: mat1 and mat2 shapes cannot be multiplied",
    note="the linear layer was counted for pictures twice as wide",
)
def class_linear_of_the_wrong_width(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512 if sick else 128, 10)
    )
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="program-crashes wrong-loss-for-task",
    symptoms="target-shape-mismatch loss-output-mismatch",
    task="binary",
    good=0.93,
    source="PyTorch forum: result type Float can't be cast to the desired output type Long",
    note="labels are integers, binary cross entropy wants floats",
)
def class_integers_for_a_binary_loss(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, y.long() if sick else y) for x, y in cancer(seed))
    return case(mlp(30, 16, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


def bare_log(output: Tensor, y: Tensor) -> Tensor:
    """Minus the logarithm of the right probability, with nothing to keep it from zero."""
    return -output.softmax(1).gather(1, y[:, None]).log().mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="loss-output-mismatch exploding-gradient lr-too-high exploding-activations input-not-normalized",
    task="classification",
    good=0.9,
    source="StackOverflow: my own cross entropy gives nan after some batches",
    note="log of a softmax that has become zero; the built-in loss computes it safely",
)
def class_log_of_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((20 * x, y) for x, y in wine(seed))
    model = nn.Sequential(*mlp(13, 64, 3))
    with torch.no_grad():
        next(model[2].parameters()).mul_(8.0)
    loss = bare_log if sick else nn.CrossEntropyLoss()
    return case(model, parts, loss, partial(Adam, lr=5e-3), 16, 20)


@program(
    PROGRAMS,
    faults="train-val-leak overfitting",
    symptoms="ill-conditioned-features duplicate-samples",
    task="regression",
    good=0.6,
    source="Kaggle: the mean of the target per group was computed on the training rows themselves",
    note="each training row is nearly its own group, so the mean tells its target; in validation it tells little",
)
def class_means_of_tiny_groups(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed, 900, 6, 1.0)
    draw = torch.Generator().manual_seed(seed)
    told = y + 0.1 * torch.randn(y.shape, generator=draw) if sick else torch.randn(y.shape, generator=draw)
    other = torch.randn(y_val.shape, generator=draw)
    parts = (torch.cat([x, told], 1), y), (torch.cat([x_val, other], 1), y_val)
    return case(mlp(7, 32, 1), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=STUCK + " " + WILD + " vanishing-gradient ill-conditioned-features",
    task="classification",
    good=0.85,
    source="GitHub: the year column, 2019 in each row, was left in the table",
    note="one column holds 2019 throughout and rules every unit of the first layer",
)
def class_year_in_each_row(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((torch.cat([x, torch.full((len(x), 1), 2019.0 * sick)], 1), y) for x, y in iris(seed))
    return case(mlp(5, 16, 3, activation=nn.Tanh), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 16, 40)
