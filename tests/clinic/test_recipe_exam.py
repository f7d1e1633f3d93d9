"""The exam before a training: which cures a recipe takes, what is only said, and that nothing else is changed."""

import json
import pathlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from trainwell.clinic.allowance import ILL, LEAST, SHARE, Allowance
from trainwell.clinic.cure import Change, Cure, together
from trainwell.clinic.recipe_exam import RecipeExam
from trainwell.clinic.recipe_fields import fields_of, is_setting
from trainwell.training import Recipe
from trainwell.training.decide import decide
from trainwell.training.defaults import resolve
from trainwell.training.draft import Draft
from trainwell.training.jobs import read_data, train
from trainwell.training.state import Teller

PLAIN = ["precision.dtype=float32", "precision.threads=1", "precision.channels_last=false", "output.report=false"]
SMALL = ["model.name=mlp", "model.width=32", "model.depth=1", "training.epochs=6", "optimizer.name=adamw"]


def recipe_of(*changes: str) -> Recipe:
    return Recipe().override([*PLAIN, *SMALL, "data.source=digits", "optimizer.lr=0.003", *changes])


def draft_of(recipe: Recipe, folder: pathlib.Path) -> Draft:
    dataset = read_data(recipe, Teller())
    program, recipe, search = decide(resolve(recipe, dataset), dataset, Teller())
    return Draft(program, recipe, dataset, folder, Teller(), search)


def examined(draft: Draft, given: Any = ()) -> tuple[Draft, dict[str, Any]]:
    after = RecipeExam(given)(draft)
    file = draft.folder / "exam.json"
    return after, json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def cure(*changes: Change, name: str = "") -> Cure:
    return Cure(name, changes, lambda program: program)


OWN = Recipe().override(["model.name=plain_mlp", "model.norm=none", "data.scaling=none"])
CASES = [
    (cure(Change("optimizer.lr", 50.0, 0.5)), {"optimizer.lr": 0.5}),
    (cure(Change("optimizer.momentum", 0.999, 0.9)), {"optimizer.momentum": 0.9}),
    (cure(Change("clip_grad", None, 1.0)), {"optimizer.clip_norm": 1.0}),
    (cure(Change("batch_size", 4096, 32)), {"training.batch_size": 32}),
    (cure(Change("epochs", 1, 5)), {"training.epochs": 5}),
    (cure(Change("model.weights", "as drawn", "trainwell.init.apply_(model, 'xavier', …)")), {"init.scheme": "xavier"}),
    (cure(Change("model.body.0", "Sigmoid", "nn.ReLU()")), {"model.activation": "relu"}),
    (cure(Change("model.body.0", "Linear()", "nn.Sequential(Linear(), LayerNorm((8,)))")), {"model.norm": "layer"}),
    (cure(Change("model.body.2.p", 0.9, 0.2)), {"model.dropout": 0.2}),
    (cure(Change("loss", "…", "…"), name="weigh the classes"), {"loss.class_weights": "balanced"}),
    (cure(Change("model", "…", "…"), name="whiten the inputs inside the model"), {"data.scaling": "zca"}),
    (cure(Change("shuffle", False, True)), None),
    (cure(Change("train", "9 samples", "8 samples")), None),
    (cure(Change("model.body.0", "layer(x)", "x + 0.5 * layer(x)")), None),
    (cure(Change("optimizer.betas", "(0.99, 0.9)", "(0.9, 0.9)")), None),
]


@pytest.mark.parametrize(("given", "fields"), CASES, ids=[str(case.changes[0].target) for case, _ in CASES])
def test_a_change_has_its_field(given, fields):
    assert fields_of(given, OWN) == fields


def test_a_cure_with_a_change_that_has_no_field_has_none():
    assert fields_of(together([CASES[0][0], CASES[-1][0]]), OWN) is None


def test_our_models_draw_for_their_activation():
    both = together([CASES[6][0], CASES[5][0]])
    assert fields_of(both, OWN) == {"model.activation": "relu"}


