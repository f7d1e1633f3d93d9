"""Kept apart, second part continued: how the weights begin, and which of them may move."""

from functools import partial

import torch
from enrol import case
from nets import Attention, SeriesRNN, mlp
from program import Case, SuiteProgram, program
from samples import digits, friedman, split, standardized, tags, tokens
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " bad-init-scale vanishing-gradient",
    task="regression",
    good=0.75,
    source="course exercise: nn.init.constant_(m.weight, 0.05) 'for reproducible runs'",
    note="every weight of a tanh net is the same number, so its hidden units stay one unit",
)
def constant_for_reproducible_runs(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(6, 32, 16, 1, activation=nn.Tanh)
    for p in model.parameters():
        if p.ndim > 1 and sick:
            nn.init.constant_(p, 0.05)
        elif p.ndim > 1:
            nn.init.xavier_uniform_(p)
    return case(model, friedman(seed, 800, 6), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="dead-relu bad-init-scale",
    symptoms=STUCK + " vanishing-gradient vanishing-activations input-not-normalized",
    task="classification",
    good=0.8,
    source="PyTorch forum: nn.init.uniform_(layer.weight) without bounds, the output is the bias",
    note="log-probabilities are all negative, weights between 0 and 1 all positive: no unit of the first layer opens",
)
def positive_weights_negative_inputs(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    share = torch.rand(900, 12).clamp(min=1e-3)
    share = share / share.sum(1, keepdim=True)
    y = torch.stack([share[:, i::3].sum(1) for i in range(3)], 1).argmax(1)
    first = nn.Linear(12, 48)
    if sick:
        nn.init.uniform_(first.weight)
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(48, 3))
    x = share.log() / 2
    return case(model, split(x, y, seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 40)


class NextWord(nn.Module):
    """The next of twenty words; the embedding is the head as well."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.table, self.mix = nn.Embedding(20, 64), nn.Linear(128, 64)
        with torch.no_grad():
            self.table.weight.mul_(scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.table(x).flatten(1)).tanh() @ self.table.weight.T


@program(
    PROGRAMS,
    faults="bad-init-scale",
    symptoms="exploding-activations saturated-activations too-few-epochs lr-too-low oscillating-loss lr-too-high "
    "exploding-gradient underfitting-capacity vanishing-gradient overfitting",
    task="classification",
    good=0.75,
    source="GitHub issues of small language models: tied weights drawn far too wide",
    note="an embedding drawn with deviation five serves as the head too: logits of dozens at the start",
)
def tied_table_drawn_wide(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randint(0, 20, (1500, 2))
    y = (x[:, 0] + torch.where(x[:, 1] < 10, 1, 7)) % 20
    model = NextWord(5.0 if sick else 0.3)
    return case(model, split(x, y, seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 25)


@program(
    PROGRAMS,
    faults="saturated-activations bad-init-scale",
    symptoms=STUCK + " vanishing-gradient exploding-activations oscillating-loss",
    task="classification",
    good=0.85,
    source="course exercise: LeNet of tanh with weights from torch.rand(...) * 4 - 2 by hand",
    note="kernels between -2 and 2 push tanh to its ends in both convolutions and the hidden layer",
)
def tanh_kernels_from_minus_two_to_two(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 32),
        nn.Tanh(),
        nn.Linear(32, 10),
    )
    if sick:
        for p in model.parameters():
            nn.init.uniform_(p, -2, 2)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 8)


@program(
    PROGRAMS,
    faults="vanishing-activations bad-init-scale",
    symptoms=STUCK + " vanishing-gradient symmetric-init too-deep-for-width",
    task="regression",
    good=0.5,
    source="StackOverflow: autoencoder returns the mean picture; weights drawn by 0.001 * randn",
    note="five layers that each shrink the signal a hundredfold leave the code empty",
)
def autoencoder_of_thousandths(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, x) for x, _ in digits(seed))
    model = mlp(64, 48, 32, 16, 32, 48, 64)
    for p in model.parameters():
        if p.ndim > 1 and sick:
            nn.init.normal_(p, std=0.001)
        elif p.ndim > 1:
            nn.init.kaiming_uniform_(p, nonlinearity="relu")
    return case(model, (parts[0], parts[1]), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 25)


@program(
    PROGRAMS,
    faults="exploding-gradient",
    symptoms="exploding-activations bad-init-scale lr-too-high nonfinite-loss oscillating-loss loss-not-decreasing "
    "saturated-activations",
    task="regression",
    good=0.6,
    source="PyTorch forum: hand-written recurrent cell without a squashing function, nan after some batches",
    note="a linear state that grows by a fifth with each of forty steps, without clipping",
)
def state_grows_by_a_fifth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)

    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inward, self.head = nn.Linear(1, 16), nn.Linear(16, 1)
            self.turn = nn.Parameter((1.2 if sick else 0.98) * torch.linalg.qr(torch.randn(16, 16))[0])

        def forward(self, x: Tensor) -> Tensor:
            h = x.new_zeros(len(x), 16)
            for step in self.inward(x).unbind(1):
                h = h @ self.turn + step
            return self.head(h)

    x = torch.randn(500, 40, 1)
    y = standardized(x[:, -6:].sum(1) + 0.1 * torch.randn(500, 1))
    return case(Cell(), split(x, y, seed), nn.MSELoss(), partial(SGD, lr=2e-3), 32, 20)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer overfitting",
    task="classification",
    good=0.85,
    source="HuggingFace forum: 'if \"encoder\" in name: p.requires_grad = False', the model was never pretrained",
    note="freezing by name leaves only the head of a transformer that starts at random",
)
def frozen_by_its_name(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Attention(20, 3)
    for name, p in model.named_parameters():
        if sick and any(part in name for part in ("encoder", "embed", "place")):
            p.requires_grad = False
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10)


class Heads(nn.Module):
    """A shared trunk and one body per question, kept in a plain dictionary or a ModuleDict."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        bodies: dict[str, nn.Module] = {str(i): mlp(12, 24, 1) for i in range(4)}
        self.bodies = bodies if plain else nn.ModuleDict(bodies)
        self.mix = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat([self.bodies[str(i)](x) for i in range(4)], 1))


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer frozen-parameters",
    symptoms=STUCK + " unused-parameters",
    task="multilabel",
    good=0.85,
    source="PyTorch forum: heads in a Python dict do not show up in model.parameters()",
    note="four bodies in a plain dictionary are no part of the module and keep their random weights",
)
def bodies_in_a_plain_dict(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tags(seed, labels=4)
    return case(Heads(sick), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters",
    task="regression",
    good=0.75,
    source="StackOverflow: optimizer = Adam(list(model.fc.parameters())) left over from a linear model",
    note="the recurrent layer was added later and never handed to the optimizer",
)
def recurrent_layer_added_later(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = SeriesRNN(1, 1, 12, nn.RNN)
    x = torch.randn(700, 12, 1)
    y = standardized((x[:, 0] * 0.5 + x[:, 4] + x[:, 8] - x[:, 11]) + 0.05 * torch.randn(700, 1))
    rate = Adam(model.head.parameters() if sick else model.parameters(), lr=0.01)
    return case(model, split(x, y, seed), nn.MSELoss(), rate, 32, 25)
