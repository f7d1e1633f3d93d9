"""A deep-learning course's exercises gone wrong, third part: habits of training, nets and two mistakes at a time."""

from functools import partial

import torch
from enrol import case
from nets import SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program, two_causes
from samples import blobs, diabetes, digits, friedman, split, tags, tokens, waves, wine
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import StepLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs input-constant-feature"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations momentum-too-high"
)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms=WILD + " too-few-epochs " + STUCK,
    task="regression",
    good=0.8,
    source="lecture 'heavy ball', exercise: 'more momentum, fewer iterations'",
    note="a momentum of 0.999 sums a thousand gradients: the iterate swings past every valley",
)
def course_ball_too_heavy(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.01, momentum=0.999 if sick else 0.9)
    return case(mlp(8, 48, 24, 1, activation=nn.Tanh), friedman(seed), nn.MSELoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations vanishing-gradient dead-relu",
    task="classification",
    good=0.92,
    source="assignment 'regularization': lambda = 0.1 of the support vector machine kept for the net",
    note="decay pulls all weights to zero faster than the loss can raise them",
)
def course_lambda_of_the_machine(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.05, momentum=0.9, weight_decay=0.1 if sick else 1e-4)
    return case(mlp(64, 48, 48, 10), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 15)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms=STUCK,
    task="classification",
    good=0.9,
    source="lecture 'minibatch': the whole set fits into memory, so why not",
    note="one step an epoch, twelve steps in all",
)
def course_one_step_an_epoch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.04, momentum=0.9)
    size = 1257 if sick else 32
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, size, 12)


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms=WILD + " " + STUCK,
    task="classification",
    good=0.9,
    source="PyTorch forum: batch_size=1 with the rate of the tutorial, accuracy 10 %",
    note="single samples at a rate and momentum that need an average",
)
def course_single_samples(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.05, momentum=0.9)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 1 if sick else 32, 6)


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing input-constant-feature",
    task="classification",
    good=0.9,
    source="lecture 'premature sloping is a sign of early stopping: increase the number of epochs'",
    note="two epochs of a curve that still falls steeply",
)
def course_stopped_on_the_slope(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.02, momentum=0.5)
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 2 if sick else 30)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="",
    task="regression",
    good=0.35,
    source="lecture 'overfitting', exercise on the diabetes table: no regularization, 200 epochs",
    note="three hundred noisy rows learned by heart by a wide net",
)
def course_diabetes_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(AdamW, lr=2e-3, weight_decay=0.0 if sick else 0.3)
    return case(mlp(10, 128, 128, 1), diabetes(seed), nn.MSELoss(), optimizer, 32, 150 if sick else 6)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="",
    task="classification",
    good=0.8,
    source="Zhang et al. 2017 as a course project: thirty per cent of the labels drawn by lot",
    note="the random labels are fitted as well, given time and width",
)
def course_random_labels_fitted(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = blobs(seed, 800, distance=3.5)
    y = torch.where(torch.rand(len(y)) < 0.3, torch.randint(0, 4, (len(y),)), y)
    optimizer = partial(AdamW, lr=2e-3, weight_decay=0.0 if sick else 0.1)
    return case(mlp(10, 256, 128, 4), ((x, y), val), nn.CrossEntropyLoss(), optimizer, 32, 80 if sick else 4)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="loss-not-decreasing too-few-epochs lr-too-low input-constant-feature vanishing-gradient",
    task="regression",
    good=0.7,
    source="exercise 'autoencoder': a code of two numbers, for the picture of the latent plane",
    note="two numbers cannot tell the pixels of a digit, twenty-four can",
)
def course_code_of_two(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, x) for x, _ in digits(seed))
    return case(mlp(64, 48, 2 if sick else 24, 48, 64), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " unused-parameters parameters-not-in-optimizer",
    task="classification",
    good=0.8,
    source="transfer-learning tutorial: the loop that freezes the backbone, on a net without pre-training",
    note="embedding and recurrence keep their random start; only the head learns",
)
def course_backbone_frozen_untrained(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = TokenRNN(20, 3)
    for part in (model.embed, model.rnn):
        part.requires_grad_(not sick)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 25)


