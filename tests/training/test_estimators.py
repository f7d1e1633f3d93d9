"""The estimators keep scikit-learn's conventions, learn as well as its own networks, and are saved without pickle.

scikit-learn's whole suite runs on both; its hundreds of fits ask for narrow nets and few epochs here, and run with the
default settings in the slow part.
"""

import hashlib
import json
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_blobs, make_classification
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from torch import nn

import trainwell as tw
from trainwell.errors import InputError
from trainwell.training import estimator_fitting
from trainwell.training.defaults import own_rate

SMALL = {"width": 16, "depth": 1, "epochs": 12, "random_state": 0}
REASON = {
    "check_sample_weight_equivalence_on_dense_data": "repeated rows fall into other mini-batches than one of twice the "
    "weight, and the order of the samples, the dropout and the number of steps change with the number of rows"
}


@parametrize_with_checks(
    [tw.Classifier(width=32, epochs=20), tw.Regressor(width=32, epochs=20)], expected_failed_checks=lambda _: REASON
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_suite(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [tw.Classifier, tw.Regressor])
def test_scikit_learn_suite_with_defaults(kind):
    check_estimator(kind(), expected_failed_checks=REASON, on_skip=None)


# ---- conventions ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(120, centers=3, cluster_std=0.6, random_state=3)


def test_default_settings_learn_small_blobs(blobs):
    X, y = blobs
    assert tw.Classifier(random_state=0).fit(X, y).score(X, y) >= 0.95


def test_constructor_stores_what_it_is_given():
    rates = np.float64(0.01)
    estimator = tw.Classifier("cnn", lr=rates, class_weight={1: 2.0}, overrides=["schedule.name=cosine"])
    assert estimator.lr is rates and estimator.overrides == ["schedule.name=cosine"] and estimator.model == "cnn"
    assert clone(estimator).get_params() == estimator.get_params()


def test_pipeline_grid_search_and_cross_validation(blobs):
    X, y = blobs
    pipeline = make_pipeline(StandardScaler(), tw.Classifier(**SMALL))
    grid = {"classifier__width": [8, 16], "classifier__lr": np.array([1e-4, 1e-2])}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_params_["classifier__lr"] == 1e-2  # 1e-4 cannot move in so few steps
    assert search.best_score_ > 0.9
    assert cross_val_score(tw.Classifier(**SMALL | {"lr": 1e-2}), X, y, cv=3).mean() > 0.9


@pytest.mark.parametrize(
    "labels", [["ant", "bee", "cow"], [1, 5, 10], [-1.0, 0.0, 2.0], np.array(["x", "yy", "zzz"], dtype=object)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_come_back_as_they_were(blobs, labels, dtype):
    X, y = blobs
    given = np.asarray(labels)[y]
    estimator = tw.Classifier(**SMALL | {"lr": 1e-2}).fit(X.astype(dtype), given)
    assert estimator.classes_.tolist() == sorted(labels)
    predicted = estimator.predict(X.astype(dtype))
    assert predicted.dtype == given.dtype and (predicted == given).mean() > 0.9
    probability = estimator.predict_proba(X.astype(dtype))
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-12)
    assert (estimator.classes_[probability.argmax(1)] == predicted).all()


def test_attributes_of_a_fit(blobs):
    X, y = blobs
    estimator = tw.Classifier(**SMALL).fit(X, y)
    assert estimator.n_features_in_ == 2 and not hasattr(estimator, "feature_names_in_")
    assert estimator.n_iter_ == len(estimator.history_) == 12
    assert {"epoch", "train_loss", "val_loss", "val_accuracy", "lr"} <= estimator.history_[0].keys()
    losses = [row["val_loss"] for row in estimator.history_]
    assert losses[estimator.best_epoch_ - 1] == min(losses)


def test_random_state_decides_everything_and_the_global_generators_nothing(blobs):
    X, y = blobs
    before = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
    first = tw.Classifier(**SMALL).fit(X, y).predict_proba(X)
    after = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
    torch.manual_seed(99)
    assert (tw.Classifier(**SMALL).fit(X, y).predict_proba(X) == first).all()
    same = np.random.RandomState(0)
    assert (tw.Classifier(**SMALL | {"random_state": same}).fit(X, y).predict_proba(X) == first).all()
    assert (tw.Classifier(**SMALL | {"random_state": 1}).fit(X, y).predict_proba(X) != first).any()  # control


def test_sample_of_weight_zero_counts_as_absent_and_others_do_not(blobs):
    X, y = blobs
    weight = np.where(np.arange(len(y)) % 4 == 0, 0.0, 1.0)
    weighted = tw.Classifier(**SMALL).fit(X, y, sample_weight=weight).predict_proba(X)
    kept = (
        tw.Classifier(**SMALL)
        .fit(X[weight > 0], y[weight > 0], sample_weight=np.full((weight > 0).sum(), 5.0))
        .predict_proba(X)
    )
    assert (weighted == kept).all()
    assert (tw.Classifier(**SMALL).fit(X, y).predict_proba(X) != kept).any()  # control


@pytest.mark.parametrize("weight", ["balanced", {0: 1.0, 1: 9.0}])
def test_class_weight_makes_the_rare_class_count(weight):
    X, y = make_classification(400, 5, weights=[0.9], class_sep=0.3, flip_y=0, random_state=2)
    plain = tw.Classifier(**SMALL).fit(X, y).predict(X)
    weighted = tw.Classifier(**SMALL, class_weight=weight).fit(X, y).predict(X)
    recall = [(predicted[y == 1] == 1).mean() for predicted in (plain, weighted)]
    assert recall[1] > recall[0] + 0.2 and recall[1] > 0.6


def test_threshold_moves_the_answer():
    X, y = make_classification(300, 4, weights=[0.8], class_sep=0.5, random_state=0)
    low, high = (tw.Classifier(**SMALL, threshold=at).fit(X, y) for at in (0.1, 0.9))
    np.testing.assert_array_equal(low.predict(X), (low.predict_proba(X)[:, 1] >= 0.1).astype(int))
    assert low.predict(X).sum() > high.predict(X).sum()
    assert 0 < tw.Classifier(**SMALL, threshold="auto").fit(X, y).threshold_ < 0.5  # the rare class needs less


# ---- shapes and models ---------------------------------------------------------------------------------------------


def stripes(rng, count=80):
    """Pictures with horizontal (0) or vertical (1) stripes of random phase."""
    y = rng.integers(0, 2, count)
    wave = 127 + 100 * np.sin(np.arange(12) * 2.1 + rng.uniform(0, 6, (count, 1)))
    images = np.where(y[:, None, None] == 1, wave[:, None, :], wave[:, :, None]) + rng.normal(0, 10, (count, 12, 12))
    return images.clip(0, 255).astype(np.uint8), y


@pytest.mark.parametrize("shape", [(-1, 12, 12), (-1, 1, 12, 12), (-1, 12, 12, 1)])
def test_pictures_go_to_the_convolutional_net(shape):
    images, y = stripes(np.random.default_rng(0))
    X = images.reshape(shape)
    estimator = tw.Classifier(width=8, epochs=8, random_state=0, validation_fraction=0).fit(X[:60], y[:60])
    assert estimator.recipe_.model.name == "cnn" and estimator.score(X[60:], y[60:]) > 0.9
    together = estimator.predict_proba(X)
    alone = np.concatenate([estimator.predict_proba(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6)  # float32: a few roundings of 6e-8
    with pytest.raises(InputError, match="float64, but fit saw uint8"):
        estimator.predict(X / 255)


def test_sequences_are_learned_from():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 5, 3))
    y = X[:, 0, 0] - X[:, 4, 2]
    assert tw.Regressor(width=32, random_state=0).fit(X, y).score(X, y) > 0.8


def test_regressor_is_indifferent_to_the_unit_of_its_target():
    X, y = load_diabetes(return_X_y=True)
    settings = SMALL | {"dropout": 0.0}
    own = tw.Regressor(**settings).fit(X, y)
    scaled = tw.Regressor(**settings).fit(X, 1e4 * y - 3e5)
    np.testing.assert_allclose((scaled.predict(X) + 3e5) / 1e4, own.predict(X), atol=0.01 * y.std())
    assert own.score(X, y) > 0.3


def test_several_targets_at_once():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 4))
    Y = np.stack([X[:, 0], 1000 + 100 * X[:, 1] * 3], axis=1)
    estimator = tw.Regressor(width=32, random_state=0).fit(X, Y)
    assert estimator.predict(X).shape == (150, 2) and estimator.score(X, Y) > 0.9
    assert tw.Regressor(**SMALL).fit(X, Y[:, :1]).predict(X).shape == (150, 1)
    assert tw.Regressor(**SMALL).fit(X, Y[:, 0]).predict(X).shape == (150,)


