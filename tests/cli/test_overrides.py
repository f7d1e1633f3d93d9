"""An option beats --set, --set beats the file, whatever their order."""

import itertools

import pytest

from trainwell.cli.overrides import FIELDS, toml
from trainwell.training import Recipe

SOURCES = {
    "file": ("--recipe", "recipe.toml"),
    "set": ("--set", "training.epochs=20"),
    "option": ("--epochs", "30"),
}


@pytest.mark.parametrize("chosen", [c for n in (1, 2, 3) for c in itertools.combinations(SOURCES, n)])
def test_precedence_in_every_order(chosen, run, jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text("[training]\nepochs = 10\npatience = 4\n")
    for order in itertools.permutations(chosen):
        assert run("train", "digits", *itertools.chain(*(SOURCES[name] for name in order))).code == 0
        recipe = jobs.calls[-1][1]
        assert recipe.training.epochs == {"file": 10, "set": 20, "option": 30}[max(chosen, key=list(SOURCES).index)]
        assert recipe.training.patience == (4 if "file" in chosen else 0)


def test_the_last_of_several_set_wins(run, jobs):
    run("train", "digits", "--set", "optimizer.lr=0.1", "--set", "optimizer.lr=0.2")
    assert jobs.calls[0][1].optimizer.lr == 0.2


def test_every_shorthand_reaches_its_field(run, jobs):
    done = run(
        *("train", "house.csv", "--target", "price", "--task", "regression", "--keep", "id", "--keep", "007"),
        *("--drop", "true", "--weight", "w", "--split", "group", "--split-column", "street", "--skip-bad"),
        *("--data-root", "some/where", "--model", "m.py:build", "--loss", "l.py:loss", "--metric", "m.py:metric"),
        *("--lr", "1", "--epochs", "2", "--batch-size", "8", "--seed", "5", "--device", "cpu", "--max-minutes", "3"),
        *("-o", "runs/x"),
    )
    assert done.code == 0, done.err
    spec, recipe = jobs.calls[0]
    data, training = recipe.data, recipe.training
    assert spec == data.source == "house.csv"
    assert (data.target, data.task, data.keep, data.drop) == ("price", "regression", ["id", "007"], ["true"])
    assert (data.weight, data.split, data.split_column, data.skip_bad) == ("w", "group", "street", True)
    assert (data.root, recipe.model.name, recipe.loss.name) == ("some/where", "m.py:build", "l.py:loss")
    assert (recipe.optimizer.lr, training.epochs, training.batch_size, training.seed) == (1.0, 2, 8, 5)
    assert (training.device, training.max_minutes, training.metric) == ("cpu", 3.0, "m.py:metric")
    assert recipe.output.folder == "runs/x"


def test_options_that_are_not_given_leave_the_recipe_alone(run, jobs):
    run("train", "digits")
    assert jobs.calls[0][1] == Recipe().override(["data.source=digits"])


def test_a_recipe_may_name_the_data(run, jobs, tmp_path):
    (tmp_path / "r.toml").write_text('[data]\nsource = "mnist"\n')
    assert run("train", "--recipe", str(tmp_path / "r.toml")).code == 0
    assert jobs.calls[0][0] == "mnist"


def test_every_shorthand_is_a_field_of_the_recipe():
    for place in FIELDS.values():
        section, field = place.split(".")
        assert field in type(getattr(Recipe(), section)).model_fields, place


@pytest.mark.parametrize(
    "name", ["007", "true", "a b", 'quo"te', "back\\slash", "naïve ★", "tab\t", "del\x7f", "1e5", "[x]", "# no"]
)
def test_names_of_columns_stay_the_text_they_are(name):
    recipe = Recipe().override([f"data.target={toml(name)}", f"data.keep={toml([name, name])}"])
    assert recipe.data.target == name and recipe.data.keep == [name, name]
