"""Healthy programs as an examiner would choose them: each looks like a known fault and trains well."""

from functools import partial

import torch
from enrol import case, healthy
from nets import Attention, ResidualMLP, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram
from samples import (
    blobs,
    cancer,
    diabetes,
    digits,
    friedman,
    iris,
    majority,
    rings,
    split,
    sums,
    tags,
    tokens,
    waves,
    wine,
)
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR

PROGRAMS: list[SuiteProgram] = []


@healthy(PROGRAMS, "classification", 0.9, "softmax regression: no hidden layer, which is enough for digits")
def hall_softmax_regression(seed: int) -> Case:
    return case(nn.Linear(64, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.5), 32, 15)


@healthy(PROGRAMS, "classification", 0.85, "pixels of 0 … 16 behind a batch norm, which takes care of the scale")
def hall_raw_pixels_behind_norm(seed: int) -> Case:
    model = nn.Sequential(nn.BatchNorm1d(64), *mlp(64, 48, 10))
    return case(model, digits(seed, raw=True), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "binary", 0.92, "a sigmoid at the end, but the loss is BCELoss, which wants one")
def hall_sigmoid_with_bce(seed: int) -> Case:
    model = nn.Sequential(*mlp(30, 16, 1), nn.Sigmoid())
    return case(model, cancer(seed), nn.BCELoss(), partial(RMSprop, lr=2e-3), 16, 15)


@healthy(PROGRAMS, "classification", 0.9, "log-softmax in the net and NLLLoss: the two belong together")
def hall_log_softmax_with_nll(seed: int) -> Case:
    model = nn.Sequential(*digit_cnn(), nn.LogSoftmax(1))
    return case(model, digits(seed, image=True), nn.NLLLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


@healthy(PROGRAMS, "binary", 0.92, "two outputs and cross entropy for a yes-or-no question")
def hall_two_outputs_for_yes_or_no(seed: int) -> Case:
    parts = cancer(seed, column=False)
    return case(mlp(30, 24, 2), parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.85, "four tanh layers: not deep enough for the gradient to vanish")
def hall_four_tanh_layers(seed: int) -> Case:
    model = mlp(64, 48, 48, 48, 48, 10, activation=nn.Tanh)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 20)


@healthy(PROGRAMS, "regression", 0.75, "ten residual blocks: deep, but every block may be skipped")
def hall_ten_residual_blocks(seed: int) -> Case:
    model = ResidualMLP(8, 1, blocks=10, gain=0.5)
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 20, clip_grad=1.0)


@healthy(PROGRAMS, "classification", 0.85, "plain SGD at a rate of 1 on one standardized linear layer")
def hall_rate_one_for_a_linear_layer(seed: int) -> Case:
    return case(nn.Linear(13, 3), wine(seed), nn.CrossEntropyLoss(), partial(SGD, lr=1.0), 32, 20)


@healthy(PROGRAMS, "regression", 0.7, "Adam at 3e-4: slow, but with enough epochs to arrive")
def hall_slow_and_long(seed: int) -> Case:
    return case(mlp(8, 64, 64, 1), friedman(seed), nn.MSELoss(), partial(Adam, lr=3e-4), 16, 60)


@healthy(PROGRAMS, "classification", 0.85, "half of the units dropped, between two layers that are wide enough")
def hall_half_dropped(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 64), nn.ReLU())
    model.extend([nn.Dropout(0.5), nn.Linear(64, 10)])
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 25)


@healthy(PROGRAMS, "binary", 0.8, "one row in seven is positive; both classes are learnt", metric="balanced")
def hall_one_in_seven(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(1500, 1, generator=draw) < 0.15).float()
    x = torch.randn(1500, 8, generator=draw) + 1.6 * y * torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    return case(mlp(8, 16, 1), split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "shuffle is off, but the rows were shuffled when the table was split")
def hall_shuffled_beforehand(seed: int) -> Case:
    make = partial(SGD, lr=0.1, momentum=0.9)
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), make, 32, 12, shuffle=False)


@healthy(PROGRAMS, "classification", 0.8, "GRU over tokens, clipped at 0.5 although nothing explodes")
def hall_clipped_gru(seed: int) -> Case:
    model = TokenRNN(20, 3, 24)
    return case(model, tokens(seed, 1200), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 15, clip_grad=0.5)


@healthy(PROGRAMS, "classification", 0.85, "a post-norm encoder with a linear warm-up: the first steps hardly move")
def hall_warm_encoder(seed: int) -> Case:
    warm = partial(LambdaLR, lr_lambda=lambda i: min(1.0, (i + 1) / 60))
    model = Attention(4, 4, width=24, layers=2, dropout=0.1, norm_first=False)
    make = partial(AdamW, lr=2e-3, weight_decay=0.05)
    return case(model, majority(seed), nn.CrossEntropyLoss(), make, 32, 12, scheduler=warm)


