"""Plain programs on tables that do not train: data, targets, losses, starts and rates of small dense nets."""

from functools import partial
from typing import Any

import torch
from enrol import case
from nets import mlp
from program import Case, SuiteProgram, program
from samples import blobs, cancer, diabetes, digits, friedman, rings, split, standardized, tags, wine
from sklearn import datasets
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop

PROGRAMS: list[SuiteProgram] = []
SLOW = "loss-not-decreasing lr-too-low too-few-epochs underfitting-capacity"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations loss-not-decreasing "
    "dead-relu saturated-activations momentum-too-high"
)
FLAT = SLOW + " vanishing-gradient vanishing-activations dead-relu"


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " ill-conditioned-features bad-init-scale vanishing-gradient",
    task="classification",
    good=0.9,
    source="Kaggle beginners: load_wine straight into a net, accuracy stays at 40 %",
    note="proline runs to 1680 while other columns are below one; SGD kills the hidden units in a few steps",
)
def plain_wine_as_loaded(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(mlp(13, 32, 3), wine(seed, raw=sick), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 16, 30)


def prices(seed: int, n: int = 800) -> tuple[Tensor, Tensor]:
    """Rooms, area, age and distance of houses, and their price in units of currency."""
    draw = torch.Generator().manual_seed(seed)
    rooms = torch.randint(1, 8, (n, 1), generator=draw).float()
    area = 25 * rooms + 20 * torch.rand(n, 1, generator=draw)
    age, way = 80 * torch.rand(n, 1, generator=draw), 30 * torch.rand(n, 1, generator=draw)
    noise = 8000 * torch.randn(n, 1, generator=draw)
    price = 1800 * area + 60000 * (-way / 10).exp() - 500 * age + 40000 + noise
    return torch.cat([rooms, area, age, way], 1), price


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=SLOW + " exploding-gradient lr-too-high oscillating-loss exploding-activations bad-init-scale",
    task="regression",
    good=0.85,
    source="Kaggle house prices: the loss is 4e10 and hardly moves",
    note="prices of hundreds of thousands: Adam's steps of 0.001 would need weeks to reach them",
)
def plain_house_prices_in_dollars(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = prices(seed)
    parts = split(standardized(x), y if sick else standardized(y), seed)
    return case(mlp(4, 64, 32, 1), parts, nn.MSELoss(), partial(Adam, lr=1e-3), 32, 25)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing exploding-gradient lr-too-high",
    task="binary",
    good=0.92,
    source="StackOverflow: loss is nan, the CSV had empty cells",
    note="six empty cells in a table of measurements make the loss nan in the first epoch",
)
def plain_empty_cells(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = cancer(seed)
    x = x.clone()
    cells = torch.randint(0, len(x), (6,)), torch.randint(0, 30, (6,))
    x[cells] = torch.nan if sick else 0.0
    return case(mlp(30, 32, 1), ((x, y), val), nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="input-nonfinite input-constant-feature",
    symptoms="nonfinite-loss loss-not-decreasing",
    task="classification",
    good=0.9,
    source="StackOverflow: (X - X.mean(0)) / X.std(0) on digits gives nan",
    note="corner pixels that are always zero have no deviation, and zero over zero is nan",
)
def plain_divided_by_no_deviation(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed)
    mean, std = x.mean(0), x.std(0)
    std = std if sick else torch.where(std < 0.01, 1.0, std)
    parts = ((x - mean) / std, y), ((x_val - mean) / std, y_val)
    return case(mlp(64, 48, 10), parts, nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=SLOW + " overfitting wrong-loss-for-task",
    task="binary",
    metric="balanced",
    good=0.8,
    source="Kaggle credit card fraud: 97 % accuracy, recall of zero",
    note="three frauds in a hundred, which overlap with honest payments: always 'no' is nearly the best answer",
)
def plain_fraud_is_rare(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    y = (torch.rand(3000, 1) < 0.03).float()
    x = torch.randn(3000, 8) + 0.8 * y * torch.tensor([1.0, -1, 1, 0, 0, 1, 0, 1])
    loss = nn.BCEWithLogitsLoss(pos_weight=None if sick else torch.tensor([32.0]))
    return case(mlp(8, 16, 1), split(x, y, seed), loss, partial(Adam, lr=2e-3), 64, 10)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="loss-output-mismatch program-crashes target-shape-mismatch",
    task="classification",
    good=0.9,
    source="PyTorch forum: IndexError: Target 3 is out of bounds",
    note="cultivars are numbered 1 to 3 in the file, the net has outputs 0 to 2",
)
def plain_cultivars_one_to_three(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, y + int(sick)) for x, y in wine(seed))
    return case(mlp(13, 24, 3), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 16, 15)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=SLOW,
    task="regression",
    good=0.8,
    source="PyTorch forum: UserWarning: Using a target size that is different to the input size",
    note="targets (n,) against outputs (n, 1) are spread to n by n: the net learns the mean",
)
def plain_forgotten_unsqueeze(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, y.flatten() if sick else y) for x, y in friedman(seed, 800, 6))
    return case(mlp(6, 48, 48, 1), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss lr-too-high loss-not-decreasing overfitting",
    task="classification",
    good=0.9,
    source="StackOverflow: DataLoader without shuffle on a folder of classes",
    note="all zeros first, then all ones, ...: after each epoch the net remembers the last classes best",
)
def plain_classes_one_after_another(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    order = y.argsort()
    parts = (x[order], y[order]), val
    return case(mlp(64, 48, 10), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.1), 16, 12, shuffle=not sick)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=WILD + " " + SLOW + " wrong-loss-for-task",
    task="classification",
    good=0.9,
    source="PyTorch forum: NLLLoss gives negative values",
    note="NLLLoss on raw scores has no floor: the scores run away together",
)
def plain_nll_without_log_softmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers = mlp(64, 40, 10)
    model = layers if sick else nn.Sequential(*layers, nn.LogSoftmax(1))
    return case(model, digits(seed), nn.NLLLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 10)


