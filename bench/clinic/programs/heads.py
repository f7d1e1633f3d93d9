"""Heads and losses that do not fit each other or the task."""

import torch
from nets import Attention, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import blobs, cancer, digits, friedman, majority, tags, waves, wine
from torch import Tensor, nn

PROGRAMS: list[SuiteProgram] = []
FLAT = "lr-too-low too-few-epochs loss-not-decreasing vanishing-gradient wrong-loss-for-task underfitting-capacity"
TASK = "loss-output-mismatch target-shape-mismatch loss-not-decreasing underfitting-capacity program-crashes"


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=FLAT,
    task="classification",
    good=0.85,
    source="StackOverflow: softmax before CrossEntropyLoss in an encoder",
    note="softmax twice: the loss cannot fall below 0.74 and its gradient is small",
)
def encoder_with_softmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = majority(seed)
    model = Attention(4, 4)
    if sick:
        model.head.append(nn.Softmax(dim=1))
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=FLAT + " nonfinite-loss program-crashes",
    task="binary",
    good=0.9,
    source="PyTorch forum: 'all elements of input should be between 0 and 1' of BCELoss",
    note="BCELoss on raw logits: the sigmoid is missing and the loss refuses them",
)
def bce_without_sigmoid(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = cancer(seed)
    return {
        "model": mlp(30, 16, 1) if sick else nn.Sequential(*mlp(30, 16, 1), nn.Sigmoid()),
        "train": train,
        "val": val,
        "loss": nn.BCELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=FLAT + " nonfinite-loss lr-too-high",
    task="classification",
    good=0.9,
    source="PyTorch forum: NLLLoss without LogSoftmax, 'my loss is negative and goes to minus infinity'",
    note="NLLLoss of raw logits is linear in them: the largest logits win, whatever the class",
)
def nll_without_log_softmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed)
    end = [] if sick else [nn.LogSoftmax(dim=1)]
    return {
        "model": nn.Sequential(*mlp(64, 32, 10), *end),
        "train": train,
        "val": val,
        "loss": nn.NLLLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 10,
    }


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=FLAT + " targets-not-normalized saturated-activations",
    task="regression",
    good=0.8,
    source="TheDeepChecker and posts: a sigmoid at the end of a regression net",
    note="standardized targets lie between −3 and 3, a sigmoid answers between 0 and 1",
)
def sigmoid_ends_a_regression(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    end = [nn.Sigmoid()] if sick else []
    return {
        "model": nn.Sequential(*mlp(8, 32, 32, 1), *end),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=FLAT + " dead-relu",
    task="regression",
    good=0.6,
    source="StackOverflow: 'autoencoder outputs only zeros': ReLU as its last layer for centred inputs",
    note="an autoencoder of centred features that ends in ReLU cannot make the negative half",
)
def autoencoder_with_relu_output(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, _), (x_val, _) = blobs(seed, n=900, features=12, classes=5, distance=5.0)
    end = [nn.ReLU()] if sick else []
    return {
        "model": nn.Sequential(*mlp(12, 32, 8, 32, 12), *end),
        "train": (x, x),
        "val": (x_val, x_val),
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms=TASK,
    task="classification",
    good=0.9,
    source="Keras and PyTorch posts: mean squared error between one output and class numbers",
    note="one output is fitted to the class numbers 0 ... 5 as if they were amounts",
)
def class_numbers_by_regression(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = blobs(seed, n=900, features=8, classes=6, distance=4.5)
    if sick:
        y, y_val = y.float()[:, None], y_val.float()[:, None]
    return {
        "model": mlp(8, 24, 1 if sick else 6),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.MSELoss() if sick else nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms="vanishing-gradient lr-too-low too-few-epochs loss-not-decreasing underfitting-capacity "
    "input-constant-feature saturated-activations",
    task="classification",
    good=0.85,
    source="Nielsen 2015, chapter 3: quadratic cost on softmax outputs learns slowly",
    note="squared error between softmax outputs and one-hot rows with SGD",
)
def squared_error_of_softmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed)
    if sick:
        y, y_val = nn.functional.one_hot(y, 10).float(), nn.functional.one_hot(y_val, 10).float()
    end = [nn.Softmax(dim=1)] if sick else []
    return {
        "model": nn.Sequential(*mlp(64, 32, 10), *end),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.MSELoss() if sick else nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.1),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms=TASK + " class-imbalance lr-too-low too-few-epochs",
    task="multilabel",
    good=0.85,
    source="PyTorch forum: CrossEntropyLoss for several labels a sample",
    note="cross entropy over labels that do not exclude each other pushes them against each other",
)
def softmax_loss_for_tags(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = tags(seed, offset=-0.7)
    return {
        "model": mlp(12, 32, 5),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss() if sick else nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms="target-shape-mismatch loss-not-decreasing vanishing-gradient",
    task="binary",
    good=0.9,
    source="StackOverflow: CrossEntropyLoss with one output, 'loss is always 0'",
    note="the softmax of a single output is 1 whatever it is: loss and gradient are exactly zero",
)
def cross_entropy_of_one_output(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = cancer(seed)
    return {
        "model": mlp(30, 16, 1),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss() if sick else nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms=TASK + " target-shape-mismatch",
    task="classification",
    good=0.9,
    source="PyTorch forum: 'expected scalar type Float but found Long' and sizes that do not match, MSELoss on classes",
    note="MSELoss between three logits and class indices does not run at all",
)
def squared_error_of_indices(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = wine(seed)
    return {
        "model": mlp(13, 16, 3),
        "train": train,
        "val": val,
        "loss": nn.MSELoss() if sick else nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 16,
        "epochs": 15,
    }


def ascending(output: Tensor, y: Tensor) -> Tensor:
    """Minus the squared error."""
    return -(output - y).square().mean()


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms="nonfinite-loss lr-too-high exploding-gradient loss-not-decreasing exploding-activations "
    "loss-output-mismatch dead-relu",
    task="regression",
    good=0.8,
    source="posts of a sign lost in a custom loss: the optimizer maximizes the error",
    note="the custom loss is minus the squared error, which descent makes as large as it can",
)
def sign_lost_in_the_loss(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": mlp(8, 24, 1),
        "train": train,
        "val": val,
        "loss": ascending if sick else nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms="loss-output-mismatch lr-too-low too-few-epochs loss-not-decreasing dead-relu",
    task="regression",
    good=0.5,
    source="posts of BCEWithLogitsLoss for amounts because 'it worked in the classification tutorial'",
    note="binary cross entropy against standardized amounts drives the outputs out of all bounds",
)
def cross_entropy_of_amounts(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = waves(seed, n=700)
    y, y_val = (y.float()[:, None] - 1) * 1.5, (y_val.float()[:, None] - 1) * 1.5
    return {
        "model": wave_cnn(classes=1),
        "train": (x, y),
        "val": (x_val, y_val),
        "loss": nn.BCEWithLogitsLoss() if sick else nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 12,
    }