@healthy(PROGRAMS, "regression", 0.75, "an undercomplete autoencoder: fourteen numbers are enough for a digit")
def hall_autoencoder_of_fourteen(seed: int) -> Case:
    parts = tuple((x, x) for x, _ in digits(seed))
    model = nn.Sequential(*mlp(64, 48, 14, 48, 64), nn.Sigmoid())
    return case(model, parts, nn.BCELoss(), partial(Adam, lr=5e-3), 32, 30)


@healthy(PROGRAMS, "regression", 0.9, "a target of 20 ± 3 with Adam at 0.02 and a last bias that starts at twenty")
def hall_bias_at_the_mean(seed: int) -> Case:
    parts = tuple((x, 20 + 3 * y) for x, y in friedman(seed, noise=0.2))
    model = mlp(8, 48, 1)
    nn.init.constant_(model[-1].get_parameter("bias"), 20.0)
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=0.02), 32, 40)


@healthy(PROGRAMS, "regression", 0.35, "an R² of a half is as good as it gets on diabetes")
def hall_diabetes_is_noisy(seed: int) -> Case:
    make = partial(AdamW, lr=2e-3, weight_decay=0.1)
    return case(mlp(10, 16, 1), diabetes(seed), nn.SmoothL1Loss(), make, 32, 20)


@healthy(PROGRAMS, "multilabel", 0.88, "rare tags: most of the answers are no, and the loss starts low")
def hall_rare_tags(seed: int) -> Case:
    return case(mlp(12, 48, 5), tags(seed, 1200, offset=0.8), nn.BCEWithLogitsLoss(), partial(Adagrad, lr=0.05), 32, 25)


@healthy(PROGRAMS, "classification", 0.85, "batches of four rows: noisy, but there is no batch norm to be upset")
def hall_batches_of_four(seed: int) -> Case:
    return case(mlp(4, 16, 3), iris(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.5), 4, 30)


@healthy(PROGRAMS, "binary", 0.92, "the whole table in one batch, for many epochs: gradient descent as in books")
def hall_full_batch_descent(seed: int) -> Case:
    make = partial(SGD, lr=0.3, momentum=0.9)
    return case(mlp(30, 8, 1), cancer(seed), nn.BCEWithLogitsLoss(), make, 400, 150)


class Doubled(nn.Module):
    """A fixed random map to cosines and a trained linear layer upon it."""

    def __init__(self) -> None:
        super().__init__()
        self.turn, self.head = nn.Linear(2, 256), nn.Linear(256, 2)
        nn.init.normal_(self.turn.weight, std=2.0)
        nn.init.uniform_(self.turn.bias, 0, 6.28)
        self.turn.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.turn(x).cos())


@healthy(PROGRAMS, "classification", 0.93, "random Fourier features: the first layer is frozen on purpose")
def hall_random_features(seed: int) -> Case:
    return case(Doubled(), rings(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.02), 32, 25)


@healthy(PROGRAMS, "classification", 0.85, "one-cycle schedule with a peak of 0.3: high, but only for a while")
def hall_one_cycle(seed: int) -> Case:
    cycle = partial(OneCycleLR, max_lr=0.3, total_steps=40 * 15 + 1)
    make = partial(SGD, lr=0.02, momentum=0.9)
    return case(mlp(64, 64, 10), digits(seed), nn.CrossEntropyLoss(), make, 32, 15, scheduler=cycle)


@healthy(PROGRAMS, "classification", 0.85, "cosine decay to zero: at the end nothing moves, as is meant")
def hall_cosine_to_zero(seed: int) -> Case:
    fade = partial(CosineAnnealingLR, T_max=20 * 12)
    make = partial(Adam, lr=0.01)
    return case(wave_cnn(), waves(seed), nn.CrossEntropyLoss(), make, 32, 12, scheduler=fade)


@healthy(PROGRAMS, "regression", 0.8, "the adding problem: an LSTM sits on a plateau for some epochs before it gets it")
def hall_plateau_before_the_sum(seed: int) -> Case:
    model = SeriesRNN(2, 1, 32, nn.LSTM)
    return case(model, sums(seed, 1200, 10), nn.MSELoss(), partial(Adam, lr=0.01), 32, 25)


@healthy(PROGRAMS, "classification", 0.75, "overlapping clouds: no net could be right more often, the loss stays high")
def hall_clouds_that_overlap(seed: int) -> Case:
    return case(mlp(10, 16, 4), blobs(seed, 1200), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)
