"""Lightning-AI/pytorch-lightning#6675, #10557, #21068, davidtvs/pytorch-lr-finder#11: the rate finder leaves the
weights changed, returns None, or logs a rate that it never sets."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from pain_programs import mlp, program, table, weights
from torch.nn.functional import cross_entropy

from trainwell.errors import JobError
from trainwell.training import Recipe, jobs
from trainwell.training.rate import search_rate


def test_model_moments_optimizer_and_random_state_stay_as_they_were():
    model = mlp(norm=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.123)
    before, random = weights(model), torch.get_rng_state()
    found = search_rate(program(model=model, optimizer=optimizer), seed=0, device="cpu")
    assert isinstance(found.suggestion, float)
    assert torch.equal(weights(model), before) and torch.equal(torch.get_rng_state(), random)
    assert optimizer.param_groups[0]["lr"] == 0.123 and not optimizer.state and model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_bare_range_test_leaves_another_model():  # control
    model = mlp(norm=True)
    before, (x, y) = weights(model), table()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for rate in np.geomspace(1e-5, 10, 20):
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
    assert not torch.equal(weights(model), before)


def test_the_rate_that_is_said_is_the_rate_that_is_used_and_written(tmp_path):
    x, y = table(200)
    np.savez(tmp_path / "t.npz", X=x.numpy(), y=y.numpy())
    recipe = Recipe().override(
        [
            "precision.dtype=float32",
            "precision.threads=1",
            "model.name=mlp",
            "training.epochs=1",
            "schedule.name=constant",
            "schedule.warmup=0",
            "output.report=false",
            f"output.folder='{tmp_path / 'run'}'",
        ]
    )
    rates = set()

    def note(event, state):
        if event == "step_end":
            rates.update(group["lr"] for group in state.optimizer.param_groups)

    run = jobs.train(str(tmp_path / "t.npz"), recipe, callbacks=[note])
    (rate,) = rates
    assert Recipe.read(run.folder / "recipe.toml").optimizer.lr == run.recipe.optimizer.lr == rate
    assert any(f"Learning rate {rate:g}" in text for text in run.notes)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert {line["lr"] for line in lines if line["event"] == "step"} == {rate}


def test_no_rate_is_an_error_and_never_none():
    def flat(output, y):
        return output.sum() * 0 + 1.0

    with pytest.raises(JobError, match="found no learning rate"):
        search_rate(program(loss=flat, task="classification"), seed=0, device="cpu")


def test_a_rate_of_a_program_that_has_one_already_is_its_own_business():
    made = program(optimizer=partial(torch.optim.SGD, lr=0.5))
    search_rate(made, seed=0, device="cpu")
    assert made.optimizer.keywords == {"lr": 0.5}
