"""Sick programs of a class on training, fourth part: autoencoders, crashes, recurrent nets and further habits."""

from functools import partial
from typing import Any

import torch
from enrol import case
from nets import TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import cancer, digits, friedman, split, tokens
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, RMSprop

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " saturated-activations targets-not-normalized vanishing-gradient",
    task="regression",
    good=0.6,
    source="Keras blog's autoencoder ending in sigmoid, fed with standardized rows",
    note="the decoder ends in a sigmoid, but the rows are standardized and half of them negative",
)
def class_decoder_between_zero_and_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, x) for x, _ in cancer(seed))
    model = nn.Sequential(*mlp(30, 24, 8, 24, 30), *([nn.Sigmoid()] if sick else []))
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 30)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms=STUCK + " too-deep-for-width dead-relu",
    task="regression",
    good=0.6,
    source="course exercise: an autoencoder whose pictures are all the same blur",
    note="a code of one number for all digits",
)
def class_code_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, x) for x, _ in digits(seed))
    return case(mlp(64, 48, 1 if sick else 20, 48, 64), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="label-out-of-range",
    task="classification",
    good=0.85,
    source="StackOverflow: index out of range in self, nn.Embedding",
    note="the vocabulary counts from one, so the last word has no row in the table",
)
def class_last_word_without_a_row(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x + 1, y) for x, y in tokens(seed, 1200))
    return case(TokenRNN(20 if sick else 21, 3, 24), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 22)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient",
    task="classification",
    good=0.8,
    source="PyTorch forum: GRU with RMSprop, the loss jumps and never settles",
    note="RMSprop at 0.3 closes all gates at once",
)
def class_gates_thrown_shut(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(RMSprop, lr=0.3 if sick else 5e-3)
    return case(TokenRNN(20, 3, 24), tokens(seed, 1200), nn.CrossEntropyLoss(), rate, 32, 15)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="classification",
    good=0.9,
    source="GitHub: switched from Adam to Adagrad and kept lr=1e-4",
    note="Adagrad's steps shrink by themselves; from 0.0001 they lead nowhere",
)
def class_adagrad_with_the_rate_of_adam(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(Adagrad, lr=1e-4 if sick else 0.05)
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), rate, 32, 12)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " " + WILD + " wrong-loss-for-task",
    task="classification",
    good=0.93,
    source="PyTorch forum: NLLLoss is negative and goes to minus infinity",
    note="NLLLoss without a log-softmax rewards any large number",
)
def class_loss_below_minus_a_million(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(64, 48, 10), *([] if sick else [nn.LogSoftmax(1)]))
    return case(model, digits(seed), nn.NLLLoss(), partial(SGD, lr=0.1), 32, 15)


class Cut(nn.Module):
    """A recurrent net and its head, with the graph cut between them where sick."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.cut = cut
        self.embed, self.rnn, self.head = nn.Embedding(20, 8), nn.LSTM(8, 12, batch_first=True), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        last = self.rnn(self.embed(x))[0][:, -1]
        return self.head(last.detach() if self.cut else last)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " unused-parameters parameters-not-in-optimizer vanishing-gradient",
    task="classification",
    good=0.85,
    source="PyTorch forum: p.grad is None for all but the last layer, because of .detach() in forward",
    note="the states are detached before the head, so the LSTM never learns",
)
def class_states_detached_in_forward(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Cut(sick), tokens(seed, 1200), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=STUCK + " " + WILD + " ill-conditioned-features",
    task="regression",
    good=0.7,
    source="sensor logs: a missing reading is stored as -999",
    note="one reading in fifty is -999; the mean in its place repairs it",
)
def class_missing_is_minus_999(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    parts = []
    for x, y in friedman(seed):
        holes = torch.rand(x.shape, generator=draw) < 0.02
        parts.append((torch.where(holes, torch.full_like(x, -999.0 if sick else 0.0), x), y))
    return case(mlp(8, 48, 1), (parts[0], parts[1]), nn.MSELoss(), partial(SGD, lr=0.01, momentum=0.9), 32, 20)


def by_argmax(output: Tensor, y: Tensor) -> Tensor:
    """Squared distance of the guess from the label: a guess has no gradient."""
    return (output.argmax(1).float() - y.float()).square().mean()


@program(
    PROGRAMS,
    faults="program-crashes wrong-loss-for-task",
    symptoms="loss-output-mismatch frozen-parameters",
    task="classification",
    good=0.93,
    source="StackOverflow: element 0 of tensors does not require grad and does not have a grad_fn",
    note="the loss is computed from argmax, through which no gradient passes",
)
def class_loss_from_argmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = by_argmax if sick else nn.CrossEntropyLoss()
    return case(digit_cnn(), digits(seed, image=True), loss, partial(Adam, lr=5e-3), 32, 10)


@program(
    PROGRAMS,
    faults="exploding-gradient lr-too-high",
    symptoms=WILD + " targets-not-normalized",
    task="regression",
    good=0.7,
    source="PyTorch forum: MSELoss(size_average=False) and a loss of nan",
    note="summed squared errors at a rate meant for means: steps are sixty-four times too large",
)
def class_sum_where_a_mean_was_meant(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.MSELoss(reduction="sum" if sick else "mean")
    model = mlp(8, 48, 24, 1)
    return case(model, friedman(seed), loss, partial(SGD, lr=0.03, momentum=0.9), 64, 20)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=STUCK + " overfitting wrong-loss-for-task",
    task="classification",
    metric="balanced",
    good=0.64,
    source="Kaggle: skin lesions, the net calls everything a mole",
    note="three classes as 90 to 7 to 3; weights by frequency repair",
)
def class_nearly_all_are_moles(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    y = torch.multinomial(torch.tensor([0.9, 0.07, 0.03]), 2000, True, generator=draw)
    centres = torch.tensor([[0.0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 1.2, 1.2, 1.2]])
    x = centres[y] + torch.randn(2000, 6, generator=draw)
    loss = nn.CrossEntropyLoss(None if sick else torch.tensor([0.1, 1.3, 3.0]))
    return case(mlp(6, 12, 3), split(x, y, seed), loss, partial(SGD, lr=0.03, momentum=0.9), 32, 10)
