"""The jobs end to end: from data to a run folder and back."""

import csv
import json
import os
import shutil
import signal
import sys

import numpy as np
import pytest
import torch
from small_programs import weights
from small_recipes import fast, write_flowers

import trainwell as tw
from trainwell.errors import InputError
from trainwell.training import Recipe, jobs, stopping


def test_digits_are_learned_in_four_epochs(runs):
    run = runs.digits
    assert run.metrics["test"]["accuracy"] > 0.9 and run.task == "classification" and run.best_epoch in (1, 2, 3, 4)
    assert set(run.metrics) == {"train", "val", "test"}
    names = {path.name for path in run.folder.iterdir()}
    assert names >= {"recipe.toml", "schema.json", "environment.json", "metrics.jsonl", "timing.jsonl", "log.txt"}
    assert names >= {"model.safetensors", "best.safetensors", "checkpoint"}


def test_a_table_is_learned_and_a_regression_answers_in_the_targets_unit(runs):
    assert runs.flowers.metrics["test"]["accuracy"] > 0.85 and runs.flowers.task == "binary"
    assert runs.heights.metrics["test"]["r2"] > 0.9
    assert 150 < runs.heights.predict({"length": [5.0], "width": [3.0], "colour": ["red"]})[0] < 250


def test_the_recipe_in_the_folder_has_every_decision_and_trains_the_same_again(runs, tmp_path):
    recipe = Recipe.read(runs.flowers.folder / "recipe.toml")
    assert None not in (recipe.optimizer.lr, recipe.training.epochs, recipe.training.batch_size, recipe.data.seed)
    assert "auto" not in (recipe.optimizer.weight_decay, recipe.loss.name, recipe.model.name, recipe.precision.dtype)
    again = jobs.train(str(runs.table), recipe.override([f"output.folder={tmp_path / 'again'}"]))
    for name in ("metrics.jsonl", "best.safetensors", "model.safetensors"):
        assert (again.folder / name).read_bytes() == (runs.flowers.folder / name).read_bytes(), name


def test_environment_names_versions_and_data_and_no_clock(runs):
    told = json.loads((runs.digits.folder / "environment.json").read_text())
    assert (told["format"] == 1 and told["packages"]["torch"] == torch.__version__.split("+")[0]) or "torch" in told[
        "packages"
    ]
    assert told["data"]["name"] and told["data"]["samples"] == 1797


@pytest.mark.parametrize("name", ["digits", "flowers", "heights"])
def test_a_run_is_read_back_as_it_was(name, runs):
    run = getattr(runs, name)
    again = tw.load(run.folder)
    assert torch.equal(weights(again.model), weights(run.model)) and not again.model.training
    assert again.history == run.history and again.best_epoch == run.best_epoch and again.task == run.task
    assert again.metrics == run.metrics and again.schema == run.schema
    last = tw.load(run.folder, weights="model")
    assert last.model is not again.model


def test_raw_rows_are_answered_in_any_form(runs):
    run = tw.load(runs.flowers.folder)
    columns = {"length": [7.0, 3.0], "width": [3.0, None], "colour": ["red", "blue"]}
    expected = ["tall", "small"]
    assert list(run.predict(columns)) == expected
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert list(run.predict(rows)) == expected
    chances = run.predict_proba(columns)
    assert chances.shape == (2, 2) and chances.sum(1) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="has no probabilities"):
        runs.heights.predict_proba(columns)


@pytest.mark.parametrize("name", ["digits", "flowers", "heights"])
def test_evaluating_again_gives_the_same_metrics(name, runs):
    run = getattr(runs, name)
    told = jobs.evaluate(run.folder)
    assert told["metrics"] == run.metrics and told["best_epoch"] == run.best_epoch and told["run"] == str(run.folder)
    json.dumps(told, allow_nan=False)


