"""Initialize all linear layers and convolutions of a model by one scheme, and say what was done.

The layers come from the module tree; what follows each of them comes from one traced forward pass on an example
(``trainwell.nn.trace``). Weights are drawn, biases set to 0 (drawn too by ``critical``); norms, embeddings and
recurrent layers stay as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from trainwell.init.draw import draw_
from trainwell.init.fan import fans
from trainwell.init.following import Following, following
from trainwell.init.orthogonal import orthogonal_
from trainwell.init.schemes import SCHEMES, Scheme
from trainwell.nearest_name import nearest
from trainwell.nn.operations import OPAQUE, kind_of
from trainwell.nn.tracer import trace
from trainwell.theory.critical_point import critical
from trainwell.theory.gaussian_moments import Nonlinearity

_UNTRACED = Following("unknown", None, "No example was given, so what follows is not known.")


@dataclass(frozen=True)
class AppliedLayer:
    """What happened to one layer.

    Attributes:
        path: in the module tree.
        kind: ``linear`` or ``conv``.
        fan_in: inputs that one output sums over.
        fan_out: outputs that one input reaches.
        nonlinearity: class of the activation that follows, ``none`` or ``unknown``.
        gain: the factor used.
        std_before: standard deviation of the weight's entries before.
        std_after: and after.
        note: a sentence where something was assumed or given up; "" otherwise.
        bias_std: standard deviation that the biases were drawn with; 0 where they became 0.
    """

    path: str
    kind: str
    fan_in: int
    fan_out: int
    nonlinearity: str
    gain: float
    std_before: float
    std_after: float
    note: str = ""
    bias_std: float = 0.0


@dataclass(frozen=True)
class Applied:
    """What ``apply_`` did.

    Attributes:
        scheme: its name.
        layers: those that were drawn, in the order of the module tree.
        left: path → why, for every other module with parameters of its own.
        incomplete: a sentence on what the trace could not see; "" if nothing.
    """

    scheme: str
    layers: tuple[AppliedLayer, ...]
    left: dict[str, str]
    incomplete: str


@torch.no_grad()
def apply_(model: nn.Module, scheme: str, *, example: Any = None, generator: torch.Generator | None = None) -> Applied:
    """Initialize the linear layers and convolutions of ``model`` in place.

    A weight that is all zero and goes into an addition stays zero (seen with an example only): it ends a residual
    branch that starts as its shortcut. Frozen, parametrized and shared weights are left alone; the table says so.

    Args:
        model: any module; biases of the layers that are drawn become 0, or those of the edge of chaos.
        scheme: one of ``SCHEMES``.
        example: a batch of one or more samples, as for ``trainwell.nn.trace``; without it, every layer gets the gain
            of the published rule (Kaiming: √2), the last one too.
        generator: source of randomness; the global one if None.

    Raises:
        ValueError: if the scheme is not known, or a layer has no shape yet.

    Example:
        >>> net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> [(row.nonlinearity, round(row.gain, 3)) for row in apply_(net, "kaiming", example=torch.ones(1, 8)).layers]
        [('ReLU', 1.414), ('none', 1.0)]
    """
    if scheme not in SCHEMES:
        hint = nearest(scheme, SCHEMES, f"Use one of {', '.join(SCHEMES)}.")
        raise ValueError(f"apply_: scheme={scheme!r} is not known. {hint}")
    for path, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ValueError(f"apply_: {path} has no shape yet. Run the model on one batch first.")
    model = getattr(model, "_orig_mod", model)
    chain = None if example is None else trace(model, example)
    rows: list[AppliedLayer] = []
    left: dict[str, str] = {}
    seen: set[int] = set()
    for path, module in _owners(model):
        after = _UNTRACED if chain is None else following(chain, path, model)
        weight = module._parameters.get("weight")
        reason = _why_left(module, weight, after, seen)
        if weight is None or reason:
            left[path] = reason
            continue
        seen.add(id(weight))
        rows.append(_draw(path, module, weight, SCHEMES[scheme], after, generator))
    return Applied(scheme, tuple(rows), left, "" if chain is None else chain.incomplete)


def _owners(model: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules with parameters of their own; layers and opaque modules (attention) are not looked into."""
    whole = isinstance(model, OPAQUE) or kind_of(model) in ("linear", "conv")
    if any(True for _ in model.parameters(recurse=whole)):
        yield path, model
    if not whole:
        for name, child in model.named_children():
            yield from _owners(child, f"{path}.{name}" if path else name)


def _why_left(module: nn.Module, weight: Tensor | None, after: Following, seen: set[int]) -> str:
    kind = kind_of(module)
    if kind not in ("linear", "conv"):
        return f"{type(module).__name__} is no linear layer or convolution."
    if weight is None:
        return "Its weight is computed from other parameters."
    if id(weight) in seen:
        return "It shares its weight with a layer that was drawn already."
    if not weight.requires_grad:
        return "Its weight is frozen."
    if after.into_addition and not weight.any():
        return "Its weight is zero and goes into an addition: the branch starts as its shortcut."
    return ""


def _draw(
    path: str,
    module: nn.Module,
    weight: Tensor,
    scheme: Scheme,
    after: Following,
    generator: torch.Generator | None,
) -> AppliedLayer:
    bias = module._parameters.get("bias")
    gain = after.gain if scheme.follows and after.gain is not None else scheme.gain
    before, note, bias_std = _std(weight), after.note if scheme.follows else "", 0.0
    if scheme.critical and after.nonlinearity is not None:
        gain, bias_std, told = _edge(after.nonlinearity, gain, bias is not None)
        note = f"{note} {told}".strip()
    if isinstance(module, _ConvNd):
        try:
            scheme.conv(weight, gain, groups=module.groups, transposed=module.transposed, generator=generator)
        except ValueError as error:
            orthogonal_(weight, gain, groups=module.groups, generator=generator)
            note = f"{note} orthogonal_ was used: {error}".strip()
    else:
        scheme.linear(weight, gain, generator=generator)
    if bias is not None:
        draw_(bias, bias_std, "normal", generator) if bias_std else bias.zero_()
    fan_in, fan_out = fans(module)
    return AppliedLayer(path, kind_of(module), fan_in, fan_out, after.name, gain, before, _std(weight), note, bias_std)


def _edge(after: Nonlinearity, gain: float, has_bias: bool) -> tuple[float, float, str]:
    """Return σ_w, σ_b and a note; the gain that keeps the second moment and no biases where there is no edge."""
    try:
        sigma_w, sigma_b = critical(after)
    except ValueError as error:
        return gain, 0.0, f"1/√E φ² was used: {error}"
    if sigma_b and not has_bias:
        return sigma_w, 0.0, f"The edge of chaos needs biases of standard deviation {sigma_b:.3g}; it has none."
    return sigma_w, sigma_b, ""


def _std(weight: Tensor) -> float:
    return float(weight.to(torch.promote_types(weight.dtype, torch.float32)).std(correction=0))
