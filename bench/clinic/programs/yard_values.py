"""Posted programs with a moderate harm, first part: data, targets, losses, structure and starts."""

from functools import partial

import torch
from enrol import case
from nets import SeriesRNN, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program
from samples import blobs, cancer, digits, friedman, rings, split, standardized, sums, tags, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adam, RMSprop

PROGRAMS: list[SuiteProgram] = []
SLOW = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations loss-not-decreasing dead-relu"
)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=SLOW + " saturated-activations vanishing-gradient bad-init-scale lr-too-high oscillating-loss",
    task="classification",
    good=0.9,
    source="StackOverflow: LSTM on raw sensor readings does not learn, after MinMaxScaler it does",
    note="a temperature in degrees drives every gate into saturation",
)
def yard_degrees_into_lstm(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x.transpose(1, 2), y) for x, y in waves(seed, 700, 24, noise=0.2))
    if sick:
        parts = tuple((30 + 4 * x, y) for x, y in parts)
    return case(SeriesRNN(1, 3, 32, nn.LSTM), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 35)


@program(
    PROGRAMS,
    faults="input-not-normalized ill-conditioned-features",
    symptoms=SLOW + " " + WILD,
    task="regression",
    good=0.8,
    source="Kaggle house prices: age, area and ratios go into the net as they are in the table",
    note="columns between hundredths and hundreds: only the large ones are seen",
)
def yard_house_table_as_it_is(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = friedman(seed, 900, 6)
    if sick:
        scale = torch.tensor([20.0, 0.02, 40.0, 1.0, 0.05, 30.0])
        place = torch.tensor([50.0, 0.3, 120.0, 3.0, 0.1, 20.0])
        parts = tuple((x * scale + place, y) for x, y in parts)
    return case(mlp(6, 48, 48, 1), parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 30)


@program(
    PROGRAMS,
    faults="input-nonfinite",
    symptoms="nonfinite-loss loss-not-decreasing exploding-gradient input-not-normalized program-crashes",
    task="classification",
    good=0.85,
    source="PyTorch forum: GRU returns nan; some readings of the logger are missing",
    note="a few missing readings are NaN in the training rows, and the first of them spoils all weights",
)
def yard_gaps_in_the_log(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = ((x.transpose(1, 2), y) for x, y in waves(seed, 700, 24, noise=0.2))
    gaps = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < 0.002
    parts = (torch.where(gaps, torch.nan if sick else 0.0, x), y), val
    return case(SeriesRNN(1, 3, 24), parts, nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 16)


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=SLOW + " saturated-activations lr-too-high oscillating-loss bad-init-scale vanishing-gradient",
    task="binary",
    good=0.93,
    source="Kaggle: the column 'year' is 2019 in every row and was left in the table",
    note="a constant of 2019 saturates every tanh unit",
)
def yard_year_in_every_row(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((torch.cat([x, torch.full((len(x), 1), 2019.0 * sick)], 1), y) for x, y in cancer(seed))
    net = mlp(31, 24, 1, activation=nn.Tanh)
    return case(net, parts, nn.BCEWithLogitsLoss(), partial(SGD, lr=0.05), 16, 15)


@program(
    PROGRAMS,
    faults="ill-conditioned-features",
    symptoms=SLOW + " input-not-normalized oscillating-loss",
    task="regression",
    good=0.85,
    source="course exercise on polynomial regression: powers of x, gradient descent is stuck",
    note="the powers one to seven of one number are nearly the same column twice over; orthogonal ones are not",
)
def yard_powers_of_x(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    t = torch.rand(600, 1, generator=torch.Generator().manual_seed(seed))
    x = standardized(torch.cat([t**k for k in range(1, 8)], 1))
    y = standardized((9 * t).sin() + 0.1 * torch.randn(600, 1))
    if not sick:
        x = standardized(torch.linalg.qr(x)[0])
    return case(nn.Linear(7, 1), split(x, y, seed), nn.MSELoss(), partial(SGD, lr=0.05), 32, 25)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=SLOW + " wrong-loss-for-task overfitting",
    task="binary",
    metric="balanced",
    good=0.75,
    source="StackOverflow: 1-D CNN for faults of a machine says 'no fault' for every window",
    note="one window in sixteen is a fault, and nothing weighs it",
)
def yard_rare_fault_windows(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = (torch.cat(both) for both in zip(*waves(seed, 2200, 24, classes=2, noise=1.0), strict=True))
    keep = (y == 0) | (torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) < 0.07)
    weight = None if sick else torch.tensor([14.0])
    parts = split(x[keep], y[keep].float()[:, None], seed)
    loss = nn.BCEWithLogitsLoss(pos_weight=weight)
    return case(wave_cnn(classes=1, width=4), parts, loss, partial(Adam, lr=3e-3), 32, 10)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=SLOW + " wrong-loss-for-task",
    task="classification",
    metric="balanced",
    good=0.7,
    source="Kaggle reviews: nine of ten comments are neutral, the classifier never says anything else",
    note="two rare classes among clouds that overlap, plain cross entropy",
)
def yard_mostly_neutral(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    x, y = (torch.cat(both) for both in zip(*blobs(seed, 4000, 8, 3, 2.0), strict=True))
    keep = (y == 0) | (torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) < 0.06)
    weight = None if sick else torch.tensor([1.0, 16.0, 16.0])
    return case(
        mlp(8, 16, 3), split(x[keep], y[keep], seed), nn.CrossEntropyLoss(weight), partial(Adam, lr=2e-3), 32, 12
    )


@program(
    PROGRAMS,
    faults="label-out-of-range",
    symptoms="program-crashes loss-output-mismatch target-shape-mismatch",
    task="classification",
    good=0.8,
    source="PyTorch forum: 'Target 5 is out of bounds', star ratings 1 … 5 and five outputs",
    note="ratings start at one",
)
def yard_stars_from_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y + int(sick)) for x, y in blobs(seed, 700, 8, 5, 4.0))
    return case(mlp(8, 32, 5), parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="label-out-of-range loss-output-mismatch wrong-loss-for-task",
    symptoms=WILD + " class-imbalance",
    task="binary",
    good=0.85,
    source="StackOverflow: binary cross entropy becomes negative; the labels are -1 and 1",
    note="with -1 for the second class the loss has no bottom and pulls all answers down",
)
def yard_minus_one_for_no(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y.float()[:, None] * (2 if sick else 1) - int(sick)) for x, y in rings(seed, 700, 0.25))
    return case(mlp(2, 32, 32, 1), parts, nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="target-shape-mismatch",
    symptoms=SLOW + " loss-output-mismatch",
    task="regression",
    good=0.8,
    source="PyTorch forum: 'Using a target size that is different to the input size', LSTM predicts the mean",
    note="targets (n,) and outputs (n, 1) are spread to a square",
)
def yard_flat_targets_for_gru(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, y.flatten() if sick else y) for x, y in sums(seed, 900, 8))
    return case(SeriesRNN(2, 1, 24), parts, nn.MSELoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=SLOW + " exploding-gradient loss-output-mismatch bad-init-scale",
    task="regression",
    good=0.75,
    source="StackOverflow: LSTM for sales predicts a constant line below the data",
    note="sales around 12: Adam crawls up to their mean and has no time left for the shape",
)
def yard_sales_in_dozens(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x, 12 + 4 * y if sick else y / 1.41) for x, y in sums(seed, 900, 6))
    return case(SeriesRNN(2, 1, 24), parts, nn.MSELoss(), partial(Adam, lr=5e-3), 32, 25)


