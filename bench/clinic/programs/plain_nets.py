"""Plain programs with all kinds of nets that do not train: structure, order of work, sequences and pictures."""

from functools import partial
from typing import Any

import torch
from enrol import case
from nets import Attention, SeriesRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import digits, friedman, iris, majority, rings, sums, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR

PROGRAMS: list[SuiteProgram] = []
SLOW = "loss-not-decreasing lr-too-low too-few-epochs underfitting-capacity"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations loss-not-decreasing "
    "dead-relu saturated-activations momentum-too-high"
)
FLAT = SLOW + " vanishing-gradient vanishing-activations dead-relu"


class Listed(nn.Module):
    """Layers in a Python list, which the module does not know of, or in a module list."""

    def __init__(self, registered: bool) -> None:
        super().__init__()
        layers = [nn.Linear(8, 48), nn.Linear(48, 48)]
        self.layers: Any = nn.ModuleList(layers) if registered else layers
        self.head = nn.Linear(48, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.head(x)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer frozen-parameters",
    symptoms="underfitting-capacity loss-not-decreasing lr-too-low too-few-epochs unused-parameters",
    task="regression",
    good=0.8,
    source="PyTorch forum: layers in a list are not in model.parameters()",
    note="self.layers is a plain list: only the head is trained",
)
def plain_layers_in_a_list(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Listed(not sick), friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 30)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms="frozen-parameters loss-not-decreasing lr-too-low too-few-epochs underfitting-capacity unused-parameters",
    task="classification",
    good=0.9,
    source="notebooks: the model cell was run again after the optimizer cell",
    note="the optimizer moves the weights of an earlier model that nobody uses",
)
def plain_optimizer_of_the_earlier_model(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    earlier, model = mlp(4, 16, 3), mlp(4, 16, 3)
    optimizer = Adam((earlier if sick else model).parameters(), lr=0.02)
    return case(model, iris(seed), nn.CrossEntropyLoss(), optimizer, 16, 25)


class Piled(SGD):
    """SGD whose gradients pile up, as in a loop in which zero_grad was forgotten."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget nothing."""


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms=WILD,
    task="classification",
    good=0.9,
    source="StackOverflow: why do we need to call zero_grad()?",
    note="each step adds up the gradients of all batches so far",
)
def plain_gradients_pile_up(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Piled if sick else SGD, lr=0.1)
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 15)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity batch-size-extreme loss-not-decreasing",
    task="classification",
    good=0.9,
    source="course exercise handed in after one epoch",
    note="one epoch of forty small steps",
)
def plain_one_epoch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    epochs = 1 if sick else 20
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, epochs)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=SLOW + " vanishing-gradient",
    task="classification",
    good=0.9,
    source="StackOverflow: Dropout(0.9), taken for the share that is kept",
    note="nine of ten units are silenced in each of two layers",
)
def plain_ninety_percent_dropped(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 0.9 if sick else 0.1
    layers = [nn.Linear(64, 64), nn.ReLU(), nn.Dropout(rate), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(rate)]
    model = nn.Sequential(*layers, nn.Linear(32, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 15)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="loss-not-decreasing too-few-epochs dead-relu vanishing-gradient",
    task="regression",
    good=0.6,
    source="forum: autoencoder whose pictures all look the same",
    note="a code of one number cannot tell ten digits apart",
)
def plain_code_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, x) for x, _ in digits(seed))
    model = mlp(64, 48, 1 if sick else 16, 48, 64, activation=nn.ELU)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms="saturated-activations vanishing-gradient underfitting-capacity loss-not-decreasing "
    "input-constant-feature targets-not-normalized lr-too-low too-few-epochs",
    task="regression",
    good=0.55,
    source="PyTorch forum: autoencoder with sigmoid output, inputs normalized with mean and std",
    note="standardized pixels are below zero half of the time, a sigmoid never is",
)
def plain_sigmoid_for_standardized_pixels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple(((x - 0.3) / 0.37, (x - 0.3) / 0.37) for x, _ in digits(seed))
    layers = mlp(64, 64, 24, 64, 64)
    model = nn.Sequential(*layers, nn.Sigmoid()) if sick else layers
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=2e-3), 32, 20)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms=SLOW,
    task="classification",
    good=0.9,
    source="StackOverflow: whole data set as one batch to be fast",
    note="fifteen epochs are fifteen steps",
)
def plain_all_in_one_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    size = 2000 if sick else 32
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1), size, 15)


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms="batch-size-extreme bn-train-eval-mismatch oscillating-loss lr-too-high loss-not-decreasing",
    task="classification",
    good=0.9,
    source="forum: batch size two because of memory, U-Net with batch norm",
    note="statistics of two pictures are noise",
)
def plain_norms_of_two_waves(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers = [nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU()]
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(32, 3))
    size = 2 if sick else 32
    return case(model, waves(seed, 700, noise=0.2), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), size, 12)


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="input-not-normalized overfitting bn-small-batch too-few-epochs",
    task="regression",
    good=0.75,
    source="PyTorch forum: good in train mode, nonsense after model.eval(); momentum taken from Keras the wrong way",
    note="running averages that move by a ten-thousandth a step are still those of the start",
)
def plain_momentum_of_the_norm(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    norms = [nn.BatchNorm1d(48, momentum=0.0001 if sick else 0.1) for _ in range(2)]
    layers = [nn.Linear(6, 48), norms[0], nn.ReLU(), nn.Linear(48, 48), norms[1], nn.ReLU(), nn.Linear(48, 1)]
    parts: Any = tuple((10 * x, y) for x, y in friedman(seed, 800, 6))
    return case(nn.Sequential(*layers), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 10)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=SLOW + " parameters-not-in-optimizer unused-parameters vanishing-gradient",
    task="regression",
    good=0.8,
    source="forum: transfer-learning cell copied, but the backbone was never trained",
    note="the recurrent layer is frozen at random weights; a linear head on it cannot add",
)
def plain_frozen_without_pretraining(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = SeriesRNN(2, 1, 24)
    model.rnn.requires_grad_(not sick)
    return case(model, sums(seed, 900, 6), nn.MSELoss(), partial(Adam, lr=0.01), 32, 25)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " vanishing-gradient bad-init-scale input-constant-feature",
    task="classification",
    good=0.9,
    source="StackOverflow: forgot to divide the pixels by 255",
    note="pixels of up to 255 at a rate meant for pixels of up to one",
)
def plain_bytes_as_pixels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x * (255 if sick else 1), y) for x, y in digits(seed, image=True))
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 10)


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=SLOW + " too-deep-for-width saturated-activations vanishing-activations bad-init-scale",
    task="classification",
    good=0.85,
    source="StackOverflow: deep network with sigmoid, first layers do not change",
    note="seven sigmoid layers",
)
def plain_seven_sigmoids(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed)
    model = mlp(64, *[48] * 7, 10, activation=nn.Sigmoid if sick else nn.ReLU)
    parts = (x - 0.3, y), (x_val - 0.3, y_val)
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=1e-3), 32, 30)


