"""Healthy multilayer perceptrons that classify: many look as if something ailed them."""

import torch
from enrol import case, healthy
from program import Case, SuiteProgram
from samples import blobs, cancer, digits, iris, rings, wine
from torch import nn

PROGRAMS: list[SuiteProgram] = []


@healthy(PROGRAMS, "classification", 0.9, "nothing unusual: two hidden layers, Adam at its default rate")
def plain_digits(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=1e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "a hidden layer of sigmoid units, which one layer deep do no harm")
def sigmoid_layer_wine(seed: int) -> Case:
    return case(
        nn.Sequential(nn.Linear(13, 24), nn.Sigmoid(), nn.Linear(24, 3)),
        wine(seed),
        nn.CrossEntropyLoss(),
        lambda p: torch.optim.Adam(p, lr=0.02),
        16,
        30,
    )


@healthy(PROGRAMS, "classification", 0.9, "pixels of 0 to 16 as they are: Adam has no trouble with them")
def raw_digits(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    return case(model, digits(seed, raw=True), nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=1e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "centimetres as they are, all of one scale")
def raw_iris(seed: int) -> Case:
    return case(
        nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3)),
        iris(seed, raw=True),
        nn.CrossEntropyLoss(),
        lambda p: torch.optim.Adam(p, lr=0.01),
        10,
        60,
    )


@healthy(PROGRAMS, "classification", 0.92, "a rate of 0.5, which batch normalization bears")
def rate_half_batch_norm(seed: int) -> Case:
    model = nn.Sequential(
        nn.Linear(64, 64, bias=False),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 64, bias=False),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    return case(model, digits(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=0.5), 64, 20)


@healthy(PROGRAMS, "binary", 0.92, "Adam at ten times its default rate on a net that bears it")
def adam_hundredth_cancer(seed: int) -> Case:
    return case(
        nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 1)),
        cancer(seed),
        nn.BCEWithLogitsLoss(),
        lambda p: torch.optim.Adam(p, lr=0.01),
        32,
        15,
    )


@healthy(PROGRAMS, "classification", 0.9, "batches of three, but layer normalization does not mind")
def tiny_batches_layer_norm(seed: int) -> Case:
    model = nn.Sequential(
        nn.Linear(13, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 3)
    )
    return case(model, wine(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=0.01), 3, 25)


@healthy(PROGRAMS, "classification", 0.9, "momentum 0.98, but a rate so small that the steps are usual ones")
def large_momentum_small_rate(seed: int) -> Case:
    return case(
        nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
        digits(seed),
        nn.CrossEntropyLoss(),
        lambda p: torch.optim.SGD(p, lr=3e-3, momentum=0.98),
        32,
        20,
    )


@healthy(PROGRAMS, "classification", 0.92, "a frozen layer of 600 random features: the head alone learns, on purpose")
def frozen_random_features(seed: int) -> Case:
    features = nn.Linear(64, 600).requires_grad_(False)
    nn.init.normal_(features.weight, std=(2 / 64) ** 0.5)
    head = nn.Linear(600, 10)
    return case(
        nn.Sequential(features, nn.ReLU(), head),
        digits(seed),
        nn.CrossEntropyLoss(),
        lambda p: torch.optim.Adam([q for q in p if q.requires_grad], lr=3e-3),
        32,
        20,
    )


@healthy(PROGRAMS, "classification", 0.9, "the last layer starts at zero, which only makes all classes equal at first")
def zero_last_layer(seed: int) -> Case:
    last = nn.Linear(64, 10)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return case(
        nn.Sequential(nn.Linear(64, 64), nn.ReLU(), last),
        digits(seed),
        nn.CrossEntropyLoss(),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        32,
        15,
    )


@healthy(PROGRAMS, "classification", 0.9, "two linear layers in a row: a bottleneck of 16 that saves weights")
def linear_bottleneck(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 16, bias=False), nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=2e-3), 32, 20)


@healthy(PROGRAMS, "binary", 0.9, "one sample in sixteen is positive, but lies apart and is learned", metric="balanced")
def imbalanced_but_learned(seed: int) -> Case:
    (x, y), (x_val, y_val) = blobs(seed, 1600, 8, 16, 5.0)
    return case(
        nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1)),
        ((x, (y == 0).float()[:, None]), (x_val, (y_val == 0).float()[:, None])),
        nn.BCEWithLogitsLoss(),
        lambda p: torch.optim.Adam(p, lr=5e-3),
        32,
        20,
    )


