"""Programs as people post them, pictures: scales, channels, starts and capacity of small convolutional networks."""

from functools import partial

import torch
from enrol import case
from nets import digit_cnn
from program import Case, SuiteProgram, program
from samples import Part, Parts, digits, split
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations bad-init-scale momentum-too-high"
)


def strokes(seed: int, n: int = 900, *, noise: float = 0.15, colours: int = 1) -> Parts:
    """Pictures (n, colours, 12, 12) between 0 and 1 with one stroke: level, upright, falling or rising."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (n,), generator=draw)
    step = torch.arange(7)
    ways = [(0 * step, step), (step, 0 * step), (step, step), (step, 6 - step)]
    places = torch.randint(0, 6, (n, 2, 1), generator=draw) + torch.stack([torch.stack(way) for way in ways])[y]
    picture = torch.zeros(n, 12, 12)
    picture[torch.arange(n)[:, None], places[:, 0], places[:, 1]] = 1.0
    colour = 0.4 + 0.6 * torch.rand(n, colours, 1, 1, generator=draw)
    x = 0.3 + 0.5 * colour * picture[:, None] + noise * torch.randn(n, colours, 12, 12, generator=draw)
    return split(x.clamp(0, 1), y, seed)


def textures(seed: int, n: int = 700, classes: int = 3) -> Parts:
    """Gratings (n, 1, 12, 12) of random phase; the class is their direction."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (n,), generator=draw)
    angle = torch.pi * y.float()[:, None, None] / classes
    row, column = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    phase = 2 * torch.pi * torch.rand(n, 1, 1, generator=draw)
    x = torch.sin(1.6 * (row * angle.cos() + column * angle.sin()) + phase)
    return split((x + 0.4 * torch.randn(n, 12, 12, generator=draw))[:, None], y, seed)


def each(parts: Parts, change: object) -> Parts:
    """Both parts with their inputs changed by a function."""
    (x, y), (x_val, y_val) = parts
    return (change(x), y), (change(x_val), y_val)  # type: ignore[operator]


def stroke_cnn(colours: int = 1, classes: int = 4, kernel: int = 3) -> nn.Sequential:
    """Two convolutions with pooling for pictures of 12 × 12."""
    return nn.Sequential(
        nn.Conv2d(colours, 12, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(24, classes),
    )


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " vanishing-gradient ill-conditioned-features",
    task="classification",
    good=0.85,
    source="PyTorch forum: transforms.Normalize with the ImageNet mean and std on images read by OpenCV (0 to 255)",
    note="bytes of 0 to 255, from which 0.48 is taken and which are divided by 0.23: inputs of a thousand",
)
def imagenet_statistics_on_bytes(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    factor = 255.0 if sick else 1.0
    parts = each(strokes(seed, colours=3), lambda x: (x * factor - mean) / std)
    return case(stroke_cnn(3), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.03, momentum=0.9), 32, 14)


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=STUCK + " ill-conditioned-features vanishing-gradient bad-init-scale batch-size-extreme",
    task="classification",
    good=0.88,
    source="Kaggle X-ray threads: 16-bit pictures divided by 65535, although none of them uses more than a part",
    note="grey levels between 0.50 and 0.53: the net sees one grey picture, whoever was before the camera",
)
def x_rays_of_low_contrast(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = each(digits(seed, image=True), lambda x: 0.5 + 0.03 * x if sick else (x - 0.3) / 0.37)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.05), 32, 12)


@program(
    PROGRAMS,
    faults="input-constant-feature input-not-normalized",
    symptoms=WILD + " vanishing-gradient lr-too-low ill-conditioned-features underfitting-capacity",
    task="classification",
    good=0.85,
    source="StackOverflow: PNG files come with a fourth channel; colours were divided by 255, alpha was not",
    note="the alpha channel is 255 in every pixel and outweighs the three colours",
)
def alpha_channel_of_255(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    alpha = 255.0 if sick else 0.0
    parts = each(strokes(seed, colours=3), lambda x: torch.cat([x, torch.full_like(x[:, :1], alpha)], 1))
    return case(stroke_cnn(4), parts, nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="program-crashes",
    symptoms="target-shape-mismatch",
    task="classification",
    good=0.88,
    source="PyTorch forum: 'expected input to have 1 channels, but got 32 channels instead' for grey pictures",
    note="pictures (n, 8, 8) without an axis of channels, which the convolution takes for one picture of n channels",
)
def pictures_without_a_channel_axis(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = each(digits(seed, image=True), lambda x: x[:, 0] if sick else x)
    return case(digit_cnn(), parts, nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 8)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms=STUCK,
    task="classification",
    good=0.85,
    source="posts of nets 'made of 1x1 convolutions as in the paper' without any larger kernel",
    note="kernels of one pixel and a global maximum cannot tell an upright stroke from a level one",
)
def kernels_of_one_pixel(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = stroke_cnn(kernel=1 if sick else 3)
    if sick:
        model[2] = nn.Identity()  # pooling would see two pixels
    return case(model, strokes(seed, noise=0.1), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


@program(
    PROGRAMS,
    faults="missing-nonlinearity",
    symptoms=STUCK + " input-constant-feature",
    task="classification",
    good=0.88,
    source="first CNNs in course forums: nn.Conv2d after nn.Conv2d, F.relu imported and never called",
    note="convolutions and a mean are one linear filter, and gratings of random phase have the mean zero",
)
def textures_by_linear_convolutions(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    bend = nn.Identity if sick else nn.ReLU
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), bend(), nn.Conv2d(8, 16, 3), bend(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)
    )
    return case(model, textures(seed), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 14)


def dice(output: Tensor, y: Tensor) -> Tensor:
    """One minus the overlap of two maps, which both should lie between 0 and 1."""
    return 1 - (2 * (output * y).sum() + 1) / (output.sum() + y.sum() + 1)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=WILD + " wrong-loss-for-task",
    task="multilabel",
    good=0.9,
    source="GitHub issues of segmentation repositories: Dice loss below zero, masks all black or all white",
    note="Dice wants probabilities and gets logits: it falls below zero without learning the mask",
)
def dice_of_raw_scores(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts: list[Part] = []
    for x, _ in digits(seed, image=True):
        parts.append((x + 0.15 * torch.randn_like(x), (x > 0.4).float()))
    model = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 1, 3, padding=1))
    if not sick:
        model.append(nn.Sigmoid())
    return case(model, (parts[0], parts[1]), dice, partial(Adam, lr=5e-3), 32, 8)


