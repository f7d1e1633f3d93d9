"""Many models at once: the same as each by itself with PyTorch's own clipping."""

import pytest
import torch
from torch.testing import assert_close

from trainwell.lab.signal.clipped_crowd import descend_together

RATES = (0.1, 0.01, 0.3)


def steep(parameters, step):
    return (parameters**4).sum(1) * (1 + 0.1 * step)


def alone(start, rate, limit, steps):
    model = start.clone().requires_grad_()
    for step in range(steps):
        model.grad = None
        steep(model[None], step).sum().backward()
        if limit is not None:
            torch.nn.utils.clip_grad_norm_([model], limit)
        with torch.no_grad():
            model -= rate * model.grad
    return model.detach()


@pytest.mark.parametrize("limit", [None, 0.5])
def test_each_goes_the_way_it_goes_alone(limit):
    starts = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 2
    together = descend_together(starts, RATES, steep, steps=20, limit=limit)
    assert together.places.shape == (21, 3, 4) and together.losses.shape == (20, 3)
    assert_close(together.losses[0], steep(starts, 0))
    for start, rate, last in zip(starts, RATES, together.places[-1], strict=True):
        assert_close(last, alone(start, rate, limit, 20), rtol=1e-5, atol=0)  # torch adds 1e-6 to the norm


def test_a_broken_model_leaves_the_others_alone():
    starts = torch.tensor([[1e30, 1.0], [0.5, 0.5]], dtype=torch.float64)
    together = descend_together(starts, RATES[:2], steep, steps=9, limit=None)
    assert not together.places[-1, 0].isfinite().all()
    assert_close(together.places[-1, 1], alone(starts[1], RATES[1], None, 9))


def test_the_limit_bounds_every_step_and_its_absence_does_not():  # control
    starts = torch.full((3, 4), 3.0, dtype=torch.float64)
    longest = [
        descend_together(starts, RATES, steep, steps=1, limit=limit).places.diff(dim=0).norm(dim=2)[0]
        for limit in (0.5, None)
    ]
    assert_close(longest[0], 0.5 * torch.tensor(RATES, dtype=torch.float64))
    assert (longest[1] > 10 * longest[0]).all()
