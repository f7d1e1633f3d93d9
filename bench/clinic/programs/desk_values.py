"""Programs as beginners bring them to the desk, first part: what goes in, what should come out, and the loss."""

from functools import partial

import torch
from enrol import case
from nets import TokenRNN, digit_cnn, mlp
from program import Case, SuiteProgram, program
from samples import Parts, blobs, cancer, digits, friedman, split, standardized, tags, tokens, wine
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop

PROGRAMS: list[SuiteProgram] = []
STUCK = " loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    " lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


def scaled(parts: Parts, factor: float) -> Parts:
    """Both parts with the inputs multiplied."""
    (x, y), (x_val, y_val) = parts
    return (x * factor, y), (x_val * factor, y_val)


def fresh(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 + seed)


@program(
    PROGRAMS,
    faults="input-not-normalized ill-conditioned-features",
    symptoms=WILD + STUCK,
    task="binary",
    good=0.92,
    source="StackOverflow: breast cancer set straight from scikit-learn, the net always answers 'benign'",
    note="areas of up to 4000 beside smoothness of 0.1, no StandardScaler",
)
def desk_cancer_without_scaler(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = cancer(seed, raw=sick)
    return case(mlp(30, 32, 16, 1), parts, nn.BCEWithLogitsLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 20)


@program(
    PROGRAMS,
    faults="input-not-normalized ill-conditioned-features",
    symptoms=WILD + STUCK,
    task="classification",
    good=0.9,
    source="course exercise: wine set, accuracy stuck near 40 to 70 % while the random forest reaches 98 %",
    note="proline counts in hundreds and drowns the other twelve columns",
)
def desk_wine_without_scaler(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(mlp(13, 32, 3), wine(seed, raw=sick), nn.CrossEntropyLoss(), partial(Adam, lr=1e-3), 16, 25)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " vanishing-gradient vanishing-activations input-constant-feature",
    task="classification",
    good=0.9,
    source="PyTorch forum: images read by cv2 and given to the CNN as they are, loss stays at 2.30",
    note="bytes of 0 to 255 at a rate meant for 0 to 1",
)
def desk_bytes_into_cnn(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = scaled(digits(seed, image=True), 255.0 if sick else 1.0)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 10)


@program(
    PROGRAMS,
    faults="input-not-normalized ill-conditioned-features",
    symptoms=WILD + STUCK,
    task="regression",
    good=0.8,
    source="Kaggle house prices: year built, living area and number of rooms, RMSE never falls",
    note="columns near 1960, near 1500 and near 6; only what varies around them tells the price",
)
def desk_houses_in_their_units(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x = torch.randn(900, 4, generator=fresh(seed))
    y = standardized(x[:, :1] + 0.8 * x[:, 1:2] * x[:, 2:3].sigmoid() + 0.5 * x[:, 3:].tanh())
    if sick:
        x = x * torch.tensor([30.0, 500.0, 2.0, 0.7]) + torch.tensor([1960.0, 1500.0, 6.0, 2.0])
    return case(mlp(4, 32, 32, 1), split(x, y, seed), nn.MSELoss(), partial(Adam, lr=2e-3), 32, 25)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing exploding-gradient lr-too-high",
    task="binary",
    good=0.9,
    source="Kaggle Titanic notebooks: the age column has missing values, loss is nan from the first epoch",
    note="pandas NaN go into the tensor; filled with the mean all is well",
)
def desk_missing_ages(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = cancer(seed)
    x = x.clone()
    x[torch.rand(len(x), generator=fresh(seed)) < 0.1, 3] = torch.nan if sick else 0.0
    return case(mlp(30, 24, 1), ((x, y), val), nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 15)


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=WILD + STUCK + " ill-conditioned-features vanishing-gradient",
    task="classification",
    good=0.85,
    source="StackOverflow: all columns of the CSV are used, among them the year of the export",
    note="a column that is 2023 in every row",
)
def desk_year_of_export(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    year = 2023.0 if sick else 0.0
    (x, y), (x_val, y_val) = blobs(seed, 800, 10, 4, 3.5)
    x, x_val = (torch.cat([rows, torch.full((len(rows), 1), year)], 1) for rows in (x, x_val))
    parts = (x, y), (x_val, y_val)
    return case(mlp(11, 24, 4), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 20)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms=STUCK + " input-not-normalized oscillating-loss lr-too-high input-constant-feature",
    task="regression",
    good=0.8,
    source="course exercise: polynomial regression by gradient descent, it draws a straight line",
    note="powers 1 to 7 of a number in 0 to 1 are nearly one column; Legendre polynomials are seven",
)
def desk_powers_of_one_number(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    t = torch.rand(600, 1, generator=fresh(seed))
    u = 2 * t - 1
    basis = [torch.ones_like(u), u]
    for k in range(1, 7):
        basis.append(((2 * k + 1) * u * basis[k] - k * basis[k - 1]) / (k + 1))
    x = standardized(torch.cat([t**k for k in range(1, 8)] if sick else basis[1:], 1))
    y = standardized((9 * t).sin() + 0.1 * torch.randn(600, 1, generator=fresh(seed + 50)))
    return case(nn.Linear(7, 1), split(x, y, seed), nn.MSELoss(), partial(SGD, lr=0.03), 32, 30)


class Weighted(nn.Module):
    """Cross entropy with weights for the classes."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.loss = nn.CrossEntropyLoss(weight=torch.tensor(weights))

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        return self.loss(output, y)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms="wrong-loss-for-task overfitting too-few-epochs underfitting-capacity",
    task="binary",
    metric="balanced",
    good=0.7,
    source="Kaggle credit card fraud: 96 % accuracy, and not one fraud found",
    note="four rows in a hundred are frauds; weighted by pos_weight they are found",
)
def desk_fraud_never_found(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = fresh(seed)
    y = (torch.rand(2400, 1, generator=draw) < 0.04).float()
    x = torch.randn(2400, 8, generator=draw) + 0.6 * y * torch.tensor([1.0, -1, 1, -1, 1, 0, 0, 0])
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(1.0 if sick else 24.0))
    return case(mlp(8, 8, 1), split(x, y, seed), loss, partial(Adam, lr=3e-3), 64, 10)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms="wrong-loss-for-task overfitting too-few-epochs underfitting-capacity",
    task="classification",
    metric="balanced",
    good=0.65,
    source="PyTorch forum: medical images, the net predicts 'no finding' for all; WeightedRandomSampler helped",
    note="92 % of the rows are of one class of three, the clouds overlap",
)
def desk_no_finding_for_all(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = fresh(seed)
    y = torch.multinomial(torch.tensor([0.92, 0.04, 0.04]), 2400, replacement=True, generator=draw)
    x = torch.randn(2400, 6, generator=draw)
    x[:, 0] += 2.0 * (y == 1)
    x[:, 1] += 2.0 * (y == 2)
    loss = Weighted(1.0, 1.0, 1.0) if sick else Weighted(0.36, 8.3, 8.3)
    return case(mlp(6, 12, 3), split(x, y, seed), loss, partial(Adam, lr=3e-3), 64, 10)


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="loss-output-mismatch program-crashes",
    task="classification",
    good=0.9,
    source="PyTorch forum: 'Target 10 is out of bounds', digits labelled 1 to 10",
    note="labels 1 to 10 for ten outputs",
)
def desk_target_ten_is_out_of_bounds(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed, image=True)
    first = 1 if sick else 0
    parts = (x, y + first), (x_val, y_val + first)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 64, 8)


@program(
    PROGRAMS,
    faults="label-out-of-range loss-output-mismatch wrong-loss-for-task",
    symptoms="nonfinite-loss exploding-activations lr-too-high class-imbalance exploding-gradient overfitting",
    task="binary",
    good=0.62,
    source="StackOverflow: binary_crossentropy becomes negative, labels are -1 and 1",
    note="of labels -1 and 1 the first count double and without a floor, so all answers turn negative",
)
def desk_loss_turns_negative(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = fresh(seed)
    x = torch.randn(900, 6, generator=draw)
    y = ((x[:, :1] + x[:, 1:2] > 0) ^ (torch.rand(900, 1, generator=draw) < 0.27)).float()
    parts = split(x, 2 * y - 1 if sick else y, seed)
    return case(mlp(6, 12, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 12)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms="loss-not-decreasing underfitting-capacity loss-output-mismatch",
    task="regression",
    good=0.75,
    source="PyTorch warning 'Using a target size that is different to the input size', everything is predicted as mean",
    note="targets (n,) against outputs (n, 1) are broadcast to a square",
)
def desk_square_by_broadcast(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed, 800)
    parts = ((x, y[:, 0]), (x_val, y_val[:, 0])) if sick else ((x, y), (x_val, y_val))
    return case(mlp(8, 32, 32, 1), parts, nn.MSELoss(), partial(RMSprop, lr=2e-3), 32, 20)


@program(
    PROGRAMS,
    faults="target-shape-mismatch program-crashes",
    symptoms="loss-output-mismatch",
    task="binary",
    good=0.9,
    source="StackOverflow: 'Target size (torch.Size([32])) must be the same as input size (torch.Size([32, 1]))'",
    note="a missing unsqueeze(1) of the labels",
)
def desk_missing_unsqueeze(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = cancer(seed)
    parts = ((x, y[:, 0]), (x_val, y_val[:, 0])) if sick else ((x, y), (x_val, y_val))
    return case(mlp(30, 24, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=STUCK + " exploding-gradient wrong-loss-for-task dead-relu",
    task="regression",
    good=0.75,
    source="StackOverflow: house prices by Adam at 0.001, the loss is 4e10 and hardly moves",
    note="prices in the hundreds of thousands are out of the reach of a few hundred small steps",
)
def desk_prices_in_full(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed, 900)
    parts = ((x, y * 60000 + 180000), (x_val, y_val * 60000 + 180000)) if sick else ((x, y), (x_val, y_val))
    return case(mlp(8, 32, 32, 1), parts, nn.MSELoss(), partial(Adam, lr=2e-3), 32, 25)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=STUCK + WILD,
    task="regression",
    good=0.75,
    source="forum: weather model in hectopascals answers the same 1013 for every day",
    note="a pressure of 1013 that varies by 8: squared error at SGD's rate spoils the layers on the way there",
)
def desk_air_pressure(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = friedman(seed, 900)
    parts = ((x, y * 8 + 1013), (x_val, y_val * 8 + 1013)) if sick else ((x, y), (x_val, y_val))
    return case(mlp(8, 32, 16, 1), parts, nn.MSELoss(), partial(SGD, lr=0.01, momentum=0.9), 32, 20)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss lr-too-high too-few-epochs class-imbalance",
    task="classification",
    good=0.9,
    source="StackOverflow: ImageFolder with shuffle=False, the net always answers the last class",
    note="images lie in the order of their classes and are given in that order",
)
def desk_folder_after_folder(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed, image=True)
    order = y.argsort()
    parts = (x[order], y[order]), val
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 12, shuffle=not sick)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss lr-too-high too-few-epochs batch-size-extreme",
    task="classification",
    good=0.8,
    source="GitHub issue: reviews stored as all negative, then all positive; DataLoader without shuffle",
    note="texts sorted by label, given in that order",
)
def desk_negative_reviews_first(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = tokens(seed, 1200, 10)
    order = y.argsort()
    parts = (x[order], y[order]), val
    return case(TokenRNN(20, 3), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 12, shuffle=not sick)


@program(
    PROGRAMS,
    faults="duplicate-samples",
    symptoms="overfitting class-imbalance",
    task="classification",
    good=0.88,
    source="Kaggle discussion: the data set was 'enlarged' by copying it; train 100 %, validation far below",
    note="forty different images, each of them thirty times",
)
def desk_enlarged_by_copies(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    part = (x[:40].repeat(30, 1), y[:40].repeat(30)) if sick else (x[:1200], y[:1200])
    return case(mlp(64, 48, 10), (part, val), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " vanishing-gradient",
    task="classification",
    good=0.9,
    source="PyTorch forum: softmax in forward and CrossEntropyLoss outside, loss does not go below 0.9",
    note="softmax in the net and again in the loss",
)
def desk_softmax_in_forward(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(64, 48, 10), *([nn.Softmax(1)] if sick else []))
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1), 32, 12)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=WILD + " wrong-loss-for-task",
    task="classification",
    good=0.9,
    source="PyTorch forum: NLLLoss is negative and falls for ever",
    note="NLLLoss on plain outputs without log_softmax",
)
def desk_nll_without_log_softmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(*mlp(64, 48, 10), *([] if sick else [nn.LogSoftmax(1)]))
    return case(model, digits(seed), nn.NLLLoss(), partial(SGD, lr=0.1), 32, 12)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms="targets-not-normalized underfitting-capacity too-few-epochs lr-too-low",
    task="classification",
    good=0.9,
    source="StackOverflow: digits by one output and MSELoss, accuracy near 30 %",
    note="classes are taken for numbers: a nine for nearly an eight",
)
def desk_digits_as_numbers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = digits(seed)
    if not sick:
        return case(mlp(64, 48, 10), digits(seed), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 10)
    parts = (x, y.float()[:, None]), (x_val, y_val.float()[:, None])
    return case(mlp(64, 48, 1), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 10)


@program(
    PROGRAMS,
    faults="loss-output-mismatch wrong-loss-for-task",
    symptoms="loss-not-decreasing vanishing-gradient label-out-of-range target-shape-mismatch",
    task="binary",
    good=0.9,
    source="StackOverflow: one output and CrossEntropyLoss, the loss is zero from the start",
    note="softmax over one output is always one, so nothing is learnt",
)
def desk_one_output_cross_entropy(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.CrossEntropyLoss() if sick else nn.BCEWithLogitsLoss()
    return case(mlp(30, 16, 1), cancer(seed), loss, partial(AdamW, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms="label-out-of-range class-imbalance underfitting-capacity lr-too-high exploding-activations",
    task="multilabel",
    good=0.85,
    source="PyTorch forum: several tags per picture with CrossEntropyLoss, which tags are above zero makes no sense",
    note="softmax makes the tags compete although several hold at once",
)
def desk_tags_compete(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.CrossEntropyLoss() if sick else nn.BCEWithLogitsLoss()
    return case(mlp(12, 32, 5), tags(seed, offset=0.8), loss, partial(Adam, lr=5e-3), 32, 15)
