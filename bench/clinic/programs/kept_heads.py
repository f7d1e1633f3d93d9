"""Kept apart, second part: losses, heads and the structure of the network."""

from functools import partial

import torch
from enrol import case
from nets import SeriesRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import digits, friedman, split, standardized, tags, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " vanishing-gradient saturated-activations wrong-loss-for-task oscillating-loss lr-too-high",
    task="classification",
    good=0.88,
    source="StackOverflow: Keras classifier ported with its last activation, nn.CrossEntropyLoss stays at 1.46",
    note="sigmoid scores between 0 and 1 go into cross entropy, which cannot become confident with them",
)
def sigmoid_scores_for_cross_entropy(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*digit_cnn(), *([nn.Sigmoid()] if sick else []))
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.5), 32, 8)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms=STUCK + " loss-output-mismatch class-imbalance vanishing-gradient",
    task="classification",
    good=0.88,
    source="course exercise: 'any distance will do', nn.L1Loss between outputs and one-hot rows",
    note="the median of a one-hot column is zero, so predicting zero everywhere is almost optimal",
)
def distance_to_one_hot_rows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, nn.functional.one_hot(y, 10).float()) for x, y in digits(seed))
    loss = nn.L1Loss() if sick else nn.CrossEntropyLoss()
    return case(mlp(64, 32, 10), (parts[0], parts[1]), loss, partial(Adam, lr=2e-3), 32, 12)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms="exploding-activations loss-not-decreasing exploding-gradient oscillating-loss lr-too-high nonfinite-loss",
    task="regression",
    good=0.75,
    source="PyTorch forum: PoissonNLLLoss goes to minus infinity after StandardScaler on the counts",
    note="a loss for counts with targets below zero, which it rewards without bound",
)
def poisson_of_standardized_counts(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.PoissonNLLLoss() if sick else nn.MSELoss()
    return case(mlp(6, 32, 16, 1), friedman(seed, 800, 6), loss, partial(Adam, lr=5e-3), 32, 20)


class Cosine(nn.Module):
    """One minus the cosine between answer and target."""

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        return 1 - nn.functional.cosine_similarity(output, y).mean()


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms="loss-output-mismatch underfitting-capacity exploding-activations too-few-epochs lr-too-low",
    task="regression",
    good=0.7,
    source="PyTorch forum: autoencoder with CosineEmbeddingLoss, low loss and pictures that are far too dark",
    note="the cosine does not see the length of a picture, so reconstructions have any brightness",
)
def cosine_of_reconstructions(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, x) for x, _ in digits(seed))
    loss = Cosine() if sick else nn.MSELoss()
    return case(mlp(64, 48, 16, 48, 64), (parts[0], parts[1]), loss, partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=STUCK + " vanishing-activations saturated-activations too-deep-for-width loss-output-mismatch "
    "bad-init-scale missing-nonlinearity",
    task="classification",
    good=0.88,
    source="StackOverflow: nn.Softmax() between the hidden layers 'as an activation', loss stuck at 2.30",
    note="softmax spreads one unit of signal over all hidden units, twice, and passes almost no gradient",
)
def softmax_as_hidden_activation(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    activation = partial(nn.Softmax, dim=1) if sick else nn.ReLU
    model = mlp(64, 64, 64, 10, activation=activation)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=1e-3), 32, 20)


