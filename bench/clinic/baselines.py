"""Baselines: the published fixed thresholds, which name and do not cure, and a cure chosen blindly.

Thresholds after Amazon SageMaker Debugger (dead units, saturation, class imbalance, vanishing gradient, unchanged
tensor, loss not decreasing, overfit), AUTOTRAINER (exploding ratio 70, vanishing ratio 1e-3, after 30 % of the epochs)
and TheDeepChecker (inputs in [0, 1] or standardized, saturation 0.85, train/eval loss change of 50 %, twice the
smallest loss, variance of the initial weights).
"""

import copy
import math
import random
import warnings
from itertools import pairwise
from typing import Any

import torch
from diagnosis import Diagnosis
from program import Case
from torch import Tensor, nn

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.ELU, nn.SELU, nn.SiLU)
LONGEST = 400  # steps of the short run


def rules(case: Case, task: str, seed: int) -> Diagnosis:
    """Fixed thresholds on the data and on a run of 30 % of the training, at most ``LONGEST`` steps."""
    torch.manual_seed(seed)
    said = _data_rules(case, task)
    watched = _Watched(case)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            watched.run()
            found = watched.init_rule() + watched.activation_rules() + watched.gradient_rules()
            found += loss_rules(watched.losses) + watched.unchanged_rule()
            said += found + watched.mode_and_gap_rules()
    except (RuntimeError, ValueError, IndexError, TypeError):
        said += ["target-shape-mismatch"]
    return Diagnosis([(code, "warning") for code in dict.fromkeys(said)], None, len(watched.losses))


def _data_rules(case: Case, task: str) -> list[str]:
    x, y = case["train"]
    said = []
    if x.is_floating_point():
        rows = x.flatten(1).double() if x.ndim > 1 else x[:, None].double()
        low, high, mean, std = rows.min(), rows.max(), rows.mean(), rows.std()
        if not bool(rows.isfinite().all()):
            said.append("input-nonfinite")
        within = (low >= 0 and high <= 1) or (low >= -1 and high <= 1)
        if not within and not (mean.abs() < 0.3 and 0.5 < std < 2):
            said.append("input-not-normalized")
        if x.ndim == 2 and bool((rows.std(0) == 0).any()):
            said.append("input-constant-feature")
    if task in ("classification", "binary"):
        counts = y.flatten().unique(return_counts=True)[1]
        if len(counts) > 1 and counts.max() / counts.min() > 10:
            said.append("class-imbalance")
    return said


