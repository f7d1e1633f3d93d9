"""Image programs as posted on forums: nets written by hand as classes, ports from Keras and TensorFlow."""

from functools import partial

import torch
from enrol import case
from program import Case, SuiteProgram, program, two_causes
from samples import Parts, digits, split
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam

PROGRAMS: list[SuiteProgram] = []
STUCK = "loss-not-decreasing underfitting-capacity lr-too-low too-few-epochs"
WILD = (
    "lr-too-high oscillating-loss nonfinite-loss exploding-gradient exploding-activations dead-relu "
    "loss-not-decreasing saturated-activations momentum-too-high"
)
SMALL = "vanishing-gradient vanishing-activations loss-not-decreasing lr-too-low too-few-epochs underfitting-capacity"


def shapes(seed: int, n: int = 900, noise: float = 0.25) -> Parts:
    """Pictures (1, 12, 12) of a lying bar, a standing bar, a diagonal or a frame at a random place."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (n,), generator=draw)
    place = torch.randint(0, 7, (n, 2), generator=draw)
    stamps = torch.zeros(4, 6, 6)
    stamps[0, 2:4], stamps[1, :, 2:4], stamps[2] = 1, 1, torch.eye(6)
    stamps[3] = 1
    stamps[3, 1:5, 1:5] = 0
    x = noise * torch.randn(n, 1, 12, 12, generator=draw)
    for i in range(n):
        top, left = place[i].tolist()
        x[i, 0, top : top + 6, left : left + 6] += stamps[y[i]]
    return split(x, y, seed)


class LeNet(nn.Module):
    """The tutorial's net for pictures of 8 × 8."""

    def __init__(self, classes: int = 10, fc: int = 48) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc1 = nn.Linear(16 * 2 * 2, fc)
        self.fc2 = nn.Linear(fc, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(x)


class ShapeNet(nn.Module):
    """Two convolutions and a global mean or a dense head for pictures of 12 × 12."""

    def __init__(self, outputs: int = 4, width: int = 12) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.fc = nn.Linear(2 * width * 9, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc(x.view(x.size(0), -1))


@program(
    PROGRAMS,
    faults="input-not-normalized",
    symptoms=WILD + " bad-init-scale vanishing-gradient",
    task="classification",
    good=0.9,
    source="PyTorch forum: cv2.imread instead of ToTensor, accuracy stays at 10 %",
    note="pixels of 0 … 255 in the tutorial's net, at the tutorial's rate",
)
def forum_pixels_of_cv2(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((x * (255 if sick else 1), y) for x, y in digits(seed, image=True))
    return case(LeNet(), parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 10)


class SoftmaxNet(LeNet):
    """The same with the softmax that a Keras model ends in."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.softmax(super().forward(x), dim=1)


@program(
    PROGRAMS,
    faults="loss-output-mismatch",
    symptoms=STUCK + " vanishing-gradient input-constant-feature",
    task="classification",
    good=0.9,
    source="ports from Keras: activation='softmax' on the last layer, CrossEntropyLoss after it",
    note="a softmax in forward and another in the loss, under SGD",
)
def forum_softmax_from_keras(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = SoftmaxNet() if sick else LeNet()
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 12)


class ReluHead(LeNet):
    """A ReLU after the last layer too."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(super().forward(x))


@program(
    PROGRAMS,
    faults="loss-output-mismatch dead-relu",
    symptoms=STUCK + " lr-too-high saturated-activations vanishing-gradient",
    task="classification",
    good=0.9,
    source="StackOverflow: x = F.relu(self.fc3(x)); return x; some classes are never predicted",
    note="logits that fell below zero once get no gradient any more",
)
def forum_relu_on_the_logits(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = ReluHead(fc=24) if sick else LeNet(fc=24)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(SGD, lr=0.05, momentum=0.9), 32, 12)


class Blocks(nn.Module):
    """Convolutions kept in a list, then a dense layer."""

    def __init__(self, registered: bool) -> None:
        super().__init__()
        convs = [nn.Conv2d(1 if i == 0 else 8, 8, 3, padding=1) for i in range(3)]
        self.convs = nn.ModuleList(convs) if registered else convs
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = torch.relu(conv(x))
        return self.fc(x.amax((2, 3)))


@program(
    PROGRAMS,
    faults="parameters-not-in-optimizer",
    symptoms=STUCK + " frozen-parameters unused-parameters vanishing-activations bad-init-scale",
    task="classification",
    good=0.85,
    source="PyTorch forum: self.convs = [] and append in a loop, the weights never change",
    note="a Python list hides its layers from parameters()",
)
def forum_convs_in_a_list(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(Blocks(not sick), shapes(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


class TwoStage(nn.Module):
    """Features and a head; the features may be computed without gradients."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.cut = cut
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 10, 3, padding=1)
        self.head = nn.Linear(10, 4)

    def features(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv2(torch.relu(self.conv1(x)))).amax((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.features(x)
        return self.head(h.detach() if self.cut else h)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " unused-parameters parameters-not-in-optimizer vanishing-gradient",
    task="classification",
    good=0.85,
    source="transfer-learning scripts: features(x).detach() kept when the backbone is no longer a trained one",
    note="the random convolutions never get a gradient",
)
def forum_detached_features(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    return case(TwoStage(sick), shapes(seed), nn.CrossEntropyLoss(), partial(Adam, lr=0.01), 32, 20)


@program(
    PROGRAMS,
    faults="frozen-parameters",
    symptoms=STUCK + " parameters-not-in-optimizer unused-parameters",
    task="classification",
    good=0.88,
    source="fine-tuning tutorial: for p in model.parameters(): p.requires_grad = False, then a new fc2",
    note="all is frozen as for a pretrained net, but nothing was pretrained",
)
def forum_frozen_as_in_the_tutorial(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = LeNet(fc=16)
    for parameter in model.parameters():
        parameter.requires_grad = not sick
    model.fc2 = nn.Linear(16, 10)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 32, 12)


class KeepProb(LeNet):
    """Dropout before the last layer."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.dropout(functional.max_pool2d(functional.relu(self.conv2(x)), 2), self.rate, self.training)
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(functional.dropout(x, self.rate, self.training))


@program(
    PROGRAMS,
    faults="dropout-too-high",
    symptoms=STUCK + " oscillating-loss bn-train-eval-mismatch vanishing-gradient",
    task="classification",
    good=0.9,
    source="ports from TensorFlow 1: keep_prob=0.9 became F.dropout(x, 0.9)",
    note="nine of ten activations are dropped, twice",
)
def forum_keep_prob_as_rate(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = KeepProb(0.9 if sick else 0.1)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 15)


class NormNet(nn.Module):
    """Conv, norm, ReLU, twice; the momentum of the norms is given."""

    def __init__(self, momentum: float, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8, momentum=momentum)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16, momentum=momentum)
        self.fc1, self.bn3 = nn.Linear(64, 32), nn.BatchNorm1d(32, momentum=momentum)
        self.fc2 = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 2)
        x = functional.max_pool2d(functional.relu(self.bn2(self.conv2(x))), 2)
        return self.fc2(functional.relu(self.bn3(self.fc1(x.flatten(1)))))


@program(
    PROGRAMS,
    faults="bn-train-eval-mismatch",
    symptoms="overfitting bn-small-batch oscillating-loss lr-too-high",
    task="classification",
    good=0.92,
    source="pytorch/pytorch issue 3869: 'decrease momentum to something small like 0.0001'",
    note="the running statistics hardly leave 0 and 1, so evaluation sees other activations than training",
)
def forum_norm_momentum_of_nothing(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    parts = tuple((16 * x, y) for x, y in digits(seed, image=True))
    model = NormNet(1e-5 if sick else 0.1)
    return case(model, parts, nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 8)


@program(
    PROGRAMS,
    faults="bn-small-batch batch-size-extreme",
    symptoms="bn-train-eval-mismatch oscillating-loss lr-too-high loss-not-decreasing underfitting-capacity",
    task="classification",
    good=0.9,
    source="PyTorch forum: batch_size=2 because of CUDA out of memory, with BatchNorm1d after the dense layer",
    note="a norm over two rows leaves only the sign of their difference",
)
def forum_two_pictures_fit_in_memory(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = NormNet(0.1)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=5e-3), 2 if sick else 32, 6)


class Vgg(nn.Module):
    """Five plain convolutions, weights as in a Caffe prototxt, and a head."""

    def __init__(self, std: float | None, bias: float = 0.0) -> None:
        super().__init__()
        convs = [nn.Conv2d(1 if i == 0 else 12, 12, 3, padding=1) for i in range(5)]
        self.convs, self.fc = nn.ModuleList(convs), nn.Linear(12 * 4, 10)
        for conv in convs:
            if std is not None:
                nn.init.normal_(conv.weight, 0, std)
            else:
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            conv.bias = nn.Parameter(torch.full((12,), bias))

    def forward(self, x: Tensor) -> Tensor:
        for i, conv in enumerate(self.convs):
            x = functional.relu(conv(x))
            if i % 2:
                x = functional.max_pool2d(x, 2)
        return self.fc(x.flatten(1))


@program(
    PROGRAMS,
    faults="bad-init-scale vanishing-activations vanishing-gradient",
    symptoms=STUCK + " too-deep-for-width input-constant-feature",
    task="classification",
    good=0.88,
    source="ports from Caffe: weight_filler gaussian std 0.01 for every layer",
    note="each convolution makes the picture ten times fainter",
)
def forum_gaussian_of_caffe(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Vgg(0.01 if sick else None)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(SGD, lr=0.02, momentum=0.9), 32, 12)


@program(
    PROGRAMS,
    faults="bad-init-scale exploding-activations",
    symptoms=WILD + " vanishing-gradient overfitting",
    task="classification",
    good=0.88,
    source="ports from TensorFlow: tf.Variable(tf.random_normal(shape)) has a deviation of one",
    note="five layers of weights of deviation one: logits in the thousands at the start",
)
def forum_random_normal_of_tensorflow(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Vgg(1.0 if sick else None)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=3e-3), 32, 8)


@program(
    PROGRAMS,
    faults="dead-relu bad-init-scale",
    symptoms=STUCK + " vanishing-activations vanishing-gradient input-constant-feature symmetric-init",
    task="classification",
    good=0.88,
    source="detector code reused: the bias of −4.6 that focal loss wants on its last layer, set on every Conv2d",
    note="every unit is below zero for every picture",
)
def forum_prior_bias_everywhere(seed: int, sick: bool) -> Case:
    torch.manual_seed(seed)
    model = Vgg(None, -4.6 if sick else 0.0)
    return case(model, digits(seed, image=True), nn.CrossEntropyLoss(), partial(Adam, lr=2e-3), 32, 12)


class ManyShapes(nn.Module):
    """Two inputs of a picture: what is lying and what is standing, by rows and columns."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 12, 3, padding=1), nn.Conv2d(12, 24, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(24 * 9, 48), nn.Linear(48, 4)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(torch.relu(self.conv2(x)), 2).flatten(1)
        x = functional.dropout(torch.relu(self.fc1(x)), self.rate, self.training)
        return self.fc2(x)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="dropout-too-high lr-too-low",
    symptoms="loss-not-decreasing underfitting-capacity too-few-epochs vanishing-gradient oscillating-loss",
    good=0.9,
    source="Kaggle kernels: everything was tried against overfitting at once",
    note="dropout of 0.95 in front of the last layer, and SGD at a rate of 0.0005",
)
def forum_double_fear_of_overfitting(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    model = ManyShapes(0.97 if "dropout-too-high" in left else 0.2)
    optimizer = partial(SGD, lr=5e-4 if "lr-too-low" in left else 0.03, momentum=0.9)
    return case(model, shapes(seed), nn.CrossEntropyLoss(), optimizer, 32, 15)


@two_causes(
    PROGRAMS,
    task="classification",
    causes="loss-output-mismatch unshuffled-data",
    symptoms=STUCK + " oscillating-loss lr-too-high overfitting",
    good=0.9,
    source="course exercise: softmax as the last layer, and pictures that were read folder by folder",
    note="two softmaxes, and classes that come one after the other",
)
def forum_double_softmax_and_folders(seed: int, left: frozenset[str]) -> Case:
    torch.manual_seed(seed)
    (x, y), val = digits(seed, image=True)
    order = y.argsort(stable=True)
    model = SoftmaxNet() if "loss-output-mismatch" in left else LeNet()
    optimizer = partial(SGD, lr=0.02, momentum=0.9)
    mixed = "unshuffled-data" not in left
    return case(model, ((x[order], y[order]), val), nn.CrossEntropyLoss(), optimizer, 32, 12, shuffle=mixed)
