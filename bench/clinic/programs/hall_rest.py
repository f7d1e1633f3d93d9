"""Programs as an examiner would choose them, last part: gradients that are kept, and two causes at once."""

from functools import partial

import torch
from enrol import case
from nets import TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program, two_causes
from samples import digits, friedman, tokens
from torch import nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations momentum-too-high"
)


class Keeping(SGD):
    """SGD whose gradients are never cleared."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        return


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms=WILD + " lr-too-high",
    task="classification",
    good=0.85,
    source="StackOverflow: optimizer.zero_grad() was forgotten, the loss goes up and down",
    note="zero_grad does nothing: every step uses the sum of all gradients so far",
)
def hall_gradients_kept(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    make = partial(Keeping if sick else SGD, lr=0.2)
    return case(mlp(64, 32, 10), digits(seed), nn.CrossEntropyLoss(), make, 32, 20)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="target-shape-mismatch",
    task="classification",
    good=0.88,
    source="StackOverflow: 'mat1 and mat2 shapes cannot be multiplied' after adding a pooling layer",
    note="the linear layer expects the size before the second pooling",
)
def hall_flattened_size(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = digit_cnn()
    if sick:
        model[-1] = nn.Linear(256, 10)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="input-not-normalized lr-too-low",
    symptoms=STUCK + " vanishing-gradient saturated-activations oscillating-loss",
    good=0.85,
    source="course posts: pixels of 0 … 255 through tanh, and Adam at 1e-5",
    note="bytes saturate the tanh units, and the rate is too low even without that",
)
def hall_double_bytes_and_slow(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    factor = 255.0 if "input-not-normalized" in left else 1.0
    parts = tuple((x * factor, y) for x, y in digits(seed))
    rate = 1e-5 if "lr-too-low" in left else 3e-3
    model = mlp(64, 32, 32, 10, activation=nn.Tanh)
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=rate), 32, 15)


@two_causes(
    PROGRAMS,
    task="regression",
    causes="target-shape-mismatch missing-nonlinearity",
    symptoms=STUCK,
    good=0.75,
    source="StackOverflow: regression net of three linear layers, targets without a second dimension",
    note="flat targets broadcast to the mean, and there is no activation between the layers",
)
def hall_double_flat_and_linear(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y.flatten() if "target-shape-mismatch" in left else y) for x, y in friedman(seed))
    between = nn.Identity if "missing-nonlinearity" in left else nn.ReLU
    return case(mlp(8, 48, 24, 1, activation=between), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="loss-output-mismatch weight-decay-too-high",
    symptoms=STUCK + " vanishing-gradient vanishing-activations",
    good=0.88,
    source="PyTorch forum: softmax before CrossEntropyLoss, with weight_decay=0.05 against overfitting",
    note="the loss applies softmax a second time, and the penalty empties the layers",
)
def hall_double_softmax_and_decay(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*digit_cnn(), *([nn.Softmax(1)] if "loss-output-mismatch" in left else []))
    make = partial(SGD, lr=0.05, momentum=0.9, weight_decay=0.2 if "weight-decay-too-high" in left else 0.0)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), make, 32, 12)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="parameters-not-in-optimizer lr-too-high",
    symptoms=STUCK + " frozen-parameters unused-parameters " + WILD,
    good=0.8,
    source="fine-tuning scripts reused: only the head is trained, at a rate of ten",
    note="embedding and recurrence are left out, and the head's rate is far too high",
)
def hall_double_head_only_and_fast(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(20, 3, 16)
    part = model.head if "parameters-not-in-optimizer" in left else model
    make = Adam(part.parameters(), lr=0.5 if "lr-too-high" in left else 0.01)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), make, 32, 15)
