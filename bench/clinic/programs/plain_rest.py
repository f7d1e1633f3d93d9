"""Plain programs, last part: further sick ones, some with two causes, and healthy ones that look suspicious."""

from functools import partial
from typing import Any

import torch
from enrol import case, healthy
from nets import Attention, ResidualMLP, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program, two_causes
from samples import blobs, cancer, digits, friedman, iris, majority, rings, split, standardized, sums, tags, waves, wine
from sklearn import datasets
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

PROGRAMS: list[SuiteProgram] = []
SLOW = "loss-not-decreasing lr-too-low too-few-epochs underfitting-capacity"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations loss-not-decreasing "
    "dead-relu saturated-activations momentum-too-high"
)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=SLOW + " exploding-gradient saturated-activations exploding-activations oscillating-loss lr-too-high",
    task="regression",
    good=0.7,
    source="StackOverflow: LSTM for share prices predicts a straight line",
    note="prices of thousands: the head's bias creeps towards their mean",
)
def plain_lstm_of_share_prices(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, 300 * y + 4000 if sick else y) for x, y in sums(seed, 700, 8))
    model = SeriesRNN(2, 1, 32, nn.LSTM)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=0.01), 32, 25)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="dropout-too-high weight-decay-too-high",
    task="classification",
    good=0.85,
    source="Kaggle: crowd-sourced labels, training accuracy 100 %",
    note="nearly a third of the labels is wrong and all are learnt by heart",
)
def plain_crowd_labels_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    y = torch.where(torch.rand(len(y)) < 0.35, torch.randint(0, 10, y.shape), y)
    optimizer = partial(AdamW, lr=1e-3, weight_decay=0.0 if sick else 0.1)
    model = mlp(64, 256, 256, 10)
    return case(model, ((x, y), val), nn.CrossEntropyLoss(), optimizer, 32, 60 if sick else 5)


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting",
    task="classification",
    good=0.9,
    source="forum: the data set was enlarged by copying",
    note="twelve waves eighty times over are twelve waves",
)
def plain_twelve_waves_copied(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = waves(seed, 1400, noise=0.6)
    chosen = torch.randint(0, 12, (len(x),)) if sick else torch.arange(len(x))
    return case(wave_cnn(), ((x[chosen], y[chosen]), val), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms=SLOW + " input-not-normalized lr-too-high",
    task="regression",
    good=0.8,
    source="StackOverflow: polynomial regression by gradient descent is stuck",
    note="the powers of one variable all look alike: the valley is long and flat",
)
def plain_powers_of_one_variable(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    u = 2 * torch.rand(700, 1) - 1
    y = standardized((6 * u).sin() + 0.1 * torch.randn(700, 1))
    x = standardized(torch.cat([u**k for k in range(1, 8)], 1))
    if not sick:
        x = standardized(torch.linalg.svd(x, full_matrices=False)[0])
    return case(nn.Linear(7, 1), split(x, y, seed), nn.MSELoss(), partial(SGD, lr=0.02), 32, 25)


class Forgotten(nn.Module):
    """Two hidden layers that forward may pass by."""

    def __init__(self, forget: bool) -> None:
        super().__init__()
        self.forget, self.hidden, self.head = forget, nn.Sequential(nn.Linear(2, 32), nn.ReLU()), nn.Linear(32, 2)
        self.short = nn.Linear(2, 32)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.short(x) if self.forget else self.short(x) + self.hidden(x))


@program(
    PROGRAMS,
    faults="unused-parameters missing-nonlinearity",
    symptoms="underfitting-capacity frozen-parameters loss-not-decreasing parameters-not-in-optimizer",
    task="classification",
    good=0.95,
    source="forum: a layer is made in __init__ and never called",
    note="without the hidden branch the net is linear",
)
def plain_branch_never_called(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Forgotten(sick), rings(seed, 900), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 25)


@program(
    PROGRAMS,
    faults="lr-too-low vanishing-gradient",
    symptoms=SLOW,
    task="classification",
    good=0.9,
    source="forum: clip_grad_norm_ with 0.001, 'the paper clips too'",
    note="every gradient is cut to a thousandth, so that no step is longer than a twenty-thousandth",
)
def plain_clipped_to_a_thousandth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    clip = 1e-3 if sick else 1.0
    return case(
        wave_cnn(), waves(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 10, clip_grad=clip
    )


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-not-decreasing",
    symptoms=WILD + " loss-output-mismatch",
    task="classification",
    good=0.9,
    source="StackOverflow: loss goes to minus infinity, accuracy to zero",
    note="the mean log-likelihood is made small instead of large, for want of a minus",
)
def plain_minus_forgotten(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    sign = 1.0 if sick else -1.0

    def likelihood(output: Tensor, y: Tensor) -> Tensor:
        return sign * torch.log_softmax(output, 1).gather(1, y[:, None]).mean()

    return case(mlp(64, 48, 10), digits(seed), likelihood, partial(Adam, lr=2e-3), 32, 10)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="label-out-of-range input-not-normalized",
    task="classification",
    good=0.85,
    source="StackOverflow: IndexError: index out of range in self (nn.Embedding)",
    note="the table of words is one short, as the padding was not counted",
)
def plain_table_of_words_too_short(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(3 if sick else 4, 4)
    return case(model, majority(seed, 1000), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 15)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=SLOW + " vanishing-gradient class-imbalance",
    task="binary",
    good=0.9,
    source="PyTorch forum: BCEWithLogitsLoss after a sigmoid layer",
    note="the sigmoid is taken twice, so that a 'no' can never cost less than log 2 and slopes are small",
)
def plain_sigmoid_twice(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers = mlp(2, 24, 24, 1)
    model = nn.Sequential(*layers, nn.Sigmoid()) if sick else layers
    parts: Any = tuple((x, y.float()[:, None]) for x, y in rings(seed, 900, 0.15))
    return case(model, parts, nn.BCEWithLogitsLoss(), partial(SGD, lr=0.05), 16, 25)


@two_causes(
    PROGRAMS,
    causes="target-shape-mismatch targets-not-normalized",
    symptoms=SLOW + " exploding-gradient lr-too-high",
    task="regression",
    good=0.75,
    source="Kaggle notebooks: rents in currency, y of shape (n,)",
    note="targets of thousands, spread to n by n besides",
)
def plain_rents_in_a_row(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    parts: Any = []
    for x, y in friedman(seed, 800, 6):
        rent = 300 * y + 1200 if "targets-not-normalized" in causes else y
        parts.append((x, rent.flatten() if "target-shape-mismatch" in causes else rent))
    return case(mlp(6, 48, 48, 1), tuple(parts), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 20)


@two_causes(
    PROGRAMS,
    causes="dropout-too-high lr-too-low",
    symptoms=SLOW + " vanishing-gradient",
    task="classification",
    good=0.9,
    source="StackOverflow: regularised as much as possible and nothing is learnt",
    note="nine of ten units silenced, and steps of a hundred-thousandth",
)
def plain_dropped_and_slow(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    drop = nn.Dropout(0.9 if "dropout-too-high" in causes else 0.1)
    layers = [nn.Linear(64, 64), nn.ReLU(), drop, nn.Linear(64, 32), nn.ReLU(), drop, nn.Linear(32, 10)]
    optimizer = partial(Adam, lr=1e-5 if "lr-too-low" in causes else 2e-3)
    return case(nn.Sequential(*layers), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 15)


@two_causes(
    PROGRAMS,
    causes="unshuffled-data loss-output-mismatch",
    symptoms=SLOW + " oscillating-loss lr-too-high vanishing-gradient",
    task="classification",
    good=0.9,
    source="StackOverflow: folder of classes, softmax layer, CrossEntropyLoss",
    note="classes come one after another, and the loss gets shares instead of scores",
)
def plain_sorted_and_softmaxed(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    order, mixed = y.argsort(), "unshuffled-data" not in causes
    layers = mlp(64, 48, 10)
    model = nn.Sequential(*layers, nn.Softmax(1)) if "loss-output-mismatch" in causes else layers
    optimizer = partial(SGD, lr=0.1)
    return case(model, ((x[order], y[order]), val), nn.CrossEntropyLoss(), optimizer, 16, 12, shuffle=mixed)


@two_causes(
    PROGRAMS,
    causes="input-not-normalized weight-decay-too-high",
    symptoms=WILD + " " + SLOW + " vanishing-gradient input-constant-feature",
    task="classification",
    good=0.9,
    source="forum: pixels of 0 to 255, weight_decay=0.3 against overfitting",
    note="bytes blow the net up, and the penalty alone would empty it",
)
def plain_bytes_and_decay(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    factor = 255 if "input-not-normalized" in causes else 1
    decay = 0.3 if "weight-decay-too-high" in causes else 1e-4
    parts: Any = tuple((factor * x, y) for x, y in digits(seed, image=True))
    optimizer = partial(SGD, lr=0.05, momentum=0.9, weight_decay=decay)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), optimizer, 32, 10)


@two_causes(
    PROGRAMS,
    causes="missing-nonlinearity lr-too-low",
    symptoms=SLOW,
    task="binary",
    good=0.9,
    source="StackOverflow: circles with linear layers only and lr=1e-6",
    note="a linear net, which besides hardly moves",
)
def plain_linear_and_slow(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    x, y = datasets.make_circles(800, noise=0.08, factor=0.5, random_state=seed)
    parts = split(torch.tensor(x, dtype=torch.float32), torch.tensor(y).float()[:, None], seed)
    model = mlp(2, 24, 24, 1, activation=nn.Identity if "missing-nonlinearity" in causes else nn.ReLU)
    optimizer = partial(Adam, lr=1e-6 if "lr-too-low" in causes else 0.01)
    return case(model, parts, nn.BCEWithLogitsLoss(), optimizer, 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "pixels of 0 to 16 as they come; Adam does not mind")
def plain_raw_pixels(seed: int) -> Case:
    return case(digit_cnn(), digits(seed, raw=True, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 10)


@healthy(PROGRAMS, "classification", 0.9, "logistic regression at a rate of 0.5: the problem is convex")
def plain_logistic_at_a_half(seed: int) -> Case:
    return case(nn.Linear(64, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.5), 32, 20)


@healthy(PROGRAMS, "binary", 0.8, "one in five is positive, which the loss copes with", metric="balanced")
def plain_one_in_five(seed: int) -> Case:
    y = (torch.rand(1200, 1) < 0.2).float()
    x = torch.randn(1200, 8) + 1.2 * y
    return case(mlp(8, 16, 1), split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.92, "half of a wide layer is dropped; training loss stays above validation loss")
def plain_half_of_a_wide_layer(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "batches of four, with a rate to match")
def plain_batches_of_four(seed: int) -> Case:
    return case(mlp(13, 24, 3), wine(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.02), 4, 15)


@healthy(PROGRAMS, "classification", 0.9, "the whole table in one batch, but three hundred epochs of it")
def plain_iris_in_one_batch(seed: int) -> Case:
    return case(mlp(4, 16, 3), iris(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 150, 300)


@healthy(PROGRAMS, "regression", 0.85, "a linear net without activation for a linear law")
def plain_linear_law(seed: int) -> Case:
    x = torch.randn(600, 5)
    y = x @ torch.tensor([[1.0], [-2], [0.5], [0], [3]]) + 0.5 * torch.randn(600, 1)
    return case(nn.Linear(5, 1), split(x, standardized(y), seed), nn.MSELoss(), partial(SGD, lr=0.05), 32, 15)


@healthy(PROGRAMS, "classification", 0.92, "never shuffled, but the rows are in no order")
def plain_rows_in_no_order(seed: int) -> Case:
    model, loss = mlp(64, 48, 10), nn.CrossEntropyLoss()
    return case(model, digits(seed), loss, partial(SGD, lr=0.1, momentum=0.9), 32, 12, shuffle=False)


@healthy(PROGRAMS, "regression", 0.75, "sigmoid and squared error for pixels between zero and one")
def plain_sigmoid_for_pixels(seed: int) -> Case:
    parts: Any = tuple((x, x) for x, _ in digits(seed))
    model = nn.Sequential(*mlp(64, 48, 16, 48, 64), nn.Sigmoid())
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


@healthy(PROGRAMS, "regression", 0.85, "gradients of a GRU are clipped at one")
def plain_clipped_gru(seed: int) -> Case:
    model = SeriesRNN(2, 1, 24)
    return case(model, sums(seed, 900, 6), nn.MSELoss(), partial(Adam, lr=0.01), 32, 20, clip_grad=1.0)


@healthy(PROGRAMS, "classification", 0.9, "batch norm allows SGD a rate of 0.1 with momentum 0.9")
def plain_norm_and_a_high_rate(seed: int) -> Case:
    layers = [nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(32, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.9), 64, 20)


@healthy(PROGRAMS, "regression", 0.8, "targets around ten with deviation five: not standardized, yet within reach")
def plain_targets_around_ten(seed: int) -> Case:
    parts: Any = tuple((x, 5 * y + 10) for x, y in friedman(seed, 800, 6))
    return case(mlp(6, 64, 64, 1), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@healthy(PROGRAMS, "classification", 0.9, "log-softmax with NLLLoss, and a rate that falls to zero")
def plain_log_softmax_and_nll(seed: int) -> Case:
    model = nn.Sequential(*mlp(64, 48, 10), nn.LogSoftmax(1))
    schedule = partial(CosineAnnealingLR, T_max=12 * 40)
    return case(model, digits(seed), nn.NLLLoss(), partial(Adam, lr=3e-3), 32, 12, scheduler=schedule)


@healthy(PROGRAMS, "classification", 0.9, "label smoothing keeps the loss above one half however good the net is")
def plain_smoothed_labels(seed: int) -> Case:
    loss = nn.CrossEntropyLoss(label_smoothing=0.2)
    return case(digit_cnn(), digits(seed, image=True), loss, partial(AdamW, lr=3e-3, weight_decay=0.1), 32, 12)


@healthy(
    PROGRAMS, "classification", 0.9, "the last layer starts at zero: the first loss is exactly log 10, then it learns"
)
def plain_head_from_zero(seed: int) -> Case:
    model: Any = mlp(64, 48, 10)
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(RMSprop, lr=2e-3), 32, 12)


@healthy(PROGRAMS, "regression", 0.8, "sixteen layers, but half of them are passed by residual ways")
def plain_deep_with_bridges(seed: int) -> Case:
    model = ResidualMLP(6, 1, blocks=8, gain=0.5)
    return case(model, friedman(seed, 800, 6), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "random convolutions that are frozen on purpose, and a trained head")
def plain_frozen_filters(seed: int) -> Case:
    model: Any = digit_cnn(channels=24)
    for layer in model[:-1]:
        layer.requires_grad_(False)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), Adam(model[-1].parameters(), lr=0.01), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "a transformer with dropout and one cycle of the rate, up to 0.01")
def plain_one_cycle(seed: int) -> Case:
    schedule = partial(OneCycleLR, max_lr=0.01, total_steps=12 * 25)
    model = Attention(4, 4, dropout=0.1)
    parts = majority(seed, 1000)
    return case(model, parts, nn.CrossEntropyLoss(), partial(AdamW, lr=1e-3), 32, 12, scheduler=schedule)


@healthy(PROGRAMS, "multilabel", 0.88, "most labels are rare, sigmoid in the net and BCELoss")
def plain_rare_labels(seed: int) -> Case:
    model = nn.Sequential(*mlp(12, 48, 5), nn.Sigmoid())
    return case(model, tags(seed, offset=0.5), nn.BCELoss(), partial(Adam, lr=3e-3), 32, 20)


@healthy(PROGRAMS, "binary", 0.92, "three layers of tanh and Adagrad at 0.05, which slows down by itself")
def plain_tanh_and_adagrad(seed: int) -> Case:
    model = mlp(30, 24, 16, 1, activation=nn.Tanh)
    return case(model, cancer(seed), nn.BCEWithLogitsLoss(), partial(Adagrad, lr=0.05), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "a momentum of 0.98, made up for by a rate of 0.002")
def plain_clouds_and_much_momentum(seed: int) -> Case:
    optimizer = partial(SGD, lr=2e-3, momentum=0.98, nesterov=True)
    return case(mlp(10, 32, 4), blobs(seed, distance=3.5), nn.CrossEntropyLoss(), optimizer, 32, 15)