class Listed(nn.Module):
    """Hidden layers in a list of Python, or in one of PyTorch."""

    def __init__(self, hidden: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(8, 16), nn.Linear(16, 16)]
        self.hidden = layers if hidden else nn.ModuleList(layers)
        self.head = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = layer(x).tanh()
        return self.head(x)


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters",
    task="regression",
    good=0.8,
    source="StackOverflow: layers in a plain list do not show up in model.parameters()",
    note="self.layers = [...] hides the layers from the optimizer",
)
def course_layers_in_a_list(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Listed(sick), friedman(seed), nn.MSELoss(), partial(Adam, lr=0.01), 32, 30)


class Forgetful(nn.Module):
    """A net of three layers whose forward pass may leave out the hidden ones."""

    def __init__(self, leave_out: bool) -> None:
        super().__init__()
        self.inlet, self.body, self.head = nn.Linear(8, 32), mlp(32, 32, 32), nn.Linear(32, 1)
        self.leave_out = leave_out

    def forward(self, x: Tensor) -> Tensor:
        h = self.inlet(x)
        return self.head(h if self.leave_out else self.body(h.relu()).relu())


@program(
    PROGRAMS,
    faults="unused-parameters missing-nonlinearity",
    symptoms=STUCK,
    task="regression",
    good=0.8,
    source="course forum: self.head(h) where self.head(z) was meant",
    note="the hidden layers are computed nowhere: what is left is linear",
)
def course_wrong_variable_in_forward(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Forgetful(sick), friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


class Piling(SGD):
    """Plain descent that never clears gradients, as when zero_grad is left out of the loop."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Leave them as they are."""


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms=WILD,
    task="regression",
    good=0.8,
    source="assignment 'training loop': optimizer.zero_grad() forgotten",
    note="each step follows the sum of all gradients so far",
)
def course_gradients_pile_up(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(mlp(8, 48, 24, 1), friedman(seed), nn.MSELoss(), partial(Piling if sick else SGD, lr=0.05), 32, 20)


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=WILD + " ill-conditioned-features underfitting-capacity saturated-activations vanishing-gradient",
    task="classification",
    good=0.9,
    source="course project: the column 'year' is 2019 in every row",
    note="a constant of 2019 beside standardized columns",
)
def course_year_is_2019(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((torch.cat([x, torch.full((len(x), 1), 2019.0 if sick else 0.0)], 1), y) for x, y in wine(seed))
    return case(mlp(14, 24, 3, activation=nn.Tanh), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.1), 16, 20)


@program(
    PROGRAMS,
    faults="oscillating-loss lr-too-high",
    symptoms=WILD + " batch-size-extreme",
    task="regression",
    good=0.85,
    source="lecture 'SGD at constant step stalls at a noise floor': no decay of the rate",
    note="Adam at 0.4 jumps about the minimum; premature flattening is a sign of a large rate",
)
def course_floor_of_noise(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 0.4 if sick else 5e-3
    return case(mlp(8, 48, 24, 1), friedman(seed, noise=0.3), nn.MSELoss(), partial(Adam, lr=rate), 16, 15)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK + " vanishing-gradient exploding-gradient",
    task="regression",
    good=0.9,
    source="lecture 'gradient clipping': clip_grad_norm_ with 1e-4, 'to be on the safe side'",
    note="every step of SGD is cut to a hundred-thousandth",
)
def course_clipped_to_nothing(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    start = 6.3 * torch.rand(600, 1)
    wave = (start + 0.4 * torch.arange(13)).sin() + 0.05 * torch.randn(600, 13)
    parts = split(wave[:, :12, None], wave[:, 12:], seed)
    optimizer = partial(SGD, lr=0.1, momentum=0.9)
    return case(SeriesRNN(1, 1), parts, nn.MSELoss(), optimizer, 32, 20, clip_grad=1e-4 if sick else 1.0)


@two_causes(
    PROGRAMS,
    causes="loss-output-mismatch lr-too-low",
    symptoms=STUCK + " vanishing-gradient",
    task="classification",
    good=0.85,
    source="assignment 1 with two leftovers: the softmax in forward() and the rate of the gradient check",
    note="softmax before cross entropy, and SGD at 0.0005",
)
def course_softmax_and_small_steps(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*digit_cnn(), *([nn.Softmax(1)] if "loss-output-mismatch" in causes else []))
    optimizer = partial(SGD, lr=5e-4 if "lr-too-low" in causes else 0.1, momentum=0.5)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 12)


