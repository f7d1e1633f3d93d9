"""Initial weights and activations through which no signal, or no gradient, comes."""

from collections.abc import Callable

import torch
from nets import ResidualMLP, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import blobs, cancer, digits, friedman, majority, rings, waves, wine
from torch import Tensor, nn

PROGRAMS: list[SuiteProgram] = []
SLOW = "loss-not-decreasing lr-too-low too-few-epochs underfitting-capacity"
SATURATED = "saturated-activations vanishing-gradient exploding-activations lr-too-high exploding-gradient"


def drawn(model: nn.Sequential, fill: Callable[[Tensor], object], bias: float = 0.0) -> nn.Sequential:
    """The model, all weight matrices filled anew and all biases set."""
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            fill(layer.weight.data)
            nn.init.constant_(layer.bias, bias)
    return model


def normal(std: float) -> Callable[[Tensor], object]:
    return lambda weight: nn.init.normal_(weight, std=std)


def xavier(gain: float = 1.0) -> Callable[[Tensor], object]:
    return lambda weight: nn.init.xavier_normal_(weight, gain=gain)


def kaiming(weight: Tensor) -> Tensor:
    return nn.init.kaiming_normal_(weight, nonlinearity="relu")


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=SLOW + " bad-init-scale dead-relu vanishing-activations vanishing-gradient",
    task="regression",
    good=0.85,
    source="deeplearning.ai homework: all weights set to one constant",
    note="all hidden units start equal with weight 0.1 and stay one unit",
)
def every_weight_a_tenth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    model = mlp(8, 24, 24, 1, activation=nn.Tanh)
    return {
        "model": drawn(model, lambda w: nn.init.constant_(w, 0.1)) if sick else model,
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=SLOW + " bad-init-scale dead-relu vanishing-activations vanishing-gradient input-constant-feature",
    task="classification",
    good=0.85,
    source="stats.stackexchange on zero initialization; a CNN 'initialized' by loops of zeros_",
    note="all kernels start at zero: hidden maps are zero and get no gradient",
)
def kernels_of_zeros(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed, image=True)
    model = digit_cnn()
    return {
        "model": drawn(model, nn.init.zeros_) if sick else model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 7,
    }


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=SLOW + " bad-init-scale saturated-activations exploding-activations dead-relu lr-too-high",
    task="classification",
    good=0.95,
    source="homework posts: nn.init.ones_ in weights_init",
    note="ones everywhere in an ELU net for half-moons: one hidden unit cannot bend enough",
)
def ones_for_half_moons(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = rings(seed, noise=0.08)
    model = mlp(2, 16, 16, 2, activation=nn.ELU)
    return {
        "model": drawn(model, lambda w: nn.init.constant_(w, 0.25)) if sick else model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=SLOW + " bad-init-scale vanishing-activations vanishing-gradient",
    task="classification",
    good=0.9,
    source="posts of encoders whose embedding is created by torch.zeros or ones",
    note="all words start with the same vector, and the head with zeros: nothing tells the tokens apart",
)
def same_vector_for_all_words(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = majority(seed)
    model = nn.Sequential(nn.Embedding(4, 16), nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 4))
    if sick:
        for parameter in model.parameters():
            nn.init.constant_(parameter, 0.02)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="bad-init-scale",
    symptoms=SLOW + f" {SATURATED} oscillating-loss nonfinite-loss overfitting dead-relu input-constant-feature",
    task="classification",
    good=0.85,
    source="lecture code with torch.randn weights and no factor",
    note="weights of variance 1 in every layer of a ReLU net: initial logits are in the hundreds",
)
def randn_without_a_factor(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed)
    model = mlp(64, 48, 48, 48, 10)
    return {
        "model": drawn(model, normal(1.0) if sick else kaiming),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="bad-init-scale vanishing-activations",
    symptoms=SLOW + " vanishing-gradient symmetric-init",
    task="regression",
    good=0.65,
    source="He et al. 2015, figure 3: std 0.01 in deep nets; AlexNet's initialization in a deeper one",
    note="five layers with weights of std 0.01: the output is a constant at first and SGD stays there",
)
def weights_of_a_hundredth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    model = mlp(8, 32, 32, 32, 32, 1)
    return {
        "model": drawn(model, normal(0.01) if sick else kaiming),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="bad-init-scale",
    symptoms=SLOW + " vanishing-activations vanishing-gradient symmetric-init",
    task="classification",
    good=0.9,
    source="posts of nn.init.normal_(w, 0, 1e-3) in convolutional nets",
    note="kernels of std 1e-3: what comes out is 1e-6 of what goes in, and SGD stays there",
)
def kernels_of_almost_nothing(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = waves(seed)
    model = wave_cnn()
    return {
        "model": drawn(model, normal(1e-3)) if sick else model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9),
        "batch_size": 32,
        "epochs": 10,
    }


