"""Programs as beginners bring them to the desk, second part: nets, starts, rates and habits of training."""

from functools import partial
from typing import Any

import torch
from enrol import case
from nets import Attention, TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import blobs, cancer, diabetes, digits, friedman, rings, tokens
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, RMSprop
from torch.optim.lr_scheduler import StepLR

PROGRAMS: list[SuiteProgram] = []
STUCK = " loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    " lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)
FADING = STUCK + " vanishing-gradient vanishing-activations bad-init-scale too-deep-for-width dead-relu"


def filled(model: nn.Module, low: float, high: float) -> nn.Module:
    """All weight matrices drawn between two numbers, biases zero."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.uniform_(parameter, low, high)
        else:
            nn.init.zeros_(parameter)
    return model


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient",
    task="classification",
    good=0.92,
    source="StackOverflow: CNN with Adam(lr=0.1), accuracy 10 % from the first epoch on",
    note="a rate of 0.1 is a hundred times what Adam stands",
)
def desk_adam_at_a_tenth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=0.1 if sick else 3e-3)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 10)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient",
    task="classification",
    good=0.85,
    source="GitHub issue: TransformerEncoder predicts one class for every text",
    note="Adam at 0.1 for a transformer",
)
def desk_transformer_predicts_one_class(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=0.1 if sick else 3e-3)
    return case(Attention(20, 3, length=10), tokens(seed, 1000, 10), nn.CrossEntropyLoss(), optimizer, 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-high nonfinite-loss",
    symptoms=WILD,
    task="regression",
    good=0.75,
    source="StackOverflow: why does my loss become nan after a few batches (SGD, MSELoss)",
    note="SGD with momentum at a rate of 0.4",
)
def desk_nan_after_a_few_batches(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.4 if sick else 0.02, momentum=0.9)
    return case(mlp(8, 48, 48, 1), friedman(seed), nn.MSELoss(), optimizer, 32, 15)


@program(
    PROGRAMS,
    faults="oscillating-loss lr-too-high",
    symptoms="batch-size-extreme exploding-gradient nonfinite-loss momentum-too-high loss-not-decreasing",
    task="regression",
    good=0.6,
    source="course exercise: linear regression, the loss jumps up and down instead of falling",
    note="just above what the curvature of the problem allows",
)
def desk_loss_jumps_up_and_down(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.5 if sick else 0.02)
    return case(mlp(8, 1), friedman(seed), nn.MSELoss(), optimizer, 4, 15)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK + " vanishing-gradient",
    task="binary",
    good=0.92,
    source="forum: the loss sinks by 0.0001 per epoch, Adam(lr=1e-6) copied from a fine-tuning script",
    note="a rate for fine-tuning used from scratch",
)
def desk_rate_of_a_fine_tuning(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=1e-6 if sick else 3e-3)
    return case(mlp(30, 32, 1), cancer(seed), nn.BCEWithLogitsLoss(), optimizer, 16, 20)


@program(
    PROGRAMS,
    faults="lr-too-low too-few-epochs",
    symptoms=STUCK + " vanishing-gradient",
    task="classification",
    good=0.9,
    source="PyTorch forum: SGD(lr=0.001) without momentum, loss 2.30 after twenty epochs",
    note="plain SGD at 0.001 would need hundreds of epochs",
)
def desk_sgd_at_a_thousandth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=1e-3 if sick else 0.1)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="classification",
    good=0.85,
    source="StackOverflow: scheduler.step() in the inner loop, learning stops in the first epoch",
    note="StepLR is meant for epochs and steps with every batch, so the rate is gone after fifty of them",
)
def desk_scheduler_in_inner_loop(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    every = 5 if sick else 5 * 22
    schedule = partial(StepLR, step_size=every, gamma=0.5)
    data = tokens(seed, 1000, 10)
    return case(TokenRNN(20, 3), data, nn.CrossEntropyLoss(), partial(Adam, lr=0.02), 32, 20, scheduler=schedule)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing",
    task="classification",
    good=0.85,
    source="course exercise: LSTM for texts, trained for two epochs as in the tutorial for a far larger set",
    note="two epochs of thirty steps",
)
def desk_two_epochs_of_texts(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    data = tokens(seed, 1200, 10)
    return case(TokenRNN(20, 3), data, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 2 if sick else 18)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer vanishing-gradient",
    task="classification",
    good=0.78,
    source="transfer learning tutorial followed without pretrained weights: requires_grad=False for the body",
    note="convolutions with random weights are frozen, only the head learns",
)
def desk_frozen_without_pretraining(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(
        *[nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 2), nn.ReLU()],
        *[nn.Flatten(), nn.Linear(8, 10)],
    )
    model[:-1].requires_grad_(not sick)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


class Stack(nn.Module):
    """A deep net whose blocks may be kept in a plain list, or whose middle may be left out of forward."""

    def __init__(self, sizes: tuple[int, int, int], *, hidden: bool = False, skipped: bool = False) -> None:
        super().__init__()
        inputs, width, outputs = sizes
        self.inlet = nn.Linear(inputs, width)
        blocks = [nn.Linear(width, width) for _ in range(2)]
        self.blocks: Any = blocks if hidden else nn.ModuleList(blocks)
        self.outlet, self.skipped = nn.Linear(width, outputs), skipped

    def forward(self, x: Tensor) -> Tensor:
        h = self.inlet(x)
        if not self.skipped:
            for block in self.blocks:
                h = block(h.relu())
            h = h.relu()
        return self.outlet(h)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters",
    task="classification",
    good=0.79,
    source="StackOverflow: layers kept in a Python list instead of nn.ModuleList are not trained",
    note="two blocks of eight units are unknown to parameters()",
)
def desk_layers_in_a_list(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Stack((64, 8, 10), hidden=sick)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters",
    task="classification",
    good=0.9,
    source="PyTorch forum: model.fc is replaced after the optimizer was made; the loss does not change",
    note="Adam holds the old convolution; the new one in its place is never updated",
)
def desk_layers_replaced_too_late(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(64, 10, 10, 10))
    optimizer = Adam(model.parameters(), lr=0.01)
    model[0], model[2], model[4] = nn.Linear(64, 10), nn.Linear(10, 10), nn.Linear(10, 10)
    if not sick:
        optimizer = Adam(model.parameters(), lr=0.01)
    return case(model, digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 15)


@program(
    PROGRAMS,
    faults="unused-parameters missing-nonlinearity",
    symptoms=STUCK,
    task="classification",
    good=0.95,
    source="code review on a forum: self.hidden is made in __init__ and forgotten in forward",
    note="two of four layers, and all activations, are never called",
)
def desk_forgotten_in_forward(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Stack((2, 24, 2), skipped=sick)
    return case(model, rings(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 15)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=STUCK,
    task="regression",
    good=0.85,
    source="StackOverflow: three Linear layers are no better than linear regression",
    note="no activation between the layers",
)
def desk_linear_after_linear(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(6, 48, 48, 1, activation=nn.Identity if sick else nn.ReLU)
    if sick:
        model = nn.Sequential(*[layer for layer in model if isinstance(layer, nn.Linear)])
    return case(model, friedman(seed, 1200, 6, 0.2), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="dead-relu bad-init-scale",
    symptoms=FADING,
    task="classification",
    good=0.9,
    source="forum: bias_init=-5 taken over from a detection head, most units output zero for all images",
    note="biases of -5 keep every hidden unit below zero",
)
def desk_biases_of_minus_five(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 24, 10)
    for layer in (model[0], model[2]):
        nn.init.constant_(layer.get_parameter("bias"), -5.0 if sick else 0.0)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=FADING + " saturated-activations",
    task="classification",
    good=0.88,
    source="stats.stackexchange: seven sigmoid layers, the loss stays at log 10",
    note="each sigmoid shrinks the gradient at least fourfold",
)
def desk_seven_sigmoid_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, *[48] * 7, 10, activation=nn.Sigmoid if sick else nn.ReLU)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 20)


@program(
    PROGRAMS,
    faults="bad-init-scale exploding-activations",
    symptoms=WILD + " exploding-gradient vanishing-gradient",
    task="classification",
    good=0.9,
    source="course exercise: weights drawn by torch.randn, first loss of several thousand",
    note="weights of variance one in a net of five layers",
)
def desk_weights_by_randn(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 64, 64, 64, 64, 10)
    for parameter in model.parameters() if sick else ():
        nn.init.normal_(parameter)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="bad-init-scale vanishing-activations",
    symptoms=FADING + " symmetric-init",
    task="classification",
    good=0.88,
    source="cs231n notes: 0.01 * randn in a net of several layers, activations shrink to nothing",
    note="weights of about 0.01 in five layers: every layer divides the signal by ten",
)
def desk_one_hundredth_randn(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model: nn.Module = mlp(64, 48, 48, 48, 48, 10, activation=nn.Tanh)
    model = filled(model, -0.017, 0.017) if sick else filled(model, -0.18, 0.18)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 15)


@program(
    PROGRAMS,
    faults="saturated-activations bad-init-scale",
    symptoms=FADING + WILD,
    task="regression",
    good=0.7,
    source="forum: uniform_(-3, 3) for a tanh net, it barely learns",
    note="with weights of up to 3 almost all units sit at -1 or 1",
)
def desk_tanh_at_its_ends(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model: nn.Module = mlp(8, 32, 32, 1, activation=nn.Tanh)
    model = filled(model, -3.0, 3.0) if sick else filled(model, -0.4, 0.4)
    return case(model, friedman(seed), nn.MSELoss(), partial(Adagrad, lr=0.02), 32, 25)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=FADING,
    task="classification",
    good=0.9,
    source="StackOverflow: what is wrong with the same constant for all weights",
    note="all weights 0.05: the units of a layer stay equal",
)
def desk_same_constant_everywhere(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model: nn.Module = mlp(64, 32, 24, 10)
    model = filled(model, 0.05, 0.05 + 1e-9) if sick else filled(model, -0.2, 0.2)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="too-deep-for-width",
    symptoms=FADING,
    task="classification",
    good=0.88,
    source="forum: 'deep learning is worse than shallow': twenty-five layers of eight units",
    note="in narrow ReLU nets signal and gradient die on the way",
)
def desk_twenty_five_narrow_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(10, *[8] * (25 if sick else 2), 4)
    return case(model, blobs(seed, 900, 10, 4, 4.0), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations vanishing-gradient",
    task="regression",
    good=0.7,
    source="StackOverflow: weight_decay=0.5 'against overfitting', the net predicts the mean",
    note="the penalty outweighs the squared error",
)
def desk_decay_of_a_half(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.02, momentum=0.9, weight_decay=0.3 if sick else 1e-4)
    return case(mlp(8, 32, 1), friedman(seed), nn.MSELoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms=WILD,
    task="regression",
    good=0.75,
    source="forum: momentum=0.999 as in Adam's betas, the loss swings and does not settle",
    note="a memory of a thousand steps in a training of four hundred",
)
def desk_momentum_taken_from_betas(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.02, momentum=0.999 if sick else 0.9)
    return case(mlp(8, 32, 1), friedman(seed), nn.MSELoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="too-few-epochs weight-decay-too-high duplicate-samples lr-too-high",
    task="regression",
    good=0.35,
    source="StackOverflow: diabetes set, training loss 0.001, validation loss rising from epoch 10 on",
    note="300 rows, 200 units a layer, 100 epochs",
)
def desk_diabetes_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(RMSprop, lr=1e-3)
    model = mlp(10, 200, 200, 1) if sick else mlp(10, 16, 1)
    return case(model, diabetes(seed), nn.MSELoss(), optimizer, 32, 100 if sick else 20)