class _Watched:
    """A short run on a copy of the model with what the rules look at."""

    def __init__(self, case: Case) -> None:
        self.case, self.model = case, copy.deepcopy(case["model"])
        self.outputs: dict[str, tuple[nn.Module, Tensor]] = {}
        self.losses: list[float] = []
        self.norms: list[list[float]] = []
        self.mean_gradients: list[float] = []
        self.known: set[int] = set()
        self.start = {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def run(self) -> None:
        (x, y), size = self.case["train"], self.case["batch_size"]
        given = self.case["optimizer"]
        plain = isinstance(given, torch.optim.Optimizer)
        optimizer = torch.optim.SGD(self.model.parameters(), 0.01) if plain else given(self.model.parameters())
        self.known = {id(p) for group in optimizer.param_groups for p in group["params"]}
        hooks = [self._watch(name, m) for name, m in self.model.named_modules() if isinstance(m, ACTIVATIONS)]
        steps = min(LONGEST, max(20, int(0.3 * self.case["epochs"] * len(x) / size)))
        self.model.train()
        while len(self.losses) < steps and (not self.losses or math.isfinite(self.losses[-1])):
            order = torch.randperm(len(x)) if self.case.get("shuffle", True) else torch.arange(len(x))
            for index in order.split(size)[: steps - len(self.losses)]:
                if len(index) > 1 or size == 1:
                    self._step(optimizer, x[index], y[index])
        for hook in hooks:
            hook.remove()

    def _watch(self, name: str, module: nn.Module) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.outputs[name] = (module, output.detach())

        return module.register_forward_hook(keep)

    def _step(self, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        loss = self.case["loss"](self.model(x), y)
        loss.backward()
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None and p.ndim > 1]
        self.norms.append([float(g.norm()) for g in gradients])
        self.mean_gradients = [float(g.abs().mean()) for g in gradients]
        optimizer.step()
        self.losses.append(float(loss))

    def init_rule(self) -> list[str]:
        variances = [float(p.var()) for p in self.start.values() if p.ndim > 1 and p.numel() > 1]
        uneven = len(variances) > 1 and max(variances) / max(min(variances), 1e-30) > 10
        return ["bad-init-scale"] if uneven else []

    def activation_rules(self) -> list[str]:
        said = []
        for module, output in self.outputs.values():
            rows = output.flatten(1) if output.ndim > 1 else output[:, None]
            if isinstance(module, nn.ReLU) and ((rows > 0).float().mean(0) < 0.01).float().mean() > 0.5:
                said.append("dead-relu")
            if isinstance(module, (nn.Tanh, nn.Sigmoid)):
                centred = rows if isinstance(module, nn.Tanh) else 2 * rows - 1
                said += ["saturated-activations"] if centred.abs().mean() > 0.85 else []
            spread = float(rows.std())
            said += ["vanishing-activations"] if spread < 1e-3 else ["exploding-activations"] if spread > 100 else []
        return said

    def gradient_rules(self) -> list[str]:
        if not self.norms or not self.norms[0]:
            return []
        norms = self.norms[min(len(self.norms) - 1, 10)]
        ratio = norms[0] / max(norms[-1], 1e-30)
        said = []
        if (ratio < 1e-3 and norms[0] < 1e-4) or min(self.mean_gradients) < 1e-7:
            said.append("vanishing-gradient")
        if ratio > 70 or any(not value < 1e6 for value in norms):
            said.append("exploding-gradient")
        return said

    def unchanged_rule(self) -> list[str]:
        for name, p in self.model.named_parameters():
            if torch.equal(p, self.start[name]):
                if not p.requires_grad:
                    return ["frozen-parameters"]
                if id(p) not in self.known:
                    return ["parameters-not-in-optimizer"]
                return ["unused-parameters" if p.grad is None else "dead-relu"]
        return []

    @torch.no_grad()
    def mode_and_gap_rules(self) -> list[str]:
        (x, y), (x_val, y_val), loss = self.case["train"], self.case["val"], self.case["loss"]
        training = float(loss(self.model.train()(x[:512]), y[:512]))
        evaluated = float(loss(self.model.eval()(x[:512]), y[:512]))
        said = ["bn-train-eval-mismatch"] if abs(evaluated - training) > 0.5 * abs(training) + 1e-6 else []
        gap = float(loss(self.model(x_val), y_val)) - evaluated
        return said + (["overfitting"] if gap > 0.1 * max(abs(evaluated), 1e-9) else [])


def loss_rules(losses: list[float]) -> list[str]:
    """What the curve of the short run says: not finite, twice its smallest value, flat, in zigzag."""
    if not losses:
        return []
    if not math.isfinite(losses[-1]):
        return ["nonfinite-loss"]
    share = max(1, len(losses) // 5)
    first, last = sum(losses[:share]) / share, sum(losses[-share:]) / share
    said = []
    if last > 2 * min(losses) + 1e-6 and last > first:
        said.append("lr-too-high")
    elif last > 0.95 * first:
        said.append("loss-not-decreasing")
    moves = [after - before for before, after in pairwise(losses)]
    turns = sum(a * b < 0 for a, b in pairwise(moves))
    if len(losses) > 10 and turns / len(moves) > 0.75 and last > 0.8 * first:
        said.append("oscillating-loss")
    return said


def random_cure(case: Case, task: str, seed: int) -> Diagnosis:
    """One of the usual changes, chosen blindly: rate, Adam, initialization, scale of the inputs, epochs."""
    x, y = case["train"]
    draw = random.Random(f"{seed} {x.flatten()[:5].tolist()} {case['batch_size']} {case['epochs']}")
    cured = dict(case)
    kind = draw.choice(["rate", "adam", "init", "scale", "epochs"])
    if kind == "rate":
        rate = 10 ** draw.uniform(-4, -0.5)
        cured["optimizer"] = lambda p: torch.optim.SGD(p, lr=rate, momentum=0.9)
    elif kind == "adam":
        cured["optimizer"] = lambda p: torch.optim.Adam(p, lr=1e-3)
    elif kind == "init":
        for p in case["model"].parameters():
            if p.ndim > 1 and p.requires_grad:
                nn.init.kaiming_normal_(p.data)
    elif kind == "scale" and x.is_floating_point():
        mean, std, (x_val, y_val) = x.mean(0), x.std(0) + 1e-6, case["val"]
        cured["train"], cured["val"] = ((x - mean) / std, y), ((x_val - mean) / std, y_val)
    else:
        cured["epochs"] = 3 * case["epochs"]
    return Diagnosis([], cured)