def tiny(inputs, outputs):
    """A model of the user's own."""
    return nn.Sequential(nn.Linear(*inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


def test_own_model_is_trained_and_its_rows_do_not_depend_on_their_neighbours(blobs):
    X, y = blobs
    estimator = tw.Classifier(tiny, lr=0.05, epochs=30, random_state=0).fit(X, y)
    assert isinstance(estimator.model_.body[1], nn.Tanh) and estimator.score(X, y) > 0.9
    together = estimator.predict_proba(X)
    alone = np.concatenate([estimator.predict_proba(row[None]) for row in X])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-13)  # float64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "mpl"}, "Did you mean 'mlp'"),
        ({"model": tiny, "width": 8}, "width is given, but the model is built by"),
        ({"model": lambda inputs, outputs: nn.Linear(*inputs, 7)}, r"to \(2, 7\), but \(2, 3\) is needed"),
        ({"model": lambda inputs, outputs: "net"}, "model returned a str"),
        ({"lr": -1.0}, "optimizer.lr is -1.0"),
        ({"validation_fraction": 1.5}, "data.val is 1.5"),
        ({"threshold": 2.0}, "threshold is 2.0"),
        ({"overrides": ("output.folder=x",)}, "an estimator learns from arrays"),
        ({"overrides": "schedule.nam=cosine"}, "Did you mean schedule.name"),
        ({"loss": "mse"}, "loss.name is 'mse', the task is classification"),
    ],
)
def test_wrong_setting_is_named(blobs, settings, message):
    with pytest.raises(InputError, match=message):
        tw.Classifier(**{**SMALL, "width": None, "depth": None, **settings}).fit(*blobs)


