"""Programs made ill by their inputs, their targets, or the order and the copies of their samples."""

import math

import torch
from contract_parts import (
    Listener,
    Tagger,
    cancer,
    ce,
    cnn,
    curve,
    diabetes,
    digits,
    digits_mlp,
    mlp,
    picture,
    program,
    sick,
    standard,
    tokens,
    waves,
    wine,
)
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from trainwell.training.program import Program


@sick("input-nonfinite")
def nan_in_table(seed: int) -> Program:
    x, y = wine(seed)
    x[::17, 3] = math.nan
    return program(seed, (x, y), lambda: mlp(13, 16, 3), ce(), "classification")


@sick("input-nonfinite")
def inf_in_series(seed: int) -> Program:
    x, y = waves(seed)
    x[5, 3] = math.inf
    return program(seed, (x, y), lambda: Listener(2), ce(), "classification")


@sick("input-not-normalized")
def wine_raw_sgd(seed: int) -> Program:
    return program(seed, wine(seed, raw=True), lambda: mlp(13, 16, 3), ce(), "classification", sgd=0.05)


@sick("input-not-normalized")
def levels_to_255(seed: int) -> Program:
    x, y = picture(digits(seed))
    return program(seed, (255 * x, y), cnn, ce(), "classification", sgd=0.05)


@sick("input-not-normalized")
def offset_thousand(seed: int) -> Program:
    x, y = curve(seed)
    return program(seed, (x + 1000, y), lambda: mlp(6, 32, 1), nn.MSELoss(), "regression")


@sick("input-not-normalized")
def scales_apart(seed: int) -> Program:
    x, y = cancer(seed, raw=True)
    return program(seed, (x, y), lambda: mlp(30, 16, 1), nn.BCEWithLogitsLoss(), "binary", sgd=0.05)


@sick("input-not-normalized")
def tiny_inputs(seed: int) -> Program:
    x, y = waves(seed)
    return program(seed, (1e-4 * x, y), lambda: Listener(2), ce(), "classification")


@sick("ill-conditioned-features")
def difference_of_twins(seed: int) -> Program:
    generator = torch.Generator().manual_seed(seed)
    common, own = torch.randn(800, 1, generator=generator), 0.02 * torch.randn(800, 6, generator=generator)
    y = (own[:, :1] - own[:, 1:2]) / 0.028
    return program(seed, (standard(common + own), y), lambda: mlp(6, 32, 1), nn.MSELoss(), "regression", sgd=0.05)


@sick("ill-conditioned-features")
def twins_of_classes(seed: int) -> Program:
    generator = torch.Generator().manual_seed(seed)
    common, own = torch.randn(800, 1, generator=generator), 0.01 * torch.randn(800, 4, generator=generator)
    y = (own[:, 0] > own[:, 1]).long()
    return program(seed, (standard(common + own), y), lambda: mlp(4, 16, 2), ce(), "classification", sgd=0.05)


@sick("label-out-of-range")
def labels_from_one(seed: int) -> Program:
    x, y = wine(seed)
    return program(seed, (x, y + 1), lambda: mlp(13, 16, 3), ce(), "classification")


@sick("label-out-of-range")
def labels_with_gaps(seed: int) -> Program:
    x, y = picture(digits(seed))
    return program(seed, (x, y * 10), cnn, nn.CrossEntropyLoss(label_smoothing=0.1), "classification")


@sick("label-out-of-range")
def minus_one_and_one(seed: int) -> Program:
    x, y = cancer(seed)
    return program(seed, (x, 2 * y - 1), lambda: mlp(30, 16, 1), nn.BCEWithLogitsLoss(), "binary")


@sick("label-out-of-range")
def one_and_two_for_bce(seed: int) -> Program:
    x, y = waves(seed)
    return program(seed, (x, y[:, None] + 1.0), Listener, nn.BCEWithLogitsLoss(), "binary")


@sick("target-shape-mismatch")
def flat_targets(seed: int) -> Program:
    x, y = curve(seed)
    return program(seed, (x, y[:, 0]), lambda: mlp(6, 32, 1), nn.MSELoss(), "regression")


