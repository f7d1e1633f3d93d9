"""Many dense residual nets at once, each with its own start, order of samples and rate, by batched matrix products.

    h_0 = relu(W_in x + b),    h_l = h_{l−1} + F_l(h_{l−1}),    logits = W_out h_L + b,    F_l with two maps and a ReLU

    fixup    F(x) = s W_2 (relu(W_1 (x + a_1) + a_2) + a_3) + a_4, s = 1 and a_i = 0 numbers, W_2 = W_out = 0 and W_1
             He's (variance 2/n) times L^{−1/(2m−2)}, m = 2; s and a_i learn at a tenth of the rate
    he       the same with He's W_1, and variance 1/n in W_2 and W_out, behind which there is no ReLU
    batch    F(x) = N(W_2 relu(N(W_1 x))), N batch normalization, also of W_in x and of h_L; weights as in ``he``

Signals have the shape (nets, width, batch): one matrix product serves all nets. For fifty blocks that takes about a
third of the time of ``torch.func.vmap``, most of which goes into starting small operations.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainwell.lab.labelled_pictures import Pictures
from trainwell.nn.blocks.fixup import ScalarScale, ScalarShift, fixup_scale
from trainwell.theory.weight_variances import weight_variance

Kind = Literal["fixup", "he", "batch"]
CLASSES, LAYERS = 10, 2
SCALARS = 0.1  # rate of Fixup's numbers over that of the weights, as in the authors' code for CIFAR-10


class Maps(nn.Module):
    """W h + b of each net; b is 0 at the start."""

    def __init__(self, weight: Tensor, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(*weight.shape[:2], 1)) if bias else None

    def forward(self, h: Tensor) -> Tensor:
        product = torch.bmm(self.weight, h)
        return product if self.bias is None else product + self.bias


class Norms(nn.BatchNorm1d):
    """Batch normalization of every unit of every net."""

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h.reshape(1, -1, h.shape[2])).view_as(h)


class Residual(nn.Module):
    """x + F(x)."""

    def __init__(self, branch: nn.Sequential) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.branch(x)
        return total


def crowd(kind: Kind, nets: int, features: int, width: int, blocks: int, generator: torch.Generator) -> nn.Sequential:
    """Build ``nets`` nets of L = ``blocks`` blocks for ten classes, which take (nets, features, batch)."""

    def drawn(rule: str, before: int, after: int) -> Tensor:
        std = float(weight_variance(rule, before, after)) ** 0.5
        return std * torch.randn(nets, after, before, generator=generator)

    def branch() -> nn.Sequential:
        first, last = drawn("kaiming", width, width), drawn("fan_in", width, width)
        if kind == "batch":
            return nn.Sequential(Maps(first), Norms(nets * width), nn.ReLU(), Maps(last), Norms(nets * width))
        if kind == "fixup":
            first, last = fixup_scale(blocks, LAYERS) * first, torch.zeros_like(last)
        ends = [_scalars(ScalarScale(), nets), _scalars(ScalarShift(), nets)]
        a_1, a_2, a_3 = (_scalars(ScalarShift(), nets) for _ in range(3))
        return nn.Sequential(a_1, Maps(first), a_2, nn.ReLU(), a_3, Maps(last), *ends)

    enter, leave = drawn("kaiming", features, width), drawn("fan_in", width, CLASSES)
    norms = [[Norms(nets * width)] if kind == "batch" else [] for _ in range(2)]
    inner = [Residual(branch()) for _ in range(blocks)]
    head = Maps(torch.zeros_like(leave) if kind == "fixup" else leave, bias=True)
    return nn.Sequential(Maps(enter, bias=True), *norms[0], nn.ReLU(), *inner, *norms[1], head)


def _scalars(one: ScalarScale | ScalarShift, nets: int) -> nn.Module:
    """The module with one number for each net."""
    for name, number in list(one.named_parameters()):
        setattr(one, name, nn.Parameter(number.detach().repeat(nets)[:, None, None]))
    return one


def plain_descent(model: nn.Sequential) -> torch.optim.Optimizer:
    """SGD at the rate 1, and ``SCALARS`` for Fixup's numbers."""
    found = [m for m in model.modules() if isinstance(m, ScalarScale | ScalarShift)]
    scalars = [number for module in found for number in module.parameters()]
    own = {id(number) for number in scalars}
    groups: list[dict[str, Any]] = [{"params": [p for p in model.parameters() if id(p) not in own]}]
    if scalars:
        groups.append({"params": scalars, "lr": SCALARS})
    return torch.optim.SGD(groups, lr=1.0, foreach=True)


def train(
    model: nn.Sequential, pictures: Pictures, rates: Tensor, passes: int, batch: int, generator: torch.Generator
) -> Tensor:
    """Train in place by plain SGD at the nets' rates, shape (nets,); mean losses of the passes, shape (passes, nets).

    It ends early, with nan for the rest, where no net has a finite loss.
    """
    nets, n = len(rates), len(pictures.X)
    optimizer = plain_descent(model)
    losses = torch.full((passes, nets), torch.nan)
    model.train()
    for each in range(passes):
        orders = torch.rand(nets, n, generator=generator).argsort(1)
        steps = [orders[:, start : start + batch] for start in range(0, n - batch + 1, batch)]
        found = torch.stack([_step(model, pictures, rows, rates, optimizer) for rows in steps])
        losses[each] = found.mean(0)
        if not losses[each].isfinite().any():
            break
    return losses


def _step(
    model: nn.Sequential, pictures: Pictures, rows: Tensor, rates: Tensor, optimizer: torch.optim.Optimizer
) -> Tensor:
    logits = model(pictures.X[rows].transpose(1, 2))
    losses = cross_entropy(logits, pictures.y[rows], reduction="none").mean(1)
    optimizer.zero_grad(set_to_none=True)
    (rates * losses).sum().backward()  # no parameter is shared, so that each net descends at its own rate
    optimizer.step()
    return losses.detach()


@torch.no_grad()
def accuracies(model: nn.Sequential, X: Tensor, y: Tensor, nets: int) -> Tensor:
    """Share of right classes in evaluation mode, shape (nets,); outputs that are not finite are wrong."""
    model.eval()
    logits = model(X.T.expand(nets, -1, -1))
    return ((logits.argmax(1) == y) & logits.isfinite().all(1)).float().mean(1)


@torch.no_grad()
def growth(model: nn.Sequential, signals: Tensor, last: float = 1.0) -> Tensor:
    """‖x + F(x)‖² / ‖x‖² of every block before training, shape (blocks, nets).

    Args:
        model: without norms, whose scalars are 0 and 1.
        signals: x of the first block, shape (nets, width, batch).
        last: factor on F.
    """
    ratios, x = [], signals
    for block in model:
        if isinstance(block, Residual):
            before, x = x, x + last * block.branch(x)
            ratios.append(x.square().sum((1, 2)) / before.square().sum((1, 2)))
            x = x / x.norm() * len(x)  # F(cx) = c F(x): only the ratios count, and 3^50 is no number for float32
    return torch.stack(ratios)
