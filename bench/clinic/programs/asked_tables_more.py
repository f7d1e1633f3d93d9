"""More tables that people ask about: depth, norms, weights of classes, and slips of a notebook's cells."""

from functools import partial
from itertools import pairwise

import torch
from enrol import case
from nets import mlp
from program import Case, SuiteProgram, program
from samples import Parts, blobs, digits, friedman, rings, split, standardized, wine
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
    faults="too-deep-for-width vanishing-gradient",
    symptoms=STUCK + " vanishing-activations dead-relu",
    task="classification",
    good=0.85,
    source="StackOverflow: 'I added layers until it stopped learning', sixteen hidden layers of five units",
    note="a row of ten columns goes through sixteen layers of five units and arrives as nothing",
)
def sixteen_layers_of_five(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(10, *[5] * 16, 4) if sick else mlp(10, 5, 5, 4)
    return case(model, blobs(seed, 1000, 10, 4, 5.0), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="saturated-activations bad-init-scale",
    symptoms=STUCK + " vanishing-gradient exploding-activations wrong-loss-for-task",
    task="classification",
    good=0.85,
    source="Nielsen's book, chapter 3, and the ports of its network.py: np.random.randn for all weights",
    note="sums of standard normal weights drive the sigmoids to their ends, where squared error has no slope",
)
def weights_of_a_port_from_numpy(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, nn.functional.one_hot(y, 10).float()) for x, y in digits(seed))
    model = mlp(64, 100, 100, 10, activation=nn.Sigmoid)
    model.append(nn.Sigmoid())
    for layer in model[::2]:
        nn.init.normal_(layer.weight, std=1.0 if sick else layer.in_features**-0.5)
        nn.init.normal_(layer.bias, std=1.0 if sick else 0.1)
    return case(model, parts, nn.MSELoss(), partial(SGD, lr=8.0, momentum=0.5), 16, 20)