@healthy(PROGRAMS, "classification", 0.9, "not shuffled, but the order says nothing of the classes")
def unshuffled_random_order(seed: int) -> Case:
    return case(
        nn.Sequential(nn.Linear(64, 48), nn.GELU(), nn.Linear(48, 10)),
        digits(seed),
        nn.CrossEntropyLoss(),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        32,
        20,
        shuffle=False,
    )


@healthy(PROGRAMS, "classification", 0.95, "many equal rows, in training and validation: 128 of them exist at all")
def duplicates_by_chance(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 2, (1000, 7), generator=draw).float()
    y = (x.sum(1) >= 4).long()
    return case(
        nn.Sequential(nn.Linear(7, 24), nn.ReLU(), nn.Linear(24, 2)),
        ((x[:700], y[:700]), (x[700:], y[700:])),
        nn.CrossEntropyLoss(),
        lambda p: torch.optim.Adam(p, lr=5e-3),
        32,
        20,
    )


@healthy(PROGRAMS, "classification", 0.87, "features with a few values of fifty standard deviations, tamed by a tanh")
def heavy_tails(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    core = torch.randn(1800, 8, generator=draw)
    y = (core[:, 0] + core[:, 1] * core[:, 2] > 0).long()
    x = torch.sinh(1.2 * core)
    model = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    return case(
        model,
        ((x[:1400], y[:1400]), (x[1400:], y[1400:])),
        nn.CrossEntropyLoss(),
        lambda p: torch.optim.Adam(p, lr=3e-3),
        32,
        40,
    )


@healthy(PROGRAMS, "classification", 0.9, "the gradient is clipped at nearly every step, and the rate is set for it")
def clipped_often(seed: int) -> Case:
    return case(
        nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
        digits(seed),
        nn.CrossEntropyLoss(),
        lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.5),
        32,
        20,
        clip_grad=0.2,
    )


@healthy(PROGRAMS, "classification", 0.92, "half of the units dropped in a net that is wide enough for it")
def dropout_half(seed: int) -> Case:
    model = nn.Sequential(
        nn.Linear(64, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )
    return case(model, digits(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=2e-3), 32, 20)


@healthy(PROGRAMS, "binary", 0.92, "weight decay 0.1, which AdamW multiplies with a small rate")
def decay_tenth_adamw(seed: int) -> Case:
    return case(
        nn.Sequential(nn.Linear(30, 48), nn.ReLU(), nn.Linear(48, 1)),
        cancer(seed),
        nn.BCEWithLogitsLoss(),
        lambda p: torch.optim.AdamW(p, lr=2e-3, weight_decay=0.1),
        32,
        20,
    )


@healthy(PROGRAMS, "binary", 0.93, "sigmoid with BCELoss: the right pair, if the less stable one")
def sigmoid_with_bce(seed: int) -> Case:
    (x, y), (x_val, y_val) = rings(seed)
    return case(
        nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1), nn.Sigmoid()),
        ((x, y.float()[:, None]), (x_val, y_val.float()[:, None])),
        nn.BCELoss(),
        lambda p: torch.optim.Adam(p, lr=0.01),
        32,
        25,
    )


@healthy(PROGRAMS, "classification", 0.9, "log-softmax with NLLLoss: the right pair")
def log_softmax_nll(seed: int) -> Case:
    return case(
        nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(0.1), nn.Linear(64, 10), nn.LogSoftmax(dim=1)),
        digits(seed),
        nn.NLLLoss(),
        lambda p: torch.optim.Adam(p, lr=3e-3),
        64,
        20,
    )


@healthy(PROGRAMS, "classification", 0.9, "squared error on one-hot rows, which classifies well")
def squared_error_one_hot(seed: int) -> Case:
    (x, y), (x_val, y_val) = digits(seed)
    return case(
        nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10)),
        ((x, nn.functional.one_hot(y, 10).float()), (x_val, nn.functional.one_hot(y_val, 10).float())),
        nn.MSELoss(),
        lambda p: torch.optim.Adam(p, lr=2e-3),
        32,
        20,
    )


@healthy(PROGRAMS, "classification", 0.9, "one-hot rows of floats for cross entropy, which takes probabilities")
def one_hot_cross_entropy(seed: int) -> Case:
    (x, y), (x_val, y_val) = wine(seed)
    return case(
        nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3)),
        ((x, nn.functional.one_hot(y, 3).float()), (x_val, nn.functional.one_hot(y_val, 3).float())),
        nn.CrossEntropyLoss(),
        lambda p: torch.optim.Adam(p, lr=5e-3),
        16,
        30,
    )
