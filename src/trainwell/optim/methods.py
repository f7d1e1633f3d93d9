"""The methods by name: what each is, what it costs, what it needs, and its default rate with the reason.

A method is a class of ``torch.optim`` or of this room; ``METHODS["adamw"](parameters, lr)`` builds it with weight decay
on matrices alone. What a method needs beside gradients stands in ``needs``: ``closure`` (``step(closure)`` evaluates
the loss again), ``outputs`` (the closure is a :class:`~trainwell.optim.closure.Closure`, whose graph is used),
``module`` (it is built from the model instead of the parameters), ``full_batch`` (every step on all samples).
"""

import difflib
import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from trainwell.optim.decay_groups import decay_groups


@dataclass(frozen=True)
class Method:
    """One line of the table of methods.

    Attributes:
        place: ``module:Class``, the module relative to ``trainwell.optim`` where it begins with a dot.
        lr: default rate.
        why: where that rate comes from.
        deck: letter of the lecture that teaches it; "" for later ones.
        paper: source of the rule.
        cost: of a step, in passes (a pass: forward and backward of one batch) and arithmetic; n parameters.
        memory: numbers kept per parameter, beside the gradient.
        needs: of ``closure``, ``outputs``, ``module``, ``full_batch``.
        options: what is set differently from the class's own defaults.
    """

    place: str
    lr: float
    why: str
    deck: str
    paper: str
    cost: str = "1 pass, O(n)"
    memory: float = 0.0
    needs: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cls(self) -> type[torch.optim.Optimizer]:
        """The optimizer's class; imported on first use."""
        module, name = self.place.split(":")
        found: type[torch.optim.Optimizer] = getattr(importlib.import_module(module, __package__), name)
        return found

    def accepts(self, option: str) -> bool:
        """Does the class have this option?"""
        return option in inspect.signature(self.cls).parameters

    def __call__(
        self, source: Iterable[Any] | nn.Module, lr: float | None = None, *, weight_decay: float = 0.0, **options: Any
    ) -> torch.optim.Optimizer:
        """Build the optimizer.

        Args:
            source: parameters, or groups of them; the model where the method needs the module.
            lr: rate; the table's if None.
            weight_decay: of tensors with two dimensions or more, where ``source`` is no groups.
            options: of the class. ``fused=None`` takes the fused kernel where every parameter allows it.

        Raises:
            ValueError: for an option that the class does not have, or parameters where the model is needed.
        """
        accepted = {**self.options, **options}
        fused = accepted.pop("fused", None)
        for name in accepted:
            if not self.accepts(name):
                known = [p for p in inspect.signature(self.cls).parameters if p not in ("params", "model")]
                raise ValueError(f"{self.cls.__name__} has no option {name!r}. It has {', '.join(known)}.")
        rate = self.lr if lr is None else lr
        make: Any = self.cls
        if "module" in self.needs:
            if not isinstance(source, nn.Module):
                raise ValueError(f"{self.cls.__name__} needs the model, not its parameters. Give the nn.Module.")
            if self.accepts("weight_decay"):
                accepted["weight_decay"] = weight_decay
            return make(source, lr=rate, **accepted)
        groups = self._groups(source, weight_decay)
        if self.accepts("fused"):
            accepted["fused"] = _can_fuse(groups) if fused is None else fused
        return make(groups, lr=rate, **accepted)

    def _groups(self, source: Iterable[Any] | nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        members = list(source.parameters() if isinstance(source, nn.Module) else source)
        if members and isinstance(members[0], dict):
            return members
        if self.accepts("weight_decay"):
            return decay_groups(source if isinstance(source, nn.Module) else members, weight_decay)
        return [{"params": [p for p in members if p.requires_grad]}]


def _can_fuse(groups: list[dict[str, Any]]) -> bool:
    return all(
        p.is_floating_point() and p.device.type in {"cpu", "cuda", "mps"} for group in groups for p in group["params"]
    )


METHODS: dict[str, Method] = {
    "adamw": Method(
        "torch.optim:AdamW",
        lr=1e-3,
        why="the paper's; steps are about the rate in every coordinate",
        deck="M",
        paper="Loshchilov & Hutter 2019, arXiv:1711.05101",
        memory=2,
    ),
    "sgd": Method(
        "torch.optim:SGD",
        lr=0.1,
        why="He et al. 2016's for normalized networks",
        deck="M",
        paper="Sutskever et al. 2013; Nesterov momentum in torch's form",
        memory=1,
        options={"momentum": 0.9, "nesterov": True},
    ),
}


def method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        ValueError: if there is none, with the nearest name.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, 1, 0.5)
        hint = f"Did you mean {near[0]!r}?" if near else f"Methods: {', '.join(METHODS)}."
        raise ValueError(f"no method is called {name!r}. {hint}")
    return METHODS[name]
