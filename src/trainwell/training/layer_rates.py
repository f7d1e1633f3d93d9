"""Discriminative rates: the nearer a layer is to the input, the smaller its learning rate.

With the groups of layers numbered 1 … L from input to output and the factor d:

    η_L = η,    η_{l−1} = d · η_l    hence    η_l = η · d^{L−l}

The first layers have learned what serves every task, the last what served the old one. ULMFiT takes d = 1/2.6.
Every schedule that multiplies each group's own rate (``LambdaLR``: its ``initial_lr``) keeps the ratios.
Source: Howard & Ruder 2018, "Universal Language Model Fine-tuning", §3.2, arXiv:1801.06146.
"""

from typing import Any

from torch import nn
from torch.optim import Optimizer

from trainwell.nn.predictor import Predictor
from trainwell.nn.tracer import trace
from trainwell.optim.decay_groups import decay_groups

ULMFIT = 1 / 2.6
FEWEST = 4
"""Groups below which the largest sequence of blocks is taken apart into its blocks."""


def layer_groups(model: nn.Module, *, example: Any = None) -> list[list[str]]:
    """Names of all parameters, in groups from input to output.

    A group is a child of the body (of the model itself, where it is no ``Predictor``) that holds a matrix or kernel,
    with the norms and other vectors that are registered after it. While there are fewer than four groups, the largest
    child that is an ``nn.Sequential`` or ``nn.ModuleList`` is replaced by its own children (a transformer's
    ``blocks``). Parameters outside of all children (class token, positions) and those of ``prepare`` are of the first
    group. A shared parameter counts where it is registered first.

    Args:
        model: any module with parameters.
        example: a batch; with it the groups are ordered by their first execution, else by registration.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 1))
        >>> layer_groups(net)
        [['0.weight', '0.bias', '1.weight', '1.bias'], ['3.weight', '3.bias']]
    """
    body, root = (model.body, "body") if isinstance(model, Predictor) else (model, "")
    blocks = _blocks(body, root)
    if example is not None:
        order = [layer.path for layer in trace(model, example)]
        blocks.sort(key=lambda block: _first(order, block[0]))
    names = [name for name, _ in model.named_parameters()]
    matrices = {name for name, parameter in model.named_parameters() if parameter.dim() >= 2}
    inside = {name: path for path, _ in blocks for name in names if _within(name, path)}
    groups = [[name for name in names if name not in inside]]
    begun = False  # does the last group have a block with a matrix?
    for path, _ in blocks:
        members = [name for name in names if inside.get(name) == path]
        matrix = bool(matrices & set(members))
        if matrix and begun:
            groups.append(members)
        else:
            groups[-1] += members
        begun = begun or matrix
    return [group for group in groups if group]


def rate_groups(
    model: nn.Module, lr: float, decay: float = ULMFIT, weight_decay: float = 0.0, *, example: Any = None
) -> list[dict[str, Any]]:
    """Parameter groups with a rate for each layer, for any torch optimizer; no weight decay on norms and biases.

    Args:
        model: its trainable parameters are grouped.
        lr: rate of the last group.
        decay: factor d from a group to the one before it, in (0, 1].
        weight_decay: of matrices and kernels.
        example: see :func:`layer_groups`.

    Returns:
        Groups from output to input, so that the first one's rate, which logs show, is ``lr``.

    Raises:
        ValueError: if ``decay`` is not in (0, 1].
    """
    _check(decay)
    groups = [{**group, "lr": lr} for group in decay_groups(model, weight_decay)]
    return _split(groups, model, decay, example)


def layer_rates_(optimizer: Optimizer, model: nn.Module, decay: float = ULMFIT, *, example: Any = None) -> Optimizer:
    """Split each group of an optimizer by layer and multiply the rates by d^{L−l}, in place; other options stay.

    Args:
        optimizer: over parameters of ``model``, before its first step and before a scheduler is made.
        model, decay, example: as for :func:`rate_groups`.

    Raises:
        ValueError: if ``decay`` is not in (0, 1], or the optimizer has made steps or has a scheduler already.
    """
    _check(decay)
    if optimizer.state or any("initial_lr" in group for group in optimizer.param_groups):
        raise ValueError("layer_rates_: the optimizer has state or a scheduler. Call it right after making it.")
    groups = _split(list(optimizer.param_groups), model, decay, example)
    optimizer.param_groups.clear()
    for group in groups:
        optimizer.add_param_group(group)
    return optimizer


def _split(groups: list[dict[str, Any]], model: nn.Module, decay: float, example: Any) -> list[dict[str, Any]]:
    """Each group by layer, from output to input; parameters that are not the model's go with the output."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    depth = {name: i for i, group in enumerate(reversed(_trainable(model, example))) for name in group}
    split = []
    for place in range(max(depth.values(), default=0) + 1):
        for group in groups:
            members = [p for p in group["params"] if depth.get(names.get(id(p), ""), 0) == place]
            if members:
                split.append({**group, "params": members, "lr": group["lr"] * decay**place})
    return split


def _trainable(model: nn.Module, example: Any) -> list[list[str]]:
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups = [[name for name in group if name in trainable] for group in layer_groups(model, example=example)]
    return [group for group in groups if group]


def _check(decay: float) -> None:
    if not 0 < decay <= 1:
        raise ValueError(f"layer rates: decay={decay} must lie in (0, 1]; ULMFiT takes {ULMFIT:.3f}.")


def _blocks(body: nn.Module, root: str) -> list[tuple[str, nn.Module]]:
    blocks = _children(body, root)
    while sum(_has_matrix(block) for _, block in blocks) < FEWEST:
        open_ones = [
            (sum(p.numel() for p in block.parameters()), i)
            for i, (_, block) in enumerate(blocks)
            if isinstance(block, nn.Sequential | nn.ModuleList) and _children(block, "")
        ]
        if not open_ones:
            break
        place = max(open_ones)[1]
        path, block = blocks[place]
        blocks[place : place + 1] = _children(block, path)
    return blocks


def _children(module: nn.Module, path: str) -> list[tuple[str, nn.Module]]:
    named = [(f"{path}.{name}" if path else name, child) for name, child in module.named_children()]
    return [(name, child) for name, child in named if any(True for _ in child.parameters())]


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.dim() >= 2 for parameter in module.parameters())


def _within(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def _first(order: list[str], path: str) -> int:
    return next((i for i, layer in enumerate(order) if _within(layer.removesuffix("()"), path)), len(order))