def test_evaluating_on_other_data_and_on_data_without_answers(runs, tmp_path):
    other = write_flowers(tmp_path / "other.csv", n=100, seed=5)
    assert jobs.evaluate(runs.flowers.folder, str(other))["metrics"]["data"]["accuracy"] > 0.85
    text = other.read_text().splitlines()
    (tmp_path / "bare.csv").write_text("\n".join(",".join(line.split(",")[:3]) for line in text) + "\n")
    with pytest.raises(InputError, match=r"has no target 'kind'.*trainwell predict"):
        jobs.evaluate(runs.flowers.folder, str(tmp_path / "bare.csv"))


def test_predict_writes_a_table_of_identity_answer_and_probabilities(runs, tmp_path):
    made = jobs.predict(runs.flowers.folder, runs.table, tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    classes = runs.flowers.schema.classes
    assert (
        tuple(head) == made.columns == ("row", "kind", *(f"p({c})" for c in classes)) and len(rows) == len(made) == 240
    )
    for row in rows:
        assert row[1] == classes[int(np.argmax([float(p) for p in row[2:]]))]
        assert sum(map(float, row[2:])) == pytest.approx(1, abs=1e-5)
    assert all(type(value) in (str, float) for row in made.rows() for value in row)


def test_predicting_a_regression_gives_one_number_a_row(runs, tmp_path):
    made = jobs.predict(runs.heights.folder, runs.table, tmp_path / "out.csv")
    assert made.columns == ("row", "height") and made.probabilities is None
    truth = [float(line.split(",")[4]) for line in runs.table.read_text().splitlines()[1:]]
    assert np.corrcoef([row[1] for row in made.rows()], truth)[0, 1] > 0.95


def test_a_quote_or_comma_in_a_name_survives_the_csv(tmp_path):
    from trainwell.training.predict import Predictions

    made = Predictions(("file", 'a "b", c'), ["x,y", 'q"'], np.array([1.23456789, 2.0]), None)
    made.write(tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["file", 'a "b", c'], ["x,y", "1.234568"], ['q"', "2"]]


# ---- wrong input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["training.batch_size=1000000"], r"training.batch_size is 1000000, but the training part has \d+ samples"),
        (["model.name=mpl"], r"no model is called 'mpl'. Did you mean 'mlp'\?"),
        (["model.activation=rleu"], "'rleu'.*relu"),
        (["loss.name=mse"], r"loss.name is 'mse', the task is binary. Choose cross_entropy"),
        (["model.name=nowhere.py:build"], "nowhere.py does not exist"),
        (["training.metric=nowhere.py:score"], "nowhere.py does not exist"),
        (["training.device=tpu"], "no device is called 'tpu'"),
        (["data.target=colour", "data.task=regression"], "."),
    ],
)
def test_wrong_input_is_a_sentence_and_leaves_nothing_behind(changes, message, runs, tmp_path):
    recipe = fast(f"output.folder={tmp_path / 'run'}", "data.target=kind", *changes)
    with pytest.raises(InputError, match=message):
        jobs.train(str(runs.table), recipe)
    assert not (tmp_path / "run").exists()


def test_what_was_in_an_empty_or_given_folder_is_left_alone(runs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="mpl"):
        jobs.train(str(runs.table), fast(f"output.folder={tmp_path / 'empty'}", "model.name=mpl", "data.target=kind"))
    assert list((tmp_path / "empty").iterdir()) == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        jobs.train(str(runs.table), fast(f"output.folder={tmp_path / 'full'}"))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        jobs.train(str(runs.table), fast(f"output.folder={tmp_path / 'file'}"))
    assert (tmp_path / "full" / "mine.txt").read_text() == (tmp_path / "file").read_text() == "mine"


def test_a_run_folder_is_never_overwritten(runs):
    before = (runs.flowers.folder / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"exists already.*trainwell resume"):
        jobs.train(str(runs.table), fast(f"output.folder={runs.flowers.folder}"))
    assert (runs.flowers.folder / "metrics.jsonl").read_bytes() == before


