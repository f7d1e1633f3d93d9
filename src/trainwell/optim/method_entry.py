"""A line of the table of methods: what a method is, what it costs and needs, and how it is built.

``needs`` names what a method wants beside the gradients in ``.grad``:

    closure            ``step(closure)`` evaluates the loss again
    outputs            the closure is a :class:`~trainwell.optim.closure.Closure`, whose graph is used
    module             it is built from the model instead of the parameters
    full_batch         every step on all samples
    full_gradient      where ``optimizer.due``, ``optimizer.anchor(full)`` comes before the step; ``full()`` fills the
                       gradients of all samples
    composition        ``step(inner, outer)`` for a loss outer(E inner()): not for a model and its data
    sparse_gradients   every gradient is sparse
"""

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
        needs: of ``closure``, ``outputs``, ``module``, ``full_batch``, ``full_gradient``, ``composition``,
            ``sparse_gradients``.
        options: what is set differently from the class's own defaults.
        decay: ``coupled`` (λx is added to the gradient), ``decoupled`` (x shrinks by ηλ by itself) or ``none``.
        sparse: whether gradients may be sparse; with ``fused=False`` where there is a fused kernel.
        finds_length: whether the method finds the length of its step itself; ``lr`` then only bounds or scales it, and
            neither a range test nor a schedule is of use.
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
    decay: str = "coupled"
    sparse: bool = False
    finds_length: bool = False

    @property
    def ddp(self) -> bool:
        """Does every process of ``DistributedDataParallel`` take the same step?

        Methods that need gradients alone do, since those are averaged before. What looks at the loss, the outputs or
        the layers of its own batch does not: line searches, trust regions, Kronecker factors.
        """
        return not self.needs

    @property
    def cls(self) -> type[torch.optim.Optimizer]:
        """The optimizer's class; imported on first use."""
        module, name = self.place.split(":")
        found: type[torch.optim.Optimizer] = getattr(importlib.import_module(module, __package__), name)
        return found

    def accepts(self, option: str) -> bool:
        """Does the class have this option?"""
        return option in inspect.signature(self.cls).parameters

    def known(self) -> list[str]:
        """The options of the class."""
        return [name for name in inspect.signature(self.cls).parameters if name not in ("params", "model")]

    def __call__(
        self, source: Iterable[Any] | nn.Module, lr: float | None = None, *, weight_decay: float = 0.0, **options: Any
    ) -> torch.optim.Optimizer:
        """Build the optimizer.

        Args:
            source: parameters, or groups of them; the model where the method needs the module.
            lr: rate; the table's if None.
            weight_decay: of tensors with two dimensions or more; of given groups that do not set their own, of all. A
                class with a static ``groups(model, weight_decay)`` divides a model's parameters by itself.
            options: of the class. ``fused=None`` takes the fused kernel where every parameter allows it.

        Raises:
            ValueError: for an option that the class does not have, weight decay where it has none, or parameters where
                the model is needed.
        """
        accepted = {**self.options, **options}
        fused = accepted.pop("fused", None)
        for name in accepted:
            if not self.accepts(name):
                raise ValueError(f"{self.cls.__name__} has no option {name!r}. It has {', '.join(self.known())}.")
        if weight_decay and not self.accepts("weight_decay"):
            raise ValueError(f"{self.cls.__name__} has no weight decay, and weight_decay={weight_decay}. Set it to 0.")
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
        own_decay = self.accepts("weight_decay")
        members = list(source.parameters() if isinstance(source, nn.Module) else source)
        if members and isinstance(members[0], dict):
            return [{"weight_decay": weight_decay, **group} for group in members] if own_decay else members
        if isinstance(source, nn.Module) and hasattr(self.cls, "groups"):
            divided: list[dict[str, Any]] = self.cls.groups(source, weight_decay)
            return divided
        if own_decay:
            return decay_groups(source if isinstance(source, nn.Module) else members, weight_decay)
        return [{"params": [p for p in members if p.requires_grad]}]


def _can_fuse(groups: list[dict[str, Any]]) -> bool:
    return all(
        p.is_floating_point() and p.device.type in {"cpu", "cuda", "mps"} for group in groups for p in group["params"]
    )
