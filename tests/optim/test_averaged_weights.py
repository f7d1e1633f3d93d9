"""Averages of weights against their closed forms."""

import pytest
import torch
from torch import nn

from trainwell.optim import averaged


def follow(kind, values, **options):
    model = nn.Linear(1, 1, bias=False).double()
    mean = averaged(model, kind, **options)
    for value in values:
        nn.init.constant_(model.weight, value)
        mean.update_parameters(model)
    assert model.weight.item() == values[-1]
    return mean.module.weight.item()


VALUES = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0]


@pytest.mark.parametrize("kind", ["polyak", "swa"])
def test_the_mean_is_the_mean(kind):
    assert follow(kind, VALUES) == pytest.approx(sum(VALUES) / len(VALUES), rel=1e-12)


def test_the_exponential_average_is_its_sum():  # dᵗ⁻¹ x_1 + (1 − d) Σ dᵗ⁻ⁱ x_i
    d, t = 0.8, len(VALUES)
    expected = d ** (t - 1) * VALUES[0] + (1 - d) * sum(d ** (t - i) * VALUES[i - 1] for i in range(2, t + 1))
    assert follow("ema", VALUES, decay=d) == pytest.approx(expected, rel=1e-12)


def test_averaging_takes_the_noise_out_of_a_constant_rate():  # control: the last iterates keep their floor
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(300, 1, bias=False).double()
    optimizer, mean = torch.optim.SGD(model.parameters(), lr=0.2), averaged(model)
    for step in range(600):
        noise = torch.randn(1, 300, dtype=torch.float64, generator=generator)
        model.weight.grad = model.weight.detach() + noise
        optimizer.step()
        if step >= 100:
            mean.update_parameters(model)
    floor = model.weight.square().mean().item()
    assert floor == pytest.approx(0.2 / (2 - 0.2), rel=4 * (2 / 300) ** 0.5)  # O02: t s²/(λ(2 − tλ))
    assert mean.module.weight.square().mean().item() < 0.05 * floor


def test_unknown_kinds_and_decays_are_refused():
    with pytest.raises(ValueError, match="kind='median'"):
        averaged(nn.Linear(1, 1), "median")
    with pytest.raises(ValueError, match=r"decay=1\.0"):
        averaged(nn.Linear(1, 1), "ema", decay=1.0)
