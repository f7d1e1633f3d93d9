"""What a loss wants and what a head can give, on losses and heads of which both are known."""

import math

import numpy as np
import pytest
import torch
from contract_programs import Functional, digits_mlp, mlp
from torch import nn
from torch.nn import functional as F

from trainwell.clinic.contract import expected, head_of
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes.sample_order import between
from trainwell.clinic.rows import hashes, told_apart
from trainwell.clinic.subject import Subject
from trainwell.objectives.standardized import StandardizedLoss

ROWS, COLUMN, PICTURE = torch.zeros(4, 5), torch.zeros(4, 1), torch.zeros(4, 3, 2, 2)


@pytest.mark.parametrize(
    ("loss", "output", "codes", "wants"),
    [
        (nn.CrossEntropyLoss(), ROWS, True, "softmax"),
        (nn.CrossEntropyLoss(weight=torch.rand(5), label_smoothing=0.1), ROWS, True, "softmax"),
        (nn.CrossEntropyLoss(), PICTURE, True, "softmax"),
        (lambda z, y: F.cross_entropy(z, y.long()), ROWS, True, "softmax"),
        (lambda z, y: F.mse_loss(z.softmax(1), F.one_hot(y, 5).float()), ROWS, True, "softmax"),
        (nn.CrossEntropyLoss(), COLUMN, True, "softmax"),
        (nn.NLLLoss(), ROWS, True, "log"),
        (nn.NLLLoss(), PICTURE, True, "log"),
        (nn.BCELoss(), COLUMN, False, "probability"),
        (nn.BCELoss(), ROWS, False, "probability"),
        (lambda p, y: -(y * torch.log(p + 1e-7) + (1 - y) * torch.log(1 - p + 1e-7)).mean(), COLUMN, False,
         "probability"),
        (lambda p, y: F.binary_cross_entropy(p.clamp(1e-6, 1 - 1e-6), y), ROWS, False, "probability"),
        (nn.BCEWithLogitsLoss(), ROWS, False, "logit"),
        (nn.BCEWithLogitsLoss(pos_weight=torch.tensor(4.0)), COLUMN, False, "logit"),
        (nn.MSELoss(), COLUMN, False, "values"),
        (nn.MSELoss(reduction="sum"), ROWS, False, "values"),
        (lambda z, y: 100 * F.mse_loss(z, y), ROWS, False, "values"),
        (nn.L1Loss(), COLUMN, False, "values"),
        (nn.SmoothL1Loss(), torch.zeros(4), False, "values"),
        (lambda z, y: F.mse_loss(z, F.one_hot(y, 5).float()), ROWS, True, "values"),
        (StandardizedLoss(nn.MSELoss(), torch.tensor([3.0]), torch.tensor([2.0])), COLUMN, False, "values"),
        (lambda z, y: (1 - y * z).clamp(min=0).mean(), COLUMN, False, ""),
    ],
)  # fmt: skip
def test_losses_say_what_they_want(loss, output, codes, wants):
    assert expected(loss, output) == (codes, wants)


@pytest.mark.parametrize(
    ("end", "low", "high"),
    [
        (nn.Identity(), -math.inf, math.inf), (nn.ReLU(), 0.0, math.inf), (nn.Softplus(), 0.0, math.inf),
        (nn.Sigmoid(), 0.0, 1.0), (nn.Tanh(), -1.0, 1.0), (nn.Softmax(dim=1), 0.0, 1.0), (nn.ReLU6(), 0.0, 6.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("function", [False, True])
def test_heads_say_what_they_give(end, low, high, function):
    model = (lambda: Functional(mlp(64, 32, 10), end.forward)) if function else (lambda: mlp(64, 32, 10, end=end))
    head = head_of(Subject(digits_mlp(0, model=model), Meter(1e9)))
    assert head.low == pytest.approx(low, abs=1e-3) and head.high == pytest.approx(high, abs=1e-3)
    assert head.simplex == isinstance(end, nn.Softmax) and not head.columns


def test_offset_inputs_do_not_look_like_a_bounded_head():  # control: every output has one sign
    x, y = torch.randn(100, 64) + 1000, torch.randint(0, 10, (100,))
    head = head_of(Subject(digits_mlp(0, data=(x, y)), Meter(1e9)))
    assert (head.low, head.high) == (-math.inf, math.inf)


def test_zero_weights_do_not_look_like_a_constant_head():  # control
    def zeros() -> nn.Module:
        model = mlp(64, 32, 10)
        nn.init.zeros_(model[-1].weight)
        return model

    head = head_of(Subject(digits_mlp(0, model=zeros), Meter(1e9)))
    assert not head.constant and not head.bounded


def test_variance_between_batches():  # closed form
    y = torch.arange(4).repeat_interleave(25).double()[:, None]
    assert between(y, 25)[0] == pytest.approx(1.0)
    shuffled = y[torch.randperm(100, generator=torch.Generator().manual_seed(0))]
    share, chance = between(shuffled, 25)
    assert chance == pytest.approx(3 / 99) and share < chance + 4 * math.sqrt(2 * 3) / 99


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.float16])
def test_rows_have_equal_hashes_where_they_are_equal(dtype):
    rows = (np.random.default_rng(0).random((500, 7)) * 50).astype(dtype)
    rows[400:450] = rows[:50]
    found = hashes((rows, rows[:, :2]))
    assert len(np.unique(found)) == len(np.unique(rows, axis=0))
    assert np.array_equal(found[400:450], found[:50])


def test_hashes_do_not_tell_zeros_apart():
    assert hashes(np.array([[0.0], [-0.0]], np.float32))[0] == hashes(np.array([[0.0], [-0.0]], np.float32))[1]


def test_flags_repeat_and_numbers_do_not():
    generator = np.random.default_rng(0)
    assert not told_apart(generator.integers(0, 2, (500, 8)), 500)
    assert told_apart(generator.random((500, 4)), 500)
    assert told_apart(generator.integers(0, 17, (500, 64)), 500)
