"""huggingface/accelerate#2016: after epoch 1 ``skip_first_batches`` yields another order; the permutation is lost."""

import pytest
import torch
from pain_programs import epochs_of, interrupted, numbered

from trainwell.training import fit


@pytest.mark.parametrize("kind", ["tensors", "dataset", "loader"])
@pytest.mark.parametrize("step", [11, 16, 20])
def test_the_order_of_later_epochs_is_kept(kind, step, tmp_path):
    whole, again = [], []
    fit(numbered(kind, whole))
    interrupted(lambda: numbered(kind, again), tmp_path, step)
    assert again == whole
    first, second, third = epochs_of(whole)
    assert first != second != third != first


def test_skipping_batches_of_a_new_permutation_is_another_order():  # control
    def order(skip_in_second):
        torch.manual_seed(0)
        loader = numbered("loader").train
        rows = [int(value) for x, _ in loader for value in x[:, 0]]
        if skip_in_second:
            torch.manual_seed(0)  # the resumed process seeds as the first one did and skips
        second = [int(value) for x, _ in loader for value in x[:, 0]]
        return rows, second[8 * skip_in_second :]

    assert order(3)[1] != order(0)[1][24:]