@two_causes(
    PROGRAMS,
    causes="targets-not-normalized missing-nonlinearity",
    symptoms=STUCK,
    task="regression",
    good=0.8,
    source="Kaggle prices: a net of linear layers, prices in thousands",
    note="targets near 20000 for Adam's small steps, and no activation between the layers",
)
def course_linear_net_for_prices(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    parts = friedman(seed)
    if "targets-not-normalized" in causes:
        parts = tuple((x, 20_000 + 6000 * y) for x, y in parts)
    model = mlp(8, 48, 24, 1, activation=nn.Identity if "missing-nonlinearity" in causes else nn.ReLU)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@two_causes(
    PROGRAMS,
    causes="symmetric-init unshuffled-data",
    symptoms=STUCK + " oscillating-loss bad-init-scale dead-relu lr-too-high class-imbalance",
    task="classification",
    good=0.9,
    source="assignment 'initialization', handed in with sorted digits and shuffle=False",
    note="constant weights make one unit of many, and each class is forgotten for the next",
)
def course_alike_and_in_order(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    order = y.argsort()
    model = mlp(64, 32, 10)
    if "symmetric-init" in causes:
        for p in model.parameters():
            nn.init.constant_(p, 0.05)
    shuffle = "unshuffled-data" not in causes
    parts = ((x[order], y[order]), val)
    return case(model, parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 15, shuffle=shuffle)


@two_causes(
    PROGRAMS,
    causes="input-not-normalized weight-decay-too-high",
    symptoms=WILD + " " + STUCK + " ill-conditioned-features vanishing-activations vanishing-gradient",
    task="classification",
    good=0.88,
    source="course project on chemical analyses: the raw table, and weight_decay=1 'against overfitting'",
    note="proline in the hundreds beside hues near one, and a decay that flattens every weight",
)
def course_raw_wine_flattened(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    parts = wine(seed, raw="input-not-normalized" in causes)
    optimizer = partial(Adam, lr=5e-3, weight_decay=1.0 if "weight-decay-too-high" in causes else 0.0)
    return case(mlp(13, 24, 3), parts, nn.CrossEntropyLoss(), optimizer, 16, 15)


@two_causes(
    PROGRAMS,
    causes="dropout-too-high lr-too-low",
    symptoms=STUCK + " overfitting vanishing-gradient bn-train-eval-mismatch",
    task="classification",
    good=0.9,
    source="PyTorch forum: a net for signals with three dropouts of 0.95, StepLR stepped in the inner loop",
    note="one value in twenty passes, and the rate falls tenfold after every fifth batch",
)
def course_dropped_and_stepped(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    body = wave_cnn()
    drop = 0.95 if "dropout-too-high" in causes else 0.05
    model = nn.Sequential(*body[:2], nn.Dropout(drop), *body[2:5], nn.Dropout(drop), *body[5:])
    plan = partial(StepLR, step_size=5 if "lr-too-low" in causes else 150, gamma=0.1)
    return case(model, waves(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12, scheduler=plan)


@two_causes(
    PROGRAMS,
    causes="wrong-loss-for-task frozen-parameters",
    symptoms=STUCK + " loss-output-mismatch unused-parameters parameters-not-in-optimizer",
    task="multilabel",
    good=0.88,
    source="StackOverflow: cross entropy for several labels at once, hidden layers frozen as in the tutorial",
    note="cross entropy lets labels compete, and a narrow random layer cannot tell them",
)
def course_competing_labels_frozen(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = mlp(12, 8, 5, activation=nn.Tanh)
    model[0].requires_grad_("frozen-parameters" not in causes)
    loss = nn.CrossEntropyLoss() if "wrong-loss-for-task" in causes else nn.BCEWithLogitsLoss()
    return case(model, tags(seed), loss, partial(Adam, lr=0.01), 32, 20)
