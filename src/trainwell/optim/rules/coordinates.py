"""Coordinate descent: one coordinate, tensor or group of tensors a step.

    x_B ← x_B − α g_B,     B the block of this step,  g_B = ∂f/∂x_B

    cyclic   B = 1, 2, …, 1, …        random   B uniform        greedy   B with the largest ‖g_B‖ (Gauss–Southwell)
    α = η,   or exact:   α = ‖g_B‖²/(g_Bᵀ H g_B), the minimum along g_B of the quadratic model; for a single coordinate
                         of a quadratic it is the minimum over that coordinate

Exact steps need the closure's graph (one Hessian-vector product); where g_BᵀHg_B ≤ 0 the model has no minimum, and
α = η. On a quadratic ½xᵀAx − bᵀx a coordinate's step costs O(n), not a gradient:
:func:`solve_by_coordinates` does that, and with the cyclic order is the Gauss–Seidel method.

On networks all gradients are computed and one block is used: this teaches what blocks are worth, it does not save time.
Memory: none (greedy by coordinate: a copy of the gradient inside the step). Cost: one gradient; exact: two passes more.
Source: deck M lists it among the methods; Wright 2015, "Coordinate descent algorithms", arXiv:1502.04759; Nutini et
al. 2015 (greedy), arXiv:1506.00552.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainwell.optim.rules.gradient_rule import check_ranges, need_closure, with_gradient
from trainwell.optim.rules.step_seed import generator_of_step

ORDERS = ("cyclic", "random", "greedy")
BLOCKS = ("tensor", "group", "coordinate")


class CoordinateDescent(Optimizer):
    """Descend along one block a step.

    Args:
        params: parameters or groups.
        lr: η; 1/L_B of the block on a smooth function.
        order: ``cyclic``, ``random`` or ``greedy``.
        block: ``tensor``; ``group`` of parameters, such as a layer; ``coordinate``.
        exact: minimize the quadratic model along the block's gradient. Needs ``step(closure)`` with a ``Closure``.
        weight_decay: λ, coupled: λ x_B is added to g_B.
        seed: of the random order.

    Raises:
        ValueError: for an unknown order or block.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        *,
        order: str = "cyclic",
        block: str = "tensor",
        exact: bool = False,
        weight_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        _check(order, block)
        check_ranges("CoordinateDescent", {"lr": lr, "weight_decay": weight_decay})
        options = {"order": order, "block": block, "exact": exact, "weight_decay": weight_decay, "seed": seed}
        super().__init__(params, {"lr": lr, **options, "steps": 0})

    @property
    def needs(self) -> frozenset[str]:
        """``closure`` where steps are exact."""
        return frozenset({"closure"}) if self.param_groups[0]["exact"] else frozenset()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move one block; returns the closure's loss, before the move.

        Raises:
            RuntimeError: for exact steps without a closure, or if a gradient is sparse.
        """
        exact, loss, graph = self.param_groups[0]["exact"], None, None
        if exact:
            need_closure(self, closure)
            if not hasattr(closure, "loss"):
                raise RuntimeError(
                    "CoordinateDescent: exact steps need the graph of the loss. Give a trainwell.optim.Closure."
                )
            loss, graph = self._with_graph(closure)
        elif closure is not None:
            with torch.enable_grad():
                loss = closure()
        members = [(group, p) for group in self.param_groups for p in with_gradient(self, group["params"])]
        if not members:
            return loss
        chosen = self._chosen(members)
        alpha = self._exact(chosen, graph) if graph is not None else None
        for group, p, direction in chosen:
            p.sub_(direction * group["lr"] if alpha is None else direction * torch.where(alpha > 0, alpha, group["lr"]))
        self.param_groups[0]["steps"] += 1
        return loss

    def _with_graph(self, closure: Any) -> tuple[Tensor, dict[Tensor, Tensor]]:
        """The loss, and gradients with their graph; ``.grad`` holds them detached."""
        every = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        with torch.enable_grad():
            loss = closure.loss()
            found = torch.autograd.grad(loss, every, create_graph=True, allow_unused=True)
        graph = {p: gradient for p, gradient in zip(every, found, strict=True) if gradient is not None}
        for p in every:
            p.grad = graph[p].detach() if p in graph else None
        return loss.detach(), graph

    def _chosen(self, members: list[tuple[dict[str, Any], Tensor]]) -> list[tuple[dict[str, Any], Tensor, Tensor]]:
        """Group, parameter and direction g_B (zero outside of the block) of what may move."""
        first = self.param_groups[0]
        slopes = []
        for group, p in members:
            assert p.grad is not None
            slopes.append(p.grad.add(p, alpha=group["weight_decay"]) if group["weight_decay"] else p.grad)
        if first["block"] == "coordinate":
            return self._coordinate(members, slopes)
        keys = [id(group) if first["block"] == "group" else id(p) for group, p in members]
        names = list(dict.fromkeys(keys))
        if first["order"] == "greedy":
            norms = torch.stack([slope.square().sum().float() for slope in slopes])
            where = torch.tensor([names.index(key) for key in keys], device=norms.device)
            best = norms.new_zeros(len(names)).index_add_(0, where, norms).argmax()
            slopes = [slope * (best == i) for slope, i in zip(slopes, where, strict=True)]
            return [(group, p, slope) for (group, p), slope in zip(members, slopes, strict=True)]
        name = names[self._index(len(names))]
        return [(*member, slope) for member, slope, key in zip(members, slopes, keys, strict=True) if key == name]

    def _coordinate(
        self, members: list[tuple[dict[str, Any], Tensor]], slopes: list[Tensor]
    ) -> list[tuple[dict[str, Any], Tensor, Tensor]]:
        flat = torch.cat([slope.reshape(-1) for slope in slopes])
        greedy = self.param_groups[0]["order"] == "greedy"
        index = flat.abs().argmax() if greedy else torch.tensor(self._index(len(flat)), device=flat.device)
        one = torch.zeros_like(flat).index_put_((index,), flat.index_select(0, index.reshape(1)).squeeze(0))
        parts = one.split([slope.numel() for slope in slopes])
        return [(group, p, part.reshape(p.shape).to(p.dtype)) for (group, p), part in zip(members, parts, strict=True)]

    def _index(self, n: int) -> int:
        first = self.param_groups[0]
        if first["order"] == "cyclic":
            return int(first["steps"] % n)
        return int(torch.randint(n, (), generator=generator_of_step(first["seed"], first["steps"])))

    def _exact(self, chosen: list[tuple[dict[str, Any], Tensor, Tensor]], graph: dict[Tensor, Tensor]) -> Tensor:
        """‖d‖²/(dᵀHd) for the direction d, with the weight decay's λ in H; 0 where the curvature is not above 0."""
        moving = [(group, p, direction) for group, p, direction in chosen if p in graph]
        with torch.enable_grad():
            along = torch.stack([(graph[p] * direction).sum() for _, p, direction in moving]).sum()
            products = (
                torch.autograd.grad(along, [p for _, p, _ in moving], allow_unused=True)
                if along.requires_grad
                else [None] * len(moving)  # the loss is linear along d
            )
        square = torch.stack([direction.square().sum() for _, _, direction in moving]).sum()
        decay = torch.stack([direction.square().sum() * group["weight_decay"] for group, _, direction in moving]).sum()
        bend = decay + sum(
            (product * direction).sum()
            for (_, _, direction), product in zip(moving, products, strict=True)
            if product is not None
        )
        return torch.where(bend > 0, square / bend, torch.zeros_like(square))


