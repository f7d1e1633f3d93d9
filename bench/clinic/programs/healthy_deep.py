"""Healthy classifiers of unusual depth, initialization, schedule, loss or budget."""

import torch
from enrol import case, healthy
from program import Case, SuiteProgram
from samples import blobs, cancer, digits, rings, split, tags, wine
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR

PROGRAMS: list[SuiteProgram] = []


class Branches(nn.Module):
    """x + W₂ relu(W₁ x), so many times, with W₂ = 0 at first where asked."""

    def __init__(self, width: int, depth: int, zero: bool, norm: bool = False) -> None:
        super().__init__()
        blocks = []
        for _ in range(depth):
            last = nn.Linear(width, width)
            nn.init.zeros_(last.weight) if zero else nn.init.normal_(last.weight, std=0.5 / (width * depth) ** 0.5)
            first = [nn.LayerNorm(width)] if norm else []
            blocks.append(nn.Sequential(*first, nn.Linear(width, width), nn.ReLU(), last))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x


@healthy(PROGRAMS, "classification", 0.9, "twenty-four layers of width 20, with shortcuts")
def deep_narrow_residual(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 20), Branches(20, 12, zero=False), nn.Linear(20, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=2e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "every residual branch starts at zero: the net begins as a shallow one")
def zero_branches(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 32), Branches(32, 6, zero=True, norm=True), nn.Linear(32, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.AdamW(p, lr=3e-3), 64, 15)


@healthy(PROGRAMS, "classification", 0.9, "ten SELU layers with no normalization, drawn as the activation wants it")
def selu_ten_layers(seed: int) -> Case:
    layers: list[nn.Module] = []
    for i in range(10):
        linear = nn.Linear(64 if i == 0 else 40, 40)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="linear")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.SELU()]
    model = nn.Sequential(nn.BatchNorm1d(64, affine=False), *layers, nn.Linear(40, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9), 32, 15)


@healthy(PROGRAMS, "classification", 0.9, "eight tanh layers after Glorot and Bengio")
def tanh_eight_layers(seed: int) -> Case:
    layers: list[nn.Module] = []
    for i in range(8):
        linear = nn.Linear(64 if i == 0 else 48, 48)
        nn.init.xavier_normal_(linear.weight, gain=5 / 3)
        layers += [linear, nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(48, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9), 32, 20)


@healthy(PROGRAMS, "classification", 0.9, "a fifth of the ReLU units never fires, the others suffice")
def a_fifth_dead(seed: int) -> Case:
    first = nn.Linear(64, 100)
    with torch.no_grad():
        first.bias[:20] = -30.0
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(100, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "classification", 0.92, "batches of eight, which batch normalization just bears")
def batch_norm_of_eight(seed: int) -> Case:
    hidden = [nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU()]
    model = nn.Sequential(*hidden, nn.Linear(32, 10))
    return case(model, digits(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=2e-3), 8, 10)


@healthy(PROGRAMS, "classification", 0.93, "two epochs, which suffice: the clouds lie far apart")
def two_epochs_suffice(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
    parts = blobs(seed, 2000, distance=6.0)
    return case(model, parts, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=0.01), 16, 2)


@healthy(PROGRAMS, "binary", 0.92, "one batch holds all samples; sixty steps of Adam suffice")
def whole_batch(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 1))
    return case(model, cancer(seed), nn.BCEWithLogitsLoss(), lambda p: torch.optim.Adam(p, lr=0.01), 512, 60)


@healthy(PROGRAMS, "classification", 0.86, "training is perfect and validation a usual step behind: 300 samples")
def usual_gap(seed: int) -> Case:
    (x, y), val = digits(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    parts = (x[:300], y[:300]), val
    return case(model, parts, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=2e-3), 16, 30)


@healthy(
    PROGRAMS, "classification", 0.9, "the rate climbs from zero for eighty steps, so that the loss stands at first"
)
def warm_up(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def climb(optimizer: torch.optim.Optimizer) -> LambdaLR:
        return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 80))

    optimizer = lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)  # noqa: E731
    return case(model, digits(seed), nn.CrossEntropyLoss(), optimizer, 32, 15, scheduler=climb)


@healthy(PROGRAMS, "classification", 0.9, "one cycle up to a rate of 0.6 and down to nothing")
def one_cycle(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))

    def cycle(optimizer: torch.optim.Optimizer) -> OneCycleLR:
        return OneCycleLR(optimizer, max_lr=0.6, total_steps=20 * 12)

    parts = digits(seed)
    return case(model, parts, nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=0.1), 64, 12, scheduler=cycle)


