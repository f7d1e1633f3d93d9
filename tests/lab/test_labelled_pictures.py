"""Pictures for the experiments: drawn once each, standardized by the training part, repeatable."""

import pytest
import torch

from trainwell.errors import InputError
from trainwell.lab.labelled_pictures import labelled_pictures


def test_parts_are_standardized_by_the_training_part_and_repeatable():
    drawn, again, other = (labelled_pictures("digits", 300, 100, seed) for seed in (3, 3, 4))
    assert drawn.X.shape == (300, 1, 8, 8) and drawn.X_test.shape == (100, 1, 8, 8) and drawn.y.dtype == torch.int64
    torch.testing.assert_close(drawn.X.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(drawn.X.std(), torch.tensor(1.0), atol=1e-5, rtol=0)
    assert drawn.X.equal(again.X) and drawn.y_test.equal(again.y_test) and not drawn.X.equal(other.X)
    assert drawn.flat.X.shape == (300, 64)


def test_chosen_classes_are_relabelled_in_their_order():
    drawn = labelled_pictures("digits", 200, 50, 0, classes=(7, 2))
    whole = labelled_pictures("digits", 1258, 359, 0)
    assert set(drawn.y.tolist()) == {0, 1} and len(drawn.X) == 200
    sevens = whole.X[whole.y == 7].mean(0) - whole.X[whole.y == 2].mean(0)
    ours = drawn.X[drawn.y == 0].mean(0) - drawn.X[drawn.y == 1].mean(0)
    assert float((sevens * ours).sum() / sevens.norm() / ours.norm()) > 0.95


def test_shrinking_averages_pixels():
    whole, small = (labelled_pictures("digits", 50, 10, 1, shrink=s) for s in (1, 2))
    assert small.X.shape == (50, 1, 4, 4)
    means = whole.X.reshape(50, 4, 2, 4, 2).mean((2, 4))
    assert torch.corrcoef(torch.stack([means.flatten(), small.X.flatten()]))[0, 1] > 0.9999


def test_more_pictures_than_there_are_is_an_error():
    with pytest.raises(InputError, match="1258 pictures"):
        labelled_pictures("digits", 5000, 10, 0)