@torch.no_grad()
def solve_by_coordinates(
    A: Tensor, b: Tensor, x: Tensor | None = None, *, order: str = "cyclic", steps: int | None = None, seed: int = 0
) -> Tensor:
    """Minimize ½xᵀAx − bᵀx by exact steps along single coordinates, each O(n).

        x_i ← x_i + r_i/A_ii,   r = b − A x,   r ← r − (r_i/A_ii) A_{:,i}

    Cyclic sweeps are Gauss–Seidel; greedy takes the largest fall, r_i²/A_ii.

    Args:
        A: symmetric, positive definite, shape (n, n).
        b: shape (n,).
        x: start; zeros if None. It is not changed.
        order: ``cyclic``, ``random`` or ``greedy``.
        steps: coordinates to visit; 10 n if None.
        seed: of the random order.

    Raises:
        ValueError: for an unknown order, or where a diagonal entry is not above 0.

    Example:
        >>> A = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
        >>> solve_by_coordinates(A, torch.tensor([3.0, 3.0]), steps=60)
        tensor([1., 1.])
    """
    _check(order, "coordinate")
    diagonal, n = A.diagonal(), len(b)
    if not bool((diagonal > 0).all()):
        raise ValueError(
            f"solve_by_coordinates: the smallest diagonal entry of A is {float(diagonal.min())}, not above 0."
        )
    x = torch.zeros_like(b) if x is None else x.clone()
    r = b - A @ x
    draws = torch.randint(n, (steps or 10 * n,), generator=torch.Generator().manual_seed(seed)).tolist()
    for k, drawn in enumerate(draws):
        i = k % n if order == "cyclic" else drawn
        if order == "greedy":
            i = int((r.square() / diagonal).argmax())
        move = r[i] / diagonal[i]
        x[i] += move
        r -= move * A[:, i]
    return x


def _check(order: str, block: str) -> None:
    if order not in ORDERS:
        raise ValueError(f"coordinate descent: order={order!r} must be one of {', '.join(ORDERS)}.")
    if block not in BLOCKS:
        raise ValueError(f"coordinate descent: block={block!r} must be one of {', '.join(BLOCKS)}.")