@program(
    PROGRAMS,
    faults="loss-output-mismatch dead-relu",
    symptoms=SLOW + " vanishing-gradient targets-not-normalized",
    task="regression",
    good=0.75,
    source="StackOverflow: regression network only predicts positive values",
    note="a ReLU behind the last layer cannot give the half of the targets that is below zero",
)
def plain_relu_on_the_answer(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers = mlp(6, 32, 32, 1)
    model = nn.Sequential(*layers, nn.ReLU()) if sick else layers
    return case(model, friedman(seed, 800, 6), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 25)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms=SLOW + " loss-output-mismatch targets-not-normalized target-shape-mismatch",
    task="classification",
    good=0.9,
    source="StackOverflow: MSELoss for digit classification, accuracy 30 %",
    note="one output that should equal the number of the class: nearby digits are not alike",
)
def plain_digit_as_a_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, y.float()[:, None] if sick else y) for x, y in digits(seed))
    loss = nn.MSELoss() if sick else nn.CrossEntropyLoss()
    return case(mlp(64, 32, 1 if sick else 10), parts, loss, partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms=SLOW,
    task="multilabel",
    good=0.88,
    source="PyTorch forum: multi-label classification with CrossEntropyLoss",
    note="cross entropy shares one certainty among all labels: rows with several or none get nonsense",
)
def plain_many_labels_one_softmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.CrossEntropyLoss() if sick else nn.BCEWithLogitsLoss()
    return case(mlp(12, 48, 5), tags(seed, offset=-0.7), loss, partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="bad-init-scale exploding-activations",
    symptoms=WILD + " saturated-activations vanishing-gradient",
    task="classification",
    good=0.9,
    source="StackOverflow: torch.nn.init.normal_ with the default std of 1, loss in the thousands",
    note="weights of deviation one multiply the signal by seven in each layer",
)
def plain_weights_of_deviation_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 100, 100, 100, 10)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=1.0 if sick else 0.1)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 15)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=FLAT + " bad-init-scale exploding-activations saturated-activations",
    task="classification",
    good=0.9,
    source="PyTorch forum: init.constant_(m.weight, 0.1) and the net does not learn",
    note="all hidden units start alike and stay alike: a net of one unit",
)
def plain_constant_weights(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 32, 10)
    if sick:
        for parameter in model.parameters():
            nn.init.constant_(parameter, 0.05)
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="dead-relu",
    symptoms=FLAT + " bad-init-scale",
    task="classification",
    good=0.9,
    source="cs231n notes: units whose bias is far below zero never fire again",
    note="biases of minus four: no unit of the first layer fires for any sample",
)
def plain_bias_far_below_zero(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model: Any = mlp(10, 48, 24, 4)
    if sick:
        nn.init.constant_(model[0].bias, -8.0)
    return case(model, blobs(seed, 900, distance=4.0), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 15)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms="underfitting-capacity loss-not-decreasing too-few-epochs",
    task="binary",
    good=0.9,
    source="StackOverflow: network for two circles stays at 50 %",
    note="three linear layers in a row are one linear layer, which cannot enclose a circle",
)
def plain_circles_by_lines(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = datasets.make_circles(800, noise=0.08, factor=0.5, random_state=seed)
    parts = split(torch.tensor(x, dtype=torch.float32), torch.tensor(y).float()[:, None], seed)
    model = mlp(2, 24, 24, 1, activation=nn.Identity if sick else nn.ReLU)
    return case(model, parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=0.01), 32, 15)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD,
    task="classification",
    good=0.9,
    source="PyTorch forum: Adam with lr=1, accuracy 10 %",
    note="Adam moves every weight by about one in each step",
)
def plain_adam_at_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 1.0 if sick else 2e-3
    return case(mlp(64, 64, 32, 10), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=rate), 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-high oscillating-loss",
    symptoms=WILD,
    task="regression",
    good=0.8,
    source="forum: RMSprop, loss jumps up and down",
    note="RMSprop at 0.2 jumps across the valley in each step",
)
def plain_rmsprop_jumps(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 0.2 if sick else 2e-3
    return case(mlp(6, 48, 48, 1), friedman(seed, 800, 6), nn.MSELoss(), partial(RMSprop, lr=rate), 32, 20)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="loss-not-decreasing too-few-epochs underfitting-capacity batch-size-extreme",
    task="classification",
    good=0.9,
    source="StackOverflow: loss decreases in the fourth decimal",
    note="SGD at 1e-5 has hardly left its start after all epochs",
)
def plain_sgd_at_a_hundred_thousandth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    rate = 1e-5 if sick else 0.05
    return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=rate, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="loss-not-decreasing too-few-epochs underfitting-capacity",
    task="binary",
    good=0.9,
    source="forum: Adagrad with the rate of Adam",
    note="Adagrad at 1e-4 only ever slows down",
)
def plain_adagrad_too_small(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: Any = tuple((x, y.float()[:, None]) for x, y in rings(seed, 800, 0.15))
    rate = 1e-4 if sick else 0.1
    return case(mlp(2, 32, 32, 1), parts, nn.BCEWithLogitsLoss(), partial(Adagrad, lr=rate), 32, 20)


@program(
    PROGRAMS,
    faults="momentum-too-high",
    symptoms=WILD + " lr-too-low",
    task="regression",
    good=0.75,
    source="course exercise: what happens with a momentum of 0.999?",
    note="a memory of a thousand steps in a run of 350: the weights swing past every answer",
)
def plain_momentum_of_a_thousand_steps(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.01, momentum=0.999 if sick else 0.9)
    return case(mlp(6, 32, 32, 1), friedman(seed, 800, 6), nn.MSELoss(), optimizer, 32, 20)


@program(
    PROGRAMS,
    faults="weight-decay-too-high",
    symptoms=FLAT,
    task="classification",
    good=0.9,
    source="StackOverflow: weight_decay=0.5 in Adam, all predictions the same",
    note="the penalty outweighs the loss and draws all weights to zero",
)
def plain_half_decay(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=2e-3, weight_decay=0.5 if sick else 1e-5)
    return case(mlp(64, 64, 10), digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 12)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="too-deep-for-width weight-decay-too-high dropout-too-high",
    task="regression",
    good=0.3,
    source="StackOverflow: diabetes data, training loss zero, validation loss grows",
    note="three hundred patients and a net of 70 000 weights that learns each of them by heart",
)
def plain_patients_by_heart(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(AdamW, lr=1e-3, weight_decay=0.0 if sick else 0.1)
    return case(mlp(10, 256, 256, 1), diabetes(seed), nn.MSELoss(), optimizer, 32, 100 if sick else 4)


@program(
    PROGRAMS,
    faults="program-crashes loss-output-mismatch",
    symptoms="target-shape-mismatch wrong-loss-for-task label-out-of-range nonfinite-loss",
    task="binary",
    good=0.92,
    source="StackOverflow: all elements of input should be between 0 and 1",
    note="BCELoss is given raw scores, as the sigmoid was forgotten",
)
def plain_bce_of_scores(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers: Any = mlp(30, 24, 1)
    model = layers if sick else nn.Sequential(*layers, nn.Sigmoid())
    return case(model, cancer(seed), nn.BCELoss(), partial(Adam, lr=5e-3), 32, 15)
