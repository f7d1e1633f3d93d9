"""Sick programs of a class on training, second part: starts, depth, rates, norms and habits."""

from functools import partial
from typing import Any, cast

import torch
from enrol import case
from nets import Attention, SeriesRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import cancer, digits, friedman, majority, rings, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


def start(model: nn.Module, std: float) -> nn.Module:
    """Normal weights of this spread, offsets of zero."""
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.normal_(layer.weight, 0.0, std)
            nn.init.zeros_(cast(Tensor, layer.bias))
    return model


@program(
    PROGRAMS,
    faults="bad-init-scale saturated-activations",
    symptoms=STUCK + " vanishing-gradient exploding-activations oscillating-loss lr-too-high exploding-gradient",
    task="classification",
    good=0.92,
    source="CS231n exercise: weights drawn with a spread of 2 under tanh",
    note="the pre-activations are far beyond the bend of tanh, which passes no gradient",
)
def class_tanh_from_a_spread_of_two(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 100, 100, 10, activation=nn.Tanh)
    if sick:
        start(model, 2.0)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="bad-init-scale vanishing-activations vanishing-gradient",
    symptoms=STUCK + " too-deep-for-width symmetric-init dead-relu",
    task="classification",
    good=0.9,
    source="CS231n exercise: 0.01 * np.random.randn in a net of six layers",
    note="each layer makes the signal fourteen times smaller",
)
def class_a_hundredth_in_six_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 50, 50, 50, 50, 50, 10)
    if sick:
        start(model, 0.01)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 20)


