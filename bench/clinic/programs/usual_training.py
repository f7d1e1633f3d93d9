"""Usual posts about a net that does not learn, second part: starts, depth, optimizers, structure and regularization."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from enrol import case
from nets import Attention, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import cancer, digits, friedman, majority, tags, tokens
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW
from torch.optim.lr_scheduler import StepLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu loss-not-decreasing "
    "saturated-activations bad-init-scale vanishing-gradient"
)


def started(model: nn.Module, init: Callable[[Tensor], Any] | None, bias: float = 0.0) -> nn.Module:
    """The model with its weight matrices drawn anew and its biases at one value; as it is where ``init`` is None."""
    for parameter in model.parameters() if init is not None else ():
        if parameter.ndim > 1 and init is not None:
            init(parameter)
        else:
            nn.init.constant_(parameter, bias)
    return model


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=STUCK + " saturated-activations vanishing-activations bad-init-scale too-deep-for-width",
    task="binary",
    good=0.92,
    source="StackOverflow: more hidden layers make it worse, all of them sigmoid",
    note="seven sigmoid layers on the breast cancer table; ReLU learns it",
)
def usual_seven_sigmoid_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(30, *[24] * 7, 1, activation=nn.Sigmoid if sick else nn.ReLU)
    return case(model, cancer(seed), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.03, momentum=0.9), 16, 25)


@program(
    PROGRAMS,
    faults="vanishing-activations bad-init-scale vanishing-gradient",
    symptoms=STUCK + " symmetric-init too-deep-for-width dead-relu input-constant-feature",
    task="classification",
    good=0.9,
    source="deep learning course: weights = 0.01 * randn in every layer",
    note="six layers with weights of standard deviation 0.01: nothing arrives at the output",
)
def usual_hundredth_of_randn(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    init = partial(nn.init.normal_, std=0.01) if sick else nn.init.kaiming_normal_
    model = started(mlp(64, 48, 48, 48, 48, 48, 10), init)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 12)


@program(
    PROGRAMS,
    faults="bad-init-scale exploding-activations",
    symptoms="lr-too-high oscillating-loss exploding-gradient nonfinite-loss dead-relu loss-not-decreasing overfitting"
    " saturated-activations",
    task="regression",
    good=0.7,
    source="PyTorch forum: nn.init.normal_(layer.weight) and a loss of millions",
    note="weights of standard deviation 1 in four layers",
)
def usual_normal_of_deviation_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = started(mlp(8, 48, 48, 48, 1), nn.init.normal_ if sick else None)
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="bad-init-scale saturated-activations",
    symptoms="exploding-activations loss-not-decreasing vanishing-gradient lr-too-low too-few-epochs overfitting "
    "underfitting-capacity",
    task="classification",
    good=0.85,
    source="stats.stackexchange: tanh net with np.random.randn weights does not learn the digits",
    note="weights of standard deviation 2 hold every tanh at +-1",
)
def usual_tanh_with_large_weights(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    init = partial(nn.init.normal_, std=2.0) if sick else nn.init.xavier_normal_
    model = started(mlp(64, 48, 48, 48, 10, activation=nn.Tanh), init)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 12)


@program(
    PROGRAMS,
    faults="dead-relu",
    symptoms=STUCK + " bad-init-scale vanishing-gradient vanishing-activations symmetric-init input-constant-feature",
    task="classification",
    good=0.9,
    source="TheDeepChecker 'biases': nn.init.constant_(layer.bias, -5)",
    note="biases of -5 keep every ReLU shut from the start",
)
def usual_biases_of_minus_five(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = started(mlp(64, 48, 32, 10), nn.init.kaiming_uniform_, -5.0 if sick else 0.0)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " bad-init-scale dead-relu vanishing-gradient exploding-activations input-constant-feature",
    task="classification",
    good=0.88,
    source="StackOverflow: all my hidden units learn the same (weights filled with 0.1)",
    note="every weight is 0.1, so all hidden units stay equal",
)
def usual_all_weights_alike(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    init = partial(nn.init.constant_, val=0.1) if sick else nn.init.xavier_uniform_
    return case(started(mlp(64, 32, 10), init), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="too-deep-for-width dead-relu vanishing-gradient",
    symptoms=STUCK + " vanishing-activations bad-init-scale symmetric-init",
    task="regression",
    good=0.7,
    source="Lu et al., 'Dying ReLU and initialization': twenty layers of three units",
    note="a net of twenty layers, three units each, answers a constant",
)
def usual_twenty_narrow_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(8, *([3] * 20 if sick else [24, 24]), 1)
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms="underfitting-capacity too-few-epochs loss-not-decreasing",
    task="regression",
    good=0.85,
    source="StackOverflow: my network is no better than linear regression (no activation between the layers)",
    note="four linear layers in a row are one linear layer",
)
def usual_four_linear_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(5, 64, 64, 32, 1, activation=nn.Identity if sick else nn.ReLU)
    return case(model, friedman(seed, features=5, noise=0.2), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " momentum-too-high",
    task="classification",
    good=0.9,
    source="Keras and PyTorch posts: Adam(lr=0.5), accuracy 10 %",
    note="Adam at 0.5 throws the convolutions away in the first steps",
)
def usual_adam_at_a_half(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 0.5 if sick else 3e-3
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=rate), 32, 8)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " momentum-too-high",
    task="classification",
    good=0.85,
    source="Hugging Face forum: fine for an MLP, but the transformer predicts one class (lr=0.1)",
    note="AdamW at 0.1 for a small transformer",
)
def usual_transformer_at_a_tenth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Attention(4, 4, width=16, layers=2, norm_first=False)
    optimizer = partial(AdamW, lr=0.1 if sick else 3e-3)
    return case(model, majority(seed), nn.CrossEntropyLoss(), optimizer, 32, 8)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="loss-not-decreasing too-few-epochs underfitting-capacity vanishing-gradient input-constant-feature",
    task="classification",
    good=0.9,
    source="StackOverflow: the loss decreases, but extremely slowly (lr=1e-6)",
    note="Adam at one millionth",
)
def usual_adam_at_a_millionth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 1e-6 if sick else 2e-3
    return case(mlp(64, 64, 10), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=rate), 32, 15)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="loss-not-decreasing too-few-epochs underfitting-capacity",
    task="regression",
    good=0.7,
    source="PyTorch forum: scheduler.step() inside the loop over the batches",
    note="the rate is halved every five batches instead of every five epochs",
)
def usual_scheduler_in_the_inner_loop(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    steps = 5 if sick else 5 * 20
    model = mlp(8, 32, 32, 1)
    plan = partial(StepLR, step_size=steps, gamma=0.5)
    return case(model, friedman(seed), nn.MSELoss(), partial(SGD, lr=0.1), 32, 20, scheduler=plan)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="too-few-epochs loss-not-decreasing underfitting-capacity",
    task="multilabel",
    good=0.85,
    source="Adagrad left at 1e-4, a value copied from Adam",
    note="Adagrad's steps only ever get shorter",
)
def usual_adagrad_like_adam(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adagrad, lr=1e-4 if sick else 0.05)
    return case(mlp(12, 32, 5), tags(seed), nn.BCEWithLogitsLoss(), optimizer, 32, 15)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms="lr-too-high " + WILD,
    task="regression",
    good=0.7,
    source="StackOverflow: SGD(lr=0.05, momentum=0.999), the loss swings",
    note="a memory of a thousand steps in a training of four hundred",
)
def usual_momentum_of_0999(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.03, momentum=0.999 if sick else 0.8)
    return case(mlp(8, 32, 32, 1), friedman(seed), nn.MSELoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer",
    task="classification",
    good=0.9,
    source="transfer learning tutorial: requires_grad = False for a body that was never trained",
    note="the first layers keep their random values, only the small head learns",
)
def usual_frozen_body(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(mlp(64, 32, 16), nn.ReLU(), nn.Linear(16, 10))
    model[0].requires_grad_(not sick)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20)


class Listed(nn.Module):
    """Hidden layers in a plain list, or in a ModuleList."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        hidden = [nn.Linear(8, 48), nn.Linear(48, 6)]
        self.hidden: Any = hidden if plain else nn.ModuleList(hidden)
        self.out = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = layer(x).relu()
        return self.out(x)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters",
    task="regression",
    good=0.75,
    source="PyTorch forum: layers kept in a Python list are not found by model.parameters()",
    note="a plain list instead of nn.ModuleList",
)
def usual_python_list_of_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Listed(sick), friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters",
    task="classification",
    good=0.9,
    source="GitHub: model = make_model() called again after the optimizer had been built",
    note="the optimizer moves the weights of another copy of the net",
)
def usual_optimizer_of_another_copy(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    first, second = digit_cnn(), digit_cnn()
    optimizer = Adam((first if sick else second).parameters(), lr=3e-3)
    return case(second, digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 8)


class Forgetful(nn.Module):
    """Embedding, recurrent layer and head, with a detach before the head or without."""

    def __init__(self, detached: bool) -> None:
        super().__init__()
        self.embed, self.gru, self.head = nn.Embedding(20, 8), nn.GRU(8, 12, batch_first=True), nn.Linear(12, 3)
        self.detached = detached

    def forward(self, x: Tensor) -> Tensor:
        h = self.gru(self.embed(x))[0][:, -1]
        return self.head(h.detach() if self.detached else h)


@program(
    PROGRAMS,
    faults="unused-parameters frozen-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer vanishing-gradient",
    task="classification",
    good=0.8,
    source="PyTorch forum: hidden.detach() in forward to get rid of 'backward through the graph a second time'",
    note="a detach behind the recurrent layer: neither it nor the embedding gets a gradient",
)
def usual_detach_in_forward(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Forgetful(sick), tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="overfitting input-not-normalized too-few-epochs",
    task="classification",
    good=0.85,
    source="PyTorch forum: eval() much worse than train(); momentum=0.001 was copied from TensorFlow's 0.999",
    note="the running averages hardly leave 0 and 1 in the few batches there are",
)
def usual_running_averages_that_lag(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    slow = 0.0002 if sick else 0.1
    hidden = [nn.Linear(64, 48), nn.BatchNorm1d(48, momentum=slow), nn.ReLU()]
    second = [nn.Linear(48, 48), nn.BatchNorm1d(48, momentum=slow), nn.ReLU()]
    model = nn.Sequential(*hidden, *second, nn.Linear(48, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 6)


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms="batch-size-extreme bn-train-eval-mismatch oscillating-loss lr-too-high underfitting-capacity",
    task="regression",
    good=0.75,
    source="PyTorch forum: batch norm with batch size 2 because of the memory",
    note="statistics of two rows are noise",
)
def usual_norm_over_two_rows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    blocks: list[nn.Module] = []
    for wide in (8, 32, 32):
        blocks += [nn.Linear(wide, 32), nn.BatchNorm1d(32), nn.ReLU()]
    model = nn.Sequential(*blocks, nn.Linear(32, 1))
    return case(model, friedman(seed, 600), nn.MSELoss(), partial(Adam, lr=3e-3), 2 if sick else 32, 20)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=STUCK,
    task="classification",
    good=0.9,
    source="TensorFlow users: keep_prob=0.9 became nn.Dropout(0.9)",
    note="nine units in ten are dropped in both hidden layers",
)
def usual_keep_probability_as_rate(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    p = 0.9 if sick else 0.1
    model = nn.Sequential(
        *(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(p), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(p), nn.Linear(32, 10))
    )
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations vanishing-gradient dead-relu",
    task="classification",
    good=0.9,
    source="PyTorch forum: Adam(weight_decay=1) because L2 was to be strong",
    note="the decay draws all weights to zero",
)
def usual_decay_of_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=2e-3, weight_decay=1.0 if sick else 1e-4)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 10)