@healthy(PROGRAMS, "classification", 0.9, "smoothed labels: the loss never comes near zero, and need not")
def label_smoothing(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 10))
    loss = nn.CrossEntropyLoss(label_smoothing=0.2)
    return case(model, digits(seed), loss, lambda p: torch.optim.Adam(p, lr=3e-3), 32, 15)


@healthy(PROGRAMS, "binary", 0.95, "labels of -1 and 1 with the soft margin loss")
def soft_margin(seed: int) -> Case:
    (x, y), (x_val, y_val) = rings(seed)
    model = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1))
    parts = (x, 2.0 * y[:, None] - 1), (x_val, 2.0 * y_val[:, None] - 1)
    return case(model, parts, nn.SoftMarginLoss(), lambda p: torch.optim.Adam(p, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "classification", 0.85, "one class in ten samples, weighted in the loss", metric="balanced")
def weighted_classes(seed: int) -> Case:
    (x, y), (x_val, y_val) = blobs(seed, 1500, 8, 12, 4.0)
    parts = (x, (y == 0).long()), (x_val, (y_val == 0).long())
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    loss = nn.CrossEntropyLoss(weight=torch.tensor([0.55, 5.5]))
    return case(model, parts, loss, lambda p: torch.optim.Adam(p, lr=3e-3), 32, 20)


class TwoHeads(nn.Module):
    """A head on the last layer and one on the layer before, which helps only while training."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = nn.Linear(64, 48), nn.Linear(48, 48)
        self.side, self.head = nn.Linear(48, 10), nn.Linear(48, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low = self.low(x).relu()
        return self.head(self.high(low).relu()), self.side(low)


@healthy(PROGRAMS, "classification", 0.9, "the model returns two answers, and the loss weighs both")
def side_head(seed: int) -> Case:
    def loss(output: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output[0], y) + 0.3 * nn.functional.cross_entropy(output[1], y)

    return case(TwoHeads(), digits(seed), loss, lambda p: torch.optim.Adam(p, lr=2e-3), 32, 15)


@healthy(PROGRAMS, "multilabel", 0.88, "labels that are on for one sample in eight")
def rare_tags(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 5))
    parts = tags(seed, offset=1.0)
    return case(model, parts, nn.BCEWithLogitsLoss(), lambda p: torch.optim.Adam(p, lr=5e-3), 32, 20)


@healthy(PROGRAMS, "multilabel", 0.88, "sigmoids with BCELoss for five labels, and Nesterov's momentum")
def tags_with_sigmoid(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 5), nn.Sigmoid())

    def optimizer(p: object) -> torch.optim.SGD:
        return torch.optim.SGD(p, lr=0.3, momentum=0.9, nesterov=True)  # type: ignore[arg-type]

    def anneal(optimizer: torch.optim.Optimizer) -> CosineAnnealingLR:
        return CosineAnnealingLR(optimizer, 20 * 20)

    return case(model, tags(seed), nn.BCELoss(), optimizer, 32, 20, scheduler=anneal)


@healthy(PROGRAMS, "classification", 0.9, "features of scales from 0.001 to 1000, standardized inside by batch norm")
def raw_wine_inner_norm(seed: int) -> Case:
    model = nn.Sequential(nn.BatchNorm1d(13), nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))
    parts = wine(seed, raw=True)
    return case(model, parts, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=0.01), 16, 40)


@healthy(PROGRAMS, "classification", 0.9, "each sample a step of its own, at a rate that suits it")
def one_sample_a_step(seed: int) -> Case:
    model = nn.Sequential(nn.Linear(13, 24), nn.ReLU(), nn.Linear(24, 3))
    return case(model, wine(seed), nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=0.01), 1, 15)


@healthy(PROGRAMS, "classification", 0.9, "thirty columns of noise beside the ten that matter, and half of them copies")
def copied_columns(seed: int) -> Case:
    (x, y), (x_val, y_val) = blobs(seed, 1200, 10, 3, 4.0)
    draw = torch.Generator().manual_seed(seed + 1)
    noise = torch.randn(len(x) + len(x_val), 15, generator=draw)
    wide = torch.cat([torch.cat([x, x_val]), noise, noise], 1)
    model = nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 3))
    parts = split(wide, torch.cat([y, y_val]), seed)
    return case(model, parts, nn.CrossEntropyLoss(), lambda p: torch.optim.AdamW(p, lr=3e-3), 32, 12)