@program(
    PROGRAMS,
    faults="vanishing-activations bad-init-scale",
    symptoms=SLOW + " vanishing-gradient too-deep-for-width symmetric-init",
    task="binary",
    good=0.9,
    source="Glorot & Bengio 2010: tanh nets whose signal decays with depth",
    note="eight tanh layers drawn at 0.3 of Xavier’s scale: the last one sees a ten-thousandth of the signal",
)
def tanh_layers_drawn_small(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = cancer(seed)
    model = mlp(30, *[24] * 8, 1, activation=nn.Tanh)
    return {
        "model": drawn(model, xavier(0.3 if sick else 1.2)),
        "train": train,
        "val": val,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="exploding-activations bad-init-scale",
    symptoms="exploding-gradient lr-too-high nonfinite-loss oscillating-loss loss-not-decreasing dead-relu "
    "too-deep-for-width",
    task="regression",
    good=0.9,
    source="Zhang et al. 2019 (Fixup): residual branches without normalization",
    note="twelve residual blocks each of which doubles the signal: outputs of 1e5 at the start",
)
def residual_stream_doubles(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": ResidualMLP(8, 1, width=32, blocks=12, gain=3.0 if sick else 0.5),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=2e-3),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="exploding-activations bad-init-scale",
    symptoms="exploding-gradient lr-too-high nonfinite-loss oscillating-loss loss-not-decreasing dead-relu "
    "saturated-activations input-constant-feature",
    task="classification",
    good=0.85,
    source="posts of nn.init.uniform_(w) (0 ... 1) in convolutional nets",
    note="kernels drawn from 0 ... 1 have a mean of one half: each layer multiplies the signal by its fan-in",
)
def kernels_between_zero_and_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed, image=True)
    model = digit_cnn()
    return {
        "model": drawn(model, nn.init.uniform_) if sick else model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9),
        "batch_size": 32,
        "epochs": 8,
    }


@program(
    PROGRAMS,
    faults="saturated-activations bad-init-scale",
    symptoms=SLOW + " vanishing-gradient exploding-activations exploding-gradient",
    task="classification",
    good=0.85,
    source="Glorot & Bengio 2010: saturated hidden layers; makemore lecture, 'fix the saturated tanh'",
    note="tanh units whose inputs are of order ten sit at −1 or 1 and pass no gradient",
)
def tanh_units_at_their_ends(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed)
    model = mlp(64, 48, 48, 48, 10, activation=nn.Tanh)
    return {
        "model": drawn(model, normal(1.5) if sick else xavier()),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="saturated-activations",
    symptoms=SLOW + " vanishing-gradient bad-init-scale vanishing-activations symmetric-init",
    task="classification",
    good=0.9,
    source="posts of gates and biases initialized at 10",
    note="sigmoid units with a bias of −10 (copied from a rare-event trick) are closed for every sample",
)
def sigmoids_all_closed(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = wine(seed)
    model = mlp(13, 24, 24, 3, activation=nn.Sigmoid)
    if sick:
        nn.init.constant_(model[0].bias, -10.0)
        nn.init.constant_(model[2].bias, -10.0)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 16,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="dead-relu",
    symptoms=SLOW + " vanishing-gradient vanishing-activations bad-init-scale",
    task="regression",
    good=0.8,
    source="AUTOTRAINER 'dying ReLU'; Lu et al. 2019",
    note="biases of −4 close every ReLU of the second layer for all samples",
)
def biases_close_the_relus(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    model = mlp(8, 32, 32, 1)
    if sick:
        nn.init.constant_(model[2].bias, -5.0)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="dead-relu",
    symptoms=SLOW + " vanishing-gradient vanishing-activations bad-init-scale input-constant-feature",
    task="classification",
    good=0.85,
    source="DeepFD's dying ReLU programs, convolutional",
    note="constant biases of −3 in the convolutions: their maps are zero everywhere",
)
def convolution_biases_of_minus_three(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed, image=True)
    model = digit_cnn()
    if sick:
        nn.init.constant_(model[0].bias, -3.0)
        nn.init.constant_(model[3].bias, -3.0)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 7,
    }


