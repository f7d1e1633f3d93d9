"""Momentum, weight decay, batch size, number of epochs, and parameters that the optimizer does not move."""

import torch
from nets import Attention, ResidualMLP, SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import cancer, digits, friedman, iris, majority, sums, tags, tokens, waves, wine
from torch import nn

PROGRAMS: list[SuiteProgram] = []
SWINGS = (
    "lr-too-high oscillating-loss nonfinite-loss loss-not-decreasing exploding-gradient exploding-activations "
    "dead-relu saturated-activations"
)
SLOW = "loss-not-decreasing underfitting-capacity"
HALF = "underfitting-capacity loss-not-decreasing lr-too-low too-few-epochs"


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms=SWINGS,
    task="regression",
    good=0.85,
    source="distill.pub 'Why momentum really works' (2017), homework that turns its slider to 0.999",
    note="SGD with momentum 0.999: a thousand gradients are summed and the weights swing past the minimum",
)
def momentum_three_nines(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": mlp(8, 32, 32, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.999 if sick else 0.9),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms=SWINGS + " input-constant-feature",
    task="classification",
    good=0.9,
    source="AUTOTRAINER 'oscillating loss', whose cure lowers the momentum",
    note="Nesterov momentum of 0.9995 on a CNN",
)
def nesterov_near_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed, image=True)
    return {
        "model": digit_cnn(),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9995 if sick else 0.9, nesterov=True),
        "batch_size": 32,
        "epochs": 8,
    }


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=SLOW + " vanishing-activations vanishing-gradient dead-relu lr-too-low too-few-epochs "
    "input-constant-feature",
    task="classification",
    good=0.9,
    source="PyTorch forum: weight_decay=0.5 'to fight overfitting'",
    note="SGD with an L2 penalty of 0.5 pulls all weights to zero",
)
def digits_l2_half(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed)
    return {
        "model": mlp(64, 48, 10),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.5 if sick else 1e-4),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=SLOW + " vanishing-activations vanishing-gradient lr-too-low too-few-epochs",
    task="classification",
    good=0.85,
    source="Loshchilov & Hutter 2019: decay multiplied by the rate, so values copied between Adam and AdamW differ",
    note="AdamW with a decay of 60: each step takes a third of every weight",
)
def adamw_decay_of_sixty(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = majority(seed)
    return {
        "model": Attention(4, 4),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.AdamW(p, lr=5e-3, weight_decay=60.0 if sick else 0.01),
        "batch_size": 32,
        "epochs": 8,
    }


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=SLOW + " vanishing-activations vanishing-gradient dead-relu lr-too-low too-few-epochs",
    task="regression",
    good=0.85,
    source="ridge regression homework: the penalty of scikit-learn (alpha = 1) used as weight_decay",
    note="Adam's L2 penalty of 1 is as large as the loss's own gradient",
)
def ridge_alpha_as_decay(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    return {
        "model": mlp(8, 32, 32, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3, weight_decay=1.0 if sick else 1e-5),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms="too-few-epochs lr-too-low loss-not-decreasing underfitting-capacity input-constant-feature",
    task="classification",
    good=0.85,
    source="AUTOTRAINER's cure 'batch size'; posts with batch_size=len(dataset)",
    note="one batch holds all samples, so that twelve epochs are twelve steps",
)
def whole_set_in_one_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed, image=True)
    return {
        "model": digit_cnn(),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "batch_size": 4096 if sick else 32,
        "epochs": 10,
    }


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms="lr-too-high oscillating-loss loss-not-decreasing exploding-gradient nonfinite-loss dead-relu "
    "momentum-too-high exploding-activations",
    task="regression",
    good=0.6,
    source="DeepFD's fault 'batch size'; McCandlish et al. 2018 on the noise of a gradient",
    note="batches of one sample at a rate and momentum that suit thirty-two",
)
def one_sample_a_step(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed, n=700, noise=2.5)
    return {
        "model": mlp(8, 32, 32, 1),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9),
        "batch_size": 1 if sick else 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="batch-size-extreme",
    symptoms="too-few-epochs lr-too-low loss-not-decreasing underfitting-capacity",
    task="classification",
    good=0.8,
    source="posts on large batches that 'train faster': Goyal et al. 2017 without their rates",
    note="batches of 512 on 700 samples: two steps an epoch for a GRU",
)
def gru_batches_of_512(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = tokens(seed)
    return {
        "model": TokenRNN(20, 3),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.005),
        "batch_size": 512 if sick else 16,
        "epochs": 14,
    }


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing",
    task="classification",
    good=0.85,
    source="DeepFD's fault 'epoch'; iris notebooks with epochs=3",
    note="three epochs of a hundred flowers are 21 steps of SGD",
)
def three_epochs_of_iris(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = iris(seed)
    return {
        "model": mlp(4, 16, 3),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
        "batch_size": 16,
        "epochs": 2 if sick else 60,
    }


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing",
    task="regression",
    good=0.9,
    source="the adding problem (Hochreiter & Schmidhuber 1997) run for a tenth of the usual time",
    note="the loss of the LSTM has just begun to fall when training ends",
)
def adding_problem_cut_short(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = sums(seed, n=700, length=6)
    return {
        "model": SeriesRNN(2, 1, 24, nn.LSTM),
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=5e-3),
        "batch_size": 32,
        "epochs": 3 if sick else 30,
    }


