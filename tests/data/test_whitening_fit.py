"""Rotations and whitenings: scikit-learn's components, unit covariance, and what tells the three whitenings apart."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.decomposition import PCA

from trainwell.data import Covariance
from trainwell.data.whitening_fit import condition_number, rotation

KINDS = ("pca_whiten", "zca", "cholesky")


def data(rows=2000, features=12, seed=0):
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(features, features)))
    return rng.normal(size=(rows, features)) * np.linspace(1, 5, features) @ turn + 100


def whitened(X, name, **options):
    found = Covariance.of(X)
    made = rotation(found, name, **options)
    return (X - found.mean) @ made.matrix.T, made


def covariance(Y):
    return np.cov(Y.T, bias=True)


def test_components_are_those_of_scikit_learn():
    X = data()
    ours, theirs = rotation(Covariance.of(X), "pca"), PCA().fit(X)
    signs = np.sign((ours.matrix * theirs.components_).sum(1))
    np.testing.assert_allclose(ours.matrix * signs[:, None], theirs.components_, rtol=0, atol=1e-8)
    assert (ours.matrix[np.arange(12), np.abs(ours.matrix).argmax(1)] > 0).all()  # one sign, on every machine
    np.testing.assert_allclose(ours.matrix @ ours.matrix.T, np.eye(12), atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_covariance_is_the_identity(name):  # and not I/m, as deck M's U has it
    Y, made = whitened(data(), name, eps=1e-12)
    np.testing.assert_allclose(covariance(Y), np.eye(12), rtol=0, atol=1e-8)
    assert made.condition_after == pytest.approx(1, abs=1e-9) and made.condition_before > 15
    assert np.abs(covariance(whitened(data(), name)[0]) - np.eye(12)).max() < 1e-8  # also by default


def test_the_decks_scale_is_off_by_the_number_of_rows():  # control
    X = data()
    U, _, _ = np.linalg.svd(X - X.mean(0), full_matrices=False)
    np.testing.assert_allclose(covariance(U) * len(X), np.eye(12), atol=1e-10)


@pytest.mark.parametrize("name", KINDS)
def test_epsilon_damps_each_direction_by_its_formula(name):  # closed form: eigenvalues λ / (λ + ε λ₁)
    X, eps = data(), 0.03
    Y, made = whitened(X, name, eps=eps)
    before = np.linalg.eigvalsh(covariance(X))
    expected = before / (before + eps * before[-1])
    np.testing.assert_allclose(np.sort(np.linalg.eigvalsh(covariance(Y))), expected, rtol=1e-9)
    assert made.condition_after == pytest.approx(expected[-1] / expected[0], rel=1e-9)


def test_condition_numbers_of_two_correlated_features():  # N02: 19, 19, 1
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(5000, 2))
    Z = (Z - Z.mean(0)) @ np.linalg.inv(np.linalg.cholesky(covariance(Z))).T  # exactly white
    X = Z @ np.linalg.cholesky(np.array([[1, 0.9], [0.9, 1]])).T
    for name, after in (("pca", 19), ("pca_whiten", 1), ("zca", 1), ("cholesky", 1)):
        made = rotation(Covariance.of(X), name)
        assert made.condition_before == pytest.approx(19) and made.condition_after == pytest.approx(after)


def test_zca_is_the_symmetric_root_and_closest_to_the_input():
    X = data()
    centred = X - X.mean(0)
    Y, made = whitened(X, "zca", eps=1e-12)
    np.testing.assert_allclose(made.matrix, made.matrix.T, atol=1e-12)
    np.testing.assert_allclose(made.matrix, np.linalg.inv(sqrtm(covariance(X)).real), rtol=1e-8, atol=1e-9)
    distance = np.square(Y - centred).sum()
    assert all(
        np.square(whitened(X, name, eps=1e-12)[0] - centred).sum() > distance for name in ("pca_whiten", "cholesky")
    )
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))
    assert np.square(Y @ turn - centred).sum() > distance  # any other whitening is a turn of this one


def test_cholesky_is_lower_triangular():
    matrix = rotation(Covariance.of(data()), "cholesky").matrix
    assert (np.triu(matrix, 1) == 0).all() and (np.diag(matrix) > 0).all()


@pytest.mark.parametrize("name", ["pca", *KINDS])
def test_data_of_deficient_rank_stay_finite(name):
    X = data(features=6)
    X = np.concatenate([X, X[:, :2] + X[:, 2:4], np.ones((len(X), 1))], axis=1)  # three directions too many
    Y, made = whitened(X, name)
    assert made.zero_directions == 3 and np.isfinite(Y).all() and np.abs(Y).max() < 1e3
    assert np.linalg.matrix_rank(covariance(Y), tol=1e-5) == 6
    back = Y @ made.inverse.T + X.mean(0)
    np.testing.assert_allclose(back, X, atol=1e-5)


def test_fewer_rows_than_features():
    X = data(rows=5)
    Y, made = whitened(X, "pca_whiten")
    assert made.matrix.shape == (4, 12) and made.zero_directions == 8
    np.testing.assert_allclose(covariance(Y), np.eye(4), atol=1e-7)


def test_components_by_number_and_by_share():
    X = data()
    found, values = Covariance.of(X), np.sort(np.linalg.eigvalsh(covariance(data())))[::-1]
    shares = np.cumsum(values) / values.sum()
    assert rotation(found, "pca", components=3).explained == pytest.approx(shares[2])
    for share in (0.5, 0.9, 0.99):
        made = rotation(found, "pca_whiten", components=share)
        theirs = PCA(n_components=share).fit(X)
        assert len(made.matrix) == theirs.n_components_ and made.explained >= share
    assert len(rotation(found, "pca", components=1.0).matrix) == 12


def test_numerically_zero_starts_at_a_share_of_the_largest():
    assert condition_number(np.array([1.0, 2e-12])) == (pytest.approx(5e11), 0)
    assert condition_number(np.array([1.0, 0.5e-12])) == (1.0, 1)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("zca", {"eps": 0.0}, "eps=0.0 must be greater than 0"),
        ("pca_whiten", {"eps": -1.0}, "eps=-1.0 must be greater than 0"),
        ("zca", {"components": 2}, "option of pca and pca_whiten"),
        ("pca", {"components": 0}, "neither a number of directions"),
        ("pca", {"components": 1.5}, "neither a number of directions"),
        ("pca", {"components": 13}, "vary in 12 directions only"),
        ("cholesky", {"eps": 1e-30}, "singular up to rounding"),
    ],
)
def test_meaningless_options_are_refused(name, options, sentence):
    X = data()
    if name == "cholesky":
        X[:, 1] = X[:, 0]
    with pytest.raises(ValueError, match=sentence):
        rotation(Covariance.of(X), name, **options)


def test_constant_data_are_refused():
    with pytest.raises(ValueError, match="none of the 3 features varies"):
        rotation(Covariance.of(np.full((9, 3), 7.0)), "pca_whiten")