@program(
    PROGRAMS,
    faults="oscillating-loss lr-too-high batch-size-extreme",
    symptoms=WILD + " vanishing-gradient",
    task="regression",
    good=0.7,
    source="GitHub issues: 'out of memory, so I set batch_size to 2', the rate of the paper is for 64",
    note="means of two rows are so noisy that a step of this size undoes the last one",
)
def two_rows_at_the_rate_of_64(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model, size = mlp(8, 48, 24, 1), 2 if sick else 64
    return case(model, friedman(seed, noise=1.0), nn.MSELoss(), partial(SGD, lr=0.03, momentum=0.9), size, 20)


def swapped(*widths: int, swap: bool) -> nn.Sequential:
    """An MLP with batch norms made by position; the call says (momentum, eps) where it should say (eps, momentum)."""
    layers: list[nn.Module] = [nn.BatchNorm1d(widths[0], *((0.1, 1e-5) if swap else (1e-5, 0.1)))]
    for wide, narrow in pairwise(widths[:-1]):
        norm = nn.BatchNorm1d(narrow, *((0.1, 1e-5) if swap else (1e-5, 0.1)))
        layers += [nn.Linear(wide, narrow), norm, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="overfitting input-not-normalized",
    task="classification",
    good=0.9,
    source="GitHub issues: BatchNorm1d(n, 0.1, 1e-5), the second argument is eps and the third the momentum",
    note="the norms move by a hundred-thousandth a step: training is fine, evaluation uses what they began with",
)
def eps_and_momentum_swapped(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = swapped(13, 24, 16, 3, swap=sick)
    return case(model, wine(seed, raw=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 16, 20)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing",
    task="regression",
    good=0.8,
    source="early stopping posts: patience=1, and the second epoch was worse than the first by a hair",
    note="training ends after two epochs, while the error is still falling",
)
def patience_of_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(8, 48, 24, 1, activation=nn.GELU)
    return case(model, friedman(seed), nn.MSELoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 2 if sick else 30)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters",
    task="binary",
    good=0.9,
    source="Jupyter posts: the cell of the model was run again, the cell of the optimizer was not",
    note="the optimizer moves the parameters of the model that was there before",
)
def optimizer_of_the_former_model(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y.float()[:, None]) for x, y in rings(seed, 900, 0.12))
    former, model = mlp(2, 32, 32, 1), mlp(2, 32, 32, 1)
    optimizer = Adam((former if sick else model).parameters(), lr=5e-3)
    return case(model, parts, nn.BCEWithLogitsLoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="train-val-leak",
    symptoms="duplicate-samples overfitting",
    task="regression",
    good=0.7,
    source="Kaggle posts: concat of train and test without ignore_index, answers were joined by the index",
    note="the rows of the validation part stand in the training part too, each with another row's answer",
)
def joined_by_a_reset_index(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed, 700, 6)
    if sick:
        x, y = torch.cat([x, x_val]), torch.cat([y, y_val.roll(7, 0)])
    parts = (x, y), (x_val, y_val)
    return case(mlp(6, 128, 128, 1), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 40)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=STUCK + " vanishing-activations vanishing-gradient input-constant-feature ill-conditioned-features",
    task="classification",
    good=0.85,
    source="StackOverflow: ToTensor divides by 255 already, and x / 255 stands in the training loop too",
    note="grey levels of at most four thousandths: the net sees next to nothing but its biases",
)
def divided_by_255_twice(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x / 255 if sick else x, y) for x, y in digits(seed))
    return case(mlp(64, 48, 10), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="vanishing-activations bad-init-scale vanishing-gradient",
    symptoms=STUCK + " too-deep-for-width symmetric-init",
    task="classification",
    good=0.85,
    source="PyTorch forum: xavier_normal_(w, gain=0.1) in model.apply 'to be on the safe side', six layers",
    note="each of six layers hands on a tenth of what it gets",
)
def gain_of_a_tenth_in_six_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(10, 32, 32, 32, 32, 32, 4)
    for layer in model[::2]:
        nn.init.xavier_normal_(layer.weight, gain=0.1 if sick else 2**0.5)
        nn.init.zeros_(layer.bias)
    return case(
        model, blobs(seed, 1000, 10, 4, 4.5), nn.CrossEntropyLoss(), partial(SGD, lr=0.01, momentum=0.9), 32, 20
    )


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=STUCK + " wrong-loss-for-task overfitting",
    task="classification",
    metric="balanced",
    good=0.78,
    source="StackOverflow: class weights = counts / total, which is the wrong way round",
    note="the loss weighs each class by its share, so that the rare ones count next to nothing",
)
def weights_the_wrong_way_round(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    share = torch.tensor([0.8, 0.12, 0.08])
    y = torch.multinomial(share, 1600, replacement=True, generator=draw)
    centres = nn.functional.normalize(torch.randn(3, 6, generator=draw), dim=1) * 2.2
    x = centres[y] + torch.randn(1600, 6, generator=draw)
    weight = share if sick else 1 / share
    loss = nn.CrossEntropyLoss(weight=weight / weight.sum())
    return case(mlp(6, 24, 3), split(x, y, seed), loss, partial(Adam, lr=3e-3), 32, 12)


def divided_again(output: Tensor, y: Tensor, rows: int) -> Tensor:
    """Cross entropy, a mean already, divided by a number of rows."""
    return nn.functional.cross_entropy(output, y) / rows


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK + " vanishing-gradient",
    task="classification",
    good=0.85,
    source="PyTorch forum: loss = criterion(output, target) / len(train_set), the accuracy creeps",
    note="the mean over a batch is divided by the rows of the table once more, and the rate is left as it was",
)
def mean_divided_by_the_rows_again(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = blobs(seed, 1000, 12, 5, 4.5)
    loss = partial(divided_again, rows=700 if sick else 1)
    return case(mlp(12, 32, 5), parts, loss, partial(SGD, lr=0.1), 32, 15)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms="overfitting bn-train-eval-mismatch ill-conditioned-features train-val-leak",
    task="classification",
    good=0.9,
    source="StackOverflow: 99 % in training and chance in the test, scaler.transform was called for one of them",
    note="the training part is standardized, the validation part is as it is in the file",
)
def scaler_forgotten_for_the_test(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = wine(seed, raw=True)
    scaled = (x_val - x.mean(0)) / x.std(0)
    parts: Parts = (standardized(x), y), (x_val if sick else scaled, y_val)
    return case(mlp(13, 24, 3), parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 16, 20)
