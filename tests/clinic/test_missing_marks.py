"""Marks of missing values are told from flags, counts, codes and outliers, and taken out inside the model."""

from collections.abc import Callable

import pytest
import torch
from contract_parts import cancer, ce, curve, digits, mlp, program, standard, wine
from torch import Tensor, nn
from torch.testing import assert_close

from trainwell.clinic.cures.missing_marks import Unmarked
from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import input_values, missing_marks
from trainwell.clinic.probes.missing_marks import marks_of
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program

WARNED = {"warning", "error"}


def marked(x: Tensor, mark: float, share: float, columns: slice, seed: int = 0) -> Tensor:
    gap = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < share
    outside = torch.ones(x.shape[-1], dtype=torch.bool)
    outside[columns] = False
    return x.masked_fill(gap & ~outside, mark)


def steps_of_rows(seed: int) -> tuple[Tensor, Tensor]:
    """Series (N, T, F) whose class is the sign of the mean of their first feature."""
    x = torch.randn(500, 12, 3, generator=torch.Generator().manual_seed(seed))
    return x, (x[..., 0].mean(1) > 0).long()


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.out = nn.GRU(3, 12, batch_first=True), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.gru(x)[0][:, -1])


def classes(seed: int, data: tuple[Tensor, Tensor], *sizes: int) -> Program:
    return program(seed, data, lambda: mlp(*sizes), ce(), "classification")


def wine_with_minus_9999(seed: int) -> Program:
    x, y = wine(seed)
    return classes(seed, (marked(x, -9999.0, 0.08, slice(None)), y), 13, 24, 3)


def million_in_a_regression(seed: int) -> Program:
    x, y = curve(seed)
    data = marked(x, 1e6, 0.02, slice(2, 4)), y
    return program(seed, data, lambda: mlp(6, 32, 16, 1, norm=True), nn.MSELoss(), "regression")


def series_with_minus_9999(seed: int) -> Program:
    x, y = steps_of_rows(seed)
    return program(seed, (marked(x, -9999.0, 0.08, slice(None)), y), Recurrent, ce(), "classification")


def ages_of_999(seed: int) -> Program:
    x, y = cancer(seed)
    age = torch.randint(20, 80, (len(x), 1), generator=torch.Generator().manual_seed(seed)).float()
    x = torch.cat([x, marked(age, 999.0, 0.06, slice(None))], dim=1)
    return program(seed, (x, y), lambda: mlp(31, 24, 1), nn.BCEWithLogitsLoss(), "binary")


def standardized_as_they_stood(seed: int) -> Program:
    x, y = wine(seed)
    return classes(seed, (standard(marked(x, -9999.0, 0.08, slice(None))), y), 13, 24, 3)


SICK: list[Callable[[int], Program]] = [
    wine_with_minus_9999, million_in_a_regression, series_with_minus_9999, ages_of_999, standardized_as_they_stood,
]  # fmt: skip


def zero_for_missing_in_standard_columns(seed: int) -> Program:
    x, y = wine(seed)
    return classes(seed, (marked(x, 0.0, 0.08, slice(None)), y), 13, 24, 3)


def minus_one_beside_ages(seed: int) -> Program:
    x, y = cancer(seed)
    age = torch.randint(20, 80, (len(x), 1), generator=torch.Generator().manual_seed(seed)).float()
    x = torch.cat([x, marked(age, -1.0, 0.06, slice(None)) / 50], dim=1)
    return program(seed, (x, y), lambda: mlp(31, 24, 1), nn.BCEWithLogitsLoss(), "binary")


def pixels(seed: int) -> Program:
    return classes(seed, digits(seed), 64, 32, 10)


def few_pixels(seed: int) -> Program:
    return classes(seed, digits(seed, 60), 64, 32, 10)


def flags_and_categories(seed: int) -> Program:
    x, y = wine(seed)
    draw = torch.Generator().manual_seed(seed)
    rare = (torch.rand(len(x), 4, generator=draw) < 0.03).float()
    category = nn.functional.one_hot(torch.randint(0, 6, (len(x),), generator=draw), 6).float()
    return classes(seed, (torch.cat([x, rare, category], dim=1), y), 23, 24, 3)


def counts_with_many_zeros(seed: int) -> Program:
    draw = torch.Generator().manual_seed(seed)
    x = torch.poisson(torch.full((600, 8), 0.3), generator=draw)
    x[::40, 2] = 9.0
    return classes(seed, (x, (x.sum(1) > 2).long()), 8, 24, 2)


def integer_codes(seed: int) -> Program:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(1, 5, (600, 6), generator=draw).float() / 4
    return classes(seed, (x, (x[:, 0] > x[:, 1]).long()), 6, 24, 2)


