"""A deep-learning course's exercises gone wrong, first part: starts, depth, recurrence and normalization."""

from functools import partial
from itertools import pairwise

import torch
from enrol import case
from nets import Attention, ResidualMLP, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import Parts, digits, friedman, rings, split, standardized, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs input-constant-feature"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations momentum-too-high"
)


def drawn(model: nn.Module, std: float) -> nn.Module:
    """All weight matrices redrawn from a Gaussian of this width, biases set to zero."""
    for p in model.parameters():
        nn.init.normal_(p, std=std) if p.ndim > 1 else nn.init.zeros_(p)
    return model


def kaiming(model: nn.Module, gain: float = 2.0) -> nn.Module:
    """Weights of variance ``gain`` / inputs, biases zero."""
    for p in model.parameters():
        nn.init.normal_(p, std=(gain / p.shape[1]) ** 0.5) if p.ndim > 1 else nn.init.zeros_(p)
    return model


@program(
    PROGRAMS,
    faults="bad-init-scale vanishing-activations vanishing-gradient",
    symptoms=STUCK,
    task="classification",
    good=0.88,
    source="lecture 'activation statistics': W = 0.01 * randn in a tanh net of six layers",
    note="each layer shrinks its input more than tenfold: outputs and gradients are zero",
)
def course_small_gaussians_in_tanh(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 64, 64, 64, 64, 64, 10, activation=nn.Tanh)
    drawn(model, 0.01 if sick else 64**-0.5)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1), 32, 12)


@program(
    PROGRAMS,
    faults="bad-init-scale saturated-activations",
    symptoms=STUCK
    + " vanishing-gradient exploding-gradient lr-too-high too-deep-for-width overfitting oscillating-loss",
    task="classification",
    good=0.88,
    source="lecture 'activation statistics': torch.randn for the weights as they come",
    note="weights of standard deviation one: every tanh sits at plus or minus one",
)
def course_unscaled_gaussians_in_tanh(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 80, 80, 80, 10, activation=nn.Tanh)
    drawn(model, 1.0 if sick else 80**-0.5)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 15)


@program(
    PROGRAMS,
    faults="bad-init-scale vanishing-activations vanishing-gradient",
    symptoms=STUCK + " too-deep-for-width dead-relu",
    task="classification",
    good=0.85,
    source="He et al. 2015, figure 3: a rectifier net too deep for from Xavier's start",
    note="half of the second moment is lost at each of twenty layers",
)
def course_xavier_under_relu(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, *[128] * 19, 10)
    kaiming(model, 1.0 if sick else 2.0)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=3e-3, momentum=0.9), 32, 20)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " bad-init-scale dead-relu",
    task="classification",
    good=0.9,
    source="course forum: 'for p in net.parameters(): nn.init.constant_(p, 0.05)'",
    note="all hidden units start alike and stay alike",
)
def course_all_units_alike(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 32, 32, 10)
    if sick:
        for p in model.parameters():
            nn.init.constant_(p, 0.05)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=STUCK + " saturated-activations vanishing-activations bad-init-scale too-deep-for-width",
    task="regression",
    good=0.65,
    source="course exercise 'deep autoencoder', copied from a Theano tutorial with sigmoids everywhere",
    note="seven sigmoid layers between picture and picture: the mean picture is all that is learned",
)
def course_sigmoid_autoencoder(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, x) for x, _ in digits(seed))
    model = mlp(64, 48, 32, 24, 16, 24, 32, 48, 64, activation=nn.Sigmoid if sick else nn.ELU)
    return case(model, parts, nn.MSELoss(), partial(SGD, lr=0.3, momentum=0.9), 32, 20)


