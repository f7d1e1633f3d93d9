"""Rates that the curvature does not bear, rates that get nowhere, gradients and losses that leave the finite."""

import torch
from nets import Attention, ResidualMLP, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import blobs, cancer, diabetes, digits, friedman, majority, sums, tags, tokens, waves
from torch import Tensor, nn

PROGRAMS: list[SuiteProgram] = []
HIGH = (
    "oscillating-loss nonfinite-loss loss-not-decreasing exploding-gradient exploding-activations dead-relu "
    "saturated-activations momentum-too-high"
)
LOW = "too-few-epochs loss-not-decreasing underfitting-capacity"


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=HIGH + " input-constant-feature",
    task="classification",
    good=0.9,
    source="UMLAUT's rule on Adam rates above 0.01; forum posts 'loss stuck at 2.30 on digits'",
    note="Adam at 0.3 kills the ReLUs of a small CNN within a few steps",
)
def cnn_adam_rate_a_third(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed, image=True)
    return {
        "model": digit_cnn(),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.3 if sick else 0.005),
        "batch_size": 32,
        "epochs": 8,
    }


@program(
    PROGRAMS,
    faults="lr-too-high oscillating-loss",
    symptoms=HIGH,
    task="regression",
    good=0.85,
    source="Goodfellow et al. 2016, section 8.3.1: a rate at which the loss swings instead of falling",
    note="RMSprop at 0.3 on a tanh net: every step is of the size of the weights",
)
def rmsprop_rate_of_a_third(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": mlp(8, 32, 32, 1, activation=nn.Tanh),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.RMSprop(p, lr=0.3 if sick else 0.003),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=HIGH,
    task="classification",
    good=0.92,
    source="questions on transformers that predict one class for everything; Popel & Bojar 2018 on rates and warm-up",
    note="an encoder at Adam's 0.2 learns a part and forgets it again",
)
def encoder_rate_of_a_fifth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = majority(seed)
    return {
        "model": Attention(4, 4),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.2 if sick else 0.005),
        "batch_size": 32,
        "epochs": 8,
    }


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=HIGH,
    task="regression",
    good=0.35,
    source="lecture homework: linear regression by gradient descent, 'my MSE goes to inf'",
    note="full-batch-like descent on ten linear weights with a rate above 2 / largest eigenvalue",
)
def linear_regression_diverges(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = diabetes(seed)
    return {
        "model": nn.Linear(10, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.8 if sick else 0.03),
        "batch_size": 64,
        "epochs": 40,
    }


@program(
    PROGRAMS,
    faults="lr-too-high oscillating-loss",
    symptoms=HIGH,
    task="classification",
    good=0.9,
    source="AUTOTRAINER 'oscillating loss': SGD rates of 1 and more on convolutional nets",
    note="SGD at 2 with momentum on a one-dimensional CNN",
)
def wave_cnn_sgd_rate_of_two(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = waves(seed)
    return {
        "model": wave_cnn(),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=2.0 if sick else 0.03, momentum=0.9),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=HIGH,
    task="classification",
    good=0.8,
    source="PyTorch forum: OneCycleLR with max_lr taken from a range test's worst end",
    note="one cycle peaks at a rate of 1 with Adam",
)
def one_cycle_peaks_at_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = tokens(seed)
    return {
        "model": TokenRNN(20, 3),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "scheduler": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0 if sick else 0.01, total_steps=15 * 22),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=LOW + " input-constant-feature",
    task="classification",
    good=0.9,
    source="DeepFD's fault 'learning rate', StackOverflow questions with SGD(lr=1e-5)",
    note="SGD at 1e-5 leaves the digits where they started",
)
def digits_sgd_rate_tiny(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed)
    return {
        "model": mlp(64, 32, 10),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=1e-5 if sick else 0.1, momentum=0.9),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=LOW,
    task="regression",
    good=0.85,
    source="AUTOTRAINER 'slow convergence'",
    note="Adam at 1e-6: weights move by a thousandth in the whole training",
)
def adam_rate_of_a_millionth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": mlp(8, 48, 48, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=1e-6 if sick else 3e-3),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=LOW,
    task="classification",
    good=0.85,
    source="PyTorch forum: StepLR stepped once a batch although its step_size was meant in epochs",
    note="the schedule divides the rate by ten every five batches, so after one epoch nothing moves",
)
def step_schedule_counts_batches(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = tokens(seed)
    return {
        "model": TokenRNN(20, 3),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "scheduler": lambda o: torch.optim.lr_scheduler.StepLR(o, 5 if sick else 10 * 22, gamma=0.1),
        "batch_size": 32,
        "epochs": 14,
    }


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=LOW,
    task="multilabel",
    good=0.85,
    source="questions after copying a fine-tuning rate (2e-5) into a training from scratch",
    note="AdamW at 2e-5 from random weights",
)
def fine_tuning_rate_from_scratch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = tags(seed)
    return {
        "model": mlp(12, 32, 5),
        "train": train,
        "val": val,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.AdamW(p, lr=2e-5 if sick else 5e-3, weight_decay=0.01),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=LOW,
    task="classification",
    good=0.9,
    source="homework posts: warm-up over more steps than the training has",
    note="linear warm-up over 100 000 steps, the training has 300",
)
def warm_up_never_ends(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = majority(seed)
    long = 100_000 if sick else 40
    return {
        "model": Attention(4, 4),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.AdamW(p, lr=5e-3, weight_decay=0.01),
        "scheduler": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda i: min(1.0, (i + 1) / long)),
        "batch_size": 32,
        "epochs": 10,
    }


