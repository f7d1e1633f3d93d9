"""The optimizers by name, each built from the trainable parameters with decay on matrices only.

``adamw``: m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  w ← w − lr·(m̂ / (√v̂ + ε) + λw), bias-corrected (torch's form).
``sgd``:   b ← μb + g + λw,  w ← w − lr·(g + λw + μb)  (Nesterov's look-ahead in torch's form).
Source: deck M, basic methods; Loshchilov & Hutter 2019, arXiv:1711.05101; Sutskever et al. 2013.

``fused`` runs one kernel for all tensors: several times faster than the loop, on the CPU too, but only right while
gradients and states have the strides of their parameters; the engine keeps it so (checkpoints are copied into
states of the parameter's own layout).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from trainwell.optim.decay_groups import decay_groups


def adamw(
    parameters: Iterable[nn.Parameter],
    lr: float = 1e-3,
    *,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    fused: bool | None = None,
    **_: Any,
) -> torch.optim.Optimizer:
    """AdamW with torch's defaults; ``fused=None`` uses the fused kernel where every parameter allows it."""
    groups = decay_groups(parameters, weight_decay)
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=_can_fuse(groups) if fused is None else fused)


def sgd(
    parameters: Iterable[nn.Parameter],
    lr: float = 0.1,
    *,
    weight_decay: float = 5e-4,
    momentum: float = 0.9,
    nesterov: bool = True,
    fused: bool | None = None,
    **_: Any,
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum 0.9 (He et al. 2016's momentum, Sutskever's look-ahead)."""
    groups = decay_groups(parameters, weight_decay)
    return torch.optim.SGD(
        groups,
        lr=lr,
        momentum=momentum,
        nesterov=nesterov and momentum > 0,
        fused=_can_fuse(groups) if fused is None else fused,
    )


def _can_fuse(groups: list[dict[str, Any]]) -> bool:
    return all(
        p.is_floating_point() and p.device.type in {"cpu", "cuda", "mps"} for group in groups for p in group["params"]
    )


METHODS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adamw": adamw, "sgd": sgd}
