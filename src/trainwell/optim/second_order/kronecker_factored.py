"""K-FAC: natural gradient with one Kronecker product a layer in place of the Fisher matrix.

For a layer W̄ = [W b] with inputs ā (a 1 at the end) and output gradients g, F = E[(ā āᵀ) ⊗ (g gᵀ)] is taken as

    F ≈ A ⊗ G,    A = E[ā āᵀ],  G = E[g gᵀ]

exact where ā and g are independent: one layer under squared error, and deep linear networks under squared error, whose
g does not depend on the sample. For a kernel, E over ā is also over positions and E over g sums them (Grosse & Martens
2016); likewise for a linear layer on sequences. With damping λ split by π = √((tr A / dim A) / (tr G / dim G)):

    D = (G + λ^½/π I)⁻¹ ∇W̄ (A + π λ^½ I)⁻¹
    b ← β b + ν D,     W̄ ← W̄ − η (b + w W̄)

A and G are moving averages, A ← ρ A + (1 − ρ) Â with ρ = min(1 − 1/k, decay) at the k-th, so the first counts fully.
ν = min(1, √(clip / (η² Σ ⟨D, ∇W̄⟩))) bounds the Kullback–Leibler divergence of a step where ``clip`` is set.
The gradients g come from the loss's curvature in the outputs (``fisher="exact"``, "monte-carlo"; see
``output_roots``) or from the labels ("empirical").

All else (norms, embeddings, shared, grouped and parametrized layers) is trained by AdamW at the rate η · ``rest``.
Source: deck M (stochastic second order; its formula is O10 of the theory); Martens & Grosse 2015, arXiv:1503.05671;
Grosse & Martens 2016, arXiv:1602.01407; Ba, Grosse & Martens 2017 (the clip); Zhang et al. 2019 (decoupled decay).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.optim.rules.step_seed import generator_of_step
from trainwell.optim.second_order.guarded import GuardedOptimizer, NonFiniteStep
from trainwell.optim.second_order.layer_records import Record, Recorder, gradient_rows, has_bias, input_rows
from trainwell.optim.second_order.output_roots import output_roots
from trainwell.optim.second_order.symmetric_eigen import symmetric_eigen

EARLY = 10  # batches after which inverses may be old: a first batch alone sees few directions, and the rest blow up
FISHERS = ("monte-carlo", "exact", "empirical")


class Kfac(GuardedOptimizer):
    """K-FAC for the linear and convolutional layers of a model, AdamW for the rest.

    With ``fisher="empirical"`` it is stepped as any optimizer after ``backward()``; the other kinds need
    ``step(closure)`` with a :class:`~trainwell.optim.closure.Closure`, whose loss is returned. Steps that do not renew
    factors cost a pass; those that do one more backward pass (exact: one a class). Factors are float32 or better, also
    under autocast. Random labels depend on ``seed`` and the step alone, so a resumed run draws the same.

    Args:
        model: is given hooks, see ``layer_records``; its copies are not.
        lr: η; 0.3. While the clip acts, it sets the length of steps, and η does not matter.
        momentum: β in [0, 1).
        damping: λ; 0.3. A mean over small batches sees few directions: the rest must be held by damping.
        relative: λ is ``damping`` times each layer's mean eigenvalue, tr A tr G / (dim A dim G), which does not depend
            on the units of the loss; else λ is in units of the Fisher matrix of the mean loss.
        fisher: "monte-carlo", "exact" or "empirical".
        decay: of the factors' averages in [0, 1); 0.95, the paper's.
        factors_every, inverses_every: steps between new factors, and new inverses (always new for the first 10).
        clip: of the step's η² ⟨D, ∇⟩, dimensionless; 1e-4 (Ba et al.: 1e-3, for batches of 512); None does not clip.
        weight_decay: w, decoupled; of weights, not of biases and norms.
        rest: rate of the other parameters, relative to η; 0.01: 3e-3 at the default η, near Adam's usual rate.
        betas, eps: of their AdamW.
        seed: of the labels drawn.

    Memory: parameters · (1 momentum + 1 copy of the last good point), and for each layer 2 (inputs² + outputs²).

    Raises:
        ValueError: for an option out of range, or a model without a layer to precondition.
        RuntimeError: from ``step`` without a closure, or where a layer has a gradient but was never seen in training
            mode; ``NonFiniteStep`` for losses that are not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float = 0.3,
        momentum: float = 0.9,
        *,
        damping: float = 0.3,
        relative: bool = True,
        fisher: str = "monte-carlo",
        decay: float = 0.95,
        factors_every: int = 1,
        inverses_every: int = 5,
        clip: float | None = 1e-4,
        weight_decay: float = 0.0,
        rest: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        seed: int = 0,
    ) -> None:
        name = type(self).__name__
        if fisher not in FISHERS:
            raise ValueError(f"{name}: fisher={fisher!r} is unknown. Choose one of {', '.join(FISHERS)}.")
        if not 0 <= decay < 1 or factors_every < 1 or inverses_every < 1 or not damping > 0:
            raise ValueError(
                f"{name}: decay={decay} must lie in [0, 1), damping={damping} above 0, factors_every={factors_every} "
                f"and inverses_every={inverses_every} be 1 or more."
            )
        self.recorder = Recorder(model)
        if not self.recorder.layers:
            raise ValueError(f"{name}: the model has no trainable Linear or Conv layer of its own. Use adamw.")
        self.fisher = fisher
        self.asks = "" if fisher == "empirical" else "outputs"
        self.needs = frozenset({"module"} if fisher == "empirical" else {"module", "outputs"})
        options = {"lr": lr, "momentum": momentum, "damping": damping, "relative": relative, "decay": decay,
                   "factors_every": factors_every, "inverses_every": inverses_every, "clip": clip,
                   "weight_decay": weight_decay, "rest": rest, "betas": betas, "eps": eps, "seed": seed}  # fmt: skip
        super().__init__(self._groups(model), options)
        self._arm(0)

    def _groups(self, model: nn.Module) -> list[dict[str, Any]]:
        own = [layer.weight for layer in self.recorder.layers]
        own += [layer.bias for layer in self.recorder.layers if has_bias(layer)]
        inside = {id(p) for p in own}
        rest = [p for p in model.parameters() if p.requires_grad and id(p) not in inside]
        vectors = [p for p in [*own, *rest] if p.dim() < 2]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in own if p.dim() > 1]},
            {"params": [p for p in rest if p.dim() > 1]},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    @property
    def whole(self) -> dict[str, Any]:
        """The first group: its damping, averages and intervals hold for all layers."""
        return self.param_groups[0]

    def _arm(self, step: int) -> None:
        due = step % self.whole["factors_every"] == 0
        self.recorder.mode = "gradients" if due and self.fisher == "empirical" else ""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; returns the closure's loss at the point before it.

        Raises:
            RuntimeError: see the class.
        """
        first = self.of_all(self.recorder.layers[0].weight)
        step: int = first.get("step", 0)
        if self.fisher == "empirical" and closure is None:
            loss = None
        elif self.fisher == "empirical":
            loss = self.filled(self.closure_with(closure))
        else:
            loss = self._drawn(self.closure_with(closure), step)
        with torch.no_grad():
            self._learn_all(self.recorder.taken(), step)
            self._move(step)
        first["step"] = step + 1
        self._arm(step + 1)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._arm(self.of_all(self.recorder.layers[0].weight).get("step", 0))

    def _drawn(self, closure: Any, step: int) -> Tensor:
        """Fill the gradients; where factors are due, send roots of the output curvature back through the same graph."""
        if step % self.whole["factors_every"]:
            return self.filled(closure)
        return self.filled(lambda: self._both(closure, step))

    def _both(self, closure: Any, step: int) -> Tensor:
        self.recorder.mode = "outputs"
        try:
            outputs, loss_of = closure.outputs()
        finally:
            self.recorder.mode = ""
        if not isinstance(outputs, Tensor):
            raise RuntimeError(f"{type(self).__name__}: the model returns a {type(outputs).__name__}, whose Fisher "
                               "matrix is not known. Return one tensor, or use fisher='empirical'.")  # fmt: skip
        records = self.recorder.records
        edges: list[Any] = [record.edge for record in records]
        loss: Tensor = loss_of(outputs)
        if edges and torch.isfinite(loss):
            generator = generator_of_step(self.whole["seed"], step, outputs.device)
            for root in output_roots(outputs, loss_of, self.fisher, generator):
                found = torch.autograd.grad(outputs, edges, root, retain_graph=True, allow_unused=True)
                for record, gradient in zip(records, found, strict=True):
                    if gradient is not None:
                        record.gradients.append(gradient)
        for p in self.members():
            p.grad = None
        loss.backward()
        return loss.detach()

    def _learn_all(self, records: list[Record], step: int) -> None:
        """New factors from what was recorded; new inverses where they are due."""
        calls: dict[int, list[Record]] = {}
        for record in records:
            if record.gradients:
                calls.setdefault(record.layer, []).append(record)
        for i, layer in enumerate(self.recorder.layers):
            state = self.state[layer.weight]
            rows = self._learn(layer, state, calls[i]) if i in calls else []
            due = state.get("factors", 0) <= EARLY or step % self.whole["inverses_every"] == 0
            if "input_factor" in state and (due or "ready" not in state):
                require_finite(self, layer, state["input_factor"], state["output_factor"])
                self._refresh(state)
                state["ready"] = 1
            if rows:
                self._correct(state, rows)

    def _learn(self, layer: nn.Module, state: dict[str, Any], calls: list[Record]) -> list[tuple[Tensor, Tensor]]:
        """Average new factors in; returns the rows (ā, g) that they come from."""
        rows = [(input_rows(layer, call.inputs), gradient_rows(layer, g)) for call in calls for g in call.gradients]
        if self.fisher == "empirical":  # g is of the mean loss: √N more makes Σ g gᵀ the mean over samples
            root = sum(len(call.inputs) for call in calls) ** 0.5
            rows = [(a, g * root) for a, g in rows]
        inputs = torch.cat([input_rows(layer, call.inputs).flatten(0, 1) for call in calls])
        outputs = torch.cat([g.flatten(0, 1) for _, g in rows])
        k = state["factors"] = state.get("factors", 0) + 1
        rho = min(1 - 1 / k, self.whole["decay"])
        for name, new in (("input_factor", inputs.T @ inputs / len(inputs)), ("output_factor", outputs.T @ outputs)):
            state[name] = new if k == 1 else torch.lerp(new, state[name], rho)
        return rows

    def _correct(self, state: dict[str, Any], rows: list[tuple[Tensor, Tensor]]) -> None:
        """Learn more from the rows, once inverses are there: nothing in K-FAC."""

    def _refresh(self, state: dict[str, Any]) -> None:
        """The damped inverses of both factors."""
        a, g = state["input_factor"], state["output_factor"]
        root, pi = self._damping(state) ** 0.5, split(a, g)
        state["input_inverse"], state["output_inverse"] = inverse(a, root * pi), inverse(g, root / pi)

    def _damping(self, state: dict[str, Any]) -> float:
        """λ of a layer."""
        damping: float = self.whole["damping"]
        if self.whole["relative"]:
            a, g = state["input_factor"], state["output_factor"]
            damping *= float(a.trace()) * float(g.trace()) / (len(a) * len(g))
        return max(damping, 1e-30)

    def _direction(self, state: dict[str, Any], gradient: Tensor) -> Tensor:
        """D of a gradient (outputs, inputs)."""
        found: Tensor = state["output_inverse"] @ gradient @ state["input_inverse"]
        return found

    def _move(self, step: int) -> None:
        directions: dict[Tensor, Tensor] = {}
        inner: list[Tensor] = []
        for layer in self.recorder.layers:
            weight, bias = layer.weight, (layer.bias if has_bias(layer) else None)
            if weight.grad is None or not weight.requires_grad:
                continue
            state = self.state[weight]
            if "ready" not in state:
                raise RuntimeError(
                    f"{type(self).__name__}: {layer} has a gradient, but its inputs were not seen. Run the forward "
                    "pass in training mode, on the model that the optimizer was built from (not on a copy)."
                )
            matrix = weight.grad.flatten(1)
            if bias is not None:
                column = torch.zeros_like(matrix[:, :1]) if bias.grad is None else bias.grad[:, None]
                matrix = torch.cat([matrix, column], 1)
            matrix = matrix.to(state["input_factor"].dtype)
            found = self._direction(state, matrix)
            inner.append((found * matrix).sum())
            directions[weight] = (found if bias is None else found[:, :-1]).reshape(weight.shape)
            if bias is not None:
                directions[bias] = found[:, -1]
        for group in self.param_groups:
            scale = self._scale(group, inner)
            for p in group["params"]:
                if p in directions:
                    self._momentum_step(group, p, directions[p], scale)
                elif p.grad is not None:
                    self._adam_step(group, p)

    @staticmethod
    def _scale(group: dict[str, Any], inner: list[Tensor]) -> Tensor | float:
        if group["clip"] is None or not inner:
            return 1.0
        total = torch.stack(inner).sum().clamp_min(1e-30) * group["lr"] ** 2
        return (group["clip"] / total).sqrt().clamp_max(1.0)

    def _momentum_step(self, group: dict[str, Any], p: Tensor, direction: Tensor, scale: Tensor | float) -> None:
        state = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].mul_(group["momentum"]).add_((direction * scale).to(p.dtype))
        p.mul_(1 - group["lr"] * group["weight_decay"]).add_(state["momentum"], alpha=-group["lr"])

    def _adam_step(self, group: dict[str, Any], p: Tensor) -> None:
        state, (beta1, beta2), lr = self.state[p], group["betas"], group["lr"] * group["rest"]
        if "mean" not in state:
            state.update(adam=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
        t = state["adam"] = state["adam"] + 1
        assert p.grad is not None
        state["mean"].lerp_(p.grad, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
        below = (state["square"] / (1 - beta2**t)).sqrt_().add_(group["eps"])
        p.mul_(1 - lr * group["weight_decay"]).addcdiv_(state["mean"], below, value=-lr / (1 - beta1**t))


def require_finite(optimizer: torch.optim.Optimizer, layer: nn.Module, *factors: Tensor) -> None:
    """Raise :class:`NonFiniteStep` for a factor with an infinite or NaN entry."""
    if not all(bool(torch.isfinite(factor).all()) for factor in factors):
        raise NonFiniteStep(
            f"{type(optimizer).__name__}: a factor of {layer} is not finite, as its inputs or gradients are; no step "
            "was taken. Use a lower rate, or look at this batch.",
            float("nan"),
        )


def split(a: Tensor, g: Tensor) -> float:
    """π = √((tr A / dim A) / (tr G / dim G)), 1 where a trace is zero."""
    traces = float(a.trace()) / len(a), float(g.trace()) / len(g)
    return (traces[0] / traces[1]) ** 0.5 if min(traces) > 0 else 1.0


def inverse(factor: Tensor, damping: float) -> Tensor:
    """(factor + damping · I)⁻¹ by Cholesky; by eigenvalues in float64, clamped at 0, where rounding spoils that."""
    shifted = factor + damping * torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    lower, info = torch.linalg.cholesky_ex(shifted)
    if int(info) == 0:
        return torch.cholesky_inverse(lower)
    values, vectors = symmetric_eigen(factor.double())
    return (vectors / (values + max(damping, 1e-30)) @ vectors.T).to(factor.dtype)