def test_the_net_of_somebody_else_has_no_fields():
    theirs = Recipe().override(["model.name=net.py:build"])
    assert fields_of(CASES[5][0], theirs) is None and fields_of(CASES[6][0], theirs) is None
    assert fields_of(CASES[0][0], theirs) == {"optimizer.lr": 0.5}


def test_what_the_recipe_says_already_is_no_change():
    assert fields_of(cure(Change("model", "…", "…"), name="standardize the inputs inside the model"), Recipe()) is None


def test_only_settings_are_what_was_tried():
    assert is_setting(["optimizer.lr", "optimizer.clip_norm"]) and not is_setting(["optimizer.lr", "model.norm"])


def test_given_are_the_fields_of_file_and_overrides(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text("[optimizer]\nlr = 0.1\n", encoding="utf-8")
    assert Recipe.read(file).override(["model.depth=3"]).given() == {"optimizer.lr", "model.depth"}
    assert Recipe().given() == frozenset()
    file.write_text(Recipe().to_toml(), encoding="utf-8")  # a recipe that was written whole was meant whole
    assert {"optimizer.name", "training.seed"} <= Recipe.read(file).given()


def test_the_allowance_grows_with_the_training_and_for_the_ill():
    told: list[float] = []
    meter = Allowance(told.append)
    meter.allow(100)
    assert meter.left == LEAST
    meter.allow(10_000)
    assert meter.left == SHARE * 10_000
    meter.allow(100)
    meter.extend()
    meter.spend(30)
    assert meter.left == ILL - 30 and told == []
    meter.began -= 60
    meter.spend(45)
    assert told == [75 / ILL]


def test_a_healthy_training_is_what_it_was(tmp_path):
    draft = draft_of(recipe_of(), tmp_path)
    weights = {name: value.clone() for name, value in draft.program.model.state_dict().items()}
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    after, told = examined(draft)
    assert after is draft and told["healthy"] and told["said"] == [] and draft.teller.messages == []
    assert all(torch.equal(weights[name], value) for name, value in draft.program.model.state_dict().items())
    assert not any(p.grad is not None for p in draft.program.model.parameters()) and draft.program.model.training
    assert torch.equal(random, torch.get_rng_state()) and threads == torch.get_num_threads()
    assert told["cost"]["passes"] <= LEAST


def test_a_rate_of_ones_own_stays_and_a_better_one_is_told(tmp_path):
    draft = draft_of(recipe_of("optimizer.lr=50"), tmp_path)
    after, told = examined(draft, given=["optimizer.lr"])
    assert after is draft and told["applied"] == {}
    (sentence,) = told["said"]
    assert "optimizer.lr stays as given, optimizer.lr = " in sentence and "`trainwell explain lr-too-high`" in sentence
    assert draft.teller.messages == [sentence]


def test_a_rate_that_nobody_chose_is_changed(tmp_path):
    draft = draft_of(recipe_of("optimizer.lr=50"), tmp_path)
    after, told = examined(draft)
    lr = told["applied"]["optimizer.lr"]
    assert lr < 50 and after.recipe.optimizer.lr == lr and after.program.model is draft.program.model
    assert after.program.optimizer(after.program.model).param_groups[0]["lr"] == lr
    assert f"applied optimizer.lr = {lr:.4g}" in told["said"][0] and "the exam" in after.recipe.picked["lr"]
    assert draft.recipe.optimizer.lr == 50  # control: the draft itself is as it was


@pytest.mark.parametrize("given", [(), ("model.activation",)])
def test_a_net_that_cannot_learn_is_built_with_another_activation(tmp_path, given):
    start = Recipe().override(
        [
            *PLAIN, "data.source=digits", "model.name=plain_mlp", "model.width=32", "model.depth=10",
            "model.activation=sigmoid", "optimizer.name=adamw", "training.epochs=20",
        ]
    )  # fmt: skip
    draft = draft_of(start, tmp_path)
    after, told = examined(draft, given)
    assert "vanishing-gradient" in told["said"][0] and told["findings"][0]["code"] == "vanishing-gradient"
    if given:
        assert after is draft and "model.activation stays as given, model.activation = relu may help" in told["said"][0]
    else:
        assert after.recipe.model.activation == "relu" and told["applied"] == {"model.activation": "relu"}
        assert after.recipe.optimizer.lr != draft.recipe.optimizer.lr  # searched anew, for the net that learns
        assert any(isinstance(m, torch.nn.ReLU) for m in after.program.model.modules())


def test_a_net_that_nothing_mends_is_told_of(tmp_path):
    start = recipe_of(
        "model.name=plain_mlp", "model.width=16", "model.depth=40", "model.activation=tanh", "optimizer.lr=1e-4"
    )
    _, told = examined(draft_of(start, tmp_path), given=["model.depth"])
    assert [finding["code"] for finding in told["findings"] if finding["severity"] != "info"] and not told["healthy"]
    _, control = examined(draft_of(recipe_of(), tmp_path), given=["model.depth"])
    assert control["healthy"]


def test_sorted_rows_that_nothing_shuffles_are_said(tmp_path):
    draft = draft_of(recipe_of(), tmp_path)
    order = np.argsort(draft.program.train[1], kind="stable")
    sorted_rows = tuple(np.asarray(piece)[order] for piece in draft.program.train)
    after, told = examined(replace(draft, program=replace(draft.program, train=sorted_rows, shuffle=False)))
    assert told["findings"][0]["code"] == "unshuffled-data" and told["applied"] == {}
    assert "shuffle the samples every epoch" in told["said"][0] and after.recipe == draft.recipe


def test_rows_that_leak_are_said_of_a_table_without_categories(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"{','.join(f'{v:.4f}' for v in x)},{'tall' if x[0] > x[1] else 'small'}" for x in rng.normal(size=(150, 6))
    ]
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(["a,b,c,d,e,f,kind", *rows * 3]) + "\n", encoding="utf-8")
    recipe = recipe_of(f'data.source="{file}"', "data.target=kind")
    _, told = examined(draft_of(recipe, tmp_path))
    codes = [finding["code"] for finding in told["findings"]]
    assert codes[0] == "train-val-leak" and told["said"][0].startswith("Exam") and told["applied"] == {}
    file.write_text("\n".join(["a,b,c,d,e,f,kind", *rows]) + "\n", encoding="utf-8")  # control
    (tmp_path / "control").mkdir()
    assert examined(draft_of(recipe, tmp_path / "control"))[1]["said"] == []


