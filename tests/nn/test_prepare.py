import numpy as np
import pytest
import torch
from torch.testing import assert_close

from trainwell.nn import ArrayInput, ImageInput, Predictor, TableInput, Unstandardize
from trainwell.nn.prepare import ONE_HOT_UP_TO

NAN = float("nan")


def table(quantiles, missing=None, cardinalities=()) -> TableInput:
    """A table of columns with mean 0, standard deviation 1 and median 0.5."""
    columns = len(quantiles)
    missing = np.zeros(columns) if missing is None else missing
    return TableInput(
        np.zeros(columns), np.ones(columns), np.full(columns, 0.5), np.array(quantiles), missing, cardinalities
    )


def test_image_bytes_become_standardized_floats():
    images = torch.randint(0, 256, (50, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    scaled = images.double() / 255
    mean, std = scaled.mean((0, 2, 3)), scaled.std((0, 2, 3), correction=0)
    prepared = ImageInput(mean.numpy(), std.numpy(), (3, 6, 6))(images)
    assert prepared.dtype == torch.float32
    assert_close(prepared.double(), (scaled - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1), rtol=1e-5, atol=1e-5)
    assert_close(prepared.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    assert_close(ImageInput(mean, std)(images.float()), prepared)


@pytest.mark.parametrize("shape", [(4,), (5, 4)])
def test_arrays_are_standardized_along_the_last_axis(shape):
    x = torch.randn(100, *shape, dtype=torch.float64) * 7 + 3
    axes = tuple(range(x.dim() - 1))
    prepared = ArrayInput(x.mean(axes), x.std(axes), shape)(x)
    assert prepared.dtype == torch.float32 and prepared.shape == x.shape
    assert_close(prepared.std(axes), torch.ones(4), rtol=1e-5, atol=1e-5)


def test_bins_fill_one_after_the_other():  # closed form: Gorishniy et al. 2022, eq. 2
    prepare = table([[0, 1, 3, 7]])
    rows = torch.tensor([[-5.0], [0.25], [2.0], [7.0], [1e30]])
    bins = prepare((rows, torch.empty(5, 0, dtype=torch.int64)))[:, 1:4]
    expected = [[0, 0, 0], [0.25, 0, 0], [1, 0.5, 0], [1, 1, 1], [1, 1, 1]]
    assert_close(bins, torch.tensor(expected, dtype=torch.float32))


def test_bins_of_width_zero_are_constant():
    prepare = table([[1, 1, 2, 2, 3]])  # a column of three values
    rows = torch.tensor([[1.0], [2.0], [3.0], [2.5]])
    bins = prepare((rows, torch.empty(4, 0, dtype=torch.int64)))[:, 1:5]
    assert_close(bins, torch.tensor([[0.0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 1], [0, 1, 0, 0.5]]))


def test_bins_are_an_isotonic_map_onto_the_number_of_bins():  # property
    values = torch.randn(500, generator=torch.Generator().manual_seed(0)).sort().values
    edges = np.quantile(values.numpy(), np.linspace(0, 1, 17))
    encoded = table([edges])((values.unsqueeze(1), torch.empty(500, 0, dtype=torch.int64)))[:, 1:17].sum(1)
    assert (encoded.diff() >= -1e-5).all()
    assert encoded[0] == 0 and encoded[-1] == pytest.approx(16, abs=1e-4)


def test_large_numbers_are_clipped_smoothly():
    z = torch.tensor([[0.0], [0.1], [3.0], [-1e6]])
    clipped = table([[0, 1]])((z, torch.empty(4, 0, dtype=torch.int64)))[:, 0]
    assert_close(clipped, torch.tensor([0.0, 0.1, 3 / 2**0.5, -3.0]), rtol=1e-3, atol=0)


def test_gaps_take_the_median_and_raise_their_flag():
    prepare = table([[0, 1], [0, 1]], missing=np.array([0.2, 0.0]))
    rows = torch.tensor([[NAN, NAN], [0.5, 0.5], [float("inf"), 0.5]])
    encoded = prepare({"numbers": rows, "categories": torch.empty(3, 0, dtype=torch.int64)})
    values, flags = encoded[:, :4], encoded[:, 4:]
    assert_close(values[0], values[1])
    assert_close(values[2], values[1])
    assert_close(flags, torch.tensor([[1.0, 0], [0, 0], [1, 0]]))  # training saw no gap in the second column


def test_categories_are_unit_vectors_and_unknown_ones_zero():
    prepare = table(np.zeros((0, 17)), cardinalities=[3, 1])
    codes = torch.tensor([[0, 0], [2, -1], [-1, 0], [7, 0]])
    expected = [[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    assert_close(prepare((torch.empty(4, 0), codes)), torch.tensor(expected, dtype=torch.float32))
    assert prepare.shape == (4,)


def test_many_categories_are_embedded_and_unknown_ones_start_at_zero():
    count = ONE_HOT_UP_TO + 1
    prepare = table(np.zeros((0, 17)), cardinalities=[count])
    encoded = prepare((torch.empty(4, 0), torch.tensor([[0], [count - 1], [-1], [count]])))
    assert encoded.shape == (4, *prepare.shape) and prepare.shape[0] < count
    assert encoded[:2].abs().sum(1).min() > 0 and encoded[2:].abs().sum() == 0
    encoded.sum().backward()
    assert prepare.encoders[0].table.weight.grad[0].abs().sum() > 0


def test_shapes_do_not_depend_on_the_values_of_the_statistics():
    real = table([[1, 1, 2, 2, 3]], missing=np.array([0.5]), cardinalities=[4, 50])
    blank = TableInput([0], [1], [0], np.zeros((1, 5)), [0], [4, 50])
    blank.load_state_dict(real.state_dict())
    rows = (torch.tensor([[NAN], [2.0]]), torch.tensor([[3, 49], [-1, 0]]))
    assert torch.equal(blank(rows), real(rows))


def test_predictor_returns_to_the_targets_units():
    model = Predictor(ArrayInput([1.0], [2.0]), torch.nn.Identity(), Unstandardize([10.0], [3.0]))
    assert_close(model(torch.tensor([[1.0], [3.0]])), torch.tensor([[10.0], [13.0]]))