def test_without_a_folder_runs_are_numbered(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        run = jobs.train(str(runs.table), fast("data.target=kind", "training.epochs=1"))
        assert run.folder.as_posix() == f"runs/flowers-{number}"
    with pytest.raises(InputError, match="No data were named"):
        jobs.train("", fast())


# ---- stopping and resuming ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["epoch_start", "step_end", "validation_start", "stage"])
def test_a_stopped_job_is_resumed_to_the_same_bytes(event, runs, tmp_path):
    def hit(name, state):
        if (
            name == event
            and (event != "stage" or "evaluating" in state.text)
            and (event != "step_end" or state.step == 9)
        ):
            os.kill(os.getpid(), signal.SIGTERM)

    recipe = fast(f"output.folder={tmp_path / 'run'}", "data.target=kind", "data.drop=['height']")
    with pytest.raises(stopping.Stopped) as stop:
        jobs.train(str(runs.table), recipe, callbacks=[hit])
    assert stop.value.folder == tmp_path / "run"
    torch.manual_seed(999)
    run = jobs.resume(tmp_path / "run")
    for name in ("metrics.jsonl", "best.safetensors", "model.safetensors"):
        assert (run.folder / name).read_bytes() == (runs.flowers.folder / name).read_bytes(), name
    assert run.metrics == runs.flowers.metrics


def test_a_job_stopped_while_reading_its_data_can_be_resumed(runs, tmp_path):
    def hit(name, state):
        if name == "stage":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(stopping.Stopped) as stop:
        jobs.train(
            str(runs.table),
            fast(f"output.folder={tmp_path / 'run'}", "data.target=kind", "data.drop=['height']"),
            callbacks=[hit],
        )
    assert stop.value.folder == tmp_path / "run" and (tmp_path / "run" / "recipe.toml").is_file()
    assert jobs.resume(tmp_path / "run").metrics == runs.flowers.metrics


def test_a_run_that_stepped_back_is_read_back_with_the_epochs_that_count(runs, tmp_path):
    changes = [
        "data.target=height",
        "data.drop=['kind']",
        "optimizer.name=sgd",
        "optimizer.lr=3.0",
        "training.epochs=8",
    ]
    fixed = ["schedule.name=linear", "schedule.warmup=0.6", "training.checkpoint_every=3", "training.log_every=1"]
    run = jobs.train(str(runs.table), fast(f"output.folder={tmp_path / 'run'}", *changes, *fixed))
    assert any("went back" in note for note in run.notes)
    again = tw.load(run.folder)
    assert again.history == run.history and again.best_epoch == run.best_epoch


def test_resuming_what_is_no_run_is_a_sentence(runs, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        jobs.resume(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"Did you mean '.*flowers'\?"):
        jobs.resume(runs.root / "flower")
    with pytest.raises(InputError, match="holds no run"):
        jobs.resume(tmp_path)


def test_a_resumed_recipe_that_was_edited_is_refused(runs, tmp_path):
    def hit(name, state):
        if name == "step_end" and state.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(stopping.Stopped):
        jobs.train(str(runs.table), fast(f"output.folder={tmp_path / 'run'}", "data.target=kind"), callbacks=[hit])
    path = tmp_path / "run" / "recipe.toml"
    path.write_text(path.read_text().replace("lr = 0.02", "lr = 0.03"))
    with pytest.raises(InputError, match="made with another recipe"):
        jobs.resume(tmp_path / "run")
    assert path.is_file() and list((tmp_path / "run" / "checkpoint").glob("*.pt"))


# ---- what a run folder may not do -----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["model.name", "loss.name", "training.metric"])
@pytest.mark.parametrize("verb", ["load", "evaluate", "resume"])
def test_code_that_came_with_a_run_is_not_run(field, verb, runs, tmp_path):
    folder = tmp_path / "gift"
    shutil.copytree(runs.flowers.folder, folder)
    (folder / "code.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w').close()\ndef f(*a): return 0.0\n")
    recipe = Recipe.read(folder / "recipe.toml").override([f"{field}={folder / 'code.py'}:f"])
    (folder / "recipe.toml").write_text(recipe.to_toml())
    with pytest.raises(InputError, match="inside its own folder"):
        {"load": tw.load, "evaluate": jobs.evaluate, "resume": jobs.resume}[verb](folder)
    assert not (tmp_path / "owned").exists()


def test_own_model_loss_and_metric_from_the_users_file(runs, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def build(inputs, outputs): return nn.Linear(inputs[0], outputs)\n"
        "def loss(output, y): return nn.functional.cross_entropy(output, y)\n"
        "def hits(truth, answers): return (truth == answers).sum()\n"
    )
    own = [f"model.name={tmp_path / 'mine.py'}:build", f"loss.name={tmp_path / 'mine.py'}:loss"]
    recipe = Recipe().override(
        [
            "precision.dtype=float32",
            "precision.threads=1",
            "optimizer.lr=0.05",
            "training.epochs=6",
            "data.target=kind",
            "output.report=false",
            f"output.folder={tmp_path / 'run'}",
            f"training.metric={tmp_path / 'mine.py'}:hits",
            *own,
        ]
    )
    run = jobs.train(str(runs.table), recipe)
    assert run.metrics["test"]["hits"] == round(run.metrics["test"]["accuracy"] * 48)
    again = tw.load(run.folder)
    assert torch.equal(weights(again.model), weights(run.model))


@pytest.mark.parametrize(
    ("name", "message"), [("schema.json", "has no schema.json"), ("best.safetensors", "has not finished")]
)
def test_missing_files_of_a_run_are_named(name, message, runs, tmp_path):
    shutil.copytree(runs.flowers.folder, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    with pytest.raises(InputError, match=message):
        tw.load(tmp_path / "run")


def test_a_last_line_cut_short_by_a_crash_is_passed_over_and_others_are_named(runs, tmp_path):
    shutil.copytree(runs.flowers.folder, tmp_path / "run")
    path = tmp_path / "run" / "metrics.jsonl"
    text = path.read_text()
    path.write_text(text[:-20])
    assert set(tw.load(tmp_path / "run").metrics) == {"train", "val"}
    path.write_text(text.replace('"event"', "event", 1))
    with pytest.raises(InputError, match="line 1 is not JSON"):
        tw.load(tmp_path / "run")


def test_finding_a_rate_is_what_train_would_do(runs):
    found = jobs.find_rate(str(runs.table), fast("data.target=kind"))
    assert 1e-5 < found.suggestion < 1 and len(found.rates) == len(found.losses)


def test_folds_are_runs_of_their_own_and_cover_every_row_once(runs, tmp_path):
    recipe = fast(f"output.folder={tmp_path / 'run'}", "data.target=kind", "data.drop=['height']", "training.epochs=2")
    told = jobs.cross_validate(str(runs.table), recipe, 3)
    accuracies = [fold["test"]["accuracy"] for fold in told["folds"]]
    assert told["metrics"]["test"]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert told["spread"]["test"]["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))
    assert json.loads((tmp_path / "run" / "folds.json").read_text()) == told
    tests = [
        jobs.read_data(Recipe.read(tmp_path / f"run/fold-{k}/recipe.toml"), jobs.Teller()).splits.test
        for k in (1, 2, 3)
    ]
    assert sorted(np.concatenate(tests).tolist()) == list(range(240))
    with pytest.raises(InputError, match="--folds is 1"):
        jobs.cross_validate(str(runs.table), recipe, 1)


def test_tensorboard_without_its_package_is_said_before_the_training(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    recipe = fast(f"output.folder={tmp_path / 'run'}", "data.target=kind", "training.tensorboard=true")
    with pytest.raises(
        InputError, match=r"training.tensorboard needs the package tensorboard.*trainwell\[tensorboard\]"
    ):
        jobs.train(str(runs.table), recipe)
    assert not (tmp_path / "run").exists()


def test_mnist_is_read_and_learned(data_root, tmp_path):
    recipe = fast(
        f"output.folder={tmp_path / 'run'}", f"data.root={data_root}", "training.epochs=1", "training.batch_size=512"
    )
    assert jobs.train("mnist", recipe).metrics["test"]["accuracy"] > 0.85