@program(
    PROGRAMS,
    faults="too-deep-for-width vanishing-activations vanishing-gradient dead-relu",
    symptoms=SLOW + " bad-init-scale",
    task="classification",
    good=0.9,
    source="course exercise: the deeper the better?",
    note="thirty layers of twelve ReLUs forget their input",
)
def plain_thirty_narrow_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(2, *[12] * (30 if sick else 3), 2)
    return case(model, rings(seed, 800), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="bad-init-scale vanishing-activations vanishing-gradient",
    symptoms=SLOW + " symmetric-init dead-relu",
    task="classification",
    good=0.9,
    source="forum: m.weight.data.normal_(0, 0.001) copied from an old tutorial",
    note="each layer shrinks the signal a hundredfold, so SGD sees no slope",
)
def plain_thousandth_weights(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = digit_cnn()
    for layer in model if sick else ():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.001)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(SGD, lr=0.2), 32, 20)


@program(
    PROGRAMS,
    faults="saturated-activations bad-init-scale",
    symptoms=SLOW + " vanishing-gradient overfitting exploding-activations exploding-gradient",
    task="regression",
    good=0.75,
    source="lecture notes: tanh units driven to plus and minus one",
    note="weights of deviation three hold every tanh at its end",
)
def plain_tanh_at_its_ends(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model: Any = mlp(6, 48, 48, 1, activation=nn.Tanh)
    for layer in (model[0], model[2]) if sick else ():
        nn.init.normal_(layer.weight, std=3.0)
    return case(model, friedman(seed, 800, 6), nn.MSELoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 20)


class Chain(nn.Module):
    """A recurrence of ReLUs that starts as a multiple of the identity."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.rnn = nn.RNN(2, 24, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(24, 1)
        with torch.no_grad():
            self.rnn.all_weights[0][1].copy_(gain * torch.eye(24))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


@program(
    PROGRAMS,
    faults="exploding-gradient exploding-activations bad-init-scale",
    symptoms=WILD,
    task="regression",
    good=0.75,
    source="StackOverflow: loss of the ReLU RNN is nan after some batches",
    note="a recurrence that doubles its state twelve times",
)
def plain_doubling_recurrence(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Chain(2.0 if sick else 0.9), sums(seed, 900, 12), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 25)


def own_entropy(output: Tensor, y: Tensor, floor: float) -> Tensor:
    """Binary cross entropy of every class, written by hand."""
    share = torch.softmax(output, 1)
    truth = nn.functional.one_hot(y, output.shape[1])
    return -(truth * (share + floor).log() + (1 - truth) * (1 - share + floor).log()).mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss loss-output-mismatch",
    symptoms="lr-too-high exploding-gradient input-not-normalized loss-not-decreasing",
    task="classification",
    good=0.9,
    source="StackOverflow: own cross entropy becomes nan after some epochs",
    note="once the net is sure of itself, it takes the logarithm of zero",
)
def plain_logarithm_of_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = partial(own_entropy, floor=0.0 if sick else 1e-6)
    return case(mlp(64, 64, 10), digits(seed, raw=True), loss, partial(Adam, lr=3e-3), 32, 12)


class Cut(nn.Module):
    """A recurrent encoder and a head, maybe with the tape cut between them."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.cut, self.encoder, self.head = cut, nn.GRU(2, 24, batch_first=True), nn.Linear(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        state = self.encoder(x)[0][:, -1]
        return self.head(state.detach() if self.cut else state)


@program(
    PROGRAMS,
    faults="frozen-parameters vanishing-gradient unused-parameters",
    symptoms=SLOW + " parameters-not-in-optimizer",
    task="regression",
    good=0.8,
    source="PyTorch forum: .detach() in forward to save memory",
    note="no gradient reaches the encoder",
)
def plain_detached_state(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Cut(sick), sums(seed, 900, 6), nn.MSELoss(), partial(Adam, lr=0.01), 32, 25)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="loss-output-mismatch target-shape-mismatch",
    task="classification",
    good=0.9,
    source="StackOverflow: mat1 and mat2 shapes cannot be multiplied",
    note="the first linear layer was sized for another picture",
)
def plain_flattened_wrongly(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = digit_cnn()
    model[-1] = nn.Linear(256 if sick else 64, 10)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient",
    task="classification",
    good=0.85,
    source="PyTorch forum: nn.Transformer predicts the same class for everything",
    note="Adam at 1 throws a transformer off in its first steps",
)
def plain_transformer_too_fast(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 1.0 if sick else 3e-3
    return case(Attention(4, 4), majority(seed, 900), nn.CrossEntropyLoss(), partial(Adam, lr=rate), 32, 10)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=SLOW,
    task="classification",
    good=0.9,
    source="PyTorch forum: scheduler.step() inside the batch loop",
    note="a schedule meant for epochs is stepped every batch: the rate is gone after the first epoch",
)
def plain_schedule_every_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    schedule = partial(StepLR, step_size=1 if sick else 40, gamma=0.8)
    parts = digits(seed, image=True)
    optimizer = partial(SGD, lr=0.03, momentum=0.9)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), optimizer, 32, 12, scheduler=schedule)