@program(
    PROGRAMS,
    faults="dead-relu",
    symptoms=SLOW + " vanishing-gradient vanishing-activations bad-init-scale missing-nonlinearity",
    task="classification",
    good=0.9,
    source="posts of negative-only pre-activations: nonnegative inputs and weights drawn below zero",
    note="features of 0 to 1 and weights drawn from −0.2 … 0: no first-layer unit is ever positive",
)
def weights_all_negative(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed)
    model = mlp(64, 48, 10)
    if sick:
        nn.init.uniform_(model[0].weight, -0.2, 0.0)
        nn.init.constant_(model[0].bias, -0.1)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=SLOW + " saturated-activations bad-init-scale too-deep-for-width vanishing-activations",
    task="classification",
    good=0.85,
    source="AUTOTRAINER 'gradient vanish': seven sigmoid layers",
    note="each sigmoid layer shrinks the gradient at least fourfold",
)
def seven_sigmoid_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = blobs(seed, n=900, features=10, classes=4, distance=4.0)
    return {
        "model": mlp(10, *[24] * 7, 4, activation=nn.Sigmoid if sick else nn.ELU),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=1e-3),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="vanishing-gradient bad-init-scale",
    symptoms=SLOW + " saturated-activations vanishing-activations overfitting",
    task="classification",
    good=0.9,
    source="Hochreiter 1991, Bengio et al. 1994: the first symbol decides",
    note="what the first of 8 tokens was: a recurrence drawn small loses the gradient on its way back",
)
def first_of_eight_tokens(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randint(0, 4, (900, 8))
    y = x[:, 0].clone()
    model = TokenRNN(4, 4, 24, nn.RNN)
    nn.init.orthogonal_(model.rnn.weight_hh_l0, gain=0.1 if sick else 1.0)
    return {
        "model": model,
        "train": (x[:650], y[:650]),
        "val": (x[650:], y[650:]),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=SLOW + " saturated-activations bad-init-scale too-deep-for-width vanishing-activations",
    task="regression",
    good=0.85,
    source="course notes on why deep sigmoid nets fail at regression",
    note="five sigmoid layers and SGD: the first layers see a thousandth of the gradient, the net answers the mean",
)
def five_sigmoids_by_sgd(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": mlp(8, *[24] * 5, 1, activation=nn.Sigmoid if sick else nn.ReLU),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="too-deep-for-width",
    symptoms=SLOW + " vanishing-gradient vanishing-activations dead-relu bad-init-scale exploding-gradient",
    task="classification",
    good=0.85,
    source="Hanin & Rolnick 2018, 'How to start training': deep narrow ReLU nets",
    note="thirty ReLU layers of eight units: the last one answers the same to every sample",
)
def thirty_layers_of_eight(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = blobs(seed, n=900, features=10, classes=4, distance=4.0)
    model = mlp(10, *[8] * (30 if sick else 3), 4)
    return {
        "model": drawn(model, kaiming),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="too-deep-for-width",
    symptoms=SLOW + " vanishing-gradient vanishing-activations dead-relu bad-init-scale exploding-gradient",
    task="regression",
    good=0.75,
    source="He et al. 2016: plain nets get worse with depth, residual ones do not; posts of 40-layer MLPs",
    note="forty plain layers of six units do not pass the signal; the same layers with shortcuts do",
)
def forty_plain_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    plain = drawn(mlp(8, *[6] * 40, 1), kaiming)
    return {
        "model": plain if sick else ResidualMLP(8, 1, width=6, blocks=20, gain=0.5),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=3e-3),
        "batch_size": 32,
        "epochs": 15,
    }


@program(
    PROGRAMS,
    faults="too-deep-for-width",
    symptoms=SLOW + " vanishing-gradient vanishing-activations saturated-activations bad-init-scale",
    task="binary",
    good=0.9,
    source="Schoenholz et al. 2017: the depth to which a signal propagates",
    note="twenty-four tanh layers of four units: correlations between samples are lost on the way",
)
def twenty_four_tanh_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = cancer(seed)
    model = mlp(30, *[4] * (24 if sick else 2), 1, activation=nn.Tanh)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9),
        "batch_size": 32,
        "epochs": 12,
    }
