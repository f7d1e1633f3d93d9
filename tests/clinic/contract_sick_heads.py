"""Programs made ill by a head or a loss that does not fit, and programs that crash."""

import torch
from contract_parts import (
    Functional,
    Listener,
    Tagger,
    cancer,
    ce,
    cnn,
    curve,
    digits,
    digits_mlp,
    mlp,
    picture,
    program,
    several_labels,
    sick,
    standard,
    tokens,
    waves,
    wine,
)
from torch import nn
from torch.nn import functional as F

from trainwell.training.program import Program


@sick("loss-output-mismatch")
def softmax_twice(seed: int) -> Program:
    return digits_mlp(seed, model=lambda: mlp(64, 32, 10, end=nn.Softmax(dim=1)))


@sick("loss-output-mismatch")
def softmax_function_twice(seed: int) -> Program:
    model = lambda: Functional(Tagger(), lambda z: F.softmax(z, dim=1))  # noqa: E731
    return program(seed, tokens(seed), model, lambda output, y: F.cross_entropy(output, y), "classification")


@sick("loss-output-mismatch")
def softmax_over_samples(seed: int) -> Program:
    return digits_mlp(seed, model=lambda: mlp(64, 32, 10, end=nn.Softmax(dim=0)))


@sick("loss-output-mismatch")
def sigmoid_twice(seed: int) -> Program:
    loss = nn.BCEWithLogitsLoss()
    return program(seed, cancer(seed), lambda: mlp(30, 16, 1, end=nn.Sigmoid()), loss, "binary")


@sick("loss-output-mismatch")
def sigmoid_function_twice(seed: int) -> Program:
    x, y = waves(seed)
    model = lambda: Functional(Listener(), torch.sigmoid)  # noqa: E731
    return program(seed, (x, y[:, None].float()), model, nn.BCEWithLogitsLoss(), "binary")


@sick("loss-output-mismatch")
def no_sigmoid(seed: int) -> Program:
    return program(seed, cancer(seed), lambda: mlp(30, 16, 1), nn.BCELoss(), "binary")


@sick("loss-output-mismatch")
def no_log_softmax(seed: int) -> Program:
    return program(seed, picture(digits(seed)), cnn, nn.NLLLoss(), "classification")


@sick("loss-output-mismatch")
def softmax_for_nll(seed: int) -> Program:
    return digits_mlp(seed, model=lambda: mlp(64, 32, 10, end=nn.Softmax(dim=1)), loss=nn.NLLLoss())


@sick("loss-output-mismatch")
def relu_at_the_end_of_regression(seed: int) -> Program:
    return program(seed, curve(seed), lambda: mlp(6, 32, 1, end=nn.ReLU()), nn.MSELoss(), "regression")


@sick("loss-output-mismatch")
def relu_before_cross_entropy(seed: int) -> Program:
    return program(seed, picture(digits(seed)), lambda: cnn(end=nn.ReLU()), ce(), "classification", sgd=0.05)


@sick("loss-output-mismatch")
def tanh_for_large_targets(seed: int) -> Program:
    x, y = curve(seed)
    return program(seed, (x, 3 * y), lambda: mlp(6, 32, 1, end=nn.Tanh()), nn.SmoothL1Loss(), "regression")


@sick("loss-output-mismatch")
def sigmoid_autoencoder_of_standardized(seed: int) -> Program:
    x = standard(digits(seed)[0])
    return program(seed, (x, x), lambda: mlp(64, 32, 64, end=nn.Sigmoid()), nn.MSELoss(), "regression")


@sick("loss-output-mismatch")
def softmax_of_one(seed: int) -> Program:
    return program(seed, cancer(seed), lambda: mlp(30, 16, 1, end=nn.Softmax(dim=1)), nn.BCELoss(), "binary")


@sick("loss-output-mismatch")
def cross_entropy_of_one(seed: int) -> Program:
    return program(seed, cancer(seed), lambda: mlp(30, 16, 1), ce(), "binary")


@sick("loss-output-mismatch")
def nine_outputs_for_ten(seed: int) -> Program:
    return digits_mlp(seed, model=lambda: mlp(64, 32, 9))


@sick("loss-output-mismatch")
def loss_of_each(seed: int) -> Program:
    return digits_mlp(seed, loss=nn.CrossEntropyLoss(reduction="none"))


@sick("wrong-loss-for-task")
def squared_error_of_codes(seed: int) -> Program:
    x, y = digits(seed)
    data = (x, y[:, None].float())
    return program(seed, data, lambda: mlp(64, 32, 1), nn.MSELoss(), "classification")


@sick("wrong-loss-for-task")
def binary_loss_of_ten(seed: int) -> Program:
    x, y = picture(digits(seed))
    return program(seed, (x, y[:, None].float()), lambda: cnn(1), nn.BCEWithLogitsLoss(), "classification")


@sick("wrong-loss-for-task")
def one_class_of_several_labels(seed: int) -> Program:
    return program(seed, several_labels(seed), lambda: mlp(12, 32, 5), ce(), "multilabel")


@sick("wrong-loss-for-task")
def cross_entropy_of_quantities(seed: int) -> Program:
    return program(seed, curve(seed), lambda: mlp(6, 32, 1), ce(), "regression")


@sick("wrong-loss-for-task")
def binary_loss_of_quantities(seed: int) -> Program:
    return program(seed, curve(seed), lambda: mlp(6, 32, 1, end=nn.Sigmoid()), nn.BCELoss(), "regression")


@sick("wrong-loss-for-task")
def squared_error_against_codes(seed: int) -> Program:
    x, y = tokens(seed)
    return program(seed, (x, y[:, None].float()), Tagger, nn.MSELoss(), "classification")


@sick("program-crashes")
def layer_of_another_size(seed: int) -> Program:
    model = lambda: nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(24, 10))  # noqa: E731
    return digits_mlp(seed, model=model)


@sick("program-crashes")
def flattened_to_another_size(seed: int) -> Program:
    model = lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))  # noqa: E731
    return program(seed, picture(digits(seed)), model, ce(), "classification")


@sick("program-crashes")
def picture_without_flatten(seed: int) -> Program:
    return program(seed, picture(digits(seed)), lambda: mlp(64, 32, 10), ce(), "classification")


@sick("program-crashes")
def channels_missing(seed: int) -> Program:
    x, y = digits(seed)
    return program(seed, (x.view(-1, 8, 8), y), cnn, ce(), "classification")


@sick("program-crashes")
def double_inputs(seed: int) -> Program:
    x, y = wine(seed)
    return program(seed, (x.double(), y), lambda: mlp(13, 16, 3), ce(), "classification")


@sick("program-crashes")
def words_beyond_table(seed: int) -> Program:
    return program(seed, tokens(seed), lambda: Tagger(words=15), ce(), "classification")


@sick("program-crashes")
def float_codes(seed: int) -> Program:
    x, y = digits(seed)
    return digits_mlp(seed, data=(x, y.float()))


@sick("program-crashes")
def long_targets_for_bce(seed: int) -> Program:
    x, y = cancer(seed)
    return program(seed, (x, y.long()), lambda: mlp(30, 16, 1), nn.BCEWithLogitsLoss(), "binary")
