"""The range test of a program: a quadratic whose largest stable rate is known, and that nothing is touched."""

from functools import partial

import pytest
import torch
from small_programs import FEATURES, Rows, mlp, program, weights
from torch import nn
from torch.utils.data import DataLoader

from trainwell.errors import JobError
from trainwell.training import Training, fit, rate
from trainwell.training.rate import search_rate


def quadratic(scale=1.0, n=256):
    """Least squares; full-batch gradient descent is stable below 2 / λmax of the Hessian 2 XᵀX / n."""
    x = scale * torch.randn(n, FEATURES, generator=torch.Generator().manual_seed(0))
    y = x @ torch.ones(FEATURES, 1) / scale
    made = program(
        nn.Linear(FEATURES, 1, bias=False),
        train=(x, y),
        val=None,
        loss=nn.MSELoss(),
        optimizer=partial(torch.optim.SGD, lr=1e-3),
        batch_size=64,
    )
    return made, 2 / float(torch.linalg.eigvalsh(2 * x.T @ x / n).max())


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_suggestion_for_a_quadratic_is_stable_and_not_timid(scale):
    torch.manual_seed(0)
    made, limit = quadratic(scale)
    found = search_rate(made, seed=0, device="cpu")
    assert limit / 100 < found.suggestion < limit
    assert len(found.rates) == len(found.losses) and found.rates == sorted(found.rates)


def test_the_suggested_rate_trains_and_one_beyond_the_limit_does_not():
    made, limit = quadratic()
    found = search_rate(made, seed=0, device="cpu").suggestion
    good, bad = (quadratic()[0] for _ in range(2))
    for made, lr in ((good, found), (bad, 3 * limit)):
        torch.manual_seed(0)
        made.model.weight.data.fill_(0.0)
        object.__setattr__(made, "optimizer", partial(torch.optim.SGD, lr=lr))
        object.__setattr__(made, "epochs", 12)
    run = fit(good)
    assert run.history[-1]["train_loss"] < 0.05 * run.history[0]["train_loss"] and not run.notes
    assert fit(bad).notes  # control: it had to step back


@pytest.mark.parametrize("kind", ["quadratic", "classifier"])
def test_suggestion_keeps_within_a_factor_of_three_over_seeds_and_ends_of_the_range(kind, monkeypatch):
    """neural_prophet#892: the suggestion depended on range and seed."""

    def make():
        return quadratic()[0] if kind == "quadratic" else program(mlp(), optimizer=partial(torch.optim.AdamW, lr=1e-3))

    found = []
    for low, high in ((1e-5, 10.0), (1e-6, 10.0), (1e-5, 3.0)):
        monkeypatch.setattr(rate, "LOWEST", low)
        monkeypatch.setattr(rate, "HIGHEST", high)
        torch.manual_seed(1)
        made = make()
        found += [search_rate(made, seed=seed, device="cpu").suggestion for seed in range(3)]
    assert max(found) / min(found) < 9  # within a factor of three of a middle


@pytest.mark.parametrize(
    "data",
    [None, lambda: DataLoader(Rows(), batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(1))],
    ids=["in memory", "a loader"],
)
def test_model_optimizer_and_random_state_are_as_before(data):
    """pytorch-lightning#6675 and three more: the finder left the weights changed."""
    model = mlp(0.5, norm=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.123)
    changes = {"train": data()} if data else {}
    made = program(model, optimizer=optimizer, **changes)
    before, state, mode = weights(model), torch.get_rng_state(), model.training
    first = search_rate(made, seed=3, device="cpu")
    assert torch.equal(weights(model), before) and torch.equal(torch.get_rng_state(), state)
    assert model.training == mode and not optimizer.state and optimizer.param_groups[0]["lr"] == 0.123
    assert all(p.grad is None for p in model.parameters())
    assert search_rate(made, seed=3, device="cpu") == first


def test_a_loss_that_never_falls_is_a_sentence():
    made = program(loss=lambda output, y: output.sum() * 0 + 1.0, task="classification")
    with pytest.raises(JobError, match=r"The range test found no learning rate: .*never falls.*--lr"):
        search_rate(made, seed=0, device="cpu")


def test_progress_rises_to_one():
    told = []
    search_rate(program(), seed=0, device="cpu", tell=told.append)
    assert told == sorted(told) and told[0] >= 0 and 0.5 < told[-1] <= 1


def test_the_suggestion_has_two_digits():
    found = search_rate(quadratic()[0], seed=0, device="cpu").suggestion
    assert found == float(f"{found:.2g}")


def test_the_whole_precision_is_tried_as_it_will_be_trained():
    found = search_rate(program(), seed=0, device="cpu", dtype="bfloat16")
    assert found.suggestion > 0
    assert Training(dtype="bfloat16").dtype == "bfloat16"
