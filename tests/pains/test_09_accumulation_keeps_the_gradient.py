"""huggingface/transformers#34191, #35203, #37766: gradient accumulation silently changed the loss, for years."""

from functools import partial

import pytest
import torch
from pain_programs import N, mlp, program, table, weights
from torch import nn
from torch.nn.functional import cross_entropy

from trainwell.training import Training, fit

TOLERANCE = {"rtol": 1e-11, "atol": 1e-13}  # float64: sums in another order


def uneven():
    """Targets of which ever more are ignored from batch to batch: padding, as in language models."""
    x, y = table()
    row = torch.arange(N)
    y = y.masked_fill(row % 8 < (row // 8).clamp_max(4), -100)
    return x.double(), y


def weighted():
    x, y = table()
    return x.double(), y, torch.linspace(0.1, 3.0, N, dtype=torch.float64)


def plain():
    x, y = table()
    return x.double(), y


CASES = {
    "plain": (plain, nn.CrossEntropyLoss),
    "ignored targets": (uneven, nn.CrossEntropyLoss),
    "class weights": (plain, lambda: nn.CrossEntropyLoss(weight=torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64))),
    "sample weights": (weighted, nn.CrossEntropyLoss),
    "smoothed": (uneven, lambda: nn.CrossEntropyLoss(label_smoothing=0.1)),
}


@pytest.mark.parametrize("accumulate", [2, 3, 8])
@pytest.mark.parametrize("case", CASES)
def test_weights_and_losses_are_those_of_the_whole_batch(case, accumulate):
    data, loss = CASES[case]
    runs = []
    for parts in (1, accumulate):
        made = program(
            model=mlp(0.0).double(),
            train=data(),
            val=None,
            loss=loss(),
            optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
            shuffle=False,
            clip_grad=1.0,
        )
        runs.append(fit(made, training=Training(accumulate=parts)))
    torch.testing.assert_close(weights(runs[1].model), weights(runs[0].model), **TOLERANCE)
    for one, other in zip(runs[0].history, runs[1].history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-6)  # the pieces are summed in float32


def gradient(means_of_means):
    model = mlp(0.0).double()
    x, y = uneven()
    pieces = list(zip(x.split(16), y.split(16), strict=True)) if means_of_means else [(x, y)]
    for piece_x, piece_y in pieces:
        (cross_entropy(model(piece_x), piece_y) / len(pieces)).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def test_the_mean_of_means_is_another_gradient():  # control: what trainers did
    whole, naive = gradient(False), gradient(True)
    assert float((naive - whole).norm() / whole.norm()) > 0.03