class Attending(nn.Module):
    """Attention written by hand, four times, over the steps of a series."""

    def __init__(self, bare: bool) -> None:
        super().__init__()
        self.lift, self.head, self.bare = nn.Linear(1, 16), nn.Linear(16, 3), bare
        self.place = nn.Parameter(torch.randn(32, 16))
        self.threes = nn.ModuleList(nn.Linear(16, 48) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.lift(x.transpose(1, 2)) + self.place
        for three in self.threes:
            query, key, value = three(h).chunk(3, 2)
            score = query @ key.transpose(1, 2)
            h = h + (score if self.bare else (score / 4).softmax(2)) @ value
        return self.head(h.mean(1))


@program(
    PROGRAMS,
    faults="exploding-activations",
    symptoms="exploding-gradient lr-too-high bad-init-scale oscillating-loss nonfinite-loss loss-not-decreasing "
    "missing-nonlinearity underfitting-capacity overfitting",
    task="classification",
    good=0.9,
    source="course exercise: self-attention by hand, softmax forgotten",
    note="scores that are neither scaled nor put through softmax multiply the values, four layers long",
)
def scores_never_put_through_softmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Attending(sick), waves(seed, noise=0.1), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 14)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=STUCK,
    task="binary",
    good=0.9,
    source="course exercise: XOR with two nn.Linear in a row, the answer is 0.5 for everything",
    note="two linear layers without an activation are one linear layer, and XOR is not linear",
)
def xor_without_an_activation(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    bits = torch.randint(0, 2, (600, 2)).float()
    y = (bits.sum(1, keepdim=True) == 1).float()
    hidden = [] if sick else [nn.Tanh()]
    model = nn.Sequential(nn.Linear(2, 12), *hidden, nn.Linear(12, 1))
    x = 2 * bits - 1 + 0.15 * torch.randn(600, 2)
    return case(model, split(x, y, seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.3), 16, 30)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="target-shape-mismatch loss-output-mismatch",
    task="classification",
    good=0.8,
    source="StackOverflow: 'Expected input batch_size (24) to match target batch_size (32)', batch_first forgotten",
    note="the LSTM takes the first axis for time and the head answers once per step instead of once per row",
)
def batch_first_forgotten(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(1, 24, batch_first=not sick), nn.Linear(24, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.lstm(x.transpose(1, 2))[0]
            return self.head(h[-1] if sick else h.mean(1))

    return case(Net(), waves(seed, 700, 24, noise=0.1), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


class TwoSides(nn.Module):
    """Two branches for two halves of a row."""

    def __init__(self, typo: bool) -> None:
        super().__init__()
        self.left, self.right, self.head, self.typo = mlp(6, 24, 12), mlp(6, 24, 12), nn.Linear(24, 5), typo

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.left(x[:, :6]), self.right(x[:, 6:])
        return self.head(torch.cat([left, left if self.typo else right], 1).relu())


@program(
    PROGRAMS,
    faults="unused-parameters",
    symptoms="underfitting-capacity too-few-epochs lr-too-low overfitting",
    task="multilabel",
    good=0.85,
    source="PyTorch forum: siamese and two-input models, torch.cat((a, a), 1) by a slip of the pen",
    note="the left branch is joined to itself and the right one is computed for nothing",
)
def left_branch_twice(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(TwoSides(sick), tags(seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=4e-3), 32, 25)


@program(
    PROGRAMS,
    faults="too-deep-for-width vanishing-gradient",
    symptoms=STUCK + " dead-relu vanishing-activations bad-init-scale",
    task="regression",
    good=0.7,
    source="StackOverflow: 'I added layers until it stopped learning', each with four units",
    note="eighteen layers of four ReLU units: some layer forgets everything",
)
def eighteen_layers_of_four(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(6, *([4] * 18 if sick else [32, 32]), 1)
    return case(model, friedman(seed, 800, 6), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="too-few-epochs loss-not-decreasing lr-too-low",
    task="classification",
    good=0.7,
    source="Kaggle: embedding_dim=1 'because there is one column', the next item is never right",
    note="one number for each of twelve words, and a head that is linear in it",
)
def one_number_per_word(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    follow = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    x = torch.randint(0, 12, (1000,))
    y = torch.where(torch.rand(1000) < 0.9, follow[x], torch.randint(0, 12, (1000,)))
    width = 1 if sick else 12
    model = nn.Sequential(nn.Embedding(12, width), nn.Linear(width, 12))
    return case(model, split(x, y, seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.02), 32, 20)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="too-few-epochs lr-too-low loss-not-decreasing vanishing-gradient",
    task="regression",
    good=0.7,
    source="PyTorch forum: hidden_size=1 for a univariate series, since 'the answer is one row'",
    note="a recurrent net with one unit cannot carry two different sums to the end",
)
def hidden_size_one_for_two_sums(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randn(800, 8, 2)
    y = standardized(torch.stack([x[:, :, 0].sum(1), x[:, -3:, 1].sum(1) - x[:, -3:, 0].sum(1)], 1))
    model = SeriesRNN(2, 2, 1 if sick else 24)
    parts = split(x, y, seed)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=0.01), 32, 25)
