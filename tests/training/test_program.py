import numpy as np
import pytest
import torch
from small_programs import program, table
from torch import nn

from trainwell.errors import InputError
from trainwell.objectives import StandardizedLoss


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"clip_grad": 0.0}, "clip_grad is 0"),
        ({"clip_grad": float("nan")}, "clip_grad is nan"),
        ({"task": "ranking"}, "no task is called 'ranking'.*classification, binary"),
        ({"train": (torch.zeros(3, 2), torch.zeros(4))}, "the parts of train have 3, 4 samples"),
        ({"val": (torch.zeros(3, 2), torch.zeros(3), torch.zeros(2))}, "the parts of val have 3, 3, 2 samples"),
        ({"train": (torch.zeros(0, 2), torch.zeros(0))}, "train has no samples"),
        ({"train": (torch.zeros(3, 2),)}, "train has 1 parts"),
        ({"train": ({"a": np.zeros(3), "b": np.zeros(2)}, np.zeros(3))}, "the parts of train have 3, 2, 3 samples"),
    ],
)
def test_wrong_programs_are_refused_with_the_value(changes, message):
    with pytest.raises(InputError, match=message):
        program(**changes)


FLOATS, CODES = torch.randn(6, 1), torch.arange(6) % 2


@pytest.mark.parametrize(
    ("loss", "y", "task"),
    [
        (nn.CrossEntropyLoss(), CODES, "classification"),
        (nn.CrossEntropyLoss(), torch.rand(6, 3), "classification"),
        (nn.CrossEntropyLoss(), torch.zeros(6, 4, dtype=torch.long), "sequence"),
        (nn.NLLLoss(), CODES, "classification"),
        (nn.BCEWithLogitsLoss(), CODES.float()[:, None], "binary"),
        (nn.BCELoss(), torch.rand(6, 3).round(), "multilabel"),
        (nn.MSELoss(), FLOATS, "regression"),
        (StandardizedLoss(nn.HuberLoss(), torch.zeros(1), torch.ones(1)), FLOATS, "regression"),
        (nn.MSELoss(), torch.zeros(6, 5), "reconstruction"),
        (lambda output, y: output.sum(), FLOATS, "regression"),
        (lambda output, y: output.sum(), CODES, "classification"),
    ],
)
def test_the_task_is_told_from_loss_and_targets(loss, y, task):
    assert program(loss=loss, train=(torch.zeros(6, 5), y), val=None).guessed_task() == task


def test_a_given_task_wins():
    assert program(train=table(), task="binary").guessed_task() == "binary"
