"""Lightning-AI/pytorch-lightning#19714, #12303, #17533: the order of arguments gives cryptic errors, and values of the
command line are overwritten by the file."""

from itertools import permutations

import pytest

from trainwell.cli.main import main
from trainwell.errors import InputError
from trainwell.training import Recipe, jobs

GROUPS = (("--recipe", "r.toml"), ("--set", "training.epochs=7"), ("--epochs", "9"), ("--lr", "0.5"), ("digits",))


@pytest.fixture
def given(monkeypatch, tmp_path):
    """The recipe that reaches the job, for a command line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.toml").write_text("[training]\nepochs = 5\nseed = 3\n[optimizer]\nlr = 0.1\n")
    recipes = []

    def train(spec, recipe, *, callbacks=(), before=None, watch=None):
        recipes.append(recipe)
        raise InputError("Enough.", "This was a test.")

    monkeypatch.setattr(jobs, "train", train)

    def call(*groups):
        assert main(["train", *(word for group in groups for word in group)]) == 2
        return recipes.pop()

    return call


def test_an_option_beats_set_and_set_beats_the_file_in_any_order(given):
    results = [given(*order) for order in permutations(GROUPS)]
    assert all(recipe == results[0] for recipe in results)
    assert (results[0].training.epochs, results[0].optimizer.lr, results[0].training.seed) == (9, 0.5, 3)


@pytest.mark.parametrize(
    ("groups", "epochs"),
    [((0, 4), 5), ((0, 1, 4), 7), ((1, 0, 4), 7), ((2, 0, 4), 9), ((4, 1, 2), 9)],
    ids=["file", "file, set", "set, file", "option, file", "set, option"],
)
def test_the_nearer_source_wins(groups, epochs, given):
    assert given(*(GROUPS[i] for i in groups)).training.epochs == epochs


def test_of_two_sets_of_a_field_the_last_counts():
    assert Recipe().override(["training.epochs=3", "training.epochs=4"]).training.epochs == 4


def test_merging_in_the_order_of_the_words_depends_on_it():  # control
    sources = {"file": {"epochs": 5}, "set": {"epochs": 7}, "option": {"epochs": 9}}
    ends = set()
    for order in permutations(sources):
        merged = {}
        for name in order:
            merged |= sources[name]
        ends.add(merged["epochs"])
    assert ends == {5, 7, 9}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--lr", "0.1", "digits", "--epoch", "3"], "Did you mean --epochs?"),
        (["--epochs", "3", "train", "digits"], "--epochs"),
        (["train", "digits", "--set", "epochs=3"], "section.field=value"),
        (["train", "digits", "--set", "training.epochs=many"], "training.epochs is 'many'"),
        (["train", "digits", "--recipe"], "--recipe"),
    ],
)
def test_a_word_in_the_wrong_place_is_named(words, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and len(error.splitlines()) == 2