@program(
    PROGRAMS,
    faults="exploding-gradient bad-init-scale",
    symptoms="lr-too-high nonfinite-loss oscillating-loss loss-not-decreasing exploding-activations "
    "saturated-activations",
    task="regression",
    good=0.8,
    source="Pascanu et al. 2013: recurrent nets whose gradient explodes, cured by clipping",
    note="a ReLU recurrence started at 1.5 times the identity multiplies its gradient at every one of 16 time steps",
)
def relu_recurrence_explodes(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = sums(seed, length=16)
    model = SeriesRNN(2, 1, 32)
    model.rnn = nn.RNN(2, 32, nonlinearity="relu", batch_first=True)
    nn.init.eye_(model.rnn.weight_hh_l0)
    with torch.no_grad():
        model.rnn.weight_hh_l0.mul_(1.5 if sick else 1.0)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.003),
        "batch_size": 32,
        "epochs": 20,
        "clip_grad": None if sick else 1.0,
    }


@program(
    PROGRAMS,
    faults="exploding-gradient bad-init-scale",
    symptoms="lr-too-high nonfinite-loss oscillating-loss loss-not-decreasing exploding-activations "
    "too-deep-for-width dead-relu",
    task="regression",
    good=0.75,
    source="AUTOTRAINER 'gradient explosion'; deep nets with weights of std 0.5 as in textbook examples",
    note="eight layers whose weights are drawn three times too large: the gradient grows threefold a layer",
)
def deep_net_gradient_explodes(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    model = mlp(8, *[32] * 8, 1)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            with torch.no_grad():
                layer.weight.mul_(3.0 if sick else 1.0)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.005, momentum=0.9),
        "batch_size": 32,
        "epochs": 20,
    }


class EntropyByHand:
    """Binary cross entropy as it stands in lectures, −y log p − (1 − y) log(1 − p), of probabilities."""

    def __call__(self, output: Tensor, y: Tensor) -> Tensor:
        return -(y * output.log() + (1 - y) * (1 - output).log()).mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="loss-output-mismatch lr-too-high wrong-loss-for-task exploding-gradient loss-not-decreasing "
    "saturated-activations overfitting",
    task="binary",
    good=0.9,
    source="StackOverflow: 'binary cross entropy by hand gives nan', log(0) of a probability rounded to 0 or 1",
    note="once a sigmoid rounds to exactly 1, log(1 − p) is −inf and 0 · inf is NaN",
)
def log_of_zero_by_hand(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = cancer(seed)
    head = [nn.Sigmoid()] if sick else []
    return {
        "model": nn.Sequential(*mlp(30, 32, 1), *head),
        "train": train,
        "val": val,
        "loss": EntropyByHand() if sick else nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.03),
        "batch_size": 32,
        "epochs": 25,
    }


class RootError:
    """Root of the mean squared error of each sample, plus ``floor`` under the root."""

    def __init__(self, floor: float) -> None:
        self.floor = floor

    def __call__(self, output: Tensor, y: Tensor) -> Tensor:
        return ((output - y).square().sum(1) + self.floor).sqrt().mean()


@program(
    PROGRAMS,
    faults="nonfinite-loss",
    symptoms="wrong-loss-for-task dead-relu lr-too-high loss-not-decreasing exploding-gradient "
    "loss-output-mismatch input-constant-feature",
    task="regression",
    good=0.7,
    source="pytorch issues on the gradient of sqrt at 0 (RMSE loss that becomes NaN)",
    note="the root of an error that is exactly zero has an infinite slope: rows of zeros are reproduced exactly",
)
def root_of_zero_error(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, _), (x_val, _) = blobs(seed, n=900, features=12, classes=4, distance=4.0)
    x[::60] = 0.0
    model = nn.Sequential(nn.Linear(12, 8, bias=False), nn.ReLU(), nn.Linear(8, 12, bias=False))
    return {
        "model": model,
        "train": (x, x),
        "val": (x_val, x_val),
        "loss": RootError(0.0 if sick else 1e-6),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=HIGH + " bn-train-eval-mismatch",
    task="binary",
    good=0.9,
    source="homework: logistic regression with a rate of 100 'to be faster'",
    note="a residual net at SGD 5: weights blow up in the first epoch",
)
def sgd_rate_of_five(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = cancer(seed)
    return {
        "model": ResidualMLP(30, 1, blocks=3),
        "train": train,
        "val": val,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=5.0 if sick else 0.05),
        "batch_size": 32,
        "epochs": 15,
    }