def heavy_tails(seed: int) -> Program:
    x, y = curve(seed)
    return program(seed, (x.sign() * x.abs() ** 3, y), lambda: mlp(6, 32, 1), nn.MSELoss(), "regression")


def one_outlier(seed: int) -> Program:
    x, y = wine(seed)
    x[3, 4] = 60.0
    return classes(seed, (x, y), 13, 24, 3)


HEALTHY: list[Callable[[int], Program]] = [
    zero_for_missing_in_standard_columns, minus_one_beside_ages, pixels, few_pixels, flags_and_categories,
    counts_with_many_zeros, integer_codes, heavy_tails, one_outlier,
]  # fmt: skip


def suspected(made: Program) -> tuple[Subject, list]:
    subject = Subject(made, Meter(1e9))
    return subject, list(missing_marks.probe(subject))


@pytest.mark.parametrize("make", SICK, ids=lambda make: make.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_marks_are_suspected_before_all_else_and_not_behind_the_cure(make, seed):
    subject, (found,) = suspected(make(seed))
    assert found.code == "input-not-normalized" and found.where.startswith("train.X, feature ")
    assert found.message.endswith(".") and "%" in found.message
    assert found.prior > max([one.prior for one in input_values.probe(subject)], default=0.0)
    cured = subject.cured(found.cures[0])
    assert cured.first_step.error == "" and list(missing_marks.probe(cured)) == []
    assert cured.program.train[0] is subject.program.train[0]


@pytest.mark.parametrize("make", HEALTHY, ids=lambda make: make.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_look_alikes_are_let_be(make, seed):
    assert suspected(make(seed))[1] == []


@pytest.mark.parametrize("make", SICK[:3], ids=lambda make: make.__name__)
def test_exam_finds_and_mends_them(make):
    exam = examine(make(0))
    first = exam.findings[0]
    assert first.code == "input-not-normalized" and first.severity in WARNED and "mark" in first.message


@pytest.mark.parametrize("make", HEALTHY[:2], ids=lambda make: make.__name__)
def test_exam_of_a_look_alike_finds_no_fault_of_the_inputs(make):
    assert not [f for f in examine(make(0)).findings if f.severity in WARNED and f.code.startswith("input-")]


def test_marks_of_a_known_table():  # closed form
    column = torch.arange(100.0, dtype=torch.float64) / 10
    high, low = column.clone(), column.clone()
    high[::20], low[1::25] = 1e4, -1e4
    marks = marks_of(torch.stack([high, column, low], dim=1))
    assert marks is not None and marks.there.tolist() == [True, False, True]
    assert marks.value[[0, 2]].tolist() == [1e4, -1e4] and marks.count[[0, 2]].tolist() == [5, 4]
    rest = high[high < 1e4]
    assert_close(marks.mean[0], rest.mean(), rtol=1e-12, atol=0)
    assert marks.low[0] == rest.min() and marks.high[0] == rest.max()
    assert_close(marks.mean[2], low[low > -1e4].mean(), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("change", ["twice", "more than half", "within the range", "nowhere"])
def test_a_mark_must_be_repeated_rare_and_far(change):  # controls of the test above
    column = torch.arange(1000.0, dtype=torch.float64) / 100
    if change == "twice":
        column[:2] = 1e4
    elif change == "more than half":
        column[:501] = 1e4
    elif change == "within the range":
        column[:20] = 19.0
    assert marks_of(column[:, None]) is None


def test_cure_gives_every_column_mean_zero_and_variance_one():  # closed form
    subject, (found,) = suspected(wine_with_minus_9999(0))
    cured = found.cures[0].apply(subject.fresh())
    x = subject.program.train[0]
    z = cured.model.prepare(x)
    assert_close(z.mean(0), torch.zeros(13), atol=1e-5, rtol=0)
    assert_close(z.std(0, correction=0), torch.ones(13), atol=1e-4, rtol=0)
    assert float(z[x == -9999].abs().max()) < 1e-5  # the mean of the others, standardized
    later = cured.model.prepare(torch.full((2, 13), -9999.0))
    assert_close(later, torch.zeros(2, 13), atol=1e-5, rtol=0)


def test_module_leaves_other_numbers_alone():
    module = Unmarked(torch.tensor([-9.0, torch.nan]), torch.tensor([1e-3, 1e-3]), torch.tensor([0.5, 0.0]))
    assert module(torch.tensor([[-9.0, -9.0], [1.0, 2.0]])).tolist() == [[0.5, -9.0], [1.0, 2.0]]
