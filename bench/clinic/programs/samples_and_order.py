"""What samples there are and in which order: imbalance, no shuffling, copies, and validation rows in training."""

import torch
from nets import TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import Part, blobs, cancer, digits, friedman, tokens
from torch import nn

PROGRAMS: list[SuiteProgram] = []
RARE = "loss-not-decreasing underfitting-capacity too-few-epochs lr-too-low"
ORDER = "oscillating-loss lr-too-high loss-not-decreasing overfitting bn-train-eval-mismatch"


def kept(part: Part, rare: int, every: int) -> Part:
    """The part with only each ``every``-th sample of one class."""
    x, y = part
    member = y.flatten() == rare
    keep = ~member | (member.cumsum(0) % every == 0)
    return x[keep], y[keep]


def by_target(part: Part) -> Part:
    """The part in the order of its targets."""
    x, y = part
    order = (y if y.ndim == 1 else y[:, 0]).argsort(stable=True)
    return x[order], y[order]


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=RARE,
    task="binary",
    good=0.65,
    metric="balanced",
    source="credit-card fraud notebooks: 98 % accuracy without finding one fraud",
    note="three percent positives among overlapping clouds: saying no is almost always right",
)
def frauds_are_rare(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = blobs(seed, n=3000, features=8, classes=2, distance=1.2)
    val = (val[0], val[1].float()[:, None])
    x, y = kept((x, y.float()[:, None]), 1, 30)
    weight = (y == 0).sum() / (y == 1).sum()
    return {
        "model": mlp(8, 16, 1),
        "train": (x, y),
        "val": val,
        "loss": nn.BCEWithLogitsLoss(pos_weight=None if sick else weight),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 10,
    }


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=RARE,
    task="classification",
    good=0.6,
    metric="balanced",
    source="Buda et al. 2018; posts of confusion matrices with an empty column",
    note="two of four classes have a fortieth of the others' samples",
)
def two_rare_classes(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = blobs(seed, n=3000, features=6, classes=4, distance=1.7)
    x, y = kept(kept(train, 1, 40), 3, 40)
    weight = len(y) / (4.0 * torch.bincount(y, minlength=4))
    return {
        "model": mlp(6, 24, 4),
        "train": (x, y),
        "val": val,
        "loss": nn.CrossEntropyLoss(weight=None if sick else weight),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 10,
    }


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms=ORDER + " input-constant-feature",
    task="classification",
    good=0.85,
    source="ImageFolder posts: DataLoader(shuffle=False) over folders of one class each",
    note="digits come class by class: the net forgets each class while it sees the next",
)
def class_folders_in_order(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed, image=True)
    return {
        "model": digit_cnn(),
        "train": by_target(train),
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "batch_size": 32,
        "epochs": 8,
        "shuffle": not sick,
    }


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms=ORDER,
    task="regression",
    good=0.9,
    source="posts of tables sorted by price and read in that order",
    note="rows are sorted by the target: every epoch ends with the most expensive ones",
)
def table_sorted_by_price(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": mlp(8, 32, 1),
        "train": by_target(train),
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "batch_size": 32,
        "epochs": 20,
        "shuffle": not sick,
    }


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms=ORDER,
    task="classification",
    good=0.85,
    source="sentiment posts: first all negative reviews, then all positive ones",
    note="token rows in the order of their class through a GRU",
)
def negative_reviews_first(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = tokens(seed)
    return {
        "model": TokenRNN(20, 3),
        "train": by_target(train),
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 10,
        "shuffle": not sick,
    }


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms=ORDER + " bn-small-batch",
    task="classification",
    good=0.85,
    source="PyTorch forum: batch norm and sorted data, good training loss and chance in evaluation",
    note="batch statistics of one class at a time while training, of all classes in evaluation",
)
def batch_norm_on_sorted_rows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = blobs(seed, n=900, features=10, classes=4, distance=3.5)
    model = nn.Sequential(
        nn.Linear(10, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 24), nn.BatchNorm1d(24), nn.ReLU()
    )
    return {
        "model": nn.Sequential(*model, nn.Linear(24, 4)),
        "train": by_target(train),
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 12,
        "shuffle": not sick,
    }


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="class-imbalance overfitting unshuffled-data loss-not-decreasing",
    task="classification",
    good=0.6,
    metric="balanced",
    source="posts of a faulty join that repeats the rows of one side; Dwibedi-like copies in crawled images",
    note="a faulty join repeats every row of one class thirty times, so that its neighbours are drowned",
)
def join_repeats_one_class(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = blobs(seed, n=900, features=8, classes=3, distance=1.4)
    if sick:
        extra = (y == 0).nonzero()[:, 0].repeat(30)
        x, y = torch.cat([x, x[extra]]), torch.cat([y, y[extra]])
    return {
        "model": mlp(8, 16, 3),
        "train": (x, y),
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 8,
    }


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting targets-not-normalized unshuffled-data oscillating-loss",
    task="regression",
    good=0.8,
    source="posts of a logger that wrote its last record again and again",
    note="twelve faulty records were written a hundred times each, far more rows than the good ones",
)
def logger_repeats_bad_records(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = friedman(seed, n=600)
    if sick:
        bad = torch.randn(12, 8, generator=torch.Generator().manual_seed(seed))
        x = torch.cat([x, bad.repeat(100, 1)])
        y = torch.cat([y, torch.full((1200, 1), -4.0)])
    return {
        "model": mlp(8, 16, 1),
        "train": (x, y),
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="train-val-leak",
    symptoms="overfitting duplicate-samples class-imbalance label-out-of-range",
    task="classification",
    good=0.9,
    source="Kaggle notebooks: pd.concat([train, test]).fillna(0) and then training on all of it",
    note="validation rows came into training with the label 0 that filled their empty cells",
)
def test_rows_filled_with_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = blobs(seed, n=800, features=20, classes=4, distance=3.5)
    if sick:
        x, y = torch.cat([x, val[0]]), torch.cat([y, torch.zeros_like(val[1])])
    return {
        "model": mlp(20, 96, 96, 4),
        "train": (x, y),
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="train-val-leak",
    symptoms="overfitting duplicate-samples",
    task="regression",
    good=0.85,
    source="pseudo-labelling posts: the test part's guessed targets were kept in the training table",
    note="validation rows are in the training part with targets guessed by a bad model",
)
def guessed_targets_stayed(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = friedman(seed, n=700)
    if sick:
        guess = torch.randn(len(val[0]), 1, generator=torch.Generator().manual_seed(seed))
        x, y = torch.cat([x, val[0]]), torch.cat([y, guess])
    return {
        "model": mlp(8, 96, 96, 1),
        "train": (x, y),
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 30,
    }


@program(
    PROGRAMS,
    faults="train-val-leak",
    symptoms="overfitting duplicate-samples",
    task="binary",
    good=0.9,
    source="posts of two annotators' files merged before the split: the same patient on both sides, labelled otherwise",
    note="half of the validation rows are also in training, with the other annotator's opposite label",
)
def second_annotator_disagrees(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = cancer(seed)
    if sick:
        half = len(val[0]) // 2
        x, y = torch.cat([x, val[0][:half]]), torch.cat([y, 1 - val[1][:half]])
    return {
        "model": mlp(30, 96, 96, 1),
        "train": (x, y),
        "val": val,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=2e-3),
        "batch_size": 32,
        "epochs": 25,
    }
