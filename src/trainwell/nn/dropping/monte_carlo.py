"""Monte Carlo dropout: keep dropping at test time, and read the spread of the answers as uncertainty.

    mean = (1/T) Σ_t f(x; m_t),    std² = (1/(T − 1)) Σ_t (f(x; m_t) − mean)²,    m_t the masks of T forward passes.

The mean's standard error is std/√T. Only dropout layers are in training mode: norms use their running statistics.
Source: Gal & Ghahramani 2016, arXiv:1506.02142, eq. 6.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainwell.nn.operations import kind_of


class MonteCarlo(NamedTuple):
    """Mean and standard deviation of the answers, each of the shape of one answer."""

    mean: Tensor
    std: Tensor


@torch.no_grad()
def mc_predict(model: nn.Module, x: Any, samples: int, generator: torch.Generator | None = None) -> MonteCarlo:
    """Run ``model`` on ``x`` ``samples`` times with its dropout layers on; modes are as before when it returns.

    Args:
        model: with one dropout layer or more: torch's, ours, or DropConnect.
        x: what ``forward`` takes as its one argument.
        samples: number of forward passes T, 2 or more; the standard error falls as 1/√T.
        generator: seeds the masks, and leaves torch's global state alone; if None the global one is used up.

    Raises:
        ValueError: if ``samples`` is below 2 or the model has no dropout layer.
    """
    if samples < 2:
        raise ValueError(f"mc_predict: samples={samples} have no spread. Use 2 or more.")
    modes = [(module, module.training) for module in model.modules()]
    dropouts = [module for module, _ in modes if kind_of(module) == "dropout"]
    if not dropouts:
        raise ValueError("mc_predict: the model has no dropout layer, so all its answers are alike. Train it with one.")
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        model.eval()
        for module in dropouts:
            module.train()
        if generator is None:
            return _moments(model, x, samples)
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            return _moments(model, x, samples)
    finally:
        for module, mode in modes:
            module.training = mode


def _moments(model: nn.Module, x: Any, samples: int) -> MonteCarlo:
    """Welford's recurrence: no stack of answers, and no cancellation."""
    mean = model(x)
    squares = torch.zeros_like(mean)
    for count in range(2, samples + 1):
        answer = model(x)
        step = answer - mean
        mean = mean + step / count
        squares = squares + step * (answer - mean)
    return MonteCarlo(mean, (squares / (samples - 1)).sqrt())
