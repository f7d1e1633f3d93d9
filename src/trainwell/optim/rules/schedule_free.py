"""Schedule-free SGD and AdamW: an average of the iterates instead of a schedule of the rate.

    y = (1 − β) z + β x                          the gradient is taken here
    z ← z − η d(y),     d = g + λ y  (SGD)       or   g/(√v̂ + ε) + λ y  (AdamW, v̂ Adam's corrected second moment)
    x ← (1 − c) x + c z,   c = w/Σw,  w = η_max²

x is the result: validate and keep x, not y. The parameters hold y while training; ``optimizer.eval()`` puts x into them
and ``optimizer.train()`` puts y back, bit for bit; ``with optimizer.evaluation():`` does both, also after an error.
Whatever is written into the parameters between the two is lost. A batch-norm layer's running moments belong to y: for
x they should be measured anew (``torch.optim.swa_utils.update_bn``). η_max is the largest rate so far: a warm-up by any
scheduler counts little in the average; after it the rate stays constant. No schedule that falls is needed.

Memory: z, and v for AdamW: 1 or 2 numbers a parameter, and 1 more between ``eval`` and ``train``. Cost: one gradient,
O(n). Source: Defazio et al. 2024, "The Road Less Scheduled", §2 and Algorithm 1, arXiv:2405.15682 (with the weights of
the authors' code, weight_lr_power = 2, r = 0); in no deck.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import GradientRule


class _ScheduleFree(GradientRule):
    numbers: ClassVar[Mapping[str, float]] = {"step": 0, "weights": 0.0, "largest": 0.0, "share": 0.0}

    def initial(self, group: dict[str, Any], slot: str, parameter: Tensor) -> Tensor:
        if slot == "z":
            return parameter.clone(memory_format=torch.preserve_format)
        return super().initial(group, slot, parameter)

    def advance(self, group: dict[str, Any], numbers: dict[str, float]) -> None:
        numbers["step"] += 1
        numbers["largest"] = max(numbers["largest"], group["lr"])
        weight = numbers["largest"] ** 2
        numbers["weights"] += weight
        numbers["share"] = weight / numbers["weights"] if numbers["weights"] else 0.0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step.

        Raises:
            RuntimeError: between ``eval()`` and ``train()``, or if a gradient is sparse.
        """
        if any(group["evaluating"] for group in self.param_groups):
            raise RuntimeError(
                f"{type(self).__name__}: the parameters hold the average. Call optimizer.train() before step()."
            )
        return super().step(closure)

    @torch.no_grad()
    def eval(self) -> None:
        """Put the average x into the parameters; a second call does nothing."""
        for group, momentum in self._switch(True):
            for p in group["params"]:
                if "z" in self.state[p]:
                    self.state[p]["y"] = p.clone(memory_format=torch.preserve_format)
                    p.lerp_(self.state[p]["z"], 1 - 1 / momentum)

    @torch.no_grad()
    def train(self) -> None:
        """Put y back into the parameters; a second call does nothing."""
        for group, _ in self._switch(False):
            for p in group["params"]:
                if "y" in self.state[p]:
                    p.copy_(self.state[p].pop("y"))

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """The average in the parameters for the length of a ``with``, unless it was there already."""
        before = all(group["evaluating"] for group in self.param_groups)
        self.eval()
        try:
            yield
        finally:
            if not before:
                self.train()

    def _switch(self, evaluating: bool) -> Iterator[tuple[dict[str, Any], float]]:
        for group in self.param_groups:
            if group["evaluating"] != evaluating:
                yield group, self.momentum(group)
                group["evaluating"] = evaluating

    def momentum(self, group: dict[str, Any]) -> float:
        """β of a group."""
        raise NotImplementedError

    def follow(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        y: list[Tensor],
        z: list[Tensor],
        direction: list[Tensor],
    ) -> None:
        """Move y and z along the direction: y⁺ = y + c (z − y) − η (1 − β (1 − c)) d, z⁺ = z − η d."""
        share, lr = numbers["share"], group["lr"]
        torch._foreach_lerp_(y, z, share)
        torch._foreach_add_(y, direction, alpha=lr * (self.momentum(group) * (1 - share) - 1))
        torch._foreach_add_(z, direction, alpha=-lr)


class ScheduleFreeSGD(_ScheduleFree):
    """Schedule-free SGD.

    Args:
        params: parameters or groups.
        lr: η; 1.0, the authors': 10–50× a scheduled SGD's.
        momentum: β in (0, 1); 0.9.
        weight_decay: λ at y, coupled.
        maximize: climb instead.
    """

    slots = ("z",)

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        momentum: float = 0.9,
        *,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        _check(momentum, "momentum")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "evaluating": False,
            },
        )

    def momentum(self, group: dict[str, Any]) -> float:
        return float(group["momentum"])

    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        if group["weight_decay"]:
            g = list(torch._foreach_add(g, x, alpha=group["weight_decay"]))
        self.follow(group, numbers, x, slots[0], g)


class ScheduleFreeAdamW(_ScheduleFree):
    """Schedule-free AdamW.

    Args:
        params: parameters or groups.
        lr: η; 0.0025, the authors'.
        betas: (β, β₂) = (0.9, 0.999): the place of the gradient and the second moment.
        eps: ε; 1e-8.
        weight_decay: λ at y, decoupled from the second moment.
        maximize: climb instead.
    """

    slots = ("z", "square")

    def __init__(
        self,
        params: Any,
        lr: float = 0.0025,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        _check(betas[0], "betas[0]")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "evaluating": False,
            },
        )

    def momentum(self, group: dict[str, Any]) -> float:
        return float(group["betas"][0])

    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        (z, v), beta2 = slots, group["betas"][1]
        torch._foreach_mul_(v, beta2)
        torch._foreach_addcmul_(v, g, g, 1 - beta2)
        below = torch._foreach_sqrt(v)
        torch._foreach_div_(below, (1 - beta2 ** numbers["step"]) ** 0.5)
        torch._foreach_add_(below, group["eps"])
        direction = list(torch._foreach_div(g, below))
        if group["weight_decay"]:
            torch._foreach_add_(direction, x, alpha=group["weight_decay"])
        self.follow(group, numbers, x, z, direction)


def _check(momentum: float, name: str) -> None:
    if not 0 < momentum < 1:
        raise ValueError(
            f"schedule-free: {name}={momentum} must lie in (0, 1); at 0 the average cannot be told from y."
        )
