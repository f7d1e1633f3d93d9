"""Shares of the more frequent sign: closed forms, enumeration and Monte Carlo."""

import itertools
import math

import numpy as np
import pytest

from trainwell.theory.sign_agreement import batch_majority_share, majority_share


@pytest.mark.parametrize("inputs", [1, 2, 5, 10])
def test_the_share_of_random_signs_is_that_of_all_sign_patterns(inputs):
    patterns = np.array(list(itertools.product([0, 1], repeat=inputs)))
    above = patterns.sum(1)
    assert majority_share(inputs) == pytest.approx(np.maximum(above, inputs - above).mean() / inputs)


@pytest.mark.parametrize(("inputs", "batch"), [(20, 8), (20, 32), (100, 32), (7, 16)])
def test_the_share_in_a_batch_is_that_of_random_batches(inputs, batch):
    random = np.random.default_rng(0)
    shares = []
    for _ in range(40):
        above = (
            np.einsum("un,und->ud", random.normal(size=(500, batch)), random.random((500, batch, inputs))) > 0
        ).sum(1)
        shares.append(np.maximum(above, inputs - above) / inputs)
    measured = np.concatenate(shares)
    error = measured.std() / math.sqrt(measured.size)
    assert batch_majority_share(inputs, batch) == pytest.approx(measured.mean(), abs=4 * error)
    if inputs < 100:
        assert abs(5 / 6 - measured.mean()) > 4 * error  # control: the limit is not what few inputs show


def test_many_inputs_and_samples_share_five_sixths():
    assert batch_majority_share(5000, 2000) == pytest.approx(5 / 6, abs=2e-4)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="at least"):
        batch_majority_share(0, 8)
