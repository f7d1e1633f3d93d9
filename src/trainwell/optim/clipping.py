"""Clipping of gradients, and how often it acted.

    value     g_i ← max(−c, min(c, g_i))                                           each number
    norm      g ← g · min(1, c / ‖g‖), ‖g‖ over all parameters                     keeps the direction; a step is ≤ ηc
    layer     the same for each parameter by itself
    adaptive  g_u ← g_u · min(1, c · max(‖w_u‖, ε) / ‖g_u‖)                        each unit u: a row of a matrix, a
              filter of a kernel, a vector as a whole

Deck K's "set the gradient to the threshold" has to be read as rescaling (norm). The adaptive one is for networks
without normalization: leave their last layer out. Nothing waits for the device: counts are tensors.
Source: deck K, gradient clipping; Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063 (norm); Brock et al. 2021,
arXiv:2102.06171, §4 (adaptive; c = 0.01 for batches of 4096, larger for small ones; ε = 1e-3).
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


def gradients_of(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters that have a gradient.

    Raises:
        ValueError: if a gradient is sparse.
    """
    found = [p for p in parameters if p.grad is not None]
    if any(p.grad.layout != torch.strided for p in found if p.grad is not None):
        raise ValueError("clipping takes no sparse gradients. Use nn.Embedding(sparse=False), or leave clipping out.")
    return found


def unit_norms(x: Tensor) -> Tensor:
    """Norms of a tensor's units, shaped to multiply it: of rows and filters; of a vector or number as a whole."""
    if x.dim() <= 1:
        return torch.linalg.vector_norm(x)
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.dim())), keepdim=True)


class Clipper:
    """Changes gradients in place; returns their global norm before.

    Args:
        limit: c, above 0; in units of the gradient (adaptive: a share of the weight's norm).

    Attributes:
        acted: how many units were changed so far (numbers, whole gradients, parameters, or rows), an int64 tensor.
        seen: how many were looked at.
    """

    what: ClassVar[str] = ""
    default: ClassVar[float] = 1.0

    def __init__(self, limit: float | None = None) -> None:
        self.limit = self.default if limit is None else limit
        if not 0 < self.limit < math.inf:
            raise ValueError(f"clipping: the limit {limit} must be above 0 and finite. Leave clipping out for none.")
        self.acted, self.seen = torch.zeros((), dtype=torch.int64), 0

    def __call__(self, parameters: Iterable[Tensor]) -> Tensor:
        """Clip the gradients of the parameters; returns their global norm before, a 0-dim tensor on their device."""
        members = gradients_of(parameters)
        if not members:
            return torch.zeros(())
        norm, acted, seen = self.clip(members, [p.grad for p in members if p.grad is not None])
        self.acted, self.seen = self.acted.to(acted.device) + acted, self.seen + seen
        return norm

    def clip(self, parameters: list[Tensor], gradients: list[Tensor]) -> tuple[Tensor, Tensor, int]:
        """Change the gradients; the global norm before, how many units were changed and how many there are."""
        raise NotImplementedError

    def share(self) -> float:
        """Share of the units that were changed, in [0, 1]; waits for the device."""
        return float(self.acted) / self.seen if self.seen else 0.0

    def state_dict(self) -> dict[str, Any]:
        """The counts, for a run that is resumed."""
        return {"acted": self.acted.cpu().clone(), "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the counts back."""
        self.acted, self.seen = state["acted"].clone(), int(state["seen"])


class ByNorm(Clipper):
    """Global norm; torch's ``clip_grad_norm_``, bit for bit. Counts steps."""

    what = "g · min(1, c / ‖g‖), norm of all gradients together"

    def clip(self, parameters: list[Tensor], gradients: list[Tensor]) -> tuple[Tensor, Tensor, int]:
        norm = nn.utils.clip_grad_norm_(parameters, self.limit)
        return norm, (norm > self.limit).long(), 1


class ByValue(Clipper):
    """Each number; torch's ``clip_grad_value_``. It changes the direction. Counts numbers."""

    what = "every number of the gradient within ± c"

    def clip(self, parameters: list[Tensor], gradients: list[Tensor]) -> tuple[Tensor, Tensor, int]:
        norm = nn.utils.get_total_norm(gradients)
        acted = [(g.abs() > self.limit).sum().to(norm.device) for g in gradients]
        nn.utils.clip_grad_value_(parameters, self.limit)
        return norm, torch.stack(acted).sum(), sum(g.numel() for g in gradients)


class ByLayer(Clipper):
    """Each parameter's own norm. Counts parameters."""

    what = "g · min(1, c / ‖g‖) for each parameter by itself"

    def clip(self, parameters: list[Tensor], gradients: list[Tensor]) -> tuple[Tensor, Tensor, int]:
        total = nn.utils.get_total_norm(gradients)
        norms = [torch.linalg.vector_norm(g) for g in gradients]
        for g, norm in zip(gradients, norms, strict=True):
            g.mul_((self.limit / norm.clamp_min(self.limit)).to(g.dtype))
        return total, sum((n > self.limit).long().to(total.device) for n in norms), len(norms)


class Adaptive(Clipper):
    """A unit's gradient against its weight. Counts units."""

    what = "each unit's gradient at most c times the norm of its weights"
    default = 0.01
    EPS: ClassVar[float] = 1e-3

    def clip(self, parameters: list[Tensor], gradients: list[Tensor]) -> tuple[Tensor, Tensor, int]:
        total = nn.utils.get_total_norm(gradients)
        acted, seen = torch.zeros((), dtype=torch.int64, device=total.device), 0
        for p, g in zip(parameters, gradients, strict=True):
            largest, norm = self.limit * unit_norms(p.detach()).clamp_min(self.EPS), unit_norms(g)
            g.mul_(largest / torch.maximum(norm, largest))
            acted, seen = acted + (norm > largest).sum().to(total.device), seen + norm.numel()
        return total, acted, seen


CLIPPERS: dict[str, Callable[[float | None], Clipper]] = {
    "norm": ByNorm,
    "value": ByValue,
    "layer": ByLayer,
    "adaptive": Adaptive,
}


def clip_(name: str, parameters: Iterable[Tensor], limit: float | None = None) -> Tensor:
    """Clip gradients once by the clipper called ``name``; returns their global norm before.

    Raises:
        ValueError: for an unknown name, a limit that is not above 0, or a sparse gradient.

    Example:
        >>> w = nn.Parameter(torch.zeros(2))
        >>> w.grad = torch.tensor([3.0, 4.0])
        >>> clip_("norm", [w], 1.0), w.grad
        (tensor(5.), tensor([0.6000, 0.8000]))
    """
    return clipper(name, limit)(parameters)


def clipper(name: str, limit: float | None = None) -> Clipper:
    """The clipper called ``name``.

    Raises:
        ValueError: if there is none, or the limit is not above 0.
    """
    if name not in CLIPPERS:
        raise ValueError(f"clipping: none is called {name!r}. Choose one of {', '.join(CLIPPERS)}.")
    return CLIPPERS[name](limit)
