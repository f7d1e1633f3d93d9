"""Programs as people post them, deep nets and transformers: starts, depth, masks and schedules."""

from functools import partial
from itertools import pairwise

import torch
from enrol import case
from nets import Attention, SeriesRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import Part, Parts, digits, friedman, majority, split, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations loss-not-decreasing "
    "saturated-activations dead-relu momentum-too-high"
)


def order_of_two(seed: int, n: int = 900, length: int = 10) -> Parts:
    """Token rows with one 1 and one 2 among others; the label is whether the 1 comes first."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(3, 10, (n, length), generator=draw)
    places = torch.rand(n, length, generator=draw).argsort(1)[:, :2]
    x.scatter_(1, places, torch.tensor([[1, 2]]).expand(n, 2))
    return split(x, (places[:, 0] < places[:, 1]).long(), seed)


@program(
    PROGRAMS,
    faults="vanishing-activations vanishing-gradient bad-init-scale too-deep-for-width",
    symptoms=STUCK + " dead-relu input-constant-feature",
    task="classification",
    good=0.88,
    source="PyTorch forum: VGG from scratch without batch norm, the loss stays at 2.303",
    note="ten convolutions at PyTorch's default start, each of which passes on less than half of the signal",
)
def vgg_at_the_default_start(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in pairwise([1, *[12] * 10]):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(192, 10))
    for layer in [] if sick else model:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    optimizer = partial(SGD, lr=0.01, momentum=0.9)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 8)


class ResidualWaves(nn.Module):
    """Residual convolutions over time, with or without a norm in each branch."""

    def __init__(self, blocks: int, *, normed: bool) -> None:
        super().__init__()
        self.inlet, self.outlet = nn.Conv1d(1, 12, 5, padding=2), nn.Linear(12, 3)
        self.blocks = nn.ModuleList(self.branch(normed) for _ in range(blocks))

    @staticmethod
    def branch(normed: bool) -> nn.Sequential:
        """Two convolutions drawn after He."""
        first, second = nn.Conv1d(12, 12, 3, padding=1), nn.Conv1d(12, 12, 3, padding=1)
        for convolution in (first, second):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        norms = [nn.BatchNorm1d(12) if normed else nn.Identity() for _ in range(2)]
        return nn.Sequential(norms[0], nn.ReLU(), first, norms[1], nn.ReLU(), second)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inlet(x)
        for block in self.blocks:
            h = h + block(h)
        return self.outlet(h.relu().mean(2))


@program(
    PROGRAMS,
    faults="exploding-activations exploding-gradient bad-init-scale",
    symptoms=WILD + " vanishing-gradient",
    task="classification",
    good=0.88,
    source="'ResNet without batch norm gives NaN' posts; Zhang et al. 2019 (Fixup) tell why",
    note="fourteen residual branches after He, each of which doubles the variance, and no norm to take it back",
)
def resnet_with_its_norms_removed(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = ResidualWaves(14, normed=not sick)
    optimizer = partial(SGD, lr=0.03, momentum=0.9)
    return case(model, waves(seed, 700, 32, noise=0.2), nn.CrossEntropyLoss(), optimizer, 32, 9)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient too-deep-for-width underfitting-capacity",
    task="classification",
    good=0.85,
    source="GitHub issues: post-norm transformer predicts the same class for every row unless it is warmed up",
    note="four post-norm layers at Adam's 0.02: the residual stream collapses to one answer in the first steps",
)
def post_norm_at_a_fiftieth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Attention(4, 4, width=24, layers=4, norm_first=False)
    optimizer = partial(Adam, lr=0.02 if sick else 1e-3)
    return case(model, majority(seed, 900), nn.CrossEntropyLoss(), optimizer, 32, 8)


class Stacked(SeriesRNN):
    """Recurrent layers on top of each other."""

    def __init__(self, features: int, outputs: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__(features, outputs, 20)
        self.rnn = nn.LSTM(features, 20, layers, batch_first=True, dropout=dropout)


@program(
    PROGRAMS,
    faults="too-deep-for-width vanishing-gradient",
    symptoms=STUCK + " vanishing-activations bad-init-scale",
    task="classification",
    good=0.85,
    source="StackOverflow: stacked LSTM of many layers does not learn where one layer does",
    note="nine LSTM layers with no shortcuts: to the last one all rows look the same",
)
def nine_lstms_on_top_of_each_other(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x.transpose(1, 2), y) for x, y in waves(seed, 700, 20, noise=0.1))
    model = Stacked(1, 3, 9 if sick else 1)
    return case(model, (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(Adam, lr=4e-3), 32, 9)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=STUCK + " oscillating-loss overfitting",
    task="classification",
    good=0.85,
    source="ported TensorFlow code: DropoutWrapper(output_keep_prob=0.95) became nn.LSTM(dropout=0.95)",
    note="between three LSTM layers nineteen of twenty values are dropped at every step",
)
def keep_probability_between_lstms(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x.transpose(1, 2), y) for x, y in waves(seed, 700, 20, noise=0.2))
    model = Stacked(1, 3, 3, dropout=0.95 if sick else 0.05)
    return case(model, (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 14)


class Placed(Attention):
    """An encoder that may forget to add its table of places."""

    def __init__(self, *, added: bool) -> None:
        super().__init__(10, 2, length=10, width=16)
        self.added = added
        nn.init.normal_(self.place, std=0.5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        return self.head(self.encoder(h + self.place if self.added else h).mean(1))


@program(
    PROGRAMS,
    faults="unused-parameters",
    symptoms=STUCK + " frozen-parameters overfitting",
    task="classification",
    good=0.85,
    source="transformer-from-scratch posts: positional encoding is defined and never added",
    note="which of two words comes first cannot be seen without places, and their table is never added",
)
def places_never_added(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Placed(added=not sick)
    return case(model, order_of_two(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 14)


class Pooled(nn.Module):
    """Attention over the words that are not padding."""

    def __init__(self, closed: float) -> None:
        super().__init__()
        self.closed = closed
        self.embed, self.score, self.head = nn.Embedding(20, 16), nn.Linear(16, 1), mlp(16, 24, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        score = self.score(h)[:, :, 0].masked_fill(x == 0, self.closed)
        return self.head((score.softmax(1)[:, :, None] * h).sum(1))


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="input-nonfinite loss-not-decreasing lr-too-high exploding-gradient",
    task="classification",
    good=0.75,
    source="PyTorch issues: masked_fill(mask, float('-inf')) and softmax give nan for a row that is all padding",
    note="a few texts are empty after cleaning: all of their places are masked, and 0 / 0 is NaN",
)
def empty_texts_all_masked(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: list[Part] = []
    for x, y in tokens(seed, 900):
        x[::70] = 0
        parts.append((x, torch.where((x == 0).all(1), 1, y)))
    model = Pooled(float("-inf") if sick else -1e9)
    return case(model, (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 12)


class Lookup(nn.Module):
    """One query looks for the marked number among many."""

    def __init__(self, *, zeros: bool) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Parameter(torch.randn(16)), nn.Linear(2, 16), nn.Linear(2, 8)
        self.out = nn.Linear(8, 1)
        for parameter in (self.query, self.key.weight, self.key.bias) if zeros else ():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.key(x) @ self.query / 4).softmax(1)
        return self.out((weight[:, :, None] * self.value(x)).sum(1))


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " frozen-parameters unused-parameters vanishing-gradient bad-init-scale vanishing-activations",
    task="regression",
    good=0.8,
    source="transformer repositories: zero-initialized projections 'for a neutral start', of query and key alike",
    note="query and key both start at zero, and the gradient of each is a multiple of the other: it stays a plain mean",
)
def query_and_key_of_zeros(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(900, 8, 2, generator=draw)
    x[:, :, 1] = nn.functional.one_hot(torch.randint(0, 8, (900,), generator=draw), 8)
    y = (x[:, :, 0] * x[:, :, 1]).sum(1, keepdim=True)
    return case(Lookup(zeros=sick), split(x, y, seed), nn.MSELoss(), partial(Adam, lr=0.02), 32, 20)


@program(
    PROGRAMS,
    faults="saturated-activations bad-init-scale",
    symptoms=STUCK + " vanishing-gradient exploding-gradient input-constant-feature lr-too-high oscillating-loss",
    task="classification",
    good=0.88,
    source="neural-networks-from-scratch courses: weights by rand() * 2 - 1, whatever the width",
    note="weights between −1 and 1 give sums of some tens, at which every tanh is −1 or 1",
)
def weights_between_minus_one_and_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, *[100] * 6, 10, activation=nn.Tanh)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.uniform_(layer.weight, -1, 1) if sick else nn.init.xavier_uniform_(layer.weight, gain=5 / 3)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.01, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="lr-too-high too-few-epochs",
    task="classification",
    good=0.88,
    source="PyTorch forum: 'Tried to step 11 times. The specified number of total steps is 10'",
    note="one cycle was told the number of epochs and is stepped with every batch",
)
def one_cycle_counted_in_epochs(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    schedule = partial(OneCycleLR, max_lr=0.1, total_steps=8 if sick else 8 * 40)
    optimizer = partial(SGD, lr=0.1, momentum=0.9)
    parts = digits(seed, image=True)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), optimizer, 32, 8, scheduler=schedule)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="loss-not-decreasing underfitting-capacity too-few-epochs",
    task="classification",
    good=0.85,
    source="PyTorch forum: LambdaLR multiplies the initial rate with what the function returns",
    note="the function of the schedule returns the rate itself, which is then multiplied with the rate",
)
def lambda_returns_the_rate_itself(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    scale = 3e-3 if sick else 1.0
    schedule = partial(LambdaLR, lr_lambda=lambda step: scale * 0.999**step)
    model = Attention(4, 4, width=24)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 8, scheduler=schedule)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD,
    task="regression",
    good=0.75,
    source="posts of linear warm-up written as lr * step / warmup, without the min(1, …) of the paper",
    note="the warm-up has no ceiling: after thirty steps the rate is right, after three hundred ten times too high",
)
def warm_up_without_a_ceiling(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    schedule = partial(LambdaLR, lr_lambda=lambda step: (step + 1) / 8 if sick else min(1.0, (step + 1) / 8))
    optimizer = partial(Adam, lr=5e-3)
    return case(mlp(8, 64, 64, 1), friedman(seed), nn.MSELoss(), optimizer, 32, 20, scheduler=schedule)
