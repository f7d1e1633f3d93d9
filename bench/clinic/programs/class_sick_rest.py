"""Sick programs of a class on training, third part: norms, capacity, length, decay, and two causes at once."""

from functools import partial
from typing import Any

import torch
from enrol import case
from nets import TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program, two_causes
from samples import blobs, diabetes, digits, friedman, split, standardized, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="overfitting bn-small-batch too-few-epochs lr-too-high",
    task="regression",
    good=0.7,
    source="PyTorch forum: great in train mode, random in eval mode (momentum copied from Keras)",
    note="Keras' momentum 0.99 means 0.01 here; 0.0002 leaves the running statistics where they began",
)
def class_momentum_of_another_framework(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    share = 0.0002 if sick else 0.1
    layers: list[nn.Module] = []
    for wide in (8, 48, 48):
        layers += [nn.Linear(wide, 48), nn.BatchNorm1d(48, momentum=share), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(48, 1))
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="bn-small-batch batch-size-extreme",
    symptoms=STUCK + " bn-train-eval-mismatch oscillating-loss lr-too-high",
    task="classification",
    good=0.9,
    source="GitHub: batch of two because of the memory, batch norm in each layer",
    note="the statistics of two flat samples are noise",
)
def class_norms_over_two_rows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers = [nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 48), nn.BatchNorm1d(48), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(48, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 2 if sick else 32, 8)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=STUCK,
    task="classification",
    good=0.9,
    source="StackOverflow: keep_prob of TensorFlow 1 became p of nn.Dropout",
    note="0.95 was the share to keep, here it is the share to drop",
)
def class_share_to_keep(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    drop = 0.95 if sick else 0.05
    model = nn.Sequential(
        nn.Linear(64, 48),
        nn.ReLU(),
        nn.Dropout(drop),
        nn.Linear(48, 32),
        nn.ReLU(),
        nn.Dropout(drop),
        nn.Linear(32, 10),
    )
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="too-few-epochs weight-decay-too-high",
    task="regression",
    good=0.3,
    source="Keras forum: training loss zero, validation loss rises from epoch ten on",
    note="442 patients, a net of 35 thousand weights and two hundred epochs",
)
def class_diabetes_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(Adam, lr=2e-3)
    return case(mlp(10, 128, 128, 1), diabetes(seed), nn.MSELoss(), rate, 32, 150 if sick else 5)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="duplicate-samples",
    task="classification",
    good=0.82,
    source="course project: 99 % in training, 70 % in validation",
    note="a third of the training labels is wrong, and a wide net learns them all; decay and fewer epochs repair",
)
def class_wrong_labels_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = blobs(seed, 700, 20, 4, 3.5)
    wrong = torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) < 0.35
    target = torch.where(wrong, torch.randint(0, 4, y.shape, generator=torch.Generator().manual_seed(seed + 7)), y)
    rate = partial(AdamW, lr=2e-3, weight_decay=0.0 if sick else 1.0)
    return case(mlp(20, 256, 256, 4), ((x, target), val), nn.CrossEntropyLoss(), rate, 32, 80 if sick else 4)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms=STUCK + " too-deep-for-width vanishing-activations dead-relu",
    task="classification",
    good=0.9,
    source="StackOverflow: accuracy of 40 % on ten classes with hidden_size=2",
    note="ten digits have to pass through two units",
)
def class_two_units_for_ten_digits(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    width = 2 if sick else 48
    return case(mlp(64, width, 10), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing",
    task="classification",
    good=0.88,
    source="course exercise: num_epochs = 1 was meant for a first try",
    note="one epoch of forty steps at a moderate rate",
)
def class_one_epoch_for_a_try(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = digits(seed, image=True)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 1 if sick else 15)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing",
    task="classification",
    good=0.92,
    source="GitHub: LSTM stopped after three epochs, because the loss did not move",
    note="a recurrent net needs some epochs until it finds what to count",
)
def class_lstm_stopped_early(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(20, 3, 24, nn.LSTM)
    return case(model, tokens(seed, 1200), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 2 if sick else 20)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms=STUCK,
    task="classification",
    good=0.9,
    source="PyTorch forum: batch_size=len(dataset) is fast, but it does not learn",
    note="one step an epoch, fifteen steps in all",
)
def class_batch_of_all(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    size = 1257 if sick else 32
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), size, 15)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations dead-relu vanishing-gradient",
    task="classification",
    good=0.93,
    source="StackOverflow: weight_decay=0.5 against overfitting, all outputs are equal",
    note="L2 of 0.3 under SGD shrinks all weights to nothing",
)
def class_decay_against_overfitting(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(SGD, lr=0.05, momentum=0.9, weight_decay=0.3 if sick else 1e-4)
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), rate, 32, 12)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations dead-relu vanishing-gradient",
    task="regression",
    good=0.75,
    source="GitHub: AdamW's weight_decay copied as Adam's",
    note="under Adam the decay is part of the gradient; 0.5 of it is all that is left",
)
def class_decay_inside_adam(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(Adam, lr=5e-3, weight_decay=0.5 if sick else 0.0)
    return case(mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(), rate, 32, 20)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms=WILD + " lr-too-low too-few-epochs",
    task="regression",
    good=0.75,
    source="Reddit: momentum 0.999 should smooth even better",
    note="steps of the first epochs still push when they are long wrong",
)
def class_momentum_of_999(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(SGD, lr=0.01, momentum=0.999 if sick else 0.9)
    return case(mlp(8, 48, 1, activation=nn.Tanh), friedman(seed), nn.MSELoss(), rate, 32, 20)


class Kept(SGD):
    """SGD whose gradients are never set to zero."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms=WILD,
    task="classification",
    good=0.92,
    source="StackOverflow: why do we need to call zero_grad()",
    note="the gradients of all batches so far are added up",
)
def class_gradients_added_up(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate: Any = partial(Kept if sick else SGD, lr=0.1)
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), rate, 32, 15)


class Multiplied(nn.Module):
    """A plain recurrence without a bend: states are multiplied by one matrix at each step."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.inlet, self.step, self.head = nn.Linear(1, 24), nn.Linear(24, 24, bias=False), nn.Linear(24, 3)
        nn.init.orthogonal_(self.step.weight, gain)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), 24)
        for now in x.unbind(2):
            h = (self.inlet(now) + self.step(h)).relu()
        return self.head(h)


