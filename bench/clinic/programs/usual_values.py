"""Usual posts about a net that does not learn, first part: inputs, labels, targets, losses and the order of samples."""

from functools import partial

import torch
from enrol import case
from nets import SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import blobs, cancer, diabetes, digits, friedman, iris, split, standardized, tags, tokens, waves, wine
from torch import Tensor, nn
from torch.optim import SGD, Adam, RMSprop

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs vanishing-gradient"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " input-constant-feature",
    task="classification",
    good=0.9,
    source="StackOverflow: forgot to divide the pixels by 255, accuracy stays at 10 %",
    note="pixels of 0 ... 255 go straight into a dense net trained by SGD with momentum",
)
def usual_pixels_to_255(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x * (255.0 if sick else 1.0), y) for x, y in digits(seed))
    return case(mlp(64, 64, 32, 10), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " ill-conditioned-features vanishing-gradient underfitting-capacity",
    task="classification",
    good=0.9,
    source="Kaggle wine notebook without StandardScaler: stuck at 40 %",
    note="proline is about 750, the other columns about 1",
)
def usual_wine_without_scaler(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(mlp(13, 32, 3), wine(seed, raw=sick), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 16, 30)


@program(
    PROGRAMS,
    faults="input-not-normalized saturated-activations",
    symptoms=STUCK + " ill-conditioned-features bad-init-scale",
    task="binary",
    good=0.93,
    source="course exercise on the breast cancer table: tanh units, the columns as they come",
    note="areas of up to 2500 hold the tanh units at +-1",
)
def usual_raw_areas_into_tanh(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(30, 16, 16, 1, activation=nn.Tanh)
    return case(model, cancer(seed, raw=sick), nn.BCEWithLogitsLoss(), partial(SGD, lr=0.05), 16, 20)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing lr-too-high exploding-gradient",
    task="binary",
    good=0.92,
    source="PyTorch forum: loss is nan from the first epoch; the csv had empty cells",
    note="missing cells were read as nan; the repair puts the column's mean there",
)
def usual_empty_cells(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = cancer(seed)
    x = x.clone()
    x[torch.randperm(len(x))[:12], 3] = torch.nan if sick else 0.0
    return case(mlp(30, 32, 1), ((x, y), val), nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=WILD + " ill-conditioned-features " + STUCK,
    task="regression",
    good=0.7,
    source="Kaggle: the column 'year' was left in, all rows are of 2019",
    note="one column is 2019 in every row and drowns the others",
)
def usual_year_column(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    year = 2019.0 if sick else 0.0
    parts = tuple((torch.cat([x, torch.full((len(x), 1), year)], 1), y) for x, y in friedman(seed))
    return case(mlp(9, 32, 32, 1), parts, nn.MSELoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 20)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms=STUCK + " input-not-normalized",
    task="regression",
    good=0.85,
    source="StackOverflow: polynomial regression by gradient descent does not fit the curve",
    note="the powers 1 ... 7 of one number are almost copies of each other; Legendre polynomials are not",
)
def usual_powers_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    t = 2 * torch.rand(600) - 1
    legendre = [torch.ones_like(t), t]
    for k in range(1, 7):
        legendre.append(((2 * k + 1) * t * legendre[k] - k * legendre[k - 1]) / (k + 1))
    columns = [t**k for k in range(1, 8)] if sick else legendre[1:]
    y = standardized((7 * t).sin() + 0.1 * torch.randn(600))[:, None]
    parts = split(standardized(torch.stack(columns, 1)), y, seed)
    return case(nn.Linear(7, 1), parts, nn.MSELoss(), partial(SGD, lr=0.05), 32, 25)


def rare(seed: int, share: float, shift: float, features: int = 8) -> tuple[Tensor, Tensor]:
    """Two Gaussian clouds, the second of which holds a small share of the rows."""
    draw = torch.Generator().manual_seed(seed)
    y = (torch.rand(1600, 1, generator=draw) < share).float()
    return torch.randn(1600, features, generator=draw) + shift * y, y


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms="underfitting-capacity wrong-loss-for-task too-few-epochs",
    task="binary",
    metric="balanced",
    good=0.7,
    source="Kaggle credit card fraud: 96 % accuracy, not one fraud found",
    note="four rows in a hundred are positive; the repair weighs them",
)
def usual_fraud_is_rare(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = rare(seed, 0.04, 0.8)
    loss = nn.BCEWithLogitsLoss(pos_weight=None if sick else torch.tensor([24.0]))
    return case(mlp(8, 8, 1), split(x, y, seed, 0.5), loss, partial(Adam, lr=3e-3), 64, 12)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms="underfitting-capacity too-few-epochs wrong-loss-for-task",
    task="classification",
    metric="balanced",
    good=0.7,
    source="PyTorch forum: the net predicts only the majority class; CrossEntropyLoss(weight=...) is the answer",
    note="nine rows in ten are of the first of three classes",
)
def usual_majority_of_three(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    y = torch.multinomial(torch.tensor([0.9, 0.05, 0.05]), 1800, True, generator=draw)
    centres = torch.tensor([[0.0, 0.0], [2.2, 0.0], [0.0, 2.2]])
    x = torch.cat([centres[y], torch.zeros(1800, 2)], 1) + torch.randn(1800, 4, generator=draw)
    weight = None if sick else torch.tensor([1.0, 18.0, 18.0])
    return case(mlp(4, 8, 3), split(x, y, seed, 0.5), nn.CrossEntropyLoss(weight), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="loss-output-mismatch program-crashes target-shape-mismatch",
    task="classification",
    good=0.5,
    source="StackOverflow: IndexError: Target 5 is out of bounds (star ratings 1 ... 5)",
    note="ratings of one to five stars for five outputs",
)
def usual_five_stars(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 12, (1000, 10), generator=draw)
    y = ((x < 5).sum(1) - 2).clamp(0, 4) + (1 if sick else 0)
    return case(TokenRNN(12, 5), split(x, y, seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 12)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="loss-output-mismatch targets-not-normalized wrong-loss-for-task exploding-gradient lr-too-high"
    " loss-not-decreasing exploding-activations class-imbalance saturated-activations",
    task="binary",
    good=0.9,
    source="segmentation posts: the mask is 0 / 255 and BCEWithLogitsLoss goes to minus thousands",
    note="labels read from a picture are 0 and 255 instead of 0 and 1",
)
def usual_mask_of_255(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y * (255.0 if sick else 1.0)) for x, y in cancer(seed))
    return case(mlp(30, 32, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms="underfitting-capacity loss-not-decreasing wrong-loss-for-task overfitting too-few-epochs",
    task="regression",
    good=0.7,
    source="PyTorch forum: 'Using a target size (torch.Size([32])) that is different to the input size ([32, 1])'",
    note="predictions (n, 1) against targets (n,): the difference is a matrix, the net learns the mean",
)
def usual_target_without_column(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y[:, 0] if sick else y) for x, y in friedman(seed))
    return case(mlp(8, 48, 24, 1), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms="underfitting-capacity loss-not-decreasing wrong-loss-for-task vanishing-gradient too-few-epochs",
    task="regression",
    good=0.6,
    source="StackOverflow: LSTM forecast is a flat line",
    note="the recurrent net answers (n, 1), the targets are (n,), the Huber loss broadcasts",
)
def usual_flat_forecast(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    phase, speed = 6.28 * torch.rand(900, 1), 0.3 + 0.5 * torch.rand(900, 1)
    wave = (phase + speed * torch.arange(17)).sin() + 0.05 * torch.randn(900, 17)
    parts = split(wave[:, :16, None], wave[:, 16] if sick else wave[:, 16:], seed)
    return case(SeriesRNN(1, 1, 24, nn.LSTM), parts, nn.SmoothL1Loss(), partial(Adam, lr=0.01), 32, 12)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=STUCK + " exploding-gradient wrong-loss-for-task",
    task="regression",
    good=0.7,
    source="Kaggle house prices: the loss is 3e10 and hardly moves",
    note="prices of about 200000 with Adam, whose steps are too short to get there",
)
def usual_house_prices(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, 180_000 + 60_000 * y if sick else y) for x, y in friedman(seed))
    return case(mlp(8, 64, 32, 1), parts, nn.MSELoss(), partial(Adam, lr=2e-3), 32, 25)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=WILD + " " + STUCK,
    task="regression",
    good=0.25,
    source="StackOverflow: my network predicts nan for the diabetes table of scikit-learn",
    note="targets of 25 ... 346 and SGD with momentum: the first steps blow up",
)
def usual_progression_as_it_is(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = diabetes(seed, raw_target=sick)
    return case(mlp(10, 32, 1), parts, nn.MSELoss(), partial(SGD, lr=0.02, momentum=0.8), 32, 15)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss lr-too-high overfitting underfitting-capacity loss-not-decreasing",
    task="classification",
    good=0.9,
    source="StackOverflow: ImageFolder lists one class after the other and shuffle=False",
    note="the pictures come class after class; the net forgets the earlier ones",
)
def usual_folders_in_order(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed, image=True)
    order = y.argsort()
    parts = (x[order], y[order]), val
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10, shuffle=not sick)


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting too-few-epochs",
    task="classification",
    good=0.9,
    source="a Dataset whose __getitem__ takes idx % 40: 'training accuracy 100 %, test 70 %'",
    note="forty pictures again and again instead of 1257",
)
def usual_index_modulo_forty(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    index = torch.arange(len(x)) % (40 if sick else len(x))
    return case(mlp(64, 64, 10), ((x[index], y[index]), val), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 15)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " input-constant-feature saturated-activations",
    task="classification",
    good=0.9,
    source="PyTorch forum, over and over: nn.Softmax in front of nn.CrossEntropyLoss",
    note="softmax twice: the gradients are faint and the loss cannot fall below 1.46",
)
def usual_softmax_twice(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(64, 64, 32, 10), *([nn.Softmax(1)] if sick else []))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.5), 32, 12)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " class-imbalance saturated-activations wrong-loss-for-task",
    task="multilabel",
    good=0.85,
    source="multi-label posts: sigmoid in the net and BCEWithLogitsLoss as well",
    note="a probability is taken for a logit: no label can be judged less likely than one half",
)
def usual_sigmoid_twice(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(12, 32, 5), *([nn.Sigmoid()] if sick else []))
    parts = tags(seed, 900, 12, 5, 0.4)
    return case(model, parts, nn.BCEWithLogitsLoss(), partial(SGD, lr=0.1, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms="nonfinite-loss loss-not-decreasing exploding-activations lr-too-high exploding-gradient "
    "wrong-loss-for-task saturated-activations",
    task="classification",
    good=0.85,
    source="StackOverflow: NLLLoss gives negative values",
    note="NLLLoss of plain logits falls without end; log-softmax is missing",
)
def usual_nll_of_logits(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*wave_cnn(), *([] if sick else [nn.LogSoftmax(1)]))
    return case(model, waves(seed, 700, noise=0.3), nn.NLLLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms="program-crashes wrong-loss-for-task",
    task="binary",
    good=0.93,
    source="StackOverflow: 'all elements of input should be between 0 and 1' from BCELoss",
    note="BCELoss gets logits, as the sigmoid was forgotten",
)
def usual_bce_without_sigmoid(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(30, 24, 1), *([] if sick else [nn.Sigmoid()]))
    return case(model, cancer(seed), nn.BCELoss(), partial(RMSprop, lr=2e-3), 32, 15)


@program(
    PROGRAMS,
    faults="loss-output-mismatch wrong-loss-for-task",
    symptoms="loss-not-decreasing vanishing-gradient frozen-parameters target-shape-mismatch unused-parameters",
    task="binary",
    good=0.92,
    source="StackOverflow: the loss is 0.0 from the beginning (CrossEntropyLoss, one output)",
    note="the softmax of a single output is one, whatever the net says",
)
def usual_cross_entropy_of_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.CrossEntropyLoss() if sick else nn.BCEWithLogitsLoss()
    return case(mlp(30, 24, 1), cancer(seed), loss, partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="loss-output-mismatch dead-relu",
    symptoms=STUCK + " unused-parameters saturated-activations",
    task="regression",
    good=0.7,
    source="StackOverflow: regression net outputs only zeros (ReLU behind the last layer)",
    note="standardized targets are negative half of the time, a ReLU at the end never is",
)
def usual_relu_at_the_end(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(8, 48, 24, 1), *([nn.ReLU()] if sick else []))
    return case(model, friedman(seed), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


def one_number(output: Tensor, y: Tensor) -> Tensor:
    """Squared error of the first output against the class's number."""
    return (output[:, 0] - y).square().mean()


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms="unused-parameters underfitting-capacity targets-not-normalized loss-not-decreasing",
    task="classification",
    good=0.85,
    source="beginners' posts: mse_loss(output[:, 0], labels) because CrossEntropyLoss complained about shapes",
    note="a squared error against the class's number on one of three outputs",
)
def usual_squared_class_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = one_number if sick else nn.CrossEntropyLoss()
    return case(mlp(4, 16, 3), iris(seed), loss, partial(Adam, lr=0.01), 16, 25)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="target-shape-mismatch loss-output-mismatch wrong-loss-for-task label-out-of-range",
    task="classification",
    good=0.75,
    source="StackOverflow: 'expected scalar type Long but found Float' in cross entropy",
    note="class indices were made by torch.FloatTensor",
)
def usual_labels_as_floats(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y.float() if sick else y) for x, y in blobs(seed, distance=3.5))
    return case(mlp(10, 32, 4), parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="label-out-of-range",
    task="classification",
    good=0.8,
    source="StackOverflow: 'index out of range in self' from nn.Embedding",
    note="the embedding has one row fewer than there are words, as zero was taken for padding",
)
def usual_one_word_too_many(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(TokenRNN(19 if sick else 20, 3), tokens(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)
