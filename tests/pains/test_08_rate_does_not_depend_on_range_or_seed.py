"""ourownstory/neural_prophet#892: the suggested rate depends on range and seed, and disagrees with the eye."""

from functools import partial

import numpy as np
import torch
from pain_programs import FEATURES, program, table
from torch import nn

from trainwell.training import rate

RANGES = ((1e-5, 10.0), (1e-6, 10.0), (1e-5, 3.0))
SEEDS = range(4)


def searches(monkeypatch):
    """A search for every range and seed, the weights drawn anew for every seed."""
    found = []
    for low, high in RANGES:
        monkeypatch.setattr(rate, "LOWEST", low)
        monkeypatch.setattr(rate, "HIGHEST", high)
        for seed in SEEDS:
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, 3))
            made = program(model=model, train=table(200), optimizer=partial(torch.optim.AdamW, lr=1e-3), batch_size=16)
            found.append(rate.search_rate(made, seed=seed, device="cpu"))
    return found


def steepest(found):
    """The usual rule: the rate where the raw loss falls fastest."""
    return found.rates[int(np.argmin(np.gradient(found.losses)))]


def spread(values):
    return max(values) / min(values)


def test_suggestions_keep_together_and_lie_where_the_loss_falls(monkeypatch):
    found = searches(monkeypatch)
    assert spread([search.suggestion for search in found]) < 9  # within a factor of three of a middle
    for search in found:
        lowest = search.rates[int(np.argmin(search.losses))]
        assert search.rates[0] < search.suggestion < lowest
    assert spread([steepest(search) for search in found]) > 20  # control: the same curves, the usual rule
