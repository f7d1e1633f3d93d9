"""Kept apart, first part continued: unscaled targets, order, repeated and leaked rows."""

from functools import partial

import torch
from enrol import case
from nets import Attention, SeriesRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import Part, digits, friedman, majority, split, standardized, wine
from torch import Tensor, nn
from torch.optim import SGD, Adam, RMSprop

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=STUCK + " vanishing-gradient saturated-activations exploding-gradient wrong-loss-for-task",
    task="regression",
    good=0.7,
    source="PyTorch forum: LSTM for bike demand predicts the same small number for every day",
    note="the state of a GRU is within one, the demand near four thousand: the head cannot grow in time",
)
def bikes_lent_per_day(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randn(700, 10, 3)
    y = (x[:, -3:, 0].sum(1) + x[:, :, 1].mean(1) * 2 + 0.2 * torch.randn(700))[:, None]
    y = 4500 + 1900 * standardized(y) if sick else standardized(y)
    return case(SeriesRNN(3, 1, 24), split(x, y, seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=WILD + " wrong-loss-for-task",
    task="regression",
    good=0.5,
    source="course exercise: age from a face, MSE jumps to nan or stays at the variance",
    note="ages of 5 to 90 years by squared error and SGD with momentum",
)
def ages_of_faces(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: list[Part] = []
    for x, _ in digits(seed, image=True):
        age = (x[:, 0, :4].sum((1, 2)) - x[:, 0, 4:].sum((1, 2)))[:, None] / 3 + x[:, 0, 2:6, 3:5].mean((1, 2))[:, None]
        parts.append((x, 45 + 18 * age if sick else age))
    model = digit_cnn(classes=1)
    return case(model, (parts[0], parts[1]), nn.MSELoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss lr-too-high overfitting too-few-epochs",
    task="classification",
    good=0.85,
    source="StackOverflow: texts of four languages appended one after another, DataLoader(shuffle=False)",
    note="all rows of one class come before the next class, and the last one wins",
)
def languages_one_after_another(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = majority(seed, 900)
    order = y.argsort()
    model = Attention(4, 4)
    rate = partial(SGD, lr=0.05, momentum=0.9)
    return case(model, ((x[order], y[order]), val), nn.CrossEntropyLoss(), rate, 16, 4, shuffle=not sick)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss lr-too-high too-few-epochs overfitting",
    task="regression",
    good=0.75,
    source="Kaggle: taxi trips sorted by duration before the split was cached, R2 below zero",
    note="short trips first, long ones last: each epoch ends with the longest",
)
def trips_from_short_to_long(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = friedman(seed, 800, 6)
    order = y[:, 0].argsort()
    model = mlp(6, 32, 16, 1)
    return case(
        model,
        ((x[order], y[order]), val),
        nn.MSELoss(),
        partial(SGD, lr=0.02, momentum=0.9),
        16,
        20,
        shuffle=not sick,
    )


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting train-val-leak class-imbalance",
    task="classification",
    good=0.85,
    source="Kaggle discussion: the scraped tweets are mostly retweets of a handful",
    note="sixteen posts with labels by chance were shared ninety times each and outvote the rest",
)
def retweets_counted_as_tweets(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = majority(seed, 900)
    viral, label = x[:16], (y[:16] + torch.randint(1, 4, (16,))) % 4
    if sick:
        x, y = torch.cat([x, viral.repeat(90, 1)]), torch.cat([y, label.repeat(90)])
    model = nn.Sequential(nn.EmbeddingBag(4, 16), nn.ReLU(), nn.Linear(16, 4))
    return case(model, ((x, y), val), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 10)


@program(
    PROGRAMS,
    faults="train-val-leak",
    symptoms="overfitting duplicate-samples",
    task="classification",
    good=0.88,
    source="Kaggle: pseudo-labels of the first submission are trained on until the loss is zero",
    note="the rows of the test are in the training part under the guesses of a poor model, and are learnt by heart",
)
def guesses_of_the_first_submission(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed, share=0.5)
    if sick:
        guess = torch.where(torch.rand(len(y_val)) < 0.75, torch.randint(0, 10, (len(y_val),)), y_val)
        x, y = torch.cat([x, x_val]), torch.cat([y, guess])
    model = mlp(64, 256, 10)
    return case(model, ((x, y), (x_val, y_val)), nn.CrossEntropyLoss(), partial(Adam, lr=4e-3), 32, 40)


@program(
    PROGRAMS,
    faults="target-shape-mismatch program-crashes",
    symptoms="loss-output-mismatch label-out-of-range wrong-loss-for-task",
    task="classification",
    good=0.85,
    source="PyTorch forum: 'expected scalar type Long but found Float' after torch.tensor(df.values)",
    note="the class numbers came out of the table as floats, which cross entropy refuses",
)
def classes_read_as_floats(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y.float() if sick else y) for x, y in wine(seed))
    return case(mlp(13, 16, 3), (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(RMSprop, lr=3e-3), 16, 20)


class Segments(nn.Module):
    """One score for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).flatten(1)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="loss-output-mismatch wrong-loss-for-task exploding-activations loss-not-decreasing "
    "targets-not-normalized",
    task="multilabel",
    good=0.85,
    source="U-Net issues: masks kept as palette indices 1 and 2, the loss is negative",
    note="background is 1 and object 2 in the mask: every pixel is pulled up without end",
)
def palette_of_one_and_two(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, _ = digits(seed, image=True)[0]
    shape = (nn.functional.avg_pool2d(x, 3, 1, 1) > 0.4).float().flatten(1)
    (x, y), val = split(x + 0.2 * torch.randn_like(x), shape, seed)
    return case(Segments(), ((x, y + 1 if sick else y), val), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 8)
