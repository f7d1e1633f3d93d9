"""Programs of people who are stuck, second part: pictures, masks, series, text, ratings, autoencoders, transfer."""

from functools import partial

import torch
from enrol import case
from nets import Attention, TokenRNN, digit_cnn, mlp, wave_cnn
from program import Case, SuiteProgram, program, two_causes
from samples import Parts, digits, majority, split, standardized, tags, tokens, waves
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import StepLR

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs vanishing-gradient"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


def boxes(seed: int, n: int = 700, side: int = 12) -> Parts:
    """Pictures (1, side, side) of a bright square of 3 × 3 in faint noise; the target is its place, standardized."""
    draw = torch.Generator().manual_seed(seed)
    place = torch.randint(0, side - 2, (n, 2), generator=draw)
    x = 0.2 * torch.randn(n, 1, side, side, generator=draw)
    for picture, (row, column) in zip(x, place.tolist(), strict=True):
        picture[0, row : row + 3, column : column + 3] += 1
    return split(x, standardized(place.float()), seed)


def place_net() -> nn.Sequential:
    """Two strided convolutions and two linear layers for pictures of (1, 12, 12)."""
    convolutions = [nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*convolutions, nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 2))


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " underfitting-capacity vanishing-gradient",
    task="regression",
    good=0.85,
    source="stats.stackexchange 261704: the place of a box in a picture, at a wrong rate, always the centre",
    note="SGD at 0.5 with momentum kills the ReLUs within a few batches, and the answer is the mean ever after",
)
def stuck_box_at_the_centre(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(place_net(), boxes(seed), nn.MSELoss(), partial(SGD, lr=0.5 if sick else 0.02, momentum=0.9), 32, 25)


def masks(seed: int, n: int = 300, side: int = 12, pixels: int = 3) -> Parts:
    """Noisy pictures (1, side, side) with one bright patch; the mask (side, side) says which pixels belong to it."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.zeros(n, side, side, dtype=torch.long)
    for mask, (row, column) in zip(y, torch.randint(0, side - 2, (n, 2), generator=draw).tolist(), strict=True):
        mask[row : row + pixels, column : column + pixels] = 1
    x = 0.9 * y[:, None] + 0.7 * torch.randn(n, 1, side, side, generator=draw)
    return split(x, y, seed)


def mask_net(*, width: int = 8) -> nn.Sequential:
    """Three convolutions that keep the size, with two scores for every pixel."""
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, 2, 3, padding=1))


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=STUCK + " wrong-loss-for-task overfitting",
    task="classification",
    metric="balanced",
    good=0.78,
    source="jakeret/tf_unet issue 234 and PyTorch forum 184539: background is twenty times commoner, the mask is blank",
    note="the object fills four of 144 pixels, and calling all of it background costs little",
)
def stuck_blank_mask(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.CrossEntropyLoss(weight=None if sick else torch.tensor([1.0, 30.0]))
    return case(mask_net(), masks(seed, pixels=2), loss, partial(Adam, lr=3e-3), 16, 12)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " class-imbalance underfitting-capacity",
    task="classification",
    metric="balanced",
    good=0.82,
    source="milesial/Pytorch-UNet issue 255: the result is all black; 'your learning rate seems too high'",
    note="RMSprop at 0.3 throws the convolutions about until nothing but background is left",
)
def stuck_all_black(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(RMSprop, lr=0.3 if sick else 3e-3)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 10.0]))
    return case(mask_net(), masks(seed), loss, optimizer, 16, 10)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=STUCK + " vanishing-activations bad-init-scale",
    task="classification",
    good=0.85,
    source="anishmadan23/deep3d-pytorch issue 1: the pictures were divided by 255 although they were small already",
    note="pixels of at most 1/255 leave the CNN blind to its input",
)
def stuck_divided_once_more(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = digits(seed, image=True)
    if sick:
        parts = tuple((x / 255, y) for x, y in parts)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.1, momentum=0.5), 32, 12)


def ratings(seed: int, n: int = 4000, people: int = 60, films: int = 40, width: int = 3) -> Parts:
    """Pairs (person, film) and standardized ratings: a product of tastes, with averages and noise."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.stack([torch.randint(0, k, (n,), generator=draw) for k in (people, films)], 1)
    taste, kind = (torch.randn(k, width, generator=draw) for k in (people, films))
    y = (taste[x[:, 0]] * kind[x[:, 1]]).sum(1, keepdim=True) + torch.randn(films, 1, generator=draw)[x[:, 1]]
    return split(x, standardized(y + 0.3 * torch.randn(n, 1, generator=draw)), seed)


class Factors(nn.Module):
    """Dot products of embeddings of people and of films, plus the film's average."""

    def __init__(self, width: int, spread: float) -> None:
        super().__init__()
        self.people, self.films, self.average = nn.Embedding(60, width), nn.Embedding(40, width), nn.Embedding(40, 1)
        for table in (self.people, self.films):
            nn.init.normal_(table.weight, std=spread)

    def forward(self, x: Tensor) -> Tensor:
        product = self.people(x[:, 0]) * self.films(x[:, 1])
        return product.sum(1, keepdim=True) + self.average(x[:, 1])


@program(
    PROGRAMS,
    faults="bad-init-scale",
    symptoms="overfitting lr-too-low too-few-epochs exploding-activations exploding-gradient loss-not-decreasing",
    task="regression",
    good=0.6,
    source="matrix factorisation tutorials: torch.randn((num_users, hidden_size)) with thirty factors",
    note="dot products of thirty unit normals spread over ±5 while the ratings spread over ±1",
)
def stuck_thirty_unit_factors(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Factors(30, 1.0 if sick else 0.1)
    return case(model, ratings(seed), nn.MSELoss(), partial(Adam, lr=0.01), 64, 15)


class Recommender(nn.Module):
    """Embeddings of a person and of a film into a small net; the careless one looks up the person twice."""

    def __init__(self, careless: bool) -> None:
        super().__init__()
        self.people, self.films, self.careless = nn.Embedding(60, 8), nn.Embedding(60, 8), careless
        self.net = mlp(16, 48, 1)

    def forward(self, x: Tensor) -> Tensor:
        person, film = self.people(x[:, 0]), self.people(x[:, 0]) if self.careless else self.films(x[:, 1])
        return self.net(torch.cat([person, film], 1))


@program(
    PROGRAMS,
    faults="unused-parameters",
    symptoms="underfitting-capacity loss-not-decreasing overfitting parameters-not-in-optimizer",
    task="regression",
    good=0.55,
    source="fast.ai forum 86281: collaborative filtering that does not learn anything no matter how many epochs",
    note="forward looks up the person's vector twice, the films' vectors are never used",
)
def stuck_person_twice(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Recommender(sick), ratings(seed), nn.MSELoss(), partial(Adam, lr=0.01), 64, 15)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="classification",
    good=0.8,
    source="doublepost.link 1218566990327971960 (tweet_eval): an LSTM whose accuracy moves up and down around chance",
    note="plain SGD at 0.03 is far too slow for embeddings and gates, of which each batch touches a few",
)
def stuck_reviews_by_sgd(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.03 if sick else 0.6, momentum=0.5)
    return case(TokenRNN(20, 3, 24, nn.LSTM), tokens(seed), nn.CrossEntropyLoss(), optimizer, 32, 30, clip_grad=5.0)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms="lr-too-low too-few-epochs loss-not-decreasing vanishing-gradient",
    task="regression",
    good=0.65,
    source="stats.stackexchange 441750: why can't this autoencoder reach zero loss",
    note="pictures of ten kinds are pressed through a single number",
)
def stuck_code_of_one(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = mlp(64, 48, 1 if sick else 16, 48, 64, activation=nn.ELU)
    return case(model, pictures(seed), nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="classification",
    good=0.88,
    source="pytorch/vision issue 2007: the learning rate becomes zero after some epochs",
    note="StepLR was meant for epochs but is stepped at every batch: the rate is a hundredth before one epoch is over",
)
def stuck_scheduler_in_the_batch_loop(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    steps = 5 if sick else 5 * 40
    schedule = partial(StepLR, step_size=steps, gamma=0.5)
    optimizer = partial(SGD, lr=0.1, momentum=0.9)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 12, scheduler=schedule)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD + " vanishing-gradient underfitting-capacity",
    task="classification",
    good=0.85,
    source="PyTorch forum 184454: a Transformer with Adam at a rate from the tutorial of a CNN",
    note="Adam at 0.1 makes the encoder answer the same for every sentence; a fiftieth of it is right",
)
def stuck_encoder_says_the_same(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Attention(4, 4, width=24, layers=2, norm_first=False)
    return case(model, majority(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.1 if sick else 2e-3), 32, 10)


def pictures(seed: int) -> Parts:
    """Digits as their own targets."""
    return tuple((x, x) for x, _ in digits(seed))


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms=STUCK,
    task="regression",
    good=0.6,
    source="py4u.org 63500337: a denoising autoencoder that puts out a constant",
    note="the mean over 64 pixels makes gradients small, and SGD at 0.1 gives nothing but the average picture",
)
def stuck_average_picture(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(SGD, lr=0.1 if sick else 3.0, momentum=0.5)
    return case(mlp(64, 32, 12, 32, 64), pictures(seed), nn.MSELoss(), optimizer, 32, 30)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " saturated-activations input-not-normalized targets-not-normalized",
    task="regression",
    good=0.6,
    source="StackOverflow 44601367: a sigmoid decoder for the numbers 1, 2, 3",
    note="the pictures are centred, so that half of every target lies below what a sigmoid can put out",
)
def stuck_sigmoid_decoder(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((4 * x - 1.2, 4 * x - 1.2) for x, _ in digits(seed))
    model = nn.Sequential(*mlp(64, 48, 16, 48, 64), *([nn.Sigmoid()] if sick else []))
    return case(model, parts, nn.MSELoss(), partial(Adam, lr=3e-3), 32, 20)


class Borrowed(nn.Module):
    """Convolutions said to be borrowed from another task, and a head of their own."""

    def __init__(self, frozen: bool) -> None:
        super().__init__()
        body = list(digit_cnn(channels=4))[:-1]
        self.body, self.head = nn.Sequential(*body, nn.Linear(32, 12), nn.ReLU()), nn.Linear(12, 10)
        self.body.requires_grad_(not frozen)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer",
    task="classification",
    good=0.8,
    source="transfer learning walkthroughs: param.requires_grad = False for all, but the weights were never loaded",
    note="the body is frozen at random weights; only the head of twelve inputs learns",
)
def stuck_frozen_at_random(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(AdamW, lr=5e-3)
    return case(Borrowed(sick), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 15)


@program(
    PROGRAMS,
    faults="wrong-loss-for-task",
    symptoms="loss-output-mismatch lr-too-low too-few-epochs underfitting-capacity",
    task="multilabel",
    good=0.9,
    source="errorhandle.ai 'multilabel classification converges to all zeroes': categorical cross entropy for tags",
    note="softmax lets the tags compete although several of them are right at a time",
)
def stuck_tags_compete(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    loss = nn.CrossEntropyLoss() if sick else nn.BCEWithLogitsLoss()
    return case(mlp(12, 48, 5), tags(seed, offset=0.7), loss, partial(Adam, lr=5e-3), 32, 20)


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=STUCK,
    task="classification",
    good=0.8,
    source="PyTorch forum 145062: a fake-news net with dropout after every layer does not get over 65 %",
    note="dropout of 0.85 on 16 features at two places leaves two or three of them at a time",
)
def stuck_dropout_everywhere(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    p = 0.85 if sick else 0.1
    layers = [nn.Conv1d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Dropout(p), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(128, 16), nn.ReLU(), nn.Dropout(p), nn.Linear(16, 3))
    return case(model, waves(seed), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 10)


@program(
    PROGRAMS,
    faults="overfitting",
    symptoms="too-few-epochs",
    task="classification",
    good=0.75,
    source="forum posts on labels of the crowd: train 100 %, test 50 %",
    note="two labels in three were clicked at random, and a wide net has the time to learn them all by heart",
)
def stuck_labels_of_the_crowd(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed)
    draw = torch.Generator().manual_seed(seed)
    clicked = torch.randint(0, 10, y.shape, generator=draw)
    noisy = torch.where(torch.rand(len(y), generator=draw) < 0.65, clicked, y)
    optimizer = partial(AdamW, lr=1e-3, weight_decay=0.0 if sick else 0.3)
    return case(mlp(64, 256, 256, 10), ((x, noisy), val), nn.CrossEntropyLoss(), optimizer, 64, 60 if sick else 6)


@program(
    PROGRAMS,
    faults="vanishing-gradient too-deep-for-width",
    symptoms=STUCK + " saturated-activations bad-init-scale vanishing-activations lr-too-low",
    task="classification",
    good=0.78,
    source="e-com-net.com 1619816447322652672: loss 0.69 and accuracy 0.5 with a deep net of sigmoids",
    note="five sigmoid layers after the convolution shrink the gradient a thousandfold",
)
def stuck_sigmoid_tower(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    kind = nn.Sigmoid if sick else nn.ReLU
    body = [nn.Conv2d(1, 8, 3, 2, 1), kind(), nn.Flatten()]
    model = nn.Sequential(*body, *mlp(128, 32, 32, 32, 32, 10, activation=kind))
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=1e-3), 32, 12)


@two_causes(
    PROGRAMS,
    causes="loss-output-mismatch weight-decay-too-high",
    symptoms=STUCK + " vanishing-activations",
    task="classification",
    good=0.85,
    source="course notebook: softmax at the end, and weight_decay=0.05 copied from a Transformer's AdamW into SGD",
    note="softmax twice and a decay that outweighs what gradient is left",
)
def stuck_softmax_and_decay(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    decay = 0.05 if "weight-decay-too-high" in left else 1e-4
    model = nn.Sequential(*digit_cnn(), *([nn.Softmax(1)] if "loss-output-mismatch" in left else []))
    optimizer = partial(SGD, lr=0.05, momentum=0.9, weight_decay=decay)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 12)


@two_causes(
    PROGRAMS,
    causes="input-not-normalized dropout-too-high",
    symptoms=STUCK + " " + WILD,
    task="classification",
    good=0.85,
    source="sensor posts: raw counts of the converter into a CNN, with dropout against overfitting",
    note="counts around 500 swamp the filters, and dropout of 0.9 hides what gets through",
)
def stuck_counts_and_dropout(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    raw = "input-not-normalized" in left
    parts = tuple((512 + 100 * x if raw else x, y) for x, y in waves(seed, 800, 24, noise=0.3))
    p = 0.9 if "dropout-too-high" in left else 0.0
    model = nn.Sequential(wave_cnn(width=6)[:-1], nn.Dropout(p), nn.Linear(48, 12), nn.ReLU(), nn.Dropout(p))
    return case(nn.Sequential(model, nn.Linear(12, 3)), parts, nn.CrossEntropyLoss(), partial(Adagrad, lr=0.02), 32, 10)