def test_an_exam_that_fails_says_so_and_lets_the_training_go_on(tmp_path, monkeypatch):
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("by a probe")

    monkeypatch.setattr("trainwell.clinic.recipe_look.suspicions", broken)
    draft = draft_of(recipe_of(), tmp_path)
    after, told = examined(draft)
    assert after is draft and told == {}
    assert draft.teller.messages == [
        "The exam broke off (ZeroDivisionError: by a probe); the training goes on without it."
    ]


def test_training_after_a_silent_exam_is_bit_identical(tmp_path):
    recipe = recipe_of("model.dropout=0.2", "training.epochs=2")
    for name, before in (("with", RecipeExam(())), ("without", None)):
        folder = recipe.changed({"output.folder": str(tmp_path / name)})
        train("digits", folder, before=before)
    assert json.loads((tmp_path / "with" / "exam.json").read_text())["healthy"]
    for file in ("model.safetensors", "best.safetensors", "metrics.jsonl"):
        assert (tmp_path / "with" / file).read_bytes() == (tmp_path / "without" / file).read_bytes()
    assert not (tmp_path / "without" / "exam.json").exists()


def test_a_recipe_without_exam_is_not_examined(tmp_path):
    def looked(draft: Draft) -> Draft:
        raise AssertionError

    folder = f'output.folder="{tmp_path / "run"}"'
    train("digits", recipe_of("training.exam=false", "training.epochs=1", folder), before=looked)
    with pytest.raises(AssertionError):  # control
        train("digits", recipe_of("training.epochs=1", f'output.folder="{tmp_path / "other"}"'), before=looked)
