"""Tables with a class or a yes-or-no answer, as people post them when the accuracy stays where it was."""

from functools import partial

import torch
from enrol import case
from nets import mlp
from program import Case, SuiteProgram, program
from samples import Parts, blobs, cancer, rings, split, standardized, tags, wine
from torch import Tensor, nn
from torch.optim import SGD, Adam, RMSprop

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


def customers(seed: int, n: int = 1200) -> tuple[Tensor, Tensor]:
    """A bank's customers (score, age, tenure, balance, products, salary) and whether they leave, as a column."""
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 6, generator=draw)
    products = torch.randint(1, 5, (n,), generator=draw).float()
    x = torch.stack(
        [650 + 95 * z[:, 0], 39 + 10 * z[:, 1], 5 + 3 * z[:, 2], 76e3 + 60e3 * z[:, 3], products, 1e5 + 57e3 * z[:, 5]],
        1,
    )
    leave = 1.2 * z[:, 1] + 1.5 * (products - 2.5).abs() - 1.5 + 0.8 * z[:, 3] * z[:, 1] + 0.3 * z[:, 4]
    return x, (leave > 0).float()[:, None]


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " ill-conditioned-features underfitting-capacity lr-too-low too-few-epochs vanishing-gradient",
    task="binary",
    good=0.82,
    source="deep-learning course exercise on bank churn, and the posts where its accuracy never leaves the base rate",
    note="balance and salary in the hundred thousands beside a tenure of a few years, no StandardScaler",
)
def bank_customers_as_in_the_csv(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = customers(seed)
    parts = split(x if sick else standardized(x), y, seed)
    return case(mlp(6, 24, 24, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " ill-conditioned-features underfitting-capacity lr-too-low too-few-epochs vanishing-gradient "
    "input-constant-feature",
    task="binary",
    good=0.8,
    source="StackOverflow and Kaggle: CustomerId was not dropped before df.values",
    note="everything is standardized but a customer number of fifteen million",
)
def customer_number_left_in(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = customers(seed)
    number = 15_565_701 + torch.randint(0, 250_000, (len(x), 1), generator=torch.Generator().manual_seed(seed)).float()
    x = torch.cat([number if sick else standardized(number), standardized(x)], 1)
    return case(
        mlp(7, 32, 16, 1), split(x, y, seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 25
    )


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " ill-conditioned-features input-nonfinite underfitting-capacity lr-too-low too-few-epochs "
    "vanishing-gradient overfitting",
    task="classification",
    good=0.8,
    source="Kaggle: missing cells are -9999 in the file, and fillna finds nothing to fill",
    note="one cell in twelve holds minus 9999 for a value that was not taken",
)
def minus_9999_for_missing(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    parts = []
    for x, y in blobs(seed, 1000, 10, 4, 4.0):
        gap = torch.rand(x.shape, generator=draw) < 1 / 12
        parts.append((x.masked_fill(gap, -9999.0 if sick else 0.0), y))
    return case(mlp(10, 48, 24, 4), tuple(parts), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="input-not-normalized input-constant-feature ill-conditioned-features",
    symptoms=STUCK + " vanishing-gradient",
    task="classification",
    good=0.9,
    source="StackOverflow: sklearn's Normalizer where StandardScaler was meant",
    note="every row is divided by its own length, so that the largest column is always one and the others nothing",
)
def normalizer_for_a_scaler(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Parts = wine(seed, raw=sick)
    if sick:
        parts = tuple((nn.functional.normalize(x, dim=1), y) for x, y in parts)
    return case(mlp(13, 24, 3), parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 16, 30)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="input-constant-feature nonfinite-loss loss-not-decreasing lr-too-high input-not-normalized",
    task="binary",
    good=0.9,
    source="StackOverflow: (df - df.mean()) / df.std() and the loss is nan, one column has a single value",
    note="a column that holds one value only is divided by its deviation of zero",
)
def one_value_divided_by_its_deviation(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = []
    for x, y in cancer(seed):
        country = torch.full((len(x), 1), 7.0)
        spread = country.std(0) if sick else torch.ones(1)
        parts.append((torch.cat([x, (country - country.mean(0)) / spread], 1), y))
    return case(mlp(31, 16, 8, 1), tuple(parts), nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=STUCK + " overfitting wrong-loss-for-task",
    task="binary",
    metric="balanced",
    good=0.8,
    source="Kaggle stroke and insurance tables: 97 % accuracy, recall zero",
    note="one policy in forty has a claim, and the claims lie among the others",
)
def one_claim_in_forty(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(3200, 1, generator=draw) < 1 / 40).float()
    x = torch.randn(3200, 6, generator=draw) + 0.95 * y
    loss = nn.BCEWithLogitsLoss(pos_weight=None if sick else torch.tensor(39.0))
    return case(mlp(6, 16, 1), split(x, y, seed), loss, partial(Adam, lr=2e-3), 64, 10)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="program-crashes",
    task="classification",
    good=0.75,
    source="StackOverflow: wine quality, 'Target 6 is out of bounds'",
    note="grades 3 to 8 go to a head of six classes as they are",
)
def grades_from_three_to_eight(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = blobs(seed, 1000, 11, 6, 5.0)
    least = 3 if sick else 0
    parts = (x, y + least), (x_val, y_val + least)
    return case(mlp(11, 48, 6), parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="label-out-of-range loss-output-mismatch",
    symptoms="wrong-loss-for-task exploding-activations lr-too-high loss-not-decreasing class-imbalance "
    "underfitting-capacity saturated-activations exploding-gradient",
    task="binary",
    good=0.65,
    source="PyTorch forum: BCEWithLogitsLoss goes to minus infinity, labels are -1 and 1 from an SVM exercise",
    note="for a label of minus one the loss falls without end, and only the surest rows are called positive",
)
def labels_of_a_perceptron_for_bce(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1600, 5, generator=draw)
    change = torch.rand(1600, 1, generator=draw) < 0.26
    y = ((x[:, :1] + x[:, 1:2] > 0) ^ change).float()
    parts = split(x, 2 * y - 1 if sick else y, seed)
    return case(mlp(5, 24, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 15)


def focal(output: Tensor, y: Tensor) -> Tensor:
    """Focal loss written by hand, which takes whatever shapes can be broadcast."""
    p = output.sigmoid().clamp(1e-6, 1 - 1e-6)
    return -(y * (1 - p) ** 2 * p.log() + (1 - y) * p**2 * (1 - p).log()).mean()


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=STUCK + " loss-output-mismatch",
    task="binary",
    good=0.9,
    source="GitHub gists of a focal loss: no check of shapes, answers (n, 1) and labels (n,)",
    note="a loss written by hand broadcasts to (n, n), so that every answer is held against every label",
)
def focal_loss_of_flat_labels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = rings(seed, 800, 0.12)
    parts = tuple((x, y.float() if sick else y.float()[:, None]) for x, y in parts)
    return case(mlp(2, 32, 32, 1), parts, focal, partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " vanishing-gradient wrong-loss-for-task saturated-activations frozen-parameters",
    task="binary",
    good=0.9,
    source="StackOverflow: 'my network always outputs 1', one unit and softmax in the last layer",
    note="softmax over a single output is one whatever goes in",
)
def softmax_of_one_unit(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(30, 16, 1), nn.Softmax(1) if sick else nn.Sigmoid())
    return case(model, cancer(seed), nn.BCELoss(), partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " vanishing-gradient saturated-activations",
    task="multilabel",
    good=0.85,
    source="PyTorch forum, again and again: nn.Sigmoid() as the last layer and BCEWithLogitsLoss",
    note="the second sigmoid cannot say less than a half, and two slopes of a quarter are left of the gradient",
)
def sigmoid_before_bce_with_logits(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(12, 32, 5)
    if sick:
        model.append(nn.Sigmoid())
    return case(model, tags(seed, 900), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.1), 32, 20)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=STUCK + " dropout-too-high",
    task="binary",
    good=0.88,
    source="Kaggle notebooks: Linear, BatchNorm, Dropout, Linear, BatchNorm, Dropout, Linear",
    note="norms and dropout stand between the layers, and no activation",
)
def norms_and_dropout_but_no_relu(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1200, 6, generator=draw)
    y = (x[:, 0] * x[:, 1] + 0.7 * x[:, 2] ** 2 - 0.7 > 0).float()[:, None]
    layers: list[nn.Module] = []
    for wide, narrow in ((6, 64), (64, 32)):
        layers += [
            nn.Linear(wide, narrow),
            nn.BatchNorm1d(narrow),
            nn.Identity() if sick else nn.ReLU(),
            nn.Dropout(0.1),
        ]
    model = nn.Sequential(*layers, nn.Linear(32, 1))
    return case(model, split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient underfitting-capacity",
    task="classification",
    good=0.85,
    source="course exercise: RMSprop at 0.3 because 0.3 was the rate of the SGD of the week before",
    note="the first steps of three tenths in every weight of five layers close them",
)
def rmsprop_at_the_rate_of_last_week(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(12, 48, 48, 48, 48, 5)
    return case(
        model,
        blobs(seed, 1000, 12, 5, 4.5),
        nn.CrossEntropyLoss(),
        partial(RMSprop, lr=0.3 if sick else 1e-3, momentum=0.9),
        32,
        15,
    )


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations vanishing-gradient",
    task="binary",
    good=0.9,
    source="StackOverflow: sklearn's C=1.0 carried over as weight_decay=1.0 with SGD",
    note="a penalty of one takes back in every step what the step before has learned",
)
def penalty_of_one_with_sgd(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.05, momentum=0.9, weight_decay=1.0 if sick else 1e-4)
    return case(mlp(2, 32, 32, 1), as_column(rings(seed, 900, 0.12)), nn.BCEWithLogitsLoss(), optimizer, 32, 30)


def as_column(parts: Parts) -> Parts:
    """The same rows with labels as floats of shape (n, 1)."""
    (x, y), (x_val, y_val) = parts
    return (x, y.float()[:, None]), (x_val, y_val.float()[:, None])


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss loss-not-decreasing overfitting lr-too-high batch-size-extreme",
    task="classification",
    good=0.75,
    source="PyTorch forum: DataLoader without shuffle over a table ordered by its groupby",
    note="the rows come ordered by class after a groupby, and the loader keeps the order",
)
def groupby_put_the_classes_in_order(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = blobs(seed, 2000, 10, 5, 4.0)
    order = y.argsort()
    parts = (x[order], y[order]), val
    return case(
        mlp(10, 32, 5), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.2, momentum=0.9), 16, 8, shuffle=not sick
    )
