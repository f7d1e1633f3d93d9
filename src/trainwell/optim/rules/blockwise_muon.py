"""Muon for matrices and AdamW for everything else, in one optimizer.

    B ← μ B + ∇f,   O = NS(∇f + μ B) ≈ U Vᵀ of its singular value decomposition U S Vᵀ
    X ← (1 − ηλ) X − 0.2 η √max(m, n) · O                                             matrices X: m × n
    the others: AdamW with the same η and λ

NS is torch's five steps of Newton–Schulz in bfloat16. The factor 0.2 √max(m, n) gives the update the root mean square
of AdamW's, so one rate and one decay serve both (Moonshot's; ``torch.optim.Muon``'s "match_rms_adamw").

Which is which: tensors of two dimensions are matrices. Made from a model (``METHODS["muon"](model)``), embeddings and
the last matrix are AdamW's too, as Muon's author advises: their rows are looked up one by one, or are the classes.
Kernels of convolutions are AdamW's. A group that has ``rule`` = "muon" or "adamw" keeps it.

Both rules are torch's own and act on the groups and state of this optimizer. Memory: 1 number a parameter of
matrices, 2 of the others. Cost: one gradient and, for a matrix, 15 products of it, O(mn · min(m, n)).
Source: Jordan et al. 2024, "Muon", kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982; in no deck.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from trainwell.objectives.weights import named_weights
from trainwell.optim.rules.gradient_rule import check_ranges, with_gradient


class MuonWithAdamW(Optimizer):
    """Muon on matrices, AdamW on the rest.

    Args:
        params: parameters, or groups, which are split by dimension; named pairs as torch takes them.
        lr: η of both rules; 1e-3, AdamW's.
        momentum: μ of Muon; 0.95, its author's.
        betas: of AdamW; (0.9, 0.95), as with Muon in the literature.
        eps: of AdamW.
        weight_decay: λ of both rules, decoupled.

    Raises:
        ValueError: if a group asks Muon for a tensor that is no matrix.
    """

    needs: frozenset[str] = frozenset()

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        *,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        shared = {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        check_ranges("MuonWithAdamW", shared)
        # eps is AdamW's alone: Muon's, under the same key of the group, only guards a division by a zero norm
        defaults = {
            **Muon([nn.Parameter(torch.zeros(1, 1))]).defaults,
            **AdamW([nn.Parameter(torch.zeros(1))]).defaults,
        }
        super().__init__(_split(params), {**defaults, **shared, "adjust_lr_fn": "match_rms_adamw", "rule": None})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, split into its matrices and the rest where it does not say its ``rule``."""
        for group in [param_group] if param_group.get("rule") else _split([param_group]):
            if group["rule"] not in ("muon", "adamw"):
                raise ValueError(f"MuonWithAdamW: rule={group['rule']!r} must be 'muon' or 'adamw'.")
            super().add_param_group(group)
            shapes = [tuple(p.shape) for p in self.param_groups[-1]["params"] if p.dim() != 2]
            if group["rule"] == "muon" and shapes:
                self.param_groups.pop()
                raise ValueError(f"MuonWithAdamW: rule 'muon' takes matrices, and {shapes[0]} is none. Use 'adamw'.")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; with a closure it fills the gradients first, and its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            with_gradient(self, group["params"])
        for rule, cls in (("muon", Muon), ("adamw", AdamW)):
            groups = [group for group in self.param_groups if group["rule"] == rule]
            if groups:
                inner: Optimizer = cls([nn.Parameter(torch.zeros(1, 1))])
                inner.param_groups, inner.state = groups, self.state
                inner.step()
        return loss

    @staticmethod
    def groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        """Parameter groups of a model: hidden matrices for Muon, the rest for AdamW; no decay on norms and biases."""
        weights = {id(p): p for p in named_weights(model).values()}
        tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        matrices = [key for key, p in weights.items() if p.dim() == 2 and key not in tables]
        hidden = set(matrices[:-1])
        trainable = [p for p in model.parameters() if p.requires_grad]
        found = [
            {"params": [p for p in trainable if id(p) in hidden], "weight_decay": weight_decay, "rule": "muon"},
            {
                "params": [p for p in trainable if id(p) in weights and id(p) not in hidden],
                "weight_decay": weight_decay,
                "rule": "adamw",
            },
            {"params": [p for p in trainable if id(p) not in weights], "weight_decay": 0.0, "rule": "adamw"},
        ]
        return [group for group in found if group["params"]]


def _split(params: Iterable[Any]) -> list[dict[str, Any]]:
    members = list(params)
    groups = members if members and isinstance(members[0], dict) else [{"params": members}]
    split = []
    for group in groups:
        if group.get("rule"):
            split.append(group)
            continue
        given = group["params"]
        inside = [given] if isinstance(given, Tensor) else list(given)
        for rule, matrices in (("muon", True), ("adamw", False)):
            part = [p for p in inside if (_tensor(p).dim() == 2) == matrices]
            if part:
                split.append({**group, "params": part, "rule": rule})
    return split


def _tensor(member: Any) -> Tensor:
    found: Tensor = member[1] if isinstance(member, tuple) else member
    return found