def test_batch_larger_than_the_data_is_cut_with_a_warning(blobs):
    with pytest.warns(UserWarning, match="batch_size is 500, but the training part has 96 rows"):
        tw.Classifier(**SMALL, batch_size=500).fit(*blobs)


def test_short_runs_take_a_rate_by_their_size_and_long_ones_a_range_test(blobs, monkeypatch):
    short = tw.Classifier(**SMALL).fit(*blobs)
    parameters = sum(p.numel() for p in short.model_.parameters())
    assert short.recipe_.optimizer.lr == own_rate("adamw", parameters) == 5e-3
    assert own_rate("adamw", 250_000) == 1e-3 and "too short" in short.recipe_.picked["lr"]
    monkeypatch.setattr(estimator_fitting, "PAYS", 0.0)
    assert "range test" in tw.Classifier(**SMALL).fit(*blobs).recipe_.picked["lr"]


def test_callbacks_verbosity_and_overrides_reach_the_engine(blobs, capsys):
    def stop(event, state):
        if event == "validation_end" and state.epoch == 3:
            state.stop()

    estimator = tw.Classifier(
        **SMALL, callbacks=[stop], overrides=("schedule.name=constant", "schedule.warmup=0.0"), verbose=1
    ).fit(*blobs)
    assert estimator.n_iter_ == 3 and len({row["lr"] for row in estimator.history_}) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["1/12", "2/12", "3/12"]


def test_training_room_loads_scikit_learn_only_for_the_estimators():
    code = "import sys, trainwell.training as t; t.Recipe; assert 'sklearn' not in sys.modules; t.Classifier"
    subprocess.run([sys.executable, "-c", code + "; assert 'sklearn' in sys.modules"], check=True)


# ---- saving --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(blobs):
    X, y = blobs
    settings = SMALL | {"class_weight": {"ant": 1, "bee": 2.5, "cow": np.float64(1)}, "lr": np.float64(0.01)}
    return tw.Classifier(**settings).fit(X, np.array(["ant", "bee", "cow"])[y])


def test_saved_classifier_predicts_the_same_bits(blobs, fitted, tmp_path):
    X, _ = blobs
    fitted.save(tmp_path / "saved")
    loaded = tw.Classifier.load(tmp_path / "saved")
    assert (loaded.predict_proba(X) == fitted.predict_proba(X)).all()
    assert loaded.predict(X).tolist() == fitted.predict(X).tolist() and loaded.classes_.dtype == fitted.classes_.dtype
    assert loaded.get_params() == fitted.get_params() and loaded.history_ == fitted.history_
    assert loaded.recipe_ == fitted.recipe_ and loaded.best_epoch_ == fitted.best_epoch_
    assert not [file.name for file in (tmp_path / "saved").iterdir() if file.suffix in (".pt", ".pkl")]
    fitted.save(tmp_path / "saved")  # an estimator's own folder may be written again
    assert tw.load(tmp_path / "saved").predict(X.astype("float32")).tolist() == fitted.predict(X).tolist()


