"""Parts on different scales are told from ordinary splits, small parts, sorted rows and drift, and brought together."""

import pytest
import torch
from contract_parts import Listener, cancer, ce, cnn, curve, digits, mlp, picture, waves, wine
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.data import DataLoader, Dataset, TensorDataset

from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import part_scales
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program

Parts = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
WARNED = {"warning", "error"}


def cut(data: tuple[Tensor, Tensor], share: float = 0.7) -> Parts:
    x, y = data
    place = int(share * len(x))
    return (x[:place], y[:place]), (x[place:], y[place:])


def made(model: nn.Module, parts: Parts, loss: nn.Module | None = None, **more) -> Program:
    optimizer = lambda p: torch.optim.Adam(p, lr=0.005)  # noqa: E731
    return Program(
        model=model, train=parts[0], val=parts[1], loss=loss or ce(), optimizer=optimizer, batch_size=16, epochs=20,
        **more,
    )  # fmt: skip


def wine_scaled(seed: int, train: bool, val: bool) -> Program:
    """Each part standardized by the training part, or raw."""
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = cut(wine(seed, raw=True))
    mean, std = x.mean(0), x.std(0)
    scaled = lambda t, so: (t - mean) / std if so else t  # noqa: E731
    return made(mlp(13, 24, 3), ((scaled(x, train), y), (scaled(x_val, val), y_val)))


def pictures(seed: int, train: float = 1.0, val: float = 1.0, light: float = 0.0) -> Program:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = cut(picture(digits(seed)))
    return made(cnn(), ((x * train + light, y), (x_val * val, y_val)))


def signals(seed: int, val: float) -> Program:
    torch.manual_seed(seed)
    (x, y), (x_val, y_val) = cut(waves(seed))
    return made(Listener(2), ((x, y), (x_val * val, y_val)))


SICK = {
    "scaler forgotten for validation": lambda seed: wine_scaled(seed, True, False),
    "scaler forgotten for training": lambda seed: wine_scaled(seed, False, True),
    "levels in validation": lambda seed: pictures(seed, val=255.0),
    "levels in training": lambda seed: pictures(seed, train=255.0),
    "brightened in training": lambda seed: pictures(seed, light=1.0),
    "signals in another unit": lambda seed: signals(seed, 1000.0),
}


def split(data: tuple[Tensor, Tensor], share: float = 0.7, hidden: int = 16) -> Program:
    x, y = data
    y = (y > 0).long().flatten() if y.is_floating_point() else y
    model = nn.Sequential(nn.Flatten(), mlp(x[0].numel(), hidden, int(y.max()) + 1))
    return made(model, cut((x, y), share))


def small(seed: int, rows: int) -> Program:
    x, y = cancer(seed, raw=True)
    return split((x, y), 1 - rows / len(x))


def sorted_by(seed: int, classes: bool) -> Program:
    x, y = digits(seed) if classes else cancer(seed)
    order = (y if classes else x[:, 0]).argsort()
    return split((x[order], y[order]))


def walk(seed: int) -> Program:
    """Windows of a random walk with a trend, cut by time."""
    steps = torch.randn(1000, generator=torch.Generator().manual_seed(seed)) + 0.05
    x = steps.cumsum(0).unfold(0, 20, 1)[:, :, None]
    torch.manual_seed(seed)
    return made(Listener(2), cut((x, torch.arange(len(x)) % 2), 0.8))


def trend(seed: int) -> Program:
    x, y = curve(seed)
    return split((x + torch.linspace(0, 2, len(x))[:, None], y))


def rare_and_far(seed: int) -> Program:
    """One value in twelve is −9999: a small part may hold none of them."""
    x, y = wine(seed)
    gap = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < 1 / 12
    return split((x.masked_fill(gap, -9999.0), y), 1 - 8 / len(x))


HEALTHY = {
    "random split": lambda seed: split(wine(seed, raw=True)),
    "both scaled": lambda seed: wine_scaled(seed, True, True),
    "ten rows": lambda seed: small(seed, 10),
    "four rows": lambda seed: small(seed, 4),
    "sorted by class": lambda seed: sorted_by(seed, classes=True),
    "sorted by a feature": lambda seed: sorted_by(seed, classes=False),
    "walk cut by time": walk,
    "mild drift": trend,
    "rare and far values": rare_and_far,
    "a little light": lambda seed: pictures(seed, light=0.1),
}


