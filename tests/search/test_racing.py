"""Races of a small net on the digits: equal terms, honest outcomes."""

import json
import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from trainwell.errors import InputError
from trainwell.optim import METHODS
from trainwell.search import race
from trainwell.search.from_recipe import optimizer_section
from trainwell.search.runner import Way
from trainwell.search.tuning import FACTORS, LEAST, takes_rate, trial_steps
from trainwell.training import Program, Recipe, Training
from trainwell.training.checkpoint import random_state

X, Y = load_digits(return_X_y=True)
X, Y = torch.tensor(X / 16, dtype=torch.float32), torch.tensor(Y)
ONE_THREAD = Training(threads=1, device="cpu", seed=3)
RATES = {"sgd": 0.1, "adamw": 1e-2}


def program(dropout: float = 0.2, **changes) -> Program:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Dropout(dropout), nn.Linear(24, 10))
    given = {"val": (X[600:800], Y[600:800]), "batch_size": 50, **changes}
    return Program(net, (X[:600], Y[:600]), nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=1.0), **given)


@pytest.fixture(scope="module")
def tuned():
    """sgd and adamw for 20 steps each, rates tuned."""
    return race(program(), ["sgd", "adamw"], steps=20, training=ONE_THREAD)


def test_all_start_equal_bit_for_bit(tuned):
    sgd, adamw = tuned.entries
    assert sgd.batch_losses[0] == adamw.batch_losses[0] and sgd.looks[0].train == adamw.looks[0].train
    assert sgd.looks[0].step == 0 and sgd.batch_losses[1] != adamw.batch_losses[1]


def test_each_makes_its_steps_and_learns(tuned):
    for entry in tuned.entries:
        assert entry.status == "finished" and entry.steps == 20 == entry.looks[-1].step and entry.seconds > 0
        assert entry.looks[-1].val["accuracy"] > 0.5 > entry.looks[0].val["accuracy"]
        assert entry.losses()[-1] < entry.losses()[0]


def test_every_rate_is_tuned_with_the_same_effort(tuned):
    assert tuned.tuning == {"factors": FACTORS, "steps": LEAST}
    for entry in tuned.entries:
        default = METHODS[entry.name].lr
        assert [trial.lr / default for trial in entry.trials] == pytest.approx(FACTORS)
        assert entry.lr == min(entry.trials, key=lambda t: t.loss if math.isfinite(t.loss) else math.inf).lr


def test_memory_is_that_of_the_table(tuned):
    assert [entry.memory for entry in tuned.entries] == [METHODS[name].memory for name in ("sgd", "adamw")]


def test_the_same_method_twice_runs_the_same_way_whoever_runs_beside_it(tuned):  # property: turns do not disturb
    rate = tuned["sgd"].lr
    alone = race(program(), ["sgd"], steps=20, rates={"sgd": rate}, training=ONE_THREAD)
    assert alone["sgd"].batch_losses == tuned["sgd"].batch_losses  # dropout draws the same numbers too
    other = Training(threads=1, device="cpu", seed=4)
    moved = race(program(), ["sgd"], steps=20, rates={"sgd": rate}, training=other)
    assert moved["sgd"].batch_losses != alone["sgd"].batch_losses  # control: another order


def test_the_program_and_the_random_generators_stay_as_they_were():
    raced = program()
    before = {name: value.clone() for name, value in raced.model.state_dict().items()}
    state = random_state()
    race(raced, ["sgd"], steps=3, rates={"sgd": 0.1}, training=ONE_THREAD)
    assert all(torch.equal(before[name], value) for name, value in raced.model.state_dict().items())
    after = random_state()
    assert torch.equal(state["torch"], after["torch"]) and state["python"] == after["python"]
    assert all(p.grad is None for p in raced.model.parameters())


def test_a_race_with_itself_has_one_curve():
    """SGD of momentum 0.9 is in the table under two names."""
    found = race(program(), ["sgd", "nesterov"], steps=15, rates={"sgd": 0.1, "nesterov": 0.1}, training=ONE_THREAD)
    assert found["sgd"].losses() == pytest.approx(found["nesterov"].losses(), rel=1e-5)


def test_a_method_that_diverges_is_told_and_does_not_win():
    found = race(program(), ["sgd", "adamw"], steps=20, rates={"sgd": 1e30, "adamw": 1e-2}, training=ONE_THREAD)
    sgd = found["sgd"]
    assert sgd.status == "diverged" and 1 < sgd.steps < 20 and f"at step {sgd.steps}" in sgd.note
    assert set(found.winner.values()) == {"adamw"} and found["adamw"].steps == 20


def test_a_method_that_crashes_does_not_end_the_race(monkeypatch):
    class Broken(torch.optim.SGD):
        def step(self, closure=None):
            raise RuntimeError("out of luck\nsecond line")

    broken = METHODS["lion"].__class__(f"{__name__}:Broken", lr=0.1, why="", deck="", paper="")
    monkeypatch.setattr(type(broken), "cls", property(lambda m: Broken if m is broken else torch.optim.SGD))
    monkeypatch.setitem(METHODS, "lion", broken)
    found = race(program(), ["lion", "sgd"], steps=5, rates={"lion": 0.1, "sgd": 0.1}, training=ONE_THREAD)
    assert found["lion"].status == "failed" and found["lion"].note == "RuntimeError: out of luck"
    assert found["sgd"].status == "finished" and found["sgd"].steps == 5


def test_what_cannot_run_here_is_left_out_with_the_reason():
    found = race(program(), ["scgd", "sgd"], steps=5, rates={"sgd": 0.1}, training=ONE_THREAD)
    assert found["scgd"].status == "skipped" and "not for a model" in found["scgd"].note
    assert found["sgd"].status == "finished"


