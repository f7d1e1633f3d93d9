"""Recommenders, category tables and pairs: embeddings as people post them when the error does not fall."""

from functools import partial

import torch
from enrol import case
from nets import mlp
from program import Case, SuiteProgram, program
from samples import Parts, blobs, split, standardized
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


def stars(seed: int, n: int = 2400, people: int = 40, factors: int = 2) -> Parts:
    """Pairs of a person and a film with the standardized rating: tastes times traits, and a film's own level."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, people, (n, 2), generator=draw)
    taste, trait = torch.randn(2, people, factors, generator=draw)
    level = torch.randn(people, 1, generator=draw)
    y = (taste[x[:, 0]] * trait[x[:, 1]]).sum(1, keepdim=True) + 0.7 * level[x[:, 1]]
    return split(x, standardized(y + 0.3 * torch.randn(n, 1, generator=draw)), seed)


class Factors(nn.Module):
    """A vector and a level per person and film; the rating is the product of the vectors and the sum of the levels."""

    def __init__(self, people: int = 40, width: int = 4, scale: float = 0.3) -> None:
        super().__init__()
        self.person, self.film = nn.Embedding(people, width), nn.Embedding(people, width)
        self.likes, self.liked = nn.Embedding(people, 1), nn.Embedding(people, 1)
        for table in (self.person, self.film):
            nn.init.normal_(table.weight, std=scale)
        for table in (self.likes, self.liked):
            nn.init.zeros_(table.weight)

    def forward(self, x: Tensor) -> Tensor:
        product = (self.person(x[:, 0]) * self.film(x[:, 1])).sum(1, keepdim=True)
        return product + self.likes(x[:, 0]) + self.liked(x[:, 1])


class Neural(nn.Module):
    """Vectors of person and film side by side through a small net; ``twice`` reads the person's table for both."""

    def __init__(self, *, people: int = 40, width: int = 8, twice: bool = False, norm: bool = False) -> None:
        super().__init__()
        self.person, self.film = nn.Embedding(people, width), nn.Embedding(people, width)
        middle = [nn.BatchNorm1d(48)] if norm else []
        self.head = nn.Sequential(nn.Linear(2 * width, 48), *middle, nn.ReLU(), nn.Linear(48, 24), nn.ReLU())
        self.answer, self.twice = nn.Linear(24, 1), twice

    def forward(self, x: Tensor) -> Tensor:
        film = self.person(x[:, 0]) if self.twice else self.film(x[:, 1])
        return self.answer(self.head(torch.cat([self.person(x[:, 0]), film], 1)))


