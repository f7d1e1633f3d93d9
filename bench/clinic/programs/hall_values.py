"""Programs as an examiner would choose them, first part: inputs, targets, losses and starts."""

from functools import partial

import torch
from enrol import case
from nets import SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import cancer, diabetes, digits, friedman, iris, split, standardized, tags, waves, wine
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations momentum-too-high"
)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " ill-conditioned-features vanishing-gradient too-few-epochs lr-too-low",
    task="classification",
    good=0.9,
    source="Kaggle wine notebooks: the accuracy stays at 40 percent, proline is in the hundreds",
    note="wine as it is shipped: proline up to 1680 beside a hue of about one",
)
def hall_wine_as_shipped(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(mlp(13, 32, 3), wine(seed, raw=sick), nn.CrossEntropyLoss(), partial(SGD, lr=0.03), 16, 40)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=STUCK + " saturated-activations vanishing-gradient ill-conditioned-features lr-too-high bad-init-scale",
    task="binary",
    good=0.92,
    source="StackOverflow: breast cancer with tanh units, the loss stays at 0.66",
    note="areas of up to 4000 saturate every tanh unit",
)
def hall_tumours_raw_tanh(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(30, 24, 12, 1, activation=nn.Tanh)
    return case(model, cancer(seed, raw=sick), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.05), 32, 12)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing lr-too-high exploding-gradient input-not-normalized",
    task="regression",
    good=0.75,
    source="StackOverflow: 'loss is nan from the first epoch', the csv had empty cells",
    note="a few missing cells of the table reached the net as nan",
)
def hall_empty_cells(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = friedman(seed, 800, 8)
    holes = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < 0.003
    x = x.masked_fill(holes, torch.nan if sick else 0.0)
    return case(mlp(8, 32, 32, 1), ((x, y), val), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=WILD + " ill-conditioned-features bad-init-scale vanishing-gradient",
    task="regression",
    good=0.75,
    source="tabular posts: the year of the export was left in the table",
    note="a column that is 2021 in every row drowns the others",
)
def hall_year_column(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple(
        (torch.cat([x, torch.full((len(x), 1), 2021.0 if sick else 0.0)], 1), y) for x, y in friedman(seed, 900, 7)
    )
    return case(mlp(8, 32, 32, 1), parts, nn.MSELoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 25)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms=STUCK + " input-not-normalized lr-too-high oscillating-loss",
    task="regression",
    good=0.8,
    source="course exercise 'polynomial regression by gradient descent', degree eight",
    note="raw powers of x are almost collinear; an orthogonal basis of the same functions is easy",
)
def hall_powers_of_x(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(600, 1, generator=draw) - 1
    y = standardized(torch.sin(6 * x) + 0.1 * torch.randn(600, 1, generator=draw))
    powers = standardized(torch.cat([x**k for k in range(1, 9)], 1))
    if not sick:
        left, _, _ = torch.linalg.svd(powers, full_matrices=False)
        powers = standardized(left)
    return case(nn.Linear(8, 1), split(powers, y, seed), nn.MSELoss(), partial(SGD, lr=0.02), 32, 30)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=STUCK + " overfitting",
    task="binary",
    metric="balanced",
    good=0.8,
    source="Kaggle credit card fraud: 97 percent accuracy, and not one fraud found",
    note="three frauds in a hundred rows; the repair weighs them by their rarity",
)
def hall_rare_frauds(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(2400, 1, generator=draw) < 0.04).float()
    x = torch.randn(2400, 10, generator=draw) + 1.1 * y * torch.tensor([1.0] * 5 + [0.0] * 5)
    loss = nn.BCEWithLogitsLoss(pos_weight=None if sick else torch.tensor([24.0]))
    return case(mlp(10, 16, 1), split(x, y, seed), loss, partial(Adam, lr=2e-3), 64, 10)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="loss-output-mismatch program-crashes",
    task="classification",
    good=0.8,
    source="PyTorch forum: 'Target 10 is out of bounds' after adding an eleventh class",
    note="the head has one output fewer than there are classes",
)
def hall_one_output_short(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = wave_cnn(classes=2 if sick else 3)
    return case(model, waves(seed, 700), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="label-out-of-range wrong-loss-for-task",
    symptoms=WILD + " loss-output-mismatch targets-not-normalized",
    task="binary",
    good=0.92,
    source="PyTorch forum: labels -1 and 1 with BCEWithLogitsLoss, the loss becomes negative",
    note="minus one is not a probability: the loss has no lower bound",
)
def hall_signs_as_labels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = cancer(seed)
    parts = ((x, 2 * y - 1), (x_val, 2 * y_val - 1)) if sick else ((x, y), (x_val, y_val))
    return case(mlp(30, 24, 1), parts, nn.BCEWithLogitsLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 40)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=STUCK,
    task="regression",
    good=0.35,
    source="StackOverflow: 'Using a target size that is different to the input size' on diabetes",
    note="targets of shape (n,) are broadcast against outputs of shape (n, 1): the net learns the mean",
)
def hall_diabetes_flat_target(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y.flatten() if sick else y) for x, y in diabetes(seed))
    return case(mlp(10, 24, 1), parts, nn.MSELoss(), partial(Adam, lr=2e-3), 32, 25)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=STUCK,
    task="regression",
    good=0.8,
    source="PyTorch forum: a GRU that forecasts the mean for every series",
    note="the head is squeezed to (n,) while the targets stay (n, 1)",
)
def hall_forecast_squeezed(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    start, pace = 6.3 * torch.rand(700, 1, generator=draw), 0.2 + 0.4 * torch.rand(700, 1, generator=draw)
    series = torch.sin(start + pace * torch.arange(17)) + 0.05 * torch.randn(700, 17, generator=draw)
    model: nn.Module = SeriesRNN(1, 1, 16)
    model = nn.Sequential(model, nn.Flatten(0)) if sick else model
    return case(model, split(series[:, :16, None], series[:, 16:], seed), nn.MSELoss(), partial(Adam, lr=0.01), 32, 12)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=STUCK + " lr-too-high exploding-gradient oscillating-loss",
    task="regression",
    good=0.7,
    source="Kaggle house prices: the loss is 4e10 and hardly moves with Adam",
    note="prices of some two hundred thousand, an output that starts at zero and a rate of 0.001",
)
def hall_prices_in_dollars(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, 2e5 + 8e4 * y if sick else y) for x, y in friedman(seed, 1000, 10))
    return case(mlp(10, 48, 48, 1), parts, nn.MSELoss(), partial(Adam, lr=1e-3), 32, 25)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " vanishing-gradient saturated-activations",
    task="regression",
    good=0.5,
    source="autoencoder posts: sigmoid on the last layer, the pictures were standardized",
    note="the outputs lie between 0 and 1, a good half of the targets does not",
)
def hall_sigmoid_for_standardized(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple(((x - 0.3) / 0.37, (x - 0.3) / 0.37) for x, _ in digits(seed))
    model = nn.Sequential(*mlp(64, 48, 16, 48, 64), *([nn.Sigmoid()] if sick else []))
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " vanishing-gradient",
    task="binary",
    metric="balanced",
    good=0.85,
    source="GitHub issue: text classifier, sigmoid and then BCEWithLogitsLoss",
    note="the sigmoid is applied twice, so that the loss sees probabilities between 0.5 and 0.73",
)
def hall_two_sigmoids(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randint(0, 30, (1000, 12), generator=torch.Generator().manual_seed(seed))
    y = ((x < 10).sum(1) > 5).float()[:, None]
    model = nn.Sequential(TokenRNN(30, 1, 12), *([nn.Sigmoid()] if sick else []))
    return case(model, split(x, y, seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=WILD + " wrong-loss-for-task " + STUCK,
    task="classification",
    good=0.9,
    source="PyTorch forum: NLLLoss becomes more and more negative",
    note="NLLLoss on raw scores: nothing keeps the scores from growing",
)
def hall_nll_of_scores(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*digit_cnn(), *([] if sick else [nn.LogSoftmax(1)]))
    return case(model, digits(seed, image=True), nn.NLLLoss(), partial(SGD, lr=0.1, momentum=0.9), 64, 12)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " dead-relu vanishing-gradient wrong-loss-for-task",
    task="classification",
    good=0.85,
    source="StackOverflow: 'my net has ReLU after every layer', the last one too",
    note="a ReLU on the scores: a class whose score is negative gets no gradient",
)
def hall_relu_on_scores(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(64, 32, 10), *([nn.ReLU()] if sick else []))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms=STUCK + " label-out-of-range",
    task="multilabel",
    good=0.85,
    source="PyTorch forum: several tags for an article, CrossEntropyLoss used all the same",
    note="softmax lets the tags compete although several may be right at once",
)
def hall_tags_that_compete(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.CrossEntropyLoss() if sick else nn.BCEWithLogitsLoss()
    return case(mlp(12, 32, 6), tags(seed, labels=6, offset=-0.8), loss, partial(Adam, lr=5e-3), 32, 20)


def column(output: Tensor, y: Tensor) -> Tensor:
    """Squared distance of one output to the number of the class."""
    return nn.functional.mse_loss(output, y.float()[:, None])


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms=STUCK + " targets-not-normalized",
    task="classification",
    good=0.85,
    source="course posts: digits as a regression, the output is rounded to the class",
    note="the digit's number is regressed, as if a 7 were near an 8",
)
def hall_digits_by_regression(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model, loss = (mlp(64, 32, 1), column) if sick else (mlp(64, 32, 10), nn.CrossEntropyLoss())
    return case(model, digits(seed), loss, partial(Adam, lr=2e-3), 32, 15)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " bad-init-scale vanishing-gradient",
    task="classification",
    good=0.85,
    source="deeplearning.ai course: nn.init.constant_ for all weights 'to make it reproducible'",
    note="all units of a layer are the same unit",
)
def hall_same_constant(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 24, 10)
    for p in model.parameters() if sick else ():
        nn.init.constant_(p, 0.02)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 15)


