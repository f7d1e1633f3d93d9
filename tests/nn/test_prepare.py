import numpy as np
import pytest
import torch
from torch.testing import assert_close

from trainwell.data import SCALINGS, Column, Schema, Statistics, fit_scaling, from_arrays, statistics
from trainwell.nn import AffineInput, ArrayInput, ImageInput, LinearInput, Predictor, TableInput, Unstandardize
from trainwell.nn.prepare import ONE_HOT_UP_TO
from trainwell.training.preparation import preparation, scaling_of_weights

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


def whitened(shape=(3, 4, 4), rows=300, levels=True, seed=0):
    """A data set of strongly correlated features and its training rows."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 128, (rows, *(1 for _ in shape))) + rng.integers(0, 100, (rows, *shape))
    dataset = from_arrays(X.astype(np.uint8) if levels else X / 7.3, np.arange(rows) % 2)
    return dataset, torch.from_numpy(np.asarray(dataset.X[dataset.splits.train]))


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("shape", [(3, 4, 4), (6,), (5, 3)])
def test_every_scaling_as_a_module(name, shape):
    dataset, x = whitened(shape, levels=len(shape) == 3)
    scaling = fit_scaling(dataset, name)
    module = preparation(dataset.schema, statistics(dataset), scaling)
    y = module(x)
    assert y.dtype == torch.float32 and tuple(y.shape[1:]) == module.shape == scaling.output_shape
    expected = torch.from_numpy(scaling.transform(x.numpy()))
    assert_close(y.double(), expected, rtol=1e-4, atol=1e-4)
    assert_close(module(x.float()), y)
    assert module(x[:1]).shape[0] == 1


@pytest.mark.parametrize("name", ["center", "zca", "pca"])
def test_a_scaled_input_is_rebuilt_from_its_weights(name):
    dataset, x = whitened()
    schema, fitted = dataset.schema, statistics(dataset)
    model = Predictor(
        preparation(schema, fitted, fit_scaling(dataset, name, components=7 if name == "pca" else None)),
        torch.nn.Identity(),
    )
    found = scaling_of_weights(name, schema, model.state_dict())
    again = Predictor(preparation(schema, fitted, found), torch.nn.Identity())
    again.load_state_dict(model.state_dict())
    assert again.prepare.shape == model.prepare.shape and torch.equal(again(x), model(x))
    assert scaling_of_weights("standard", schema, {}) is None
    with pytest.raises(ValueError, match="the weights hold no such scaling"):
        scaling_of_weights(name, schema, {})


def scaled_table():
    scaled = LinearInput([1.0, 2.0], [[1.0, 1.0], [0.0, 2.0], [3.0, 0.0]], (2,))
    return TableInput([0, 0], [1, 1], [0.5, 0.25], np.zeros((2, 17)), [0.1, 0], [2], scaled)


def test_scaled_numbers_of_a_table_replace_clipping_and_bins():
    prepare = scaled_table()
    rows = torch.tensor([[NAN, 3.0], [1000.0, NAN]]), torch.tensor([[1], [-1]])
    expected = torch.tensor([[0.5, 2.0, -1.5, 1, 0, 0, 1], [997.25, -3.5, 2997.0, 0, 0, 0, 0]])
    assert prepare.shape == (7,)
    assert_close(prepare(rows), expected)


def test_scaling_a_table_is_found_again_in_its_weights():
    columns = (Column("a", "number", True, "", 0, 9), Column("b", "number", True, "", 0, 9))
    columns += (Column("c", "category", True, "", 0, 2, ("u", "v")),)
    schema = Schema("table", "binary", "y", ("0", "1"), (), columns)
    state = Predictor(scaled_table(), torch.nn.Identity()).state_dict()
    found = scaling_of_weights("pca", schema, state)
    again = preparation(schema, Statistics(0, *np.zeros((3, 2)), np.zeros((2, 17)), np.zeros(2)), found)
    assert again.shape == (7,) and torch.equal(again.scaled.matrix, state["prepare.scaled.matrix"])


def test_whitening_stays_in_float32_under_autocast():
    dataset, x = whitened()
    module = preparation(dataset.schema, statistics(dataset), fit_scaling(dataset, "zca"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = module(x)
    assert torch.equal(under, module(x)) and under.dtype == torch.float32
    assert module.to(torch.bfloat16)(x).isfinite().all()  # a model cast as a whole runs, if roughly


@pytest.mark.parametrize("name", ["center", "zca", "pca_whiten"])
def test_a_scaled_input_compiles_and_has_its_gradient(name):
    dataset, x = whitened((3, 2, 2))
    module = preparation(dataset.schema, statistics(dataset), fit_scaling(dataset, name))
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert_close(compiled(x), module(x))
    torch.compiler.reset()
    assert torch.autograd.gradcheck(module.double(), x[:2].double().requires_grad_())
    each = torch.func.vmap(lambda row: torch.func.functional_call(module, {}, row[None])[0])(x[:3].double())
    assert_close(each, module(x[:3].double()))


@pytest.mark.filterwarnings("ignore")  # torch.export warns of its own parts
def test_a_whitened_predictor_is_exported(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    dataset, x = whitened()
    prepare = preparation(dataset.schema, statistics(dataset), fit_scaling(dataset, "zca"))
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(20, 2))
    model = Predictor(prepare, body).eval()
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(model, (x[:4],), dynamic_shapes=dynamic).module()
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (x[:4],), path, dynamo=True, dynamic_shapes=dynamic, input_names=["x"], verbose=False)
    session = runtime.InferenceSession(path)
    for rows in (1, 3, 50):
        expected = model(x[:rows]).detach()
        assert_close(program(x[:rows]), expected, rtol=1e-4, atol=1e-4)
        assert_close(torch.from_numpy(session.run(None, {"x": x[:rows].numpy()})[0]), expected, rtol=1e-4, atol=1e-4)


def test_contradicting_shapes_are_refused():
    with pytest.raises(ValueError, match=r"offset \(2,\) and scale \(2,\) do not fit samples of shape \(3,\)"):
        AffineInput([0.0, 0.0], [1.0, 1.0], (3,))
    with pytest.raises(ValueError, match=r"offset \(1,\) and scale \(2,\)"):
        AffineInput([0.0], [1.0, 1.0], (2,))
    with pytest.raises(ValueError, match=r"mean \(2,\) and matrix \(2, 3\) do not map samples of \(2,\) to \(2,\)"):
        LinearInput([0.0, 0.0], np.zeros((2, 3)), (2,))
    with pytest.raises(ValueError, match="do not map"):
        LinearInput([0.0, 0.0], np.zeros((2, 2)), (2,), (3,))
