"""Autoencoders that show a grey mean, and heads with several answers that all say no."""

from functools import partial

import torch
from enrol import case
from nets import mlp
from program import Case, SuiteProgram, program
from samples import Parts, digits, split, standardized, tags
from torch import Tensor, nn
from torch.optim import SGD, Adam, RMSprop

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


def mirrored(parts: Parts) -> Parts:
    """The inputs as their own targets."""
    (x, _), (x_val, _) = parts
    return (x, x), (x_val, x_val)


def sensors(seed: int, n: int = 900, channels: int = 16) -> Parts:
    """Standardized readings that four hidden quantities make through bent curves, as inputs and targets."""
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, 4, generator=draw)
    mix = torch.randn(4, channels, generator=draw)
    x = standardized((hidden @ mix).tanh() + 0.3 * hidden @ mix + 0.1 * torch.randn(n, channels, generator=draw))
    return split(x, x, seed)


@program(
    PROGRAMS,
    faults="loss-output-mismatch targets-not-normalized input-not-normalized",
    symptoms=STUCK + " saturated-activations vanishing-gradient wrong-loss-for-task",
    task="regression",
    good=0.7,
    source="StackOverflow: autoencoder on raw pixels shows white squares, decoder with sigmoid and no ToTensor",
    note="the decoder's sigmoid ends at one, the grey levels at sixteen",
)
def sigmoid_decoder_of_raw_levels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(64, 48, 16, 48, 64), nn.Sigmoid())
    return case(model, mirrored(digits(seed, raw=sick)), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="loss-output-mismatch wrong-loss-for-task label-out-of-range",
    symptoms=STUCK + " saturated-activations vanishing-gradient exploding-activations exploding-gradient lr-too-high "
    "program-crashes targets-not-normalized",
    task="regression",
    good=0.6,
    source="Keras and PyTorch posts: anomaly detection after StandardScaler with sigmoid and BCE",
    note="readings of mean zero are neither probabilities nor bits",
)
def cross_entropy_of_standardized_sensors(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(16, 32, 6, 32, 16)
    if sick:
        model.append(nn.Sigmoid())
    return case(model, sensors(seed), nn.BCELoss() if sick else nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " saturated-activations vanishing-gradient dead-relu wrong-loss-for-task input-not-normalized",
    task="regression",
    good=0.75,
    source="StackOverflow: sensor autoencoder, negative readings come back as zero; Sigmoid copied from the MNIST one",
    note="a sigmoid in the decoder cannot say anything below zero, and half of the readings are there",
)
def decoder_of_pictures_for_sensors(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(16, 32, 6, 32, 16)
    if sick:
        model.append(nn.Sigmoid())
    return case(model, sensors(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=STUCK + " saturated-activations too-deep-for-width vanishing-activations bad-init-scale",
    task="regression",
    good=0.65,
    source="StackOverflow: stacked autoencoder, every reconstruction is the mean picture; sigmoid in all layers",
    note="seven sigmoids one after another from the pixels to a code of twelve and back",
)
def stacked_autoencoder_of_sigmoids(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 32, 24, 12, 24, 32, 48, 64, activation=nn.Sigmoid if sick else nn.ReLU)
    return case(model, mirrored(digits(seed)), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 25)


@program(
    PROGRAMS,
    faults="lr-too-high dead-relu",
    symptoms=WILD + " vanishing-gradient vanishing-activations underfitting-capacity",
    task="regression",
    good=0.6,
    source="StackOverflow: autoencoder outputs the same blurred image for all inputs, Adam(lr=0.1)",
    note="Adam's first steps of a tenth close the units of the code for good, what is left is the mean picture",
)
def autoencoder_at_a_tenth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 24, 12, 24, 48, 64)
    return case(model, mirrored(digits(seed)), nn.MSELoss(), partial(Adam, lr=0.1 if sick else 3e-3), 32, 20)


class Detached(nn.Module):
    """An autoencoder whose code is kept for a plot; ``detach`` hands the plotted one on to the decoder."""

    def __init__(self, detach: bool) -> None:
        super().__init__()
        self.encoder, self.decoder, self.detach = mlp(16, 32, 4), mlp(4, 32, 16), detach
        self.code = torch.zeros(0)

    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        self.code = code.detach()
        return self.decoder(self.code if self.detach else code)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " vanishing-gradient unused-parameters parameters-not-in-optimizer",
    task="regression",
    good=0.9,
    source="PyTorch forum: encoder.weight.grad is None; the code was detached for a scatter plot",
    note="the decoder gets the detached code, so that the encoder stays as it was drawn",
)
def code_detached_for_a_plot(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Detached(sick), sensors(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=STUCK + " bn-train-eval-mismatch oscillating-loss",
    task="regression",
    good=0.6,
    source="GitHub samples of denoising autoencoders: Dropout(0.8) for the noise, put behind the code too",
    note="four of the five numbers of a code are dropped in every step, and a code has no spare ones",
)
def dropout_of_a_narrow_code(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(16, 32, 6), nn.Dropout(0.8 if sick else 0.0), *mlp(6, 32, 16))
    return case(model, sensors(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations vanishing-gradient",
    task="regression",
    good=0.6,
    source="Keras ports: kernel_regularizer=l2(0.01) became Adam(weight_decay=0.1) in the anomaly detector",
    note="Adam's penalty of a tenth outweighs the small gradients of a mean over pixels",
)
def penalty_of_a_ported_detector(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=3e-3, weight_decay=0.1 if sick else 0.0)
    return case(mlp(64, 48, 16, 48, 64), mirrored(digits(seed)), nn.MSELoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=STUCK,
    task="regression",
    good=0.7,
    source="StackOverflow: 'my deep autoencoder is no better than PCA', self.relu was made and never called",
    note="a spiral in space laid out by one number: four linear layers find only its axis",
)
def autoencoder_no_better_than_pca(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    turn = 4 * torch.rand(900, 1, generator=draw) - 2
    x = torch.cat([turn.cos() * 1.5, (1.5 * turn).sin(), turn, turn**2 / 2], 1)
    x = standardized(x + 0.05 * torch.randn(900, 4, generator=draw))
    model = mlp(4, 48, 1, 48, 4, activation=nn.Identity if sick else nn.SiLU)
    return case(model, split(x, x, seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 40)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " wrong-loss-for-task vanishing-gradient class-imbalance",
    task="multilabel",
    good=0.85,
    source="StackOverflow: genres of films, softmax and BCELoss, never more than one label above a half",
    note="softmax shares one among all labels, although two and three of them hold at once",
)
def softmax_head_for_genres(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(12, 48, 6), nn.Softmax(1) if sick else nn.Sigmoid())
    return case(model, tags(seed, 900, 12, 6), nn.BCELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="loss-output-mismatch target-shape-mismatch wrong-loss-for-task",
    task="multilabel",
    good=0.85,
    source="StackOverflow: 'result type Float can't be cast to the desired output type Long'",
    note="the tags come out of MultiLabelBinarizer as whole numbers",
)
def tags_as_whole_numbers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tags(seed, 900)
    if sick:
        parts = tuple((x, y.long()) for x, y in parts)
    return case(mlp(12, 32, 5), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 12)


def thresholded(output: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of answers that were already made yes or no."""
    return nn.functional.binary_cross_entropy((output.sigmoid() > 0.5).float(), y)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="loss-output-mismatch vanishing-gradient frozen-parameters",
    task="multilabel",
    good=0.85,
    source="StackOverflow: 'element 0 of tensors does not require grad', the answers are compared with 0.5 before",
    note="a comparison has no gradient, so that nothing is left to go back",
)
def threshold_before_the_loss(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = thresholded if sick else nn.BCEWithLogitsLoss()
    return case(mlp(12, 32, 5), tags(seed, 900), loss, partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms=WILD,
    task="multilabel",
    good=0.85,
    source="GitHub configuration files: RMSprop(momentum=0.99), where alpha=0.99 was meant",
    note="a hundredfold step in the direction of a hundred batches",
)
def momentum_for_alpha(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(RMSprop, lr=5e-3, momentum=0.99 if sick else 0.0)
    return case(mlp(12, 48, 24, 5), tags(seed, 900), nn.BCEWithLogitsLoss(), optimizer, 32, 15)


@program(
    PROGRAMS,
    faults="dead-relu bad-init-scale",
    symptoms=STUCK + " vanishing-gradient vanishing-activations saturated-activations",
    task="multilabel",
    good=0.85,
    source="PyTorch forum: init.constant_(bias, -2) for rare labels in model.apply, meant for the last layer only",
    note="the bias that a rare label's output may have stands in every hidden layer",
)
def bias_of_rare_labels_everywhere(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(12, 48, 24, 5)
    if sick:
        for layer in model[::2]:
            nn.init.constant_(layer.bias, -2.0)
    return case(model, tags(seed, 900), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 15)