@pytest.mark.parametrize(
    "case", ["several targets", "one column", "pictures", "float pictures", "threshold", "own model"]
)
def test_every_kind_survives_saving(blobs, case, tmp_path):
    X, y = blobs
    images, kinds = stripes(np.random.default_rng(0), 40)
    fit = {
        "several targets": lambda: (tw.Regressor(**SMALL), X, np.stack([y, X[:, 0]], 1)),
        "one column": lambda: (tw.Regressor(**SMALL), X, y[:, None] * 1.0),
        "pictures": lambda: (tw.Classifier(width=4, epochs=2, random_state=0), images, kinds),
        "float pictures": lambda: (
            tw.Classifier("cnn", width=4, epochs=2, random_state=0),
            images[:, None] / 255,
            kinds,
        ),
        "threshold": lambda: (tw.Classifier(**SMALL, threshold="auto"), X, y == 1),
        "own model": lambda: (tw.Classifier(tiny, epochs=3, random_state=0), X, y),
    }
    estimator, inputs, target = fit[case]()
    estimator.fit(inputs, target).save(tmp_path)
    given = {"model": tiny} if case == "own model" else {}
    loaded = type(estimator).load(tmp_path, **given)
    before, after = estimator.predict(inputs), loaded.predict(inputs)
    assert before.shape == after.shape and before.dtype == after.dtype and (before == after).all()
    assert (pickle.loads(pickle.dumps(estimator)).predict(inputs) == before).all()  # noqa: S301 - scikit-learn's own way
    if case == "own model":
        with pytest.raises(InputError, match="Give the same function"):
            tw.Classifier.load(tmp_path)


@pytest.mark.parametrize("name", ["best.safetensors", "recipe.toml", "schema.json", "metrics.jsonl", "estimator.json"])
def test_file_cut_short_is_refused(fitted, tmp_path, name):
    fitted.save(tmp_path)
    content = (tmp_path / name).read_bytes()
    for rest in (content[: len(content) // 2], b""):
        (tmp_path / name).write_bytes(rest)
        with pytest.raises(InputError, match=name):
            tw.Classifier.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=name):
        tw.Classifier.load(tmp_path)


class Bomb:
    """Unpickling it is noticed."""

    went_off = False

    def __reduce__(self):
        return (setattr, (Bomb, "went_off", True))


def test_pickles_are_refused_unread(fitted, tmp_path):
    fitted.save(tmp_path / "saved")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="pickles are refused"):
        tw.Classifier.load(tmp_path / "model.pkl")
    weights = tmp_path / "saved" / "best.safetensors"
    weights.write_bytes(pickle.dumps(Bomb()))
    content = json.loads((tmp_path / "saved" / "estimator.json").read_text())
    content["files"]["best.safetensors"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    (tmp_path / "saved" / "estimator.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="pickles are refused"):
        tw.Classifier.load(tmp_path / "saved")
    assert not Bomb.went_off


def test_folders_of_others_are_not_touched(fitted, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="holds something else"):
        fitted.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(InputError, match=r"holds no estimator"):
        tw.Classifier.load(tmp_path)
    fitted.save(tmp_path / "saved")
    with pytest.raises(InputError, match=r"Use tw\.Classifier\.load"):
        tw.Regressor.load(tmp_path / "saved")


# ---- as good as scikit-learn's networks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "own", "reference", "margin"),
    [
        (load_breast_cancer, tw.Classifier, MLPClassifier, 0.01),
        (load_diabetes, tw.Regressor, MLPRegressor, 0.03),
        pytest.param(load_digits, tw.Classifier, MLPClassifier, 0.005, marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_defaults_score_at_least_as_scikit_learns_network(load, own, reference, margin):
    """Mean over the same folds; the margin is about two standard errors of the difference."""
    X, y = load(return_X_y=True)
    folds = (StratifiedKFold if own is tw.Classifier else KFold)(3, shuffle=True, random_state=0)
    theirs = cross_val_score(make_pipeline(StandardScaler(), reference(max_iter=500, random_state=0)), X, y, cv=folds)
    ours = cross_val_score(own(random_state=0), X, y, cv=folds)
    assert ours.mean() >= theirs.mean() - margin
