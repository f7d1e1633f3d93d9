"""Programs as people post them, with two independent causes: the first answer in the thread helps, but not enough."""

from functools import partial

import torch
from enrol import case
from nets import Attention, SeriesRNN, digit_cnn
from program import Case, SuiteProgram, two_causes
from programs.posted_deep import order_of_two
from programs.posted_sequences import HandMade, energy, load_curve
from programs.posted_signals import OwnFilters, beats
from samples import Part, digits, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high vanishing-gradient"
)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="input-not-normalized loss-output-mismatch",
    symptoms=WILD + " lr-too-low too-few-epochs ill-conditioned-features wrong-loss-for-task input-constant-feature",
    good=0.88,
    note="bytes of 0 to 255, and a softmax in the net in front of the one in the loss",
    source="StackOverflow: 'CNN stuck at 10 %'; one answer finds the missing / 255, another the softmax",
)
def double_bytes_and_softmax(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    factor = 255.0 if "input-not-normalized" in left else 1.0
    train, val = ((factor * x, y) for x, y in digits(seed, image=True))
    end = [nn.Softmax(1)] if "loss-output-mismatch" in left else []
    model = nn.Sequential(*digit_cnn(), *end)
    return case(model, (train, val), nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.5), 32, 14)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="targets-not-normalized weight-decay-too-high",
    symptoms=STUCK + " lr-too-high exploding-gradient vanishing-activations",
    good=0.8,
    note="a load of 30 000 megawatts for an LSTM that starts at zero, and an L2 penalty that flattens what it learns",
    source="Kaggle forecasting threads: the forecast is a flat line, and still flat after scaling",
)
def double_load_and_decay(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = load_curve(seed)
    if "targets-not-normalized" in left:
        y, y_val = 30000 + 6000 * y, 30000 + 6000 * y_val
    decay = 0.3 if "weight-decay-too-high" in left else 0.0
    model, optimizer = SeriesRNN(1, 1, 24, kind=nn.LSTM), partial(Adam, lr=5e-3, weight_decay=decay)
    return case(model, ((x, y), (x_val, y_val)), nn.MSELoss(), optimizer, 32, 15)


class Forgetful(Attention):
    """An encoder that may leave out its places."""

    added = True

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        return self.head(self.encoder(h + self.place if self.added else h).mean(1))


@two_causes(
    PROGRAMS,
    task="classification",
    causes="unused-parameters dropout-too-high",
    symptoms=STUCK + " frozen-parameters overfitting oscillating-loss",
    good=0.85,
    note="places are never added to the words, and nine of ten values are dropped",
    source="transformer-from-scratch threads: 'accuracy 50 % whatever I do'",
)
def double_no_places_and_dropped(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = Forgetful(10, 2, length=10, dropout=0.9 if "dropout-too-high" in left else 0.0)
    nn.init.normal_(model.place, std=0.5)
    model.added = "unused-parameters" not in left
    return case(model, order_of_two(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 14)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="unshuffled-data lr-too-low",
    symptoms="oscillating-loss loss-not-decreasing too-few-epochs underfitting-capacity overfitting",
    good=0.85,
    note="recordings come kind after kind, and the rate is a hundredth of what SGD needs here",
    source="posts on sensor data read folder by folder, lr lowered again and again because the loss jumps",
)
def double_kind_after_kind_and_slow(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = beats(seed)
    order = y.argsort(stable=True)
    model = nn.Sequential(nn.Conv1d(1, 16, 7, padding=3), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten())
    model.extend([nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)])
    optimizer = partial(SGD, lr=3e-4 if "lr-too-low" in left else 0.05, momentum=0.9)
    shuffle = "unshuffled-data" not in left
    return case(model, ((x[order], y[order]), val), nn.CrossEntropyLoss(), optimizer, 20, 16, shuffle=shuffle)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="parameters-not-in-optimizer too-few-epochs",
    symptoms="frozen-parameters unused-parameters underfitting-capacity loss-not-decreasing lr-too-low",
    good=0.85,
    note="filters are plain tensors no optimizer knows of, and the script stops after two epochs",
    source="PyTorch forum: own filters with requires_grad=True and 'it does not change much', after a short try",
)
def double_plain_filters_and_two_epochs(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = OwnFilters(registered="parameters-not-in-optimizer" not in left)
    epochs = 2 if "too-few-epochs" in left else 20
    return case(model, waves(seed, 700, 32, noise=0.3), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, epochs)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="missing-nonlinearity lr-too-high",
    symptoms=STUCK + " " + WILD,
    good=0.85,
    note="a recurrent cell without its tanh, and Adam at 0.5",
    source="homework threads: RNN from scratch, the rate was raised because nothing happened",
)
def double_linear_cell_and_fast(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = HandMade(1, 2, nn.Identity() if "missing-nonlinearity" in left else nn.Tanh())
    optimizer = partial(Adam, lr=0.5 if "lr-too-high" in left else 5e-3)
    return case(model, energy(seed), nn.CrossEntropyLoss(), optimizer, 32, 20)


class PlainMean(nn.Module):
    """Mean of the words' vectors through a norm and a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(20, 16), nn.BatchNorm1d(16)
        self.head = nn.Sequential(nn.Linear(16, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.embed(x).mean(1)))


@two_causes(
    PROGRAMS,
    task="classification",
    causes="bn-small-batch label-out-of-range",
    symptoms="bn-train-eval-mismatch batch-size-extreme oscillating-loss program-crashes target-shape-mismatch "
    "lr-too-high underfitting-capacity",
    good=0.85,
    note="moods numbered from one; after that, batch normalization over pairs of texts",
    source="sentiment threads: 'Target 3 is out of bounds', and then a validation accuracy far below training",
)
def double_moods_from_one_in_pairs(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    first = 1 if "label-out-of-range" in left else 0
    parts: list[Part] = [(x, y + first) for x, y in tokens(seed, 700)]
    size = 2 if "bn-small-batch" in left else 32
    return case(PlainMean(), (parts[0], parts[1]), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), size, 12)
