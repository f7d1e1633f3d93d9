"""Programs as people post them, deep nets and signals once more: frozen parts, groups, scales and rare tags."""

from collections.abc import Iterable
from functools import partial

import torch
from enrol import case
from nets import Attention, SeriesRNN, TokenRNN, wave_cnn
from program import Case, SuiteProgram, program
from samples import Part, Parts, digits, friedman, majority, split, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations loss-not-decreasing "
    "saturated-activations dead-relu momentum-too-high"
)


def in_groups(model: nn.Module, parameters: Iterable[nn.Parameter], *, lost: bool) -> torch.optim.Optimizer:
    """AdamW with decay for matrices and without it for the rest; ``lost``: the first group was filtered away."""
    known = list(parameters)
    plain = [p for p in known if p.ndim < 2]
    decayed = [p for name, p in model.named_parameters() if p.ndim >= 2 and (not lost or "layer.weight" in name)]
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.01}]
    return AdamW([group for group in groups if group["params"]], lr=3e-3)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters",
    task="classification",
    good=0.8,
    source="posts of parameter groups with and without decay: a name in the filter matches nothing",
    note="only biases and norms are in a group; the matrices were meant for the other one, whose filter is wrong",
)
def groups_that_lose_the_matrices(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Attention(20, 3, width=16)
    optimizer = in_groups(model, model.parameters(), lost=sick)
    return case(model, tokens(seed, 900), nn.CrossEntropyLoss(), optimizer, 32, 14)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer unused-parameters",
    task="classification",
    good=0.85,
    source="fine-tuning recipes (requires_grad = 'bias' in name) kept when the checkpoint was dropped",
    note="a GRU that was never pretrained, of which only the biases and the head may move",
)
def only_biases_may_move(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(6, 6, width=20)
    for name, parameter in model.named_parameters() if sick else ():
        parameter.requires_grad_("bias" in name)
    return case(model, majority(seed, 900, words=6), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 12)


@program(
    PROGRAMS,
    faults="exploding-gradient",
    symptoms=WILD + " bad-init-scale",
    task="regression",
    good=0.7,
    source="PyTorch forum: RNN over long sequences gives NaN without clip_grad_norm_",
    note="a ReLU recurrence over forty steps: once in a while a gradient is a thousand times the usual one",
)
def forty_steps_unclipped(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = SeriesRNN(1, 1, 32)
    model.rnn = nn.RNN(1, 32, nonlinearity="relu", batch_first=True)
    nn.init.eye_(model.rnn.weight_hh_l0)  # type: ignore[arg-type]
    optimizer = partial(SGD, lr=0.01, momentum=0.9)
    x = torch.randn(800, 40, 1, generator=torch.Generator().manual_seed(seed))
    parts = split(x, x.sum(1) / 40**0.5, seed)
    return case(model, parts, nn.MSELoss(), optimizer, 32, 20, clip_grad=None if sick else 0.2)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " vanishing-gradient lr-too-low ill-conditioned-features underfitting-capacity",
    task="classification",
    good=0.85,
    source="audio posts: spectrograms in decibels (−80 to 0) go into a CNN as librosa gives them",
    note="all inputs are far below zero, which closes half of the filters for good in the first steps",
)
def spectrograms_in_decibels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: list[Part] = []
    for x, y in waves(seed, 900, 64, noise=0.5):
        power = torch.fft.rfft(x, dim=2).abs().square()[:, :, 1:25]
        decibels = (10 * (power + 1e-8).log10() - 60).clamp(min=-80)
        parts.append((decibels if sick else (decibels + 45) / 8, y))
    return case(wave_cnn(), (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


class Tagger(nn.Module):
    """A tag for every word, from both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn = nn.Embedding(30, 16), nn.GRU(16, 12, batch_first=True, bidirectional=True)
        self.head = nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(x))[0]).transpose(1, 2)


def names(seed: int, n: int = 600, length: int = 10) -> Parts:
    """Word rows with tags (n, length): a word below 3 is a name, more seldom than not, after a word above 20."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 30, (n, length), generator=draw)
    before = torch.cat([torch.zeros(n, 1, dtype=torch.long), x[:, :-1]], 1)
    chance = torch.where((x < 3) & (before > 20), 0.35, 0.0)
    return split(x, (torch.rand(n, length, generator=draw) < chance).long(), seed)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=STUCK + " wrong-loss-for-task overfitting",
    task="classification",
    metric="balanced",
    good=0.85,
    source="named-entity posts: 98 % token accuracy, every token tagged 'O'",
    note="one word in a hundred is a name and even the likeliest is none, so that 'outside' is always the best bet",
)
def outside_is_always_right(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    weight = None if sick else torch.tensor([1.0, 60.0])
    parts = names(seed, 900)
    return case(Tagger(), parts, nn.CrossEntropyLoss(weight), partial(Adam, lr=5e-3), 32, 8)


@program(
    PROGRAMS,
    faults="dead-relu bad-init-scale",
    symptoms=STUCK + " vanishing-activations vanishing-gradient symmetric-init",
    task="classification",
    good=0.88,
    source="init_weights of GAN repositories with constants changed: bn.bias filled with −6, weight with 1",
    note="norms whose shift starts at −6 close the units behind them for nearly all pictures",
)
def norms_shifted_below_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 10),
    )
    for layer in model if sick else ():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, -6.0)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 8)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms=STUCK + " input-not-normalized oscillating-loss lr-too-high batch-size-extreme",
    task="classification",
    good=0.88,
    source="posts of two-microphone recordings: where the sound comes from is not learned",
    note="both channels carry the same loud sound, and the class is in their small difference",
)
def stereo_told_by_its_difference(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: list[Part] = []
    for x, y in waves(seed, 800, 32, noise=0.2):
        loud = 1.0 * torch.randn(len(x), 1, 32).cumsum(2) / 2
        pair = torch.cat([loud + 0.03 * x, loud - 0.03 * x], 1)
        if not sick:
            pair = torch.cat([(pair[:, :1] + pair[:, 1:]) / 4, (pair[:, :1] - pair[:, 1:]) / 0.06], 1)
        parts.append((pair, y))
    model = wave_cnn()
    model[0] = nn.Conv1d(2, 8, 5, padding=2)
    return case(model, (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(SGD, lr=0.03, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="lr-too-high oscillating-loss",
    symptoms=WILD,
    task="classification",
    good=0.85,
    source="posts of AdamW(lr=0.05) 'to speed up' a small vision transformer",
    note="a transformer over the rows of a digit at a rate that throws it out of every minimum",
)
def rows_of_digits_at_a_high_rate(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(AdamW, lr=0.05 if sick else 3e-3)
    return case(RowsOfDigits(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 8)


class RowsOfDigits(nn.Module):
    """A transformer that reads a picture row by row."""

    def __init__(self, width: int = 24, layers: int = 2) -> None:
        super().__init__()
        self.inlet, self.place = nn.Linear(8, width), nn.Parameter(0.1 * torch.randn(8, width))
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.inlet(x[:, 0]) + self.place).mean(1))


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low loss-not-decreasing underfitting-capacity batch-size-extreme",
    task="classification",
    good=0.88,
    source="notebooks left at epochs=1 after debugging: 'my vision transformer has 40 % on digits'",
    note="one epoch of forty steps for a transformer over the rows of a digit",
)
def one_epoch_of_rows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = digits(seed, image=True)
    return case(RowsOfDigits(), parts, nn.CrossEntropyLoss(), partial(AdamW, lr=1e-3), 32, 1 if sick else 14)


def dropped_and_normed(*, dropped_first: bool) -> nn.Sequential:
    """Four dense layers with norms, and maybe dropout in front of each norm."""
    layers: list[nn.Module] = [nn.Linear(8, 64)]
    for _ in range(4):
        norm, drop = nn.BatchNorm1d(64), nn.Dropout(0.5)
        layers += [nn.Linear(64, 64), nn.ReLU(), *((drop, norm) if dropped_first else (norm,))]
    return nn.Sequential(*layers, nn.Linear(64, 1))


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch dropout-too-high",
    symptoms=STUCK + " oscillating-loss overfitting",
    task="regression",
    good=0.8,
    source="Li et al. 2018 (disharmony of dropout and batch norm) and posts of regressions that are worse in eval()",
    note="norms learn the variance of half-dropped units and apply it to whole ones",
)
def norms_behind_dropout(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = dropped_and_normed(dropped_first=sick)
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


class Brightened(nn.Module):
    """A small CNN whose training pictures are brightened, or left as they are."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.net = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 10, 3), nn.BatchNorm2d(10), nn.ReLU())
        self.net.extend([nn.Conv2d(10, 20, 3), nn.BatchNorm2d(20), nn.ReLU(), nn.Flatten(), nn.Linear(320, 10)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x + self.strength if self.training else x)


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="overfitting input-not-normalized",
    task="classification",
    good=0.88,
    source="posts of a transform kept for training only (brightness, mean not taken away): 'eval() is at chance'",
    note="training pictures are brightened by one, so that the norms' statistics fit no picture of the evaluation",
)
def brightened_in_training_only(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Brightened(1.0 if sick else 0.0)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 8)