@program(
    PROGRAMS,
    faults="bad-init-scale",
    symptoms="exploding-activations overfitting lr-too-low too-few-epochs exploding-gradient oscillating-loss "
    "loss-not-decreasing",
    task="regression",
    good=0.6,
    source="matrix factorization in PyTorch: dot product of two nn.Embedding of width 64 as they are drawn",
    note="products of two standard normal vectors of width 64 have a spread of eight, the ratings of one",
)
def dot_of_standard_normal_vectors(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Factors(width=64, scale=1.0 if sick else 0.05)
    return case(model, stars(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " bad-init-scale vanishing-gradient vanishing-activations",
    task="regression",
    good=0.7,
    source="recommender exercises: all four tables by nn.init.zeros_, as the biases' tutorial does it",
    note="the gradient of a product of zeros is zero: the vectors stay there, and only the levels learn",
)
def all_four_tables_of_zeros(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Factors(scale=0.0 if sick else 0.2), stars(seed), nn.MSELoss(), partial(Adam, lr=0.02), 32, 20)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="too-few-epochs lr-too-low loss-not-decreasing",
    task="regression",
    good=0.7,
    source="GitHub issues of recommender samples: embedding_dim=1 left from a smoke test",
    note="one number per person and film where the tastes have three directions",
)
def one_factor_for_three_tastes(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Factors(width=1 if sick else 6, scale=0.2)
    return case(model, stars(seed, 3000, 40, 3), nn.MSELoss(), partial(Adam, lr=0.02), 32, 20)


@program(
    PROGRAMS,
    faults="unused-parameters",
    symptoms=STUCK + " frozen-parameters missing-nonlinearity parameters-not-in-optimizer",
    task="regression",
    good=0.6,
    source="code review of a neural collaborative filter: a line copied, and its second half not changed",
    note="both vectors come from the person's table; the film's is never read",
)
def persons_table_read_twice(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Neural(twice=sick), stars(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms="bn-train-eval-mismatch batch-size-extreme oscillating-loss lr-too-high loss-not-decreasing "
    "underfitting-capacity",
    task="regression",
    good=0.5,
    source="recommender posts: a batch is one person's liked and one disliked film, with batch norm in the head",
    note="norms over two rows keep nothing but a sign",
)
def one_pair_of_films_a_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Neural(people=25, norm=True)
    return case(model, stars(seed, 1200, 25), nn.MSELoss(), partial(Adam, lr=5e-3), 2 if sick else 32, 10)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="",
    task="regression",
    good=0.7,
    source="StackOverflow: 'Expected tensor for argument #1 indices to have one of the following scalar types'",
    note="the whole frame was turned into float32, numbers of persons and films too",
)
def numbers_of_films_as_floats(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = stars(seed)
    if sick:
        parts = tuple((x.float(), y) for x, y in parts)
    return case(Factors(), parts, nn.MSELoss(), partial(Adam, lr=0.02), 32, 12)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task label-out-of-range loss-output-mismatch",
    symptoms=WILD + " targets-not-normalized underfitting-capacity",
    task="regression",
    good=0.7,
    source="StackOverflow: BCEWithLogitsLoss for ratings of one to five, the loss is negative and falls for ever",
    note="a cross entropy of yes and no is asked to fit numbers of stars",
)
def cross_entropy_of_five_stars(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, (3 + y).clamp(1, 5)) for x, y in stars(seed))
    loss = nn.BCEWithLogitsLoss() if sick else nn.MSELoss()
    return case(Factors(), parts, loss, partial(Adam, lr=0.03), 32, 20)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="batch-size-extreme",
    task="regression",
    good=0.8,
    source="recommender posts: training error zero, test error above the mean's, vectors of 64 for a thousand ratings",
    note="wide tables without any penalty learn the noisy ratings one by one; the repair keeps two factors and a decay",
)
def wide_vectors_for_few_ratings(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    decay = 0.0 if sick else 1e-3
    model = Factors(60, 64 if sick else 3, 0.1)
    return case(model, stars(seed, 1500, 60), nn.MSELoss(), partial(Adam, lr=0.01, weight_decay=decay), 32, 30)


@program(
    PROGRAMS,
    faults="too-few-epochs batch-size-extreme",
    symptoms="lr-too-low loss-not-decreasing underfitting-capacity",
    task="regression",
    good=0.7,
    source="Kaggle notebooks: batch_size=1024 and three epochs from the MovieLens 20M sample on a small file",
    note="two steps an epoch, three epochs: six steps in all, which suffice only for twenty million rows",
)
def settings_of_twenty_million_ratings(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    size, epochs = (1024, 3) if sick else (32, 20)
    return case(Factors(), stars(seed), nn.MSELoss(), partial(Adam, lr=0.02), size, epochs)


class Clicks(nn.Module):
    """Two categories with their vectors, multiplied by a small net; where ``fixed``, the vectors are plain tensors."""

    def __init__(self, fixed: bool, kinds: int = 60, width: int = 3) -> None:
        super().__init__()
        first = torch.randn(kinds, width)
        self.table: Tensor = first if fixed else nn.Parameter(first)
        self.head = mlp(width + 4, 24, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.table[x[:, 0].long()], x[:, 1:]], 1))


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer frozen-parameters",
    symptoms=STUCK + " unused-parameters",
    task="binary",
    good=0.85,
    source="PyTorch forum: self.table = torch.randn(...), and the vectors of the categories never change",
    note="the vectors of sixty shops are a tensor, no parameter, and stay as they were drawn",
)
def table_that_is_no_parameter(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    shop = torch.randint(0, 60, (2400,), generator=draw)
    x = torch.randn(2400, 4, generator=draw)
    bent = torch.randn(60, generator=draw).sign()[shop]
    y = (bent * (x[:, 0] + 0.5 * x[:, 1]) > 0).float()[:, None]
    parts = split(torch.cat([shop[:, None].float(), x], 1), y, seed)
    return case(Clicks(sick), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=0.01), 32, 20)