def suspected(program: Program) -> tuple[Subject, list]:
    subject = Subject(program, Meter(1e9))
    return subject, list(part_scales.probe(subject))


@pytest.mark.parametrize("name", SICK)
@pytest.mark.parametrize("seed", range(3))
def test_parts_on_different_scales_are_suspected_and_not_behind_the_cure(name, seed):
    subject, (found,) = suspected(SICK[name](seed))
    assert found.code == "input-not-normalized" and found.where == "val.X" and found.prior >= 0.9
    assert "training inputs" in found.message and "validation inputs" in found.message and found.message.endswith(".")
    assert list(part_scales.probe(subject.cured(found.cures[0]))) == []


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", range(6))
def test_parts_that_are_drawn_alike_are_let_be(name, seed):
    assert suspected(HEALTHY[name](seed))[1] == []


@pytest.mark.parametrize(
    "name", ["scaler forgotten for validation", "scaler forgotten for training", "levels in training"]
)
def test_exam_finds_and_mends_them(name):
    exam = examine(SICK[name](0))
    first = exam.findings[0]
    assert first.code == "input-not-normalized" and first.severity in WARNED and first.where == "val.X"


@pytest.mark.parametrize("name", ["both scaled", "ten rows"])
def test_exam_of_a_look_alike_says_nothing_of_the_parts(name):
    assert [f.where for f in examine(HEALTHY[name](0)).findings if f.where == "val.X"] == []


def test_cure_gives_the_validation_part_the_training_moments():  # closed form
    subject, (found,) = suspected(SICK["scaler forgotten for validation"](0))
    given = subject.program.val[0].clone()
    cured = found.cures[0].apply(subject.fresh())
    x, z = subject.program.train[0], cured.val[0]
    assert_close(z.mean(0), x.mean(0), atol=1e-5, rtol=0)
    assert_close(z.std(0, correction=0), x.std(0, correction=0), atol=1e-5, rtol=0)
    assert torch.equal(subject.program.val[0], given) and cured.val[1] is subject.program.val[1]
    assert cured.train is subject.program.train


class Levels(Dataset):
    """Whole levels in place of shares of them."""

    def __init__(self, data: tuple[Tensor, Tensor]) -> None:
        self.x, self.y = (data[0] * 255).byte(), data[1]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int):
        return self.x[index], self.y[index]


def kinds() -> dict[str, object]:
    val = Levels(cut(picture(digits(0)))[1])
    pair = TensorDataset(val.x.float(), val.y)
    order = torch.utils.data.BatchSampler(range(len(val)), 20, drop_last=False)
    return {
        "arrays": (val.x.numpy(), val.y.numpy()),
        "dataset": val,
        "loader": DataLoader(pair, batch_size=30),
        "batch sampler": DataLoader(val, batch_sampler=order),
    }


@pytest.mark.parametrize("kind", kinds())
def test_data_keep_their_kind(kind):
    val = kinds()[kind]
    train, plain = cut(picture(digits(0)))
    subject, (found,) = suspected(made(cnn(), (train, val)))
    cured = subject.cured(found.cures[0])
    assert type(cured.program.val) is type(val) or isinstance(cured.program.val, Dataset)
    assert cured.val.x.dtype is torch.float32 and torch.equal(cured.val.y, plain[1])
    assert abs(float(cured.val.x.mean() - train[0].mean())) < 1e-5
    assert float((cured.val.x - plain[0]).abs().max()) < 0.1


def test_inputs_that_are_the_targets_stay():
    x, other = torch.randn(200, 8), 50 + torch.randn(80, 8)
    again = made(mlp(8, 4, 8), ((x, x), (other, other)), nn.MSELoss())
    apart = made(mlp(8, 4, 1), ((x, -x[:, :1]), (other, -other[:, :1])), nn.MSELoss())  # control
    assert suspected(again)[1] == [] and len(suspected(apart)[1]) == 1


def test_words_and_parts_without_validation_are_let_be():
    x, y = torch.randint(0, 20, (100, 5)), torch.arange(100) % 2
    reading = nn.Sequential(nn.Embedding(400, 4), nn.Flatten(), nn.Linear(20, 2))
    assert suspected(made(reading, ((x, y), (x + 300, y))))[1] == []
    assert suspected(made(mlp(5, 2), ((x.float(), y), None)))[1] == []