@program(
    PROGRAMS,
    faults="too-deep-for-width vanishing-gradient",
    symptoms=STUCK + " vanishing-activations bad-init-scale dead-relu exploding-gradient lr-too-high oscillating-loss",
    task="classification",
    good=0.93,
    source="Hanin and Rolnick 2018: how to start training; a student's net of 60 layers of 6 units",
    note="sixty rectifier layers of six units from Kaiming's start: what arrives is the same for every sample",
)
def course_sixty_layers_of_six(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(2, *[6] * (60 if sick else 4), 2)
    kaiming(model)
    return case(model, rings(seed, 900, 0.1), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="exploding-activations bad-init-scale exploding-gradient",
    symptoms=WILD + " too-deep-for-width",
    task="regression",
    good=0.75,
    source="lecture 'residual nets': normalization left out, Kaiming's start kept in every branch",
    note="each block doubles the second moment: after twenty blocks outputs of a thousand",
)
def course_residual_blocks_add_up(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = ResidualMLP(8, 1, width=32, blocks=20, gain=2.45 if sick else 0.5)
    return case(model, friedman(seed), nn.MSELoss(), partial(SGD, lr=5e-3, momentum=0.9), 32, 15)


class Elman(nn.Module):
    """A recurrent layer of rectifiers with a head on the last state; recurrent weights orthogonal times ``gain``."""

    def __init__(self, features: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.rnn = nn.RNN(features, 24, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(24, outputs)
        nn.init.orthogonal_(self.rnn.all_weights[0][1], gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


@program(
    PROGRAMS,
    faults="exploding-gradient exploding-activations bad-init-scale",
    symptoms=WILD,
    task="classification",
    good=0.85,
    source="lecture 'gradient explosion': a recurrent net with rectifiers and torch.randn weights",
    note="recurrent weights of gain two double the state at each of 32 steps",
)
def course_recurrence_that_doubles(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x.transpose(1, 2), y) for x, y in waves(seed, 900, 32, noise=0.2))
    model = Elman(1, 3, 2.0 if sick else 0.9)
    return case(model, parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 20)


class Sign(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sign()


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=STUCK + " frozen-parameters saturated-activations missing-nonlinearity",
    task="classification",
    good=0.93,
    source="course exercise 'from the perceptron to the multilayer perceptron': the step function is kept",
    note="sign() has derivative zero everywhere: only the last layer learns",
)
def course_step_function_hidden(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(2, 12, 12, 2, activation=Sign if sick else nn.Tanh)
    return case(model, rings(seed, 900, 0.1), nn.CrossEntropyLoss(), partial(Adam, lr=0.02), 32, 20)


def quadrants(seed: int) -> Parts:
    """The plane's first and third quadrant against the other two."""
    x = 2 * torch.rand(900, 2, generator=torch.Generator().manual_seed(seed)) - 1
    return split(2 * x, (x[:, 0] * x[:, 1] > 0).long(), seed)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=STUCK,
    task="classification",
    good=0.92,
    source="lecture 'hard cases for a linear classifier', first case, and many posts on XOR",
    note="three linear layers in a row are one: no line separates the quadrants",
)
def course_quadrants_without_relu(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(2, 32, 32, 2, activation=nn.Identity if sick else nn.ReLU)
    return case(model, quadrants(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="underfitting-capacity missing-nonlinearity",
    symptoms=STUCK,
    task="binary",
    good=0.9,
    source="lecture 'hard cases for a linear classifier', second case: a ring around a disc",
    note="logistic regression on an annulus",
)
def course_annulus_and_a_line(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = 2.4 * (2 * torch.rand(900, 2) - 1)
    radius = x.norm(dim=1, keepdim=True)
    y = ((radius > 1) & (radius < 2)).float()
    model = nn.Linear(2, 1) if sick else mlp(2, 32, 32, 1)
    return case(model, split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=0.01), 32, 30)


@program(
    PROGRAMS,
    faults="dead-relu bad-init-scale",
    symptoms=STUCK + " vanishing-activations vanishing-gradient frozen-parameters",
    task="regression",
    good=0.75,
    source="course forum: 'negative bias so that the net is sparse at the start'",
    note="biases of minus four: no unit of the hidden layers answers to any sample",
)
def course_biases_below_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(8, 48, 48, 1)
    for layer in model[:-1]:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.bias, -4.0 if sick else 0.0)
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="overfitting bn-small-batch lr-too-high too-few-epochs",
    task="classification",
    good=0.92,
    source="Keras habit: BatchNorm momentum 0.999 carried over, which here means the complement",
    note="running means move by a thousandth a step: evaluation uses statistics of the start",
)
def course_running_mean_stays_behind(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for wide, narrow in pairwise((64, 64, 64, 64)):
        layers += [nn.Linear(wide, narrow), nn.BatchNorm1d(narrow, momentum=0.001 if sick else 0.1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(64, 10))
    parts = tuple((8 * x, y) for x, y in digits(seed))
    return case(model, parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.9), 64, 8)


@program(
    PROGRAMS,
    faults="bn-small-batch",
    symptoms="bn-train-eval-mismatch batch-size-extreme oscillating-loss lr-too-high underfitting-capacity " + STUCK,
    task="regression",
    good=0.72,
    source="Wu and He 2018, figure 1, in a course project: two samples fit on the GPU",
    note="batch normalization over two rows; group normalization would not mind",
)
def course_two_rows_in_a_batch(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)

    def norm() -> nn.Module:
        return nn.BatchNorm1d(32) if sick else nn.GroupNorm(4, 32)

    model = nn.Sequential(nn.Linear(8, 32), norm(), nn.ReLU(), nn.Linear(32, 32), norm(), nn.ReLU(), nn.Linear(32, 1))
    return case(model, friedman(seed, 700), nn.MSELoss(), partial(Adam, lr=2e-3), 2, 15)


@program(
    PROGRAMS,
    faults="bad-init-scale",
    symptoms=STUCK + " saturated-activations exploding-activations overfitting lr-too-high exploding-gradient",
    task="classification",
    good=0.75,
    source="course forum: nn.init.normal_(embedding.weight, std=20) and plain RNN",
    note="word vectors of length a hundred saturate the recurrent layer at once",
)
def course_long_word_vectors(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    embed = nn.Embedding(20, 16)
    nn.init.normal_(embed.weight, std=20.0 if sick else 0.5)
    model = nn.Sequential(embed, nn.RNN(16, 24, batch_first=True), Last(), nn.Linear(24, 3))
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 20, clip_grad=1.0)


class Last(nn.Module):
    """The last state of what a recurrent layer returns."""

    def forward(self, x: tuple[Tensor, Tensor]) -> Tensor:
        return x[0][:, -1]


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient bad-init-scale " + STUCK,
    task="classification",
    good=0.75,
    source="course project: a transformer with the rate of the convolutional net's exercise",
    note="Adam at 0.1 throws a post-norm transformer into a constant answer",
)
def course_transformer_at_a_tenth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Attention(20, 3, layers=2, norm_first=False)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.1 if sick else 2e-3), 32, 15)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " vanishing-gradient ill-conditioned-features input-constant-feature bad-init-scale "
    "loss-not-decreasing underfitting-capacity",
    task="classification",
    good=0.9,
    source="assignment on images: uint8 pixels turned into floats and no more",
    note="pixels of 0 to 255, all positive, in a sigmoid net",
)
def course_pixels_up_to_255(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x * (255 if sick else 1), y) for x, y in digits(seed))
    model = mlp(64, 48, 10, activation=nn.Sigmoid)
    return case(model, parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.3, momentum=0.9), 32, 20)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms=STUCK + " input-not-normalized oscillating-loss batch-size-extreme",
    task="regression",
    good=0.85,
    source="lecture 'standardizing is not enough': dependent features, PCA and whitening",
    note="twelve standardized columns that are nearly one; the target is in their small differences",
)
def course_columns_nearly_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rest = 0.1 * torch.randn(800, 12)
    x = standardized(torch.randn(800, 1) + rest)
    y = standardized(rest @ torch.randn(12, 1) + 0.01 * torch.randn(800, 1))
    if not sick:
        x = standardized(x @ torch.linalg.svd(x - x.mean(0), full_matrices=False)[2].T)
    return case(nn.Linear(12, 1), split(x, y, seed), nn.MSELoss(), partial(SGD, lr=0.02), 32, 20)


@program(
    PROGRAMS,
    faults="ill-conditioned-features input-not-normalized",
    symptoms=WILD + " " + STUCK,
    task="regression",
    good=0.75,
    source="lecture 'feature normalization': columns in metres, grams and years as they come",
    note="scales from a hundredth to a hundred side by side: the small columns are not seen",
)
def course_units_as_they_come(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    scale = torch.logspace(-2, 2, 8)[torch.randperm(8)] if sick else torch.ones(8)
    parts = tuple((x * scale, y) for x, y in friedman(seed, 900, 8, 0.3))
    return case(mlp(8, 48, 24, 1), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=STUCK + " overfitting bn-train-eval-mismatch vanishing-gradient lr-too-high",
    task="classification",
    good=0.9,
    source="lecture 'dropout': the keep probability of the paper given to a layer that wants the drop probability",
    note="nn.Dropout(0.95) after each pooling: one value in twenty passes",
)
def course_keep_for_drop(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    drop = 0.95 if sick else 0.05
    body = digit_cnn()
    model = nn.Sequential(*body[:3], nn.Dropout(drop), *body[3:6], nn.Dropout(drop), *body[6:])
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)