@program(
    PROGRAMS,
    faults="exploding-gradient exploding-activations bad-init-scale",
    symptoms=WILD,
    task="classification",
    good=0.8,
    source="Le et al. 2015 'ReLU RNN': nan unless the recurrent matrix begins as the identity",
    note="a recurrent matrix of gain 2.5 over 24 steps",
)
def class_recurrence_that_grows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Multiplied(2.5 if sick else 1.0)
    parts = waves(seed, 800, 24, noise=0.1)
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 25)


@two_causes(
    PROGRAMS,
    causes="input-not-normalized unshuffled-data",
    symptoms=STUCK + " " + WILD + " vanishing-gradient input-constant-feature",
    task="classification",
    good=0.9,
    source="StackOverflow: own Dataset class over folders, pixels as bytes, loader with its defaults",
    note="bytes instead of shares of one, and a net that sees one digit after another",
)
def class_bytes_folder_after_folder(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    factor = 255.0 if "input-not-normalized" in causes else 1.0
    (x, y), (x_val, y_val) = digits(seed)
    order = y.argsort(stable=True)
    parts = ((factor * x[order], y[order]), (factor * x_val, y_val))
    mixed = "unshuffled-data" not in causes
    rate = partial(SGD, lr=0.1, momentum=0.9)
    return case(mlp(64, 48, 10, activation=nn.Tanh), parts, nn.CrossEntropyLoss(), rate, 32, 10, shuffle=mixed)


@two_causes(
    PROGRAMS,
    causes="loss-output-mismatch lr-too-low",
    symptoms=STUCK + " vanishing-gradient saturated-activations",
    task="classification",
    good=0.9,
    source="StackOverflow: softmax at the end and SGD at 1e-4",
    note="a softmax before cross entropy and a rate that is too small besides",
)
def class_softmax_and_crawling(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(64, 48, 10), *([nn.Softmax(1)] if "loss-output-mismatch" in causes else []))
    rate = partial(SGD, lr=5e-4 if "lr-too-low" in causes else 0.1)
    return case(model, digits(seed), nn.CrossEntropyLoss(), rate, 32, 8)


@two_causes(
    PROGRAMS,
    causes="missing-nonlinearity target-shape-mismatch",
    symptoms=STUCK + " loss-output-mismatch",
    task="regression",
    good=0.75,
    source="course exercise: no activation, and a warning about target sizes",
    note="a linear net, and targets of shape (n,) against outputs of (n, 1)",
)
def class_linear_and_flat(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    x = 4 * torch.rand(800, 2, generator=torch.Generator().manual_seed(seed)) - 2
    y = standardized(x[:, :1] ** 2 - x[:, 1:].abs() + 0.4 * x[:, :1])
    flat = "target-shape-mismatch" in causes
    parts: Any = tuple((rows, target[:, 0] if flat else target) for rows, target in split(x, y, seed))
    model = mlp(2, 32, 32, 1, activation=nn.Identity if "missing-nonlinearity" in causes else nn.ReLU)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@two_causes(
    PROGRAMS,
    causes="dropout-too-high too-few-epochs",
    symptoms=STUCK,
    task="classification",
    good=0.88,
    source="PyTorch forum: dropout of 0.9 in each layer and two epochs",
    note="too little gets through, and for too short a time",
)
def class_dropped_and_stopped(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    drop = 0.92 if "dropout-too-high" in causes else 0.1
    layers = [nn.Linear(64, 48), nn.ReLU(), nn.Dropout(drop), nn.Linear(48, 32), nn.ReLU(), nn.Dropout(drop)]
    model = nn.Sequential(*layers, nn.Linear(32, 10))
    epochs = 2 if "too-few-epochs" in causes else 25
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=1e-3), 32, epochs)


@two_causes(
    PROGRAMS,
    causes="weight-decay-too-high targets-not-normalized",
    symptoms=STUCK + " dead-relu oscillating-loss vanishing-activations",
    task="regression",
    good=0.75,
    source="StackOverflow: rents around 900 are predicted as 300",
    note="raw rents, and a decay under Adam that pulls all weights to zero",
)
def class_rents_under_decay(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    raw = "targets-not-normalized" in causes
    parts: Any = tuple((x, 900 + 50 * y if raw else y) for x, y in friedman(seed))
    rate = partial(AdamW, lr=5e-3, weight_decay=20.0 if "weight-decay-too-high" in causes else 0.0)
    return case(mlp(8, 48, 24, 1), parts, nn.MSELoss(), rate, 32, 20)
