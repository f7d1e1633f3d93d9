"""Programs that look as suspicious as possible and are healthy; behind them sick pairs, starts and habits."""

from dataclasses import replace
from functools import partial

import torch
from enrol import case, healthy
from nets import Attention, ResidualMLP, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program, two_causes
from samples import blobs, cancer, diabetes, digits, friedman, iris, majority, rings, split, sums, tags, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

PROGRAMS: list[SuiteProgram] = []
SLOW = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations loss-not-decreasing dead-relu"
)


@healthy(PROGRAMS, "classification", 0.9, "five sigmoid layers, started so that each of them keeps the gradient")
def yard_five_sigmoids_well_started(seed: int) -> Case:
    net = mlp(64, 48, 48, 48, 48, 48, 10, activation=nn.Sigmoid)
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight, gain=4.0)
            nn.init.zeros_(layer.bias)
    return case(net, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "pixels of 0 … 4080 with a batch norm before everything else")
def yard_huge_pixels_normalized_inside(seed: int) -> Case:
    parts = tuple((255 * x, y) for x, y in digits(seed, raw=True, image=True))
    net = nn.Sequential(nn.BatchNorm2d(1), *digit_cnn())
    return case(net, parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 10)


class Shifted(nn.Module):
    """A net over columns that are brought to unit variance by numbers kept as buffers."""

    mean: Tensor
    scale: Tensor

    def __init__(self, x: Tensor, net: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("scale", x.std(0))
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x - self.mean) / self.scale)


@healthy(PROGRAMS, "binary", 0.93, "raw tumours of 0.01 … 4000: the model standardizes them by buffers of its own")
def yard_raw_table_scaled_in_forward(seed: int) -> Case:
    parts = cancer(seed, raw=True)
    net = Shifted(parts[0][0], mlp(30, 24, 1))
    return case(net, parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.88, "random convolutions, frozen on purpose; a head on 512 of them suffices")
def yard_random_features_suffice(seed: int) -> Case:
    body = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    body.requires_grad_(False)
    net = nn.Sequential(body, nn.Linear(512, 10))
    optimizer = Adam([p for p in net.parameters() if p.requires_grad], lr=3e-3)
    return case(net, digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "one-hot embedding table, frozen, under a GRU that learns all there is")
def yard_frozen_one_hot_table(seed: int) -> Case:
    net = TokenRNN(12, 3, width=12)
    net.embed = nn.Embedding.from_pretrained(torch.eye(12), freeze=True)
    return case(net, tokens(seed, 1000, 8, 12), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@healthy(PROGRAMS, "binary", 0.8, "one row in twelve is positive, and the loss weighs it by eleven", metric="balanced")
def yard_rare_rows_weighed(seed: int) -> Case:
    x, y = (torch.cat(both) for both in zip(*blobs(seed, 3000, 8, 2, 2.5), strict=True))
    keep = (y == 0) | (torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) < 0.09)
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([11.0]))
    return case(mlp(8, 16, 1), split(x[keep], y[keep].float()[:, None], seed), loss, partial(Adam, lr=2e-3), 32, 10)