@program(
    PROGRAMS,
    faults="bad-init-scale saturated-activations",
    symptoms=STUCK + " vanishing-gradient exploding-activations lr-too-high exploding-gradient",
    task="classification",
    good=0.85,
    source="CS231n exercise: np.random.randn(fan_in, fan_out) without the factor",
    note="weights of variance one saturate the tanh layers",
)
def hall_randn_without_factor(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 64, 64, 10, activation=nn.Tanh)
    for p in model.parameters() if sick else ():
        nn.init.normal_(p, std=2.0)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="bad-init-scale vanishing-activations",
    symptoms=STUCK + " vanishing-gradient symmetric-init too-deep-for-width",
    task="classification",
    good=0.88,
    source="CS231n: 'small random numbers', 0.01 · randn in a net of five layers",
    note="each layer shrinks the signal tenfold",
)
def hall_small_random_numbers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 48, 48, 48, 10)
    for layer in model if sick else ():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.03, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="dead-relu bad-init-scale",
    symptoms=STUCK + " vanishing-gradient vanishing-activations",
    task="regression",
    good=0.7,
    source="StackOverflow: 'all predictions are the same', biases set to -3",
    note="biases far below zero: no unit ever fires",
)
def hall_biases_below_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(8, 32, 32, 1)
    for layer in (model[0], model[2]) if sick else ():
        nn.init.constant_(layer.get_parameter("bias"), -4.0)
    return case(model, friedman(seed), nn.MSELoss(), partial(SGD, lr=0.05), 32, 25)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss lr-too-high overfitting momentum-too-high loss-not-decreasing class-imbalance",
    task="classification",
    good=0.85,
    source="StackOverflow: iris trained with shuffle=False, only virginica is ever predicted",
    note="the file lists one species after the other and is read in that order",
)
def hall_species_in_order(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = iris(seed)
    order = y.argsort()
    return case(
        mlp(4, 16, 16, 3),
        ((x[order], y[order]), val),
        nn.CrossEntropyLoss(),
        partial(SGD, lr=0.1, momentum=0.9),
        5,
        20,
        shuffle=not sick,
    )


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting class-imbalance",
    task="classification",
    good=0.8,
    source="GitHub issue: augmentation by repeating files, the same forty pictures over and over",
    note="the training part is forty digits many times over; the repair draws as many different ones",
)
def hall_forty_digits(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    rows = torch.arange(1200) % (40 if sick else 1200)
    return case(mlp(64, 64, 10), ((x[rows], y[rows]), val), nn.CrossEntropyLoss(), partial(Adagrad, lr=0.03), 32, 12)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=STUCK + " lr-too-high saturated-activations vanishing-gradient exploding-activations oscillating-loss",
    task="classification",
    good=0.88,
    source="Keras to PyTorch posts: pixels of 0 … 255 with SGD, accuracy 10 percent",
    note="the pictures were never divided by 255",
)
def hall_bytes_of_pictures(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x * 255 if sick else x, y) for x, y in digits(seed, image=True))
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)