@program(
    PROGRAMS,
    faults="unshuffled-data",
    symptoms="oscillating-loss lr-too-high overfitting class-imbalance " + SLOW,
    task="classification",
    good=0.85,
    source="PyTorch forum: images read folder by folder with shuffle=False, the last class wins",
    note="the training pictures are sorted by their digit and never shuffled",
)
def yard_folder_by_folder(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed, image=True)
    order = y.argsort()
    return case(
        digit_cnn(),
        ((x[order], y[order]), val),
        nn.CrossEntropyLoss(),
        partial(Adam, lr=2e-3),
        32,
        8,
        shuffle=not sick,
    )


@program(
    PROGRAMS,
    faults="duplicate-samples overfitting",
    symptoms="train-val-leak underfitting-capacity",
    task="classification",
    good=0.8,
    source="Kaggle: oversampled before looking, the training table has the same forty rows over and over",
    note="six hundred rows, of which forty differ",
)
def yard_forty_rows_repeated(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = tokens(seed, 1000, 8, 12)
    if sick:
        x, y = x[:40].repeat(17, 1), y[:40].repeat(17)
    return case(TokenRNN(12, 3), ((x, y), val), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 15)


class Rows(nn.Module):
    """An encoder over the eight rows of a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet, self.place = nn.Linear(8, 24), nn.Parameter(0.1 * torch.randn(8, 24))
        self.encoder = nn.TransformerEncoderLayer(24, 2, 48, dropout=0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(192, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.inlet(x.view(-1, 8, 8)) + self.place).flatten(1))


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=SLOW + " vanishing-gradient saturated-activations",
    task="classification",
    good=0.85,
    source="Keras users who come to PyTorch: transformer with nn.Softmax at its end",
    note="probabilities go into a loss that takes scores",
)
def yard_transformer_with_softmax(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(Rows(), nn.Softmax(1)) if sick else Rows()
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 8)


@program(
    PROGRAMS,
    faults="loss-output-mismatch dead-relu",
    symptoms=SLOW + " missing-nonlinearity unused-parameters",
    task="classification",
    good=0.9,
    source="StackOverflow: some classes are never predicted; F.relu(self.fc3(x)) is returned",
    note="ReLU on the scores: a class whose score is negative everywhere never comes back",
)
def yard_relu_on_the_scores(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = mlp(64, 32, 10)
    model = nn.Sequential(net, nn.ReLU()) if sick else net
    return case(model, digits(seed), nn.CrossEntropyLoss(), partial(SGD, lr=0.1), 32, 12)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task loss-output-mismatch",
    symptoms="underfitting-capacity target-shape-mismatch " + WILD,
    task="multilabel",
    good=0.92,
    source="PyTorch forum: multi-label classification with CrossEntropyLoss and float targets",
    note="the labels of a row compete, although several may be right at once",
)
def yard_labels_that_compete(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.CrossEntropyLoss() if sick else nn.BCEWithLogitsLoss()
    return case(mlp(12, 48, 5), tags(seed, 900, offset=-0.6), loss, partial(Adam, lr=3e-3), 32, 15)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms="underfitting-capacity loss-output-mismatch " + SLOW,
    task="classification",
    good=0.8,
    source="course exercise: nn.MSELoss on the class number, 'why is my accuracy so low'",
    note="five classes without an order are fitted as the numbers 0 … 4 by one output",
)
def yard_class_number_as_amount(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = blobs(seed, 900, 6, 5, 4.0)
    if sick:
        parts = tuple((x, y.float()[:, None]) for x, y in parts)
    net, loss = (mlp(6, 32, 1), nn.MSELoss()) if sick else (mlp(6, 32, 5), nn.CrossEntropyLoss())
    return case(net, parts, loss, partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms="underfitting-capacity too-few-epochs lr-too-low",
    task="regression",
    good=0.85,
    source="course exercise: three nn.Linear in a row, no activation between them",
    note="three layers that make one linear map of a curved surface",
)
def yard_three_linear_layers(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = mlp(6, 48, 48, 1, activation=nn.Identity if sick else nn.ReLU)
    return case(net, friedman(seed, 900, 6), nn.MSELoss(), partial(Adam, lr=5e-3), 32, 20)


class Bowl(nn.Module):
    """The mean of the embeddings of a row, a small net on it."""

    def __init__(self, words: int, classes: int, width: int = 8) -> None:
        super().__init__()
        self.embed, self.body = nn.Embedding(words, width), mlp(width, 24, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.embed(x).mean(1))


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="label-out-of-range input-not-normalized",
    task="classification",
    good=0.8,
    source="PyTorch forum: 'index out of range in self', the vocabulary was counted without the padding token",
    note="an embedding of one word too few",
)
def yard_vocabulary_one_short(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Bowl(19 if sick else 20, 3)
    return case(model, tokens(seed), nn.CrossEntropyLoss(), partial(RMSprop, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=SLOW + " bad-init-scale vanishing-gradient",
    task="multilabel",
    good=0.88,
    source="StackOverflow: nn.init.constant_(layer.weight, 0.1) for reproducible results",
    note="all hidden units are the same one, and five labels have to share it",
)
def yard_one_weight_for_all(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = mlp(12, 48, 5)
    if sick:
        for parameter in net.parameters():
            nn.init.constant_(parameter, 0.1)
    return case(net, tags(seed), nn.BCEWithLogitsLoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="bad-init-scale saturated-activations",
    symptoms=SLOW + " vanishing-gradient exploding-activations",
    task="regression",
    good=0.8,
    source="course notebook: W = torch.randn(n_in, n_out) for every layer of a tanh autoencoder",
    note="weights of variance one: all tanh units sit at their ends",
)
def yard_randn_for_every_weight(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    net = mlp(64, 48, 16, 48, 64, activation=nn.Tanh)
    for parameter in net.parameters():
        if sick and parameter.ndim == 2:
            nn.init.normal_(parameter)
    parts = tuple((2 * x, 2 * x) for x, _ in digits(seed))
    return case(net, parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="vanishing-gradient",
    symptoms=SLOW + " saturated-activations bad-init-scale vanishing-activations too-deep-for-width",
    task="classification",
    good=0.85,
    source="StackOverflow: five convolutions with sigmoid after each of them, accuracy 10 %",
    note="every sigmoid takes three quarters of the gradient",
)
def yard_sigmoid_after_every_convolution(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for wide, narrow in ((1, 8), (8, 8), (8, 8), (8, 8)):
        layers += [nn.Conv2d(wide, narrow, 3, padding=1), nn.Sigmoid() if sick else nn.ReLU()]
    net = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10))
    return case(net, digits(seed, image=True), nn.CrossEntropyLoss(), partial(SGD, lr=0.03, momentum=0.9), 32, 8)