@healthy(
    PROGRAMS, "classification", 0.9, "one class has nine rows in ten, but the clouds are far apart", metric="balanced"
)
def yard_imbalance_without_harm(seed: int) -> Case:
    x, y = (torch.cat(both) for both in zip(*blobs(seed, 3000, 8, 2, 9.0), strict=True))
    keep = (y == 0) | (torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) < 0.1)
    return case(mlp(8, 16, 2), split(x[keep], y[keep], seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@healthy(PROGRAMS, "classification", 0.9, "SGD at a rate of one, for a small convex problem on pixels of 0 … 1")
def yard_rate_of_one(seed: int) -> Case:
    return case(nn.Linear(64, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=1.0), 64, 15)


@healthy(PROGRAMS, "regression", 0.8, "Adam at 3e-4 with a hundred short epochs: slow and good")
def yard_small_rate_many_epochs(seed: int) -> Case:
    return case(mlp(6, 64, 64, 1), friedman(seed, 500, 6), nn.MSELoss(), partial(Adam, lr=3e-4), 32, 100)


@healthy(PROGRAMS, "classification", 0.9, "one row at a time, with a rate that suits it")
def yard_one_flower_at_a_time(seed: int) -> Case:
    return case(mlp(4, 16, 3), iris(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.01), 1, 20)


@healthy(PROGRAMS, "regression", 0.85, "targets of 0.05: a scale that Adam does not mind")
def yard_tiny_targets(seed: int) -> Case:
    parts = tuple((x, 0.05 * y) for x, y in friedman(seed, 900, 6))
    return case(mlp(6, 48, 48, 1), parts, nn.MSELoss(), partial(Adam, lr=2e-3), 32, 30)


@healthy(PROGRAMS, "regression", 0.75, "targets around 150, and the last bias starts at their mean")
def yard_bias_at_the_mean(seed: int) -> Case:
    parts = tuple((x, 150 + 10 * y) for x, y in friedman(seed, 900, 6))
    net = mlp(6, 64, 64, 1)
    nn.init.constant_(net[-1].bias, 150.0)
    return case(net, parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 30)


@healthy(PROGRAMS, "classification", 0.88, "dropout of a half in three places of an encoder for four tokens")
def yard_encoder_with_much_dropout(seed: int) -> Case:
    net = Attention(4, 4, length=12, dropout=0.5, layers=2)
    return case(net, majority(seed), nn.CrossEntropyLoss(), partial(AdamW, lr=3e-3), 32, 12)


@healthy(PROGRAMS, "regression", 0.8, "twelve residual blocks, deep but with a short way past each of them")
def yard_twelve_residual_blocks(seed: int) -> Case:
    net = ResidualMLP(8, 1, blocks=12, gain=0.3)
    return case(net, friedman(seed), nn.MSELoss(), partial(Adam, lr=1e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "gradients clipped at 0.05: Adam takes back the scale")
def yard_clipped_hard(seed: int) -> Case:
    net = SeriesRNN(1, 3, 24)
    parts = tuple((x.transpose(1, 2), y) for x, y in waves(seed, 700, 24, noise=0.2))
    return case(net, parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20, clip_grad=0.05)


@healthy(PROGRAMS, "multilabel", 0.88, "six columns are always zero and three labels are rare")
def yard_empty_columns_and_rare_labels(seed: int) -> Case:
    parts = tuple((torch.cat([x, torch.zeros(len(x), 6)], 1), y) for x, y in tags(seed, 900, offset=0.6))
    return case(mlp(18, 48, 5), parts, nn.BCEWithLogitsLoss(), partial(RMSprop, lr=2e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "the order is never shuffled, but the rows came in a random one")
def yard_unshuffled_but_mixed(seed: int) -> Case:
    optimizer = partial(SGD, lr=0.05, momentum=0.95)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 12, shuffle=False)


@healthy(PROGRAMS, "classification", 0.93, "a rate of one at its peak: one cycle over batch norm and momentum")
def yard_one_cycle_to_a_high_peak(seed: int) -> Case:
    net = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    schedule = partial(OneCycleLR, max_lr=1.0, total_steps=20 * 20)
    optimizer = partial(SGD, lr=0.04, momentum=0.9)
    return case(net, digits(seed), nn.CrossEntropyLoss(), optimizer, 64, 20, scheduler=schedule)


class Picture(nn.Module):
    """An autoencoder whose decoder is the encoder's transpose."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(16, 64))
        self.shift = nn.Parameter(torch.zeros(64))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(nn.functional.linear(x - self.shift, self.weight), self.weight.T) + self.shift


@healthy(PROGRAMS, "regression", 0.8, "a linear autoencoder with tied weights: principal components, no activation")
def yard_linear_autoencoder(seed: int) -> Case:
    parts = tuple((x, x) for x, _ in digits(seed))
    return case(Picture(), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.88, "LSTM of fifty steps with forget gates opened at the start, no clipping")
def yard_long_lstm_open_gates(seed: int) -> Case:
    net = TokenRNN(4, 4, width=24, kind=nn.LSTM)
    nn.init.constant_(net.rnn.bias_ih_l0[24:48], 3.0)
    return case(net, majority(seed, 800, 40), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@healthy(PROGRAMS, "binary", 0.93, "a head of zeros: the layers before it wait for one step only")
def yard_head_of_zeros(seed: int) -> Case:
    net = mlp(30, 32, 32, 1)
    nn.init.zeros_(net[-1].weight)
    nn.init.zeros_(net[-1].bias)
    return case(net, cancer(seed), nn.BCEWithLogitsLoss(), partial(Adagrad, lr=0.05), 16, 15)


@healthy(PROGRAMS, "regression", 0.35, "R2 of one half at best: the noise of the patients, not the net")
def yard_patients_are_noisy(seed: int) -> Case:
    schedule = partial(CosineAnnealingLR, T_max=200)
    optimizer = partial(AdamW, lr=2e-3, weight_decay=0.1)
    return case(mlp(10, 16, 1), diabetes(seed), nn.MSELoss(), optimizer, 32, 20, scheduler=schedule)


@healthy(PROGRAMS, "classification", 0.93, "ReLUs of which a third is dead from the start, among 256")
def yard_some_units_asleep(seed: int) -> Case:
    net = mlp(2, 256, 2)
    nn.init.uniform_(net[0].bias, -4.0, 2.0)
    return case(net, rings(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 25)


@healthy(PROGRAMS, "regression", 0.8, "marked numbers are summed by a plain RNN of few steps, clipped")
def yard_plain_rnn_for_sums(seed: int) -> Case:
    net = SeriesRNN(2, 1, 32, nn.RNN)
    return case(net, sums(seed, 900, 6), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 50, clip_grad=1.0)


@healthy(PROGRAMS, "classification", 0.9, "noise louder than the wave, which four places of an average see through")
def yard_loud_noise(seed: int) -> Case:
    return case(wave_cnn(), waves(seed, noise=0.9), nn.CrossEntropyLoss(), partial(AdamW, lr=4e-3), 32, 14)


PROGRAMS[:] = [replace(entry, id=entry.id.removeprefix("healthy_")) for entry in PROGRAMS]


@two_causes(
    PROGRAMS,
    causes="missing-nonlinearity lr-too-low",
    symptoms="underfitting-capacity too-few-epochs loss-not-decreasing",
    task="regression",
    good=0.85,
    source="course exercise: layers without activation and Adam at 1e-4",
    note="a linear map, and it is not even reached",
)
def yard_linear_and_slow(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    net = mlp(6, 48, 48, 1, activation=nn.Identity if "missing-nonlinearity" in causes else nn.ReLU)
    rate = partial(Adam, lr=3e-5 if "lr-too-low" in causes else 5e-3)
    return case(net, friedman(seed, 900, 6), nn.MSELoss(), rate, 32, 20)


@two_causes(
    PROGRAMS,
    causes="dropout-too-high weight-decay-too-high",
    symptoms=SLOW + " vanishing-activations vanishing-gradient",
    task="classification",
    good=0.88,
    source="Kaggle: everything against overfitting at once, and now it learns nothing",
    note="dropout of 0.85 and a decay of 0.03 inside Adam",
)
def yard_all_against_overfitting(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    drop = nn.Dropout(0.85 if "dropout-too-high" in causes else 0.1)
    decay = 0.03 if "weight-decay-too-high" in causes else 1e-4
    net = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), drop, nn.Linear(48, 48), nn.ReLU(), drop, nn.Linear(48, 10))
    return case(net, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3, weight_decay=decay), 32, 10)


@two_causes(
    PROGRAMS,
    causes="underfitting-capacity frozen-parameters",
    symptoms="parameters-not-in-optimizer loss-not-decreasing too-few-epochs lr-too-low",
    task="regression",
    good=0.88,
    source="GitHub: autoencoder with a code of two, encoder frozen from the time of pretraining",
    note="a code of two numbers, made by random weights",
)
def yard_small_code_from_frozen_encoder(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    code = 2 if "underfitting-capacity" in causes else 16
    encoder, decoder = mlp(64, 48, code), mlp(code, 48, 64)
    encoder.requires_grad_("frozen-parameters" not in causes)
    parts = tuple(((x - 0.3) / 0.37, (x - 0.3) / 0.37) for x, _ in digits(seed))
    return case(nn.Sequential(encoder, decoder), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@two_causes(
    PROGRAMS,
    causes="unshuffled-data lr-too-high",
    symptoms=WILD + " overfitting class-imbalance",
    task="classification",
    good=0.85,
    source="PyTorch forum: CNN on sorted waves, Adam at 0.05",
    note="rows sorted by class, and a rate that forgets the first class before the last one is over",
)
def yard_sorted_and_fast(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = waves(seed, 800, 32, noise=1.0)
    order = y.argsort()
    rate = partial(Adam, lr=0.1 if "lr-too-high" in causes else 3e-3)
    parts = (x[order], y[order]), val
    keep = "unshuffled-data" not in causes
    return case(wave_cnn(), parts, nn.CrossEntropyLoss(), rate, 32, 10, shuffle=keep)


@two_causes(
    PROGRAMS,
    causes="targets-not-normalized underfitting-capacity",
    symptoms=SLOW + " exploding-gradient loss-output-mismatch",
    task="regression",
    good=0.85,
    source="course project: prices in tens of thousands, one hidden layer of a single unit",
    note="targets near ten with a rate for targets near one, and one unit",
)
def yard_one_unit_for_prices(seed: int, causes: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    parts = friedman(seed, 900, 6)
    if "targets-not-normalized" in causes:
        parts = tuple((x, 10 + 5 * y) for x, y in parts)
    width = 1 if "underfitting-capacity" in causes else 48
    return case(mlp(6, width, 1), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 30)


@program(
    PROGRAMS,
    faults="exploding-gradient exploding-activations bad-init-scale",
    symptoms=WILD + " " + SLOW,
    task="regression",
    good=0.8,
    source="PyTorch forum: RNN(nonlinearity='relu') with randn weights, the loss starts at a million",
    note="a recurrent ReLU matrix of gain two doubles the state at every step",
)
def yard_state_doubles_each_step(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = SeriesRNN(2, 1, 24)
    net.rnn = nn.RNN(2, 24, batch_first=True, nonlinearity="relu")
    nn.init.orthogonal_(net.rnn.weight_hh_l0, gain=2.5 if sick else 1.0)
    return case(net, sums(seed, 900, 8), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="vanishing-activations bad-init-scale",
    symptoms=SLOW + " vanishing-gradient symmetric-init",
    task="classification",
    good=0.85,
    source="cs231n: weights of 0.01 * randn in a net of five layers",
    note="every layer makes the signal ten times smaller",
)
def yard_hundredth_of_randn(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = mlp(64, 48, 48, 48, 48, 10, activation=nn.Tanh)
    for parameter in net.parameters():
        if sick:
            nn.init.normal_(parameter, std=0.01)
    return case(net, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.03, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="too-deep-for-width",
    symptoms=SLOW + " vanishing-gradient dead-relu vanishing-activations bad-init-scale",
    task="classification",
    good=0.85,
    source="StackOverflow: 'deeper is better', twelve layers of twelve units",
    note="in so narrow a net the signal is lost on its way",
)
def yard_twelve_narrow_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = mlp(64, *[12] * (12 if sick else 2), 10)
    return case(net, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 15)


class Keeping(SGD):
    """SGD that leaves the gradients where they are."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing, as gradients are meant to be accumulated."""


@program(
    PROGRAMS,
    faults="stale-gradients",
    symptoms=WILD + " momentum-too-high",
    task="classification",
    good=0.9,
    source="StackOverflow: why zero_grad()? A subclass for gradient accumulation never clears them",
    note="each step follows the sum of all gradients since the start",
)
def yard_gradients_never_cleared(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    kind = Keeping if sick else SGD
    return case(mlp(64, 32, 10), digits(seed), nn.CrossEntropyLoss(), partial(kind, lr=0.1), 32, 15)
