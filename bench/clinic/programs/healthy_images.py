"""Healthy convolutional nets, on images and on waves."""

import torch
from enrol import case, healthy
from program import Case, SuiteProgram
from samples import digits, waves
from torch import Tensor, nn

PROGRAMS: list[SuiteProgram] = []


@healthy(PROGRAMS, "classification", 0.93, "nothing unusual: two convolutions, momentum")
def plain_cnn(seed: int) -> Case:
    first = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)]
    parts = digits(seed, image=True)
    optimizer = lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)  # noqa: E731
    return case(nn.Sequential(*first, *second), parts, nn.CrossEntropyLoss(), optimizer, 32, 10)


@healthy(PROGRAMS, "classification", 0.9, "no dense layer but the last: positions are averaged away")
def global_average(seed: int) -> Case:
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 16), (16, 24), (24, 32)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    parts = digits(seed, image=True)
    return case(model, parts, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "a convolution a channel, then a linear one with nothing between")
def depthwise_separable(seed: int) -> Case:
    separable = [nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Conv2d(16, 32, 1), nn.BatchNorm2d(32), nn.ReLU()]
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), *separable, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10)
    )
    parts = digits(seed, image=True)
    return case(model, parts, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=3e-3), 32, 8)


class Block(nn.Module):
    """x + conv(relu(norm(conv x))), whose last norm starts with gain 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm, self.last = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.last(self.second(self.norm(self.first(x)).relu()))).relu()


@healthy(PROGRAMS, "classification", 0.93, "residual blocks whose last norm starts with gain zero, as ResNets do")
def zero_gain_resnet(seed: int) -> Case:
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), Block(12), nn.MaxPool2d(2), Block(12), nn.Flatten(), nn.Linear(192, 10)
    )
    parts = digits(seed, image=True)
    optimizer = lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4)  # noqa: E731
    return case(model, parts, nn.CrossEntropyLoss(), optimizer, 64, 8)


@healthy(PROGRAMS, "classification", 0.93, "batches of four, but the norms look at groups of channels, not at batches")
def group_norm_of_four(seed: int) -> Case:
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.GELU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(8, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.GELU(), nn.Flatten(), nn.Linear(256, 10)]
    parts = digits(seed, image=True)
    return case(nn.Sequential(*layers), parts, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=1e-3), 4, 5)


@healthy(PROGRAMS, "classification", 0.93, "grey levels of 0 to 16, which the first batch norm brings into range")
def raw_levels_normed(seed: int) -> Case:
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2)]
    layers += [nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)]
    parts = digits(seed, raw=True, image=True)
    optimizer = lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)  # noqa: E731
    return case(nn.Sequential(*layers), parts, nn.CrossEntropyLoss(), optimizer, 32, 10)


@healthy(PROGRAMS, "classification", 0.9, "a frozen bank of random filters comes first, on purpose: it is wide enough")
def frozen_filters(seed: int) -> Case:
    filters = nn.Conv2d(1, 24, 3, padding=1).requires_grad_(False)
    layers = [filters, nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(24, 24, 3, padding=1), nn.ReLU(), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(384, 10))
    parts = digits(seed, image=True)
    return case(model, parts, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=3e-3), 32, 8)


@healthy(PROGRAMS, "classification", 0.9, "waves of three frequencies; strides in place of pooling")
def strided_waves(seed: int) -> Case:
    layers = [nn.Conv1d(1, 16, 5, stride=2), nn.LeakyReLU(0.2), nn.Conv1d(16, 24, 5, stride=2), nn.LeakyReLU(0.2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(24 * 5, 3))
    return case(model, waves(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "regression", 0.7, "a convolutional autoencoder with a code of 32 numbers")
def convolutional_autoencoder(seed: int) -> Case:
    (x, _), (x_val, _) = digits(seed, image=True)
    encoder = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, padding=1))
    decoder = [nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1), nn.ReLU()]
    model = nn.Sequential(encoder, nn.ReLU(), *decoder, nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1))
    return case(model, ((x, x), (x_val, x_val)), nn.MSELoss(), lambda p: torch.optim.Adam(p, lr=5e-3), 32, 25)


@healthy(PROGRAMS, "multilabel", 0.92, "three questions on one digit: is it even, above four, round?")
def three_questions(seed: int) -> Case:
    (x, y), (x_val, y_val) = digits(seed, image=True)
    answers = torch.tensor([[d % 2 == 0, d > 4, d in (0, 6, 8, 9)] for d in range(10)]).float()
    layers = [nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(192, 3)]
    parts = (x, answers[y]), (x_val, answers[y_val])
    return case(nn.Sequential(*layers), parts, nn.BCEWithLogitsLoss(), lambda p: torch.optim.Adam(p, lr=5e-3), 32, 12)
