"""Averages of the weights along a run, in ``torch.optim.swa_utils.AveragedModel``.

    polyak   x̄_t = (x_1 + … + x_t)/t                      Polyak–Ruppert: every step, from wherever it is first called
    swa      the same mean, updated once an epoch         Izmailov et al.: with a constant or cyclic rate at the end
    ema      x̄_t = d x̄_{t−1} + (1 − d) x_t,  x̄_1 = x_1     an average over the last 1/(1 − d) steps

On a quadratic with gradient noise the mean has an error of order 1/t at any constant rate, where the last iterate
stays at its floor ∝ η (O02). A mean that begins too early remembers the start: begin it at the plateau. Running moments
of batch norm belong to the iterates; ``torch.optim.swa_utils.update_bn(loader, averaged)`` measures them for x̄.
``Training(ema=…)`` of the engine is the third, with a warm-up of d.

Memory: 1 number a parameter. Cost: O(n) an update. Source: deck M (averaging); Polyak & Juditsky 1992; Ruppert 1988;
Izmailov et al. 2018, arXiv:1803.05407; Kingma & Ba 2015, §7.2.
"""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_Tensors = list[Tensor] | tuple[Tensor, ...]
KINDS = ("polyak", "swa", "ema")


def averaged(model: nn.Module, kind: str = "polyak", decay: float = 0.999) -> AveragedModel:
    """A copy of the model that follows the average of its weights.

    Args:
        model: is left as it is.
        kind: ``polyak``, ``swa`` (the same rule, called once an epoch) or ``ema``.
        decay: d of ``ema``, in [0, 1).

    Returns:
        Torch's ``AveragedModel``: ``update_parameters(model)`` takes the present weights in, ``.module`` is the copy.

    Raises:
        ValueError: for an unknown kind, or d outside [0, 1).

    Example:
        >>> net = nn.Linear(1, 1, bias=False)
        >>> mean = averaged(net)
        >>> for value in (1.0, 2.0, 6.0):
        ...     _ = nn.init.constant_(net.weight, value)
        ...     mean.update_parameters(net)
        >>> mean.module.weight.item()
        3.0
    """
    if kind not in KINDS:
        raise ValueError(f"averaged: kind={kind!r} must be one of {', '.join(KINDS)}.")
    if not 0 <= decay < 1:
        raise ValueError(f"averaged: decay={decay} must lie in [0, 1).")
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay) if kind == "ema" else _mean)


@torch.no_grad()
def _mean(averages: _Tensors, weights: _Tensors, seen: Tensor | int) -> None:
    """x̄ ← x̄ + (x − x̄)/(seen + 1), as torch's for float32; torch's own divides in float32 for float64 weights too."""
    gaps = list(torch._foreach_sub(weights, averages))
    torch._foreach_mul_(gaps, 1.0 / (torch.as_tensor(seen).double() + 1.0))
    torch._foreach_add_(averages, gaps)
