"""Programs with two things wrong at once: repairing one of them is not enough."""

from functools import partial

import torch
from enrol import case
from nets import mlp
from program import Case, SuiteProgram, two_causes
from samples import friedman, split, standardized, tags
from torch import Tensor, nn
from torch.optim import SGD, Adam, RMSprop

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="input-not-normalized targets-not-normalized",
    symptoms=WILD + " underfitting-capacity lr-too-low too-few-epochs",
    good=0.95,
    source="PyTorch forum, 'Neural network could not learn on this type of data, why?': x from 1 to 4000, y = x³",
    note="neither the numbers nor their cubes are brought to unit size",
)
def double_cubes_of_whole_numbers(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    x = torch.arange(1.0, 4000.0, 4.0)[:, None]
    y = x**3
    x = x if "input-not-normalized" in left else standardized(x)
    y = y if "targets-not-normalized" in left else standardized(y)
    return case(mlp(1, 50, 1), split(x, y, seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 40)


@two_causes(
    PROGRAMS,
    task="binary",
    causes="input-not-normalized loss-output-mismatch",
    symptoms=STUCK + " " + WILD + " vanishing-gradient ill-conditioned-features wrong-loss-for-task frozen-parameters",
    good=0.82,
    source="course exercises on loans: the columns as in the CSV, and softmax behind a single unit",
    note="income in full beside shares, and an answer that is one for everybody",
)
def double_raw_loans_and_softmax_of_one(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(1200, 5, generator=draw)
    y = (z[:, 0] - z[:, 1] + z[:, 2] * z[:, 3] > 0).float()[:, None]
    x = z * torch.tensor([25_000.0, 0.2, 12.0, 1.0, 9_000.0]) + torch.tensor([60_000.0, 0.3, 40.0, 2.0, 15_000.0])
    last = nn.Softmax(1) if "loss-output-mismatch" in left else nn.Sigmoid()
    parts = split(x if "input-not-normalized" in left else standardized(x), y, seed)
    return case(nn.Sequential(*mlp(5, 32, 16, 1), last), parts, nn.BCELoss(), partial(Adam, lr=5e-3), 32, 20)


class Tastes(nn.Module):
    """Products of two vectors per pair; all tables start at zero where it was told so."""

    def __init__(self, zeros: bool) -> None:
        super().__init__()
        self.person, self.film, self.level = nn.Embedding(30, 4), nn.Embedding(30, 4), nn.Embedding(30, 1)
        for table in (self.person, self.film, self.level):
            nn.init.normal_(table.weight, std=0.0 if zeros else 0.3)

    def forward(self, x: Tensor) -> Tensor:
        person, film = self.person(x[:, 0]), self.film(x[:, 1])
        return (person * film).sum(1, keepdim=True) + self.level(x[:, 1])


@two_causes(
    PROGRAMS,
    task="regression",
    causes="symmetric-init lr-too-low",
    symptoms=STUCK + " bad-init-scale vanishing-gradient vanishing-activations",
    good=0.7,
    source="recommender homework: tables of zeros, and Adam at 0.00001 since the loss 'did not move anyway'",
    note="a product of zeros has no gradient, and the levels creep",
)
def double_zero_tables_and_slow(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 30, (1800, 2), generator=draw)
    taste, trait = torch.randn(2, 30, 2, generator=draw)
    y = standardized((taste[x[:, 0]] * trait[x[:, 1]]).sum(1, keepdim=True) + trait[x[:, 1], :1])
    rate = 1e-5 if "lr-too-low" in left else 0.03
    model = Tastes("symmetric-init" in left)
    return case(model, split(x, y, seed), nn.MSELoss(), partial(Adam, lr=rate), 32, 20)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="loss-output-mismatch weight-decay-too-high",
    symptoms=STUCK + " saturated-activations vanishing-activations vanishing-gradient wrong-loss-for-task "
    "input-not-normalized",
    good=0.75,
    source="anomaly-detection posts: a decoder with sigmoid for standardized readings, and the L2 of a paper as decay",
    note="half of the readings are out of reach, and the penalty empties the weights",
)
def double_detector_bounded_and_decayed(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    form = torch.randn(900, 3, generator=draw) @ torch.randn(3, 14, generator=draw)
    x = standardized(form + 0.3 * form.sin())
    model = mlp(14, 32, 5, 32, 14)
    if "loss-output-mismatch" in left:
        model.append(nn.Sigmoid())
    decay = 0.1 if "weight-decay-too-high" in left else 0.0
    return case(model, split(x, x, seed), nn.MSELoss(), partial(Adam, lr=5e-3, weight_decay=decay), 32, 25)


@two_causes(
    PROGRAMS,
    task="multilabel",
    causes="loss-output-mismatch momentum-too-high",
    symptoms=STUCK + " " + WILD + " wrong-loss-for-task vanishing-gradient",
    good=0.85,
    source="toxic-comment notebooks: softmax kept from the single-label version, momentum 0.99 for RMSprop's alpha",
    note="shares that sum to one for labels that hold together, and steps that run on for a hundred batches",
)
def double_shared_tags_and_momentum(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    last = nn.Softmax(1) if "loss-output-mismatch" in left else nn.Sigmoid()
    model = nn.Sequential(*mlp(12, 48, 24, 6), last)
    momentum = 0.99 if "momentum-too-high" in left else 0.0
    optimizer = partial(RMSprop, lr=4e-3, momentum=momentum)
    return case(model, tags(seed, 900, 12, 6), nn.BCELoss(), optimizer, 32, 20)


@two_causes(
    PROGRAMS,
    task="binary",
    causes="missing-nonlinearity too-few-epochs",
    symptoms=STUCK,
    good=0.85,
    source="posts of a first network: Linear after Linear, and the loop says range(2)",
    note="the class hangs on a product of two columns; the layers are linear, and two epochs are too few for any",
)
def double_linear_and_two_epochs(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1100, 4, generator=draw)
    y = (x[:, 0] * x[:, 1] + 0.3 * x[:, 2] > 0).float()[:, None]
    model = mlp(4, 32, 16, 1, activation=nn.Identity if "missing-nonlinearity" in left else nn.ReLU)
    epochs = 2 if "too-few-epochs" in left else 30
    return case(model, split(x, y, seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.03, momentum=0.9), 32, epochs)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="target-shape-mismatch dropout-too-high",
    symptoms=STUCK + " bn-train-eval-mismatch oscillating-loss loss-output-mismatch",
    good=0.75,
    source="PyTorch forum: rents as a Series of shape (n,), and Dropout(0.8) because 0.8 is kept in TensorFlow",
    note="answers (n, 1) against rents (n,), and four fifths of both hidden layers are dropped",
)
def double_flat_rents_and_keep_rate(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    p = 0.8 if "dropout-too-high" in left else 0.02
    first, second, third = nn.Linear(8, 48), nn.Linear(48, 24), nn.Linear(24, 1)
    model = nn.Sequential(first, nn.ReLU(), nn.Dropout(p), second, nn.ReLU(), nn.Dropout(p), third)
    parts = friedman(seed)
    if "target-shape-mismatch" in left:
        parts = tuple((x, y[:, 0]) for x, y in parts)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)