@program(
    PROGRAMS,
    faults="too-few-epochs",
    symptoms="lr-too-low underfitting-capacity loss-not-decreasing input-constant-feature",
    task="classification",
    good=0.85,
    source="tutorial code with 'for epoch in range(1)' left from debugging",
    note="one epoch of digits at a moderate rate",
)
def one_epoch_of_digits(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = digits(seed, image=True)
    return {
        "model": digit_cnn(),
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=2e-3),
        "batch_size": 32,
        "epochs": 1 if sick else 12,
    }


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=HALF + " parameters-not-in-optimizer unused-parameters",
    task="classification",
    good=0.9,
    source="PyTorch transfer-learning tutorial: requires_grad=False copied to a net that was never trained",
    note="the convolutions are frozen at random filters; only the head learns",
)
def frozen_random_convolutions(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = waves(seed, noise=0.7)
    model = wave_cnn()
    for layer in model[:6]:
        layer.requires_grad_(not sick)
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
    faults="frozen-parameters",
    symptoms=HALF + " parameters-not-in-optimizer unused-parameters",
    task="classification",
    good=0.85,
    source="nn.Embedding.from_pretrained freezes by default (PyTorch documentation), here with random vectors",
    note="the embedding is frozen, and so is the recurrent layer",
)
def from_pretrained_of_noise(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = tokens(seed)
    model = TokenRNN(20, 3)
    model.embed = nn.Embedding.from_pretrained(0.1 * torch.randn(20, 16), freeze=sick)
    model.rnn.requires_grad_(not sick)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "batch_size": 32,
        "epochs": 12,
    }


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=HALF + " parameters-not-in-optimizer unused-parameters",
    task="regression",
    good=0.9,
    source="posts of scripts that freeze 'everything but the last layer' by a loop over named_parameters",
    note="all but the outlet of a residual net is frozen",
)
def residual_body_frozen(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    model = ResidualMLP(8, 1, width=16, blocks=2)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not sick or name.startswith("outlet")
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": lambda p: torch.optim.Adam([q for q in p if q.requires_grad], lr=5e-3),
        "batch_size": 32,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=HALF + " frozen-parameters unused-parameters",
    task="classification",
    good=0.9,
    source="PyTorch forum: optimizer made before the model's layers were replaced",
    note="the head is exchanged after the optimizer was made, which still holds the old one",
)
def head_replaced_too_late(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = wine(seed)
    model = mlp(13, 4, 3)
    nn.init.normal_(model[0].weight, std=0.05)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    model[-1] = nn.Linear(4, 3)
    nn.init.normal_(model[-1].weight, std=0.01)
    if not sick:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": optimizer,
        "batch_size": 16,
        "epochs": 20,
    }


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=HALF + " frozen-parameters unused-parameters",
    task="regression",
    good=0.8,
    source="PyTorch forum: optim.Adam(model[-1].parameters()) left over from fine-tuning",
    note="the three hidden layers keep their random weights, the optimizer holds the outlet alone",
)
def optimizer_of_the_outlet(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = friedman(seed)
    model = mlp(8, 6, 6, 6, 1)
    for layer in model[:4]:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.3)
    chosen = [model[-1]] if sick else [model]
    parameters = [q for module in chosen for q in module.parameters()]
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.MSELoss(),
        "optimizer": torch.optim.Adam(parameters, lr=0.01),
        "batch_size": 32,
        "epochs": 30,
    }


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=HALF + " frozen-parameters unused-parameters",
    task="multilabel",
    good=0.85,
    source="GAN and encoder-decoder scripts with one optimizer for one of the two halves",
    note="the encoder's parameters were forgotten: it stays a random map onto three numbers",
)
def encoder_left_out(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = tags(seed, features=16, labels=3)
    encoder, decoder = mlp(16, 24, 3), mlp(3, 24, 3)
    model = nn.Sequential(encoder, decoder)
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": torch.optim.Adam((decoder if sick else model).parameters(), lr=5e-3),
        "batch_size": 32,
        "epochs": 25,
    }


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=SLOW + " vanishing-activations vanishing-gradient lr-too-low too-few-epochs",
    task="binary",
    good=0.9,
    source="scripts with weight_decay=1 in SGD, where the usual 1e-4 was meant",
    note="the penalty's pull balances the loss at weights that are almost zero",
)
def cancer_decay_of_two(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = cancer(seed)
    return {
        "model": mlp(30, 16, 16, 1, activation=nn.Tanh),
        "train": train,
        "val": val,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=2.0 if sick else 1e-4),
        "batch_size": 32,
        "epochs": 20,
    }