@program(
    PROGRAMS,
    faults="targets-not-normalized",
    symptoms=WILD + " lr-too-low too-few-epochs underfitting-capacity",
    task="regression",
    good=0.7,
    source="Kaggle 'Facial Keypoints Detection' tutorials: pixel coordinates of 0 to 96 as targets",
    note="places in pixels give errors of thousands and, by SGD with momentum, dead units or NaN",
)
def keypoints_in_pixels(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    place = 2 + 8 * torch.rand(900, 2, generator=draw)
    grid = torch.stack(torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij"))
    spot = (-(grid - place[:, :, None, None]).square().sum(1, keepdim=True) / 4).exp()
    target = 8 * place if sick else (place - 6) / 2.3
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(288, 32),
        nn.ReLU(),
        nn.Linear(32, 2),
    )
    parts = split(spot + 0.1 * torch.randn(900, 1, 12, 12, generator=draw), target, seed)
    return case(model, parts, nn.MSELoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 15)


@program(
    PROGRAMS,
    faults="class-imbalance",
    symptoms=STUCK + " overfitting wrong-loss-for-task",
    task="classification",
    metric="balanced",
    good=0.85,
    source="posts of visual inspection: 98 % of the parts are good, and the CNN calls all of them good",
    note="three pictures in a hundred show the other stroke, under much noise",
)
def scratches_on_a_belt(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    train, val = (((x[y < 2]), y[y < 2]) for x, y in strokes(seed, 3600, noise=0.15))
    keep = (train[1] == 0) | (torch.arange(len(train[1])) % 25 == 0)
    train = train[0][keep], train[1][keep]
    weight = None if sick else torch.tensor([1.0, 25.0])
    return case(stroke_cnn(classes=2), (train, val), nn.CrossEntropyLoss(weight), partial(Adam, lr=3e-3), 32, 18)


@program(
    PROGRAMS,
    faults="symmetric-init",
    symptoms=STUCK + " bad-init-scale vanishing-activations vanishing-gradient",
    task="classification",
    good=0.85,
    source="StackOverflow: nn.init.constant_(m.weight, 0.02) in an init_weights taken for normal_(…, 0.02)",
    note="every kernel is the same 0.02, so that all maps stay one map",
)
def kernels_all_one_fiftieth(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = stroke_cnn()
    for parameter in model.parameters() if sick else ():
        nn.init.constant_(parameter, 0.02)
    return case(model, strokes(seed, noise=0.1), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 14)


@program(
    PROGRAMS,
    faults="lr-too-low",
    symptoms="loss-not-decreasing underfitting-capacity too-few-epochs",
    task="classification",
    good=0.9,
    source="Keras and PyTorch differ in Adadelta's default (0.001 and 1.0): 'Adadelta does not learn at all'",
    note="Adadelta at 0.001 in place of 1: it has its own scale of steps, and this divides them by a thousand",
)
def adadelta_at_the_other_default(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adadelta, lr=1e-3 if sick else 1.0)
    return case(digit_cnn(), digits(seed, image=True), nn.CrossEntropyLoss(), optimizer, 32, 12)


@program(
    PROGRAMS,
    faults="lr-too-high",
    symptoms=WILD,
    task="classification",
    good=0.85,
    source="PyTorch forum: 'my CNN predicts one class only' with Adam(lr=0.1) taken over from SGD",
    note="the rate of an SGD recipe given to Adam: after a few steps one class is answered",
)
def sgds_rate_given_to_adam(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    optimizer = partial(Adam, lr=0.1 if sick else 5e-3)
    return case(stroke_cnn(), strokes(seed, noise=0.1), nn.CrossEntropyLoss(), optimizer, 32, 12)


@program(
    PROGRAMS,
    faults="underfitting-capacity",
    symptoms=STUCK,
    task="classification",
    good=0.88,
    source="course forums: MaxPool2d(8) after the first convolution, 'to have fewer inputs for the linear layer'",
    note="the pooling window is the whole picture: three numbers remain of a digit",
)
def digits_pooled_to_one_pixel(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    channels, window = (3, 8) if sick else (8, 2)
    model = nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(window),
        nn.Flatten(),
        nn.Linear(channels * (8 // window) ** 2, 10),
    )
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)