class Twins(nn.Module):
    """The cosine of two rows' codes, less a half."""

    def __init__(self) -> None:
        super().__init__()
        self.body = mlp(8, 48, 16)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.body(x[:, :8]), self.body(x[:, 8:])
        return nn.functional.cosine_similarity(first, second).unsqueeze(1) - 0.5


def alike(output: Tensor, y: Tensor) -> Tensor:
    """The cosine embedding loss: 1 - cos where y is one, cos above a margin where it is minus one."""
    cosine = output + 0.5
    near = torch.where(y == 1, 1 - cosine, torch.zeros_like(cosine))
    return (near + torch.where(y == -1, cosine.relu(), torch.zeros_like(cosine))).mean()


@program(
    PROGRAMS,
    faults="label-out-of-range loss-output-mismatch",
    symptoms=STUCK + " wrong-loss-for-task class-imbalance vanishing-gradient",
    task="binary",
    good=0.85,
    source="PyTorch forum: CosineEmbeddingLoss falls to zero and all embeddings are the same; labels are 0 and 1",
    note="the loss knows one and minus one; pairs marked zero cost nothing, so that all codes come together",
)
def pairs_marked_zero_and_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    parts = []
    for x, y in blobs(seed, 1400, 8, 3, 4.0):
        other = torch.randperm(len(x), generator=draw)
        same = (y == y[other]).float()[:, None]
        parts.append((torch.cat([x, x[other]], 1), same if sick else 2 * same - 1))
    return case(Twins(), tuple(parts), alike, partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK + " batch-size-extreme",
    task="regression",
    good=0.6,
    source="StackOverflow: matrix factorization by SGD at 0.001, the loss decreases in the fourth digit",
    note="a row is read once in sixty batches, and the mean over a batch divides its gradient again",
)
def factors_by_slow_sgd(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Factors(), stars(seed), nn.MSELoss(), partial(SGD, lr=1e-3 if sick else 0.1, momentum=0.9), 32, 25)


class Crosses(nn.Module):
    """Cross layers, x₀ times a linear form of x plus x, as in Deep & Cross; ``gain`` scales their first weights."""

    def __init__(self, features: int, layers: int, gain: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(features, features) for _ in range(layers))
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=gain)
        self.answer = nn.Linear(features, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for layer in self.layers:
            h = x * layer(h) + h
        return self.answer(h)


@program(
    PROGRAMS,
    faults="bad-init-scale exploding-activations exploding-gradient",
    symptoms="lr-too-high oscillating-loss loss-not-decreasing nonfinite-loss too-deep-for-width overfitting",
    task="regression",
    good=0.6,
    source="reimplementations of Deep & Cross: torch.randn for the weights of every cross layer",
    note="each layer multiplies by the row once more, and standard normal weights let the powers grow",
)
def cross_layers_of_standard_normals(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1200, 8, generator=draw)
    y = standardized(x[:, :1] * x[:, 1:2] + x[:, 2:3] + 0.1 * torch.randn(1200, 1, generator=draw))
    model = Crosses(8, 3, 1.0 if sick else 0.02)
    return case(model, split(x, y, seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)