@sick("target-shape-mismatch")
def column_targets_for_flat_output(seed: int) -> Program:
    model = lambda: nn.Sequential(mlp(6, 32, 1), nn.Flatten(0))  # noqa: E731
    return program(seed, curve(seed), model, lambda output, y: (output - y).square().mean(), "regression")


@sick("target-shape-mismatch")
def column_of_codes(seed: int) -> Program:
    x, y = tokens(seed)
    return program(seed, (x, y[:, None]), Tagger, ce(), "classification")


@sick("target-shape-mismatch")
def flat_targets_for_bce(seed: int) -> Program:
    x, y = cancer(seed)
    return program(seed, (x, y[:, 0]), lambda: mlp(30, 16, 1), nn.BCEWithLogitsLoss(), "binary")


@sick("targets-not-normalized")
def targets_in_hundreds(seed: int) -> Program:
    return program(seed, diabetes(seed), lambda: mlp(10, 32, 1), nn.MSELoss(), "regression", sgd=0.03)


@sick("targets-not-normalized")
def targets_in_thousands(seed: int) -> Program:
    x, y = curve(seed)
    model = lambda: mlp(6, 32, 32, 1, norm=True)  # noqa: E731
    return program(seed, (x, 5000 + 2000 * y), model, nn.L1Loss(), "regression", lr=0.001)


@sick("class-imbalance")
def one_in_fifty(seed: int) -> Program:
    generator = torch.Generator().manual_seed(seed)
    y = (torch.arange(1500) % 50 == 0).float()[torch.randperm(1500, generator=generator)]
    x = torch.randn(1500, 8, generator=generator) + 0.9 * y[:, None]
    return program(seed, (x, y[:, None]), lambda: mlp(8, 16, 1), nn.BCEWithLogitsLoss(), "binary")


@sick("class-imbalance")
def rare_of_three(seed: int) -> Program:
    generator = torch.Generator().manual_seed(seed)
    y = torch.multinomial(torch.tensor([0.9, 0.05, 0.05]), 1500, True, generator=generator)
    x = torch.randn(1500, 8, generator=generator) + 1.2 * F.one_hot(y, 8)
    return program(seed, (x, y), lambda: mlp(8, 16, 3), ce(), "classification")


@sick("unshuffled-data")
def sorted_digits(seed: int) -> Program:
    x, y = digits(seed)
    found = digits_mlp(seed, data=(x, y), shuffle=False)
    order = found.train[1].argsort(stable=True)
    return program(
        seed, (x, y), lambda: mlp(64, 32, 10), ce(), "classification",
        train=(found.train[0][order], found.train[1][order]), shuffle=False,
    )  # fmt: skip


@sick("unshuffled-data")
def sorted_loader(seed: int) -> Program:
    x, y = tokens(seed)
    order = y[:700].argsort(stable=True)
    loader = DataLoader(TensorDataset(x[:700][order], y[:700][order]), batch_size=32)
    return program(seed, (x, y), Tagger, ce(), "classification", train=loader)


@sick("duplicate-samples")
def thirty_times(seed: int) -> Program:
    x, y = digits(seed)
    rows = torch.cat([torch.arange(300), torch.arange(20).repeat(30)])
    return digits_mlp(seed, train=(x[rows], y[rows]))


@sick("duplicate-samples")
def copied_pictures(seed: int) -> Program:
    x, y = picture(digits(seed))
    rows = torch.arange(100).repeat(6)
    return program(seed, (x, y), cnn, ce(), "classification", train=(x[rows], y[rows]))


@sick("train-val-leak")
def val_in_train(seed: int) -> Program:
    x, y = digits(seed)
    return digits_mlp(seed, train=(x[:700], y[:700]), val=(x[500:], y[500:]))


@sick("train-val-leak")
def split_after_copying(seed: int) -> Program:
    x, y = curve(seed, 400)
    order = torch.arange(400).repeat(2)[torch.randperm(800, generator=torch.Generator().manual_seed(seed))]
    return program(seed, (x[order], y[order]), lambda: mlp(6, 32, 1), nn.MSELoss(), "regression")
