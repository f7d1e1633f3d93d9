"""Every scaling: there and back, on every kind of data, of the training rows alone, and equal to scikit-learn's."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from trainwell.data import SCALINGS, Scaling, fit_scaling, from_arrays, load, measured, quantiles, statistics
from trainwell.data.whitening_fit import WHITENINGS


def images(n=200):
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 128, (n, 1, 1, 1)) + rng.integers(0, 100, (n, 3, 4, 2))
    return from_arrays(smooth.astype(np.uint8), np.arange(n) % 2)


def arrays(n=300):
    rng = np.random.default_rng(0)
    return from_arrays((rng.normal(size=(n, 5)) @ rng.normal(size=(5, 5)) + 3).astype(np.float32), np.arange(n) % 2)


def stacked(n=100):
    return from_arrays(np.random.default_rng(0).normal(2, 3, (n, 3, 4, 2)).astype(np.float32), np.arange(n) % 2)


def sequences(n=100):
    rng = np.random.default_rng(0)
    return from_arrays(rng.normal(size=(n, 6, 4)).cumsum(2).astype(np.float32), np.arange(n) % 2)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 2))
    path = tmp_path / "t.csv"
    lines = [
        f"{'' if i % 7 == 1 else a:.3},{a + b:.5f},{i % 3},{i % 2}" if i % 7 != 1 else f",{a + b:.5f},{i % 3},{i % 2}"
        for i, (a, b) in enumerate(rows)
    ]
    path.write_text("a,b,c,y\n" + "\n".join(lines))
    return load(path, target="y")


KINDS = {"images": images, "arrays": arrays, "stacked": stacked, "sequences": sequences}


def training(dataset):
    return np.asarray(dataset.X[dataset.splits.train])


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_and_through_a_file(kind, name, tmp_path):
    dataset = KINDS[kind]()
    scaling = fit_scaling(dataset, name)
    X = training(dataset)
    Y = scaling.transform(X)
    assert Y.shape == (len(X), *scaling.output_shape) and Y.dtype == np.float64
    np.testing.assert_allclose(scaling.inverse(Y), X, atol=1e-6)
    scaling.to_safetensors(tmp_path / "scaling.safetensors")
    again = Scaling.from_safetensors(tmp_path / "scaling.safetensors")
    np.testing.assert_array_equal(again.transform(X), Y)
    np.testing.assert_array_equal(again.inverse(Y), scaling.inverse(Y))
    assert (again.name, again.shape, again.output_shape) == (name, scaling.shape, scaling.output_shape)
    assert again.condition_before == scaling.condition_before > 1


@pytest.mark.parametrize("name", SCALINGS)
def test_condition_numbers_are_those_of_the_covariances(name):
    for dataset in (images(), arrays()):
        scaling = fit_scaling(dataset, name, eps=1e-12)
        X = training(dataset)
        values = (X / scaling.unit).reshape(len(X), -1), scaling.transform(X).reshape(len(X), -1)
        before, after = (np.linalg.cond(np.cov(v.T)) for v in values)
        assert scaling.condition_before == pytest.approx(before, rel=1e-6)
        assert scaling.condition_after == pytest.approx(after, rel=1e-6) and scaling.zero_directions == 0


@pytest.mark.parametrize("name", ["pca_whiten", "zca", "cholesky"])
def test_whitened_kinds_have_unit_covariance(name):
    for make, features in ((images, 24), (arrays, 5), (stacked, 24), (sequences, 4)):
        dataset = make()
        Y = fit_scaling(dataset, name, eps=1e-12).transform(training(dataset)).reshape(-1, features)
        np.testing.assert_allclose(np.cov(Y.T, bias=True), np.eye(features), atol=1e-8)
        np.testing.assert_allclose(Y.mean(0), 0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "reference"), [("standard", StandardScaler), ("minmax", MinMaxScaler), ("robust", RobustScaler)]
)
def test_feature_by_feature_as_scikit_learn(name, reference, monkeypatch):
    monkeypatch.setattr(measured, "BYTES_AT_ONCE", 700)
    for make in (images, arrays, sequences):
        dataset = make()
        X = training(dataset)
        columns = (np.moveaxis(X, 1, -1) / 255 if make is images else X).astype(np.float64)
        columns = columns.reshape(-1, columns.shape[-1])
        expected = reference().fit_transform(columns)
        found = fit_scaling(dataset, name).transform(X)
        found = np.moveaxis(found, 1, -1) if make is images else found
        np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-9)


def test_means_are_of_pixels_or_of_channels():
    dataset = images()
    X = training(dataset) / 255
    np.testing.assert_allclose(fit_scaling(dataset, "center").offset, X.mean(0), rtol=1e-12)
    np.testing.assert_allclose(fit_scaling(dataset, "mean_channel").offset[:, 0, 0], X.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(fit_scaling(dataset, "none").transform(training(dataset)), X)
    found = fit_scaling(stacked(), "center")
    assert found.offset.shape == (3, 4, 2)


def test_default_is_what_statistics_measures():
    for make in KINDS.values():
        dataset = make()
        fitted, scaling = statistics(dataset), fit_scaling(dataset, "standard")
        np.testing.assert_allclose(scaling.offset.ravel(), np.ravel(fitted.mean), rtol=1e-12)
        np.testing.assert_allclose(1 / scaling.scale.ravel(), np.ravel(fitted.std), rtol=1e-12)


@pytest.mark.parametrize("name", SCALINGS)
def test_gaps_of_tables(table, name):
    numbers = table.X["numbers"][table.splits.train]
    assert np.isnan(numbers[:, 0]).any()
    scaling = fit_scaling(table, name)
    filled = np.where(np.isnan(numbers), np.nanmedian(numbers.astype(np.float64), 0), numbers)
    np.testing.assert_allclose(scaling.transform(numbers), scaling.transform(filled))
    np.testing.assert_allclose(scaling.fill, statistics(table).median)
    if name in WHITENINGS and name != "pca":
        np.testing.assert_allclose(np.cov(scaling.transform(numbers).T, bias=True), np.eye(3), atol=1e-7)
    if name == "robust":
        np.testing.assert_allclose(
            1 / scaling.scale[0], np.subtract(*np.nanquantile(numbers[:, 0], [0.75, 0.25])), rtol=1e-6
        )


@pytest.mark.parametrize("name", SCALINGS)
def test_only_the_training_rows_count(name):
    dataset = arrays()
    changed = dataset.X.copy()
    changed[np.concatenate([dataset.splits.test, dataset.splits.val])] *= 100
    one, other = fit_scaling(dataset, name), fit_scaling(replace(dataset, X=changed), name)
    np.testing.assert_array_equal(one.transform(dataset.X), other.transform(dataset.X))


def test_quantiles_are_exact_for_any_floats(monkeypatch):
    rng = np.random.default_rng(0)
    tiny, ties = rng.normal(size=999) * 1e-42, rng.integers(-2, 3, 999)
    X = np.stack([rng.standard_cauchy(999), tiny, ties, np.where(rng.random(999) < 0.3, np.nan, ties - 0.5)], 1)
    X = X.astype(np.float32)
    monkeypatch.setattr(quantiles, "GROUP", 3)
    q = np.array([0, 0.013, 0.25, 0.5, 0.77, 1])
    found = quantiles.float_quantiles(lambda: iter(np.array_split(X, 7)), 4, q)
    np.testing.assert_allclose(found, np.nanquantile(X.astype(np.float64), q, axis=0).T, rtol=1e-14)


def test_features_without_spread_are_only_centred():
    X = np.concatenate([np.full((90, 1), 5.0), np.random.default_rng(0).normal(size=(90, 1))], 1)
    dataset = from_arrays(X, np.arange(90) % 2)
    for name in ("standard", "minmax", "robust"):
        scaling = fit_scaling(dataset, name)
        assert scaling.scale[0] == 1 and scaling.transform(X)[:, 0].tolist() == [0] * 90


def constant():
    dataset = images()
    return replace(dataset, X=np.full_like(dataset.X, 9))


def broken():
    dataset = arrays()
    dataset.X[dataset.splits.train[3], 2] = np.inf
    return dataset


@pytest.mark.parametrize(
    ("dataset", "name", "options", "sentence"),
    [
        (arrays, "whiten", {}, "No scaling is called 'whiten'"),
        (arrays, "zca", {"eps": 0}, "eps=0 must be greater than 0"),
        (lambda: arrays(12), "pca", {"components": 10}, "components=10 of 8 training rows and 5 features"),
        (constant, "zca", {}, "none of the 24 features varies"),
        (constant, "minmax", {}, "none of the 3 features varies"),
        (constant, "robust", {}, "none of the 3 features varies"),
        (broken, "pca", {}, "has inf in feature 2"),
        (broken, "standard", {}, "has inf at 2"),
        (broken, "robust", {}, "has inf at 2"),
    ],
)
def test_what_cannot_be_fitted_is_refused(dataset, name, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        fit_scaling(dataset(), name, **options)


def test_what_cannot_be_scaled_is_refused(tmp_path):
    scaling = fit_scaling(arrays(), "zca")
    with pytest.raises(ValueError, match=r"rows have shape \(4,\), and this scaling takes \(5,\)"):
        scaling.transform(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="row 1 has nan at 2"):
        scaling.transform(np.where(np.arange(10).reshape(2, 5) == 7, np.nan, 0))
    with pytest.raises(ValueError, match="hold no inverse"):
        replace(scaling, inverse_matrix=None).inverse(np.zeros((2, 5)))
    (tmp_path / "no.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="holds no scaling"):
        Scaling.from_safetensors(tmp_path / "no.safetensors")


@pytest.mark.slow
def test_cifar10_is_whitened_in_a_minute(data_root):
    dataset = load(data_root / "cifar10")
    scaling = fit_scaling(dataset, "zca", eps=1e-10)
    X = np.asarray(dataset.X[dataset.splits.train][:2000])
    assert scaling.output_shape == (3, 32, 32) and scaling.condition_before > 1e4 and scaling.condition_after < 1.01
    np.testing.assert_allclose(scaling.inverse(scaling.transform(X)), X, atol=1e-6)