@program(
    PROGRAMS,
    faults="bad-init-scale exploding-activations exploding-gradient",
    symptoms=WILD + " dead-relu nonfinite-loss",
    task="classification",
    good=0.92,
    source="StackOverflow: init.normal_ on all weights, the first loss is 40 000",
    note="torch.nn.init.normal_ with its default spread of 1 in four ReLU layers",
)
def class_normal_by_default(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 64, 64, 64, 10)
    if sick:
        start(model, 1.0)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 20)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " bad-init-scale",
    task="classification",
    good=0.93,
    source="deeplearning.ai forum: all weights 0.5, all units learn the same",
    note="each hidden unit starts as every other one and stays so",
)
def class_all_units_alike(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 32, 10)
    if sick:
        for p in model.parameters():
            nn.init.constant_(p, 0.05)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=STUCK + " saturated-activations vanishing-activations bad-init-scale too-deep-for-width",
    task="classification",
    good=0.95,
    source="ai.stackexchange: sigmoid after each of seven layers, the loss stays at 0.693",
    note="seven sigmoids in a row leave nothing of the gradient",
)
def class_seven_sigmoids_on_moons(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(2, *[16] * 7, 2, activation=nn.Sigmoid if sick else nn.ELU)
    return case(model, rings(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 40)


@program(
    PROGRAMS,
    faults="dead-relu",
    symptoms=STUCK + " bad-init-scale vanishing-gradient vanishing-activations",
    task="classification",
    good=0.92,
    source="StackOverflow: all outputs are equal, the hidden layer gives only zeros",
    note="offsets of -6 in the hidden layer: no digit reaches a unit",
)
def class_offsets_below_reach(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 10)
    if sick:
        nn.init.constant_(cast(Tensor, model[0].bias), -6.0)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="too-deep-for-width vanishing-activations",
    symptoms=STUCK + " vanishing-gradient dead-relu bad-init-scale",
    task="classification",
    good=0.93,
    source="Lu et al. 2019 'Dying ReLU and initialization': deep and narrow",
    note="twenty ReLU layers of six units die from the start",
)
def class_twenty_layers_of_six(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(2, *[6] * 20, 2) if sick else mlp(2, 24, 24, 2)
    return case(model, rings(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 30)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=STUCK,
    task="regression",
    good=0.75,
    source="course exercise: three linear layers and no better than linear regression",
    note="the activations were forgotten; a sine cannot be drawn by a line",
)
def class_a_line_for_a_sine(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = 6 * torch.rand(700, 1, generator=torch.Generator().manual_seed(seed)) - 3
    y = (2 * x).sin() + 0.1 * torch.randn(700, 1, generator=torch.Generator().manual_seed(seed + 1))
    model = mlp(1, 48, 48, 1, activation=nn.Identity if sick else nn.Tanh)
    return case(model, ((x[:500], y[:500]), (x[500:], y[500:])), nn.MSELoss(), partial(Adam, lr=0.01), 32, 40)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD,
    task="classification",
    good=0.93,
    source="PyTorch forum: Adam with lr=0.1, accuracy stays at ten percent",
    note="Adam at 0.2 throws the weights of a CNN about until the units are dead",
)
def class_adam_at_a_fifth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = digits(seed, image=True)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.2 if sick else 3e-3), 32, 10)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient",
    task="classification",
    good=0.88,
    source="GitHub: transformer does not learn with lr=0.2, guesses one class",
    note="attention is thrown to one end in the first steps",
)
def class_transformer_at_a_fifth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(AdamW, lr=0.2 if sick else 3e-3)
    return case(Attention(4, 4, width=16), majority(seed, 900), nn.CrossEntropyLoss(), rate, 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK + " vanishing-gradient",
    task="binary",
    good=0.93,
    source="StackOverflow: loss goes from 0.6931 to 0.6928 in ten epochs",
    note="SGD at 0.00001 hardly leaves the start",
)
def class_sgd_at_a_hundred_thousandth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = partial(SGD, lr=1e-5 if sick else 0.05, momentum=0.9)
    return case(mlp(30, 24, 1), cancer(seed), nn.BCEWithLogitsLoss(), rate, 32, 15)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="classification",
    good=0.9,
    source="PyTorch forum: the scheduler is stepped for each batch, gamma was meant for epochs",
    note="the rate is multiplied by 0.8 after each batch, not each epoch: after one epoch it is nothing",
)
def class_decay_after_each_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    fall = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.8 if sick else 0.8 ** (1 / 40))
    rate = partial(SGD, lr=0.05, momentum=0.9)
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), rate, 32, 15, scheduler=fall)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer unused-parameters",
    symptoms=STUCK + " frozen-parameters",
    task="regression",
    good=0.7,
    source="StackOverflow: optimizer was made before model.fc was replaced",
    note="the optimizer holds the parameters of the layers that were replaced afterwards",
)
def class_optimizer_of_the_old_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(8, 48, 24, 1)
    optimizer: Any = Adam(model.parameters(), lr=5e-3)
    if sick:
        for place, layer in enumerate(mlp(8, 48, 24, 1)):
            model[place] = layer
    return case(model, friedman(seed), nn.MSELoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer",
    task="classification",
    good=0.85,
    source="transfer-learning tutorial followed without any pretrained weights",
    note="embedding and GRU are frozen although they were never trained",
)
def class_frozen_without_pretraining(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x.transpose(1, 2), y) for x, y in waves(seed, 700, 24, noise=0.3))
    model = SeriesRNN(1, 3, 16)
    if sick:
        model.rnn.requires_grad_(False)
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


class Listed(nn.Module):
    """Hidden layers in a Python list, or in a ModuleList where registered."""

    def __init__(self, registered: bool) -> None:
        super().__init__()
        hidden = [nn.Linear(2, 4), nn.Linear(4, 32), nn.Linear(32, 4)]
        self.hidden: Any = nn.ModuleList(hidden) if registered else hidden
        self.out = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = layer(x).tanh()
        return self.out(x)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer frozen-parameters",
    symptoms=STUCK + " unused-parameters",
    task="classification",
    good=0.93,
    source="PyTorch forum: layers in a Python list do not show up in model.parameters()",
    note="the hidden layers are kept in a plain list, so only the last one learns",
)
def class_layers_in_a_list(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Listed(not sick), rings(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 60)


class Skipped(nn.Module):
    """A net with a hidden layer that is made, but not called where sick."""

    def __init__(self, called: bool) -> None:
        super().__init__()
        self.called = called
        self.inlet, self.hidden, self.outlet = nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inlet(x)
        if self.called:
            h = self.hidden(h.relu()).relu()
        return self.outlet(h)


@program(
    PROGRAMS,
    faults="unused-parameters missing-nonlinearity",
    symptoms=STUCK,
    task="classification",
    good=0.95,
    source="StackOverflow: forgot to call self.fc2 in forward",
    note="the hidden layer and the activations are made but left out in forward",
)
def class_layer_never_called(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Skipped(not sick), rings(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 30)