def test_closures_are_given_to_methods_that_need_them():
    found = race(program(), ["sam"], steps=5, rates={"sam": 0.1}, training=ONE_THREAD)
    assert found["sam"].status == "finished" and found["sam"].losses()[-1] < found["sam"].losses()[0]


def test_a_method_that_finds_its_own_steps_is_not_tuned():
    found = race(program(dropout=0.0), ["sls", "lbfgs"], steps=4, training=ONE_THREAD)
    for entry in found.entries:
        assert entry.status == "finished" and entry.trials == () and entry.lr is None and "itself" in entry.lr_note
    assert found["lbfgs"].batch_size == 600 and found["sls"].batch_size == 50  # all samples, where it needs them
    assert found["lbfgs"].losses()[-1] < found["lbfgs"].losses()[0]
    assert takes_rate("sgd") and takes_rate("sam") and takes_rate("schedule_free_sgd")  # control


def test_the_whole_gradient_is_given_to_methods_that_anchor_in_it():
    found = race(program(), ["svrg"], steps=4, rates={"svrg": 0.1}, training=ONE_THREAD)
    assert found["svrg"].status == "finished" and found["svrg"].losses()[-1] < found["svrg"].losses()[0]


def test_a_budget_is_shared_equally_and_kept():
    found = race(program(), ["sgd", "adamw"], budget=1.0, rates=RATES, training=ONE_THREAD)
    each = found.about["seconds_each"]
    assert 0.2 < each < 0.5
    for entry in found.entries:
        slack = 3 * entry.seconds / entry.steps + 0.1  # a step is not cut in two; the machine may be busy
        assert each <= entry.seconds <= each + slack
        assert entry.looks[-1].step == entry.steps


def test_trial_steps_fit_the_budget():  # closed form: 0.4 · 60 s / (8 rates · 2 methods · 10 ms)
    pace = {"sgd": 0.01, "adamw": 0.01}
    assert trial_steps(pace, 60.0) == int(0.4 * 60 / (len(FACTORS) * 0.02))
    assert trial_steps(pace, 1e6) == 500
    assert trial_steps(pace, 0.01) == 0
    assert Way(steps=8).share(2, 99.0) == Way(seconds=4.0).share(99, 1.0) == 0.25


def test_validation_may_be_absent():
    found = race(program(val=None), ["sgd"], steps=5, rates={"sgd": 0.1}, training=ONE_THREAD)
    assert found["sgd"].looks[-1].val == {} and found.winner["validation"] is None and found.levels("val") == ()


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(InputError, match="no method is called 'adamq'"):
        race(program(), ["sgd", "adamq"], steps=3)
    with pytest.raises(InputError, match="no method is named"):
        race(program(), [], steps=3)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"budget": 0.0}, {"budget": math.inf}, {"steps": 1, "budget": 1.0}])
def test_a_length_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match="race:"):
        race(program(), ["sgd"], **wrong)


def test_a_rate_of_a_method_that_does_not_race_is_refused():
    with pytest.raises(InputError, match="adamw, which does not race"):
        race(program(), ["sgd"], steps=3, rates={"adamw": 0.1})


def test_a_recipe_races_into_a_folder(tmp_path):
    changes = ["data.source=digits", "model.name=mlp", "model.width=8", "training.device=cpu", "precision.threads=1"]
    recipe = Recipe().override([*changes, "precision.dtype=float32", "precision.channels_last=false"])
    told = []
    found = race(
        recipe.override(["optimizer.lr=0.5"]),
        ["sgd", "adamw"],
        steps=20,
        rates=RATES,
        folder=tmp_path / "race",
        callbacks=[lambda event, state: told.append((event, state.text))],
    )
    written = json.loads((tmp_path / "race" / "race.json").read_text())
    assert written == json.loads(json.dumps(found.to_dict()))
    assert {path.name for path in (tmp_path / "race").iterdir()} == {"race.json", "race.html", "recipe.toml"}
    assert Recipe.read(tmp_path / "race" / "recipe.toml").model.width == 8
    assert any("optimizer.lr is not used" in text for event, text in told if event == "message")
    assert ("stage", "racing sgd, adamw") in told


def test_settings_go_to_the_methods_that_have_them():
    recipe = Recipe().override(["optimizer.momentum=0.5", "optimizer.beta2=0.9", "optimizer.weight_decay=0.1"])
    sgd, adamw = optimizer_section(recipe, "sgd"), optimizer_section(recipe, "adamw")
    assert (sgd.momentum, sgd.beta2, adamw.momentum, adamw.beta2) == (0.5, None, None, 0.9)
    assert sgd.weight_decay == adamw.weight_decay == 0.1
    assert optimizer_section(Recipe(), "adamw").weight_decay == 0  # left open: all minimize the same function


def test_a_schedule_that_follows_the_run_is_refused():
    for wrong in (["schedule.name=plateau"], ["schedule.name=inverse", "schedule.options={decay=0.1}"]):
        with pytest.raises(InputError, match="race: schedule"):
            race(Recipe().override(["data.source=digits", *wrong]), ["sgd"], budget=1.0)


def test_json_has_what_the_page_needs(tuned):
    found = json.loads(json.dumps(tuned.to_dict(), allow_nan=False))
    assert set(found["winner"]) == {"step", "second", "validation"} and found["task"] == "classification"
    assert [method["name"] for method in found["methods"]] == ["sgd", "adamw"]
    method = found["methods"][0]
    assert set(method["curve"][0]) == {
        "step", "seconds", "train_loss", "train_accuracy", "val_loss", "val_accuracy"
    }  # fmt: skip
    assert len(method["to_level"]["train"]) == len(found["levels"]["train"]) == 4
    assert [row["name"] for row in tuned.table()] == ["sgd", "adamw"] and "sgd" in str(tuned)
