"""What ``trainwell theory`` computes, as the JSON it prints: of a plain net, of the user's own, of the phases.

torch is imported only where a net is built.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from trainwell.cli.built_model import builder
from trainwell.errors import InputError
from trainwell.nearest_name import nearest
from trainwell.theory.activation_moments import NONLINEARITIES, nonlinearity
from trainwell.theory.chain import Chain
from trainwell.theory.critical_point import critical
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.initial_spread import INITIALIZATIONS, PLAIN_NORMS, Spread, check_scheme, plain_chain
from trainwell.theory.mean_field import fixed_variance, gradient_factor, mean_field_at
from trainwell.theory.phase_border import edge_of_chaos
from trainwell.theory.prediction import Prediction, predict
from trainwell.theory.scheme_spreads import scheme_spreads
from trainwell.theory.trainability import judge

SAMPLES = 64
MOST_LAYERS = 20_000
CURES = ("kaiming", "critical", "orthogonal")


def known(what: str, name: str, names: tuple[str, ...]) -> None:
    """Refuse a name that is not among ``names``.

    Raises:
        InputError: with the nearest one.
    """
    if name not in names:
        raise InputError(f"{what}={name!r} is not known.", nearest(name, names, f"Use one of {', '.join(names)}."))


def at_least(what: str, value: float, least: float) -> None:
    """Refuse a number below ``least`` or not finite.

    Raises:
        InputError: with the relation that must hold.
    """
    if not (math.isfinite(value) and value >= least):
        raise InputError(f"{what}={value:g} must be {least:g} or more.", f"Give {what} another value.")


def plain(depth: int, width: int, activation: str, init: str, norm: str, bias_std: float | None) -> dict[str, Any]:
    """What theory says of ``depth`` linear layers of equal width.

    Raises:
        InputError: for numbers and names that make no net.
    """
    at_least("--depth", depth, 1)
    if depth > MOST_LAYERS:
        raise InputError(f"--depth={depth} must be {MOST_LAYERS} or less.", "Deeper nets behave as that one.")
    at_least("--width", width, 2)
    known("--activation", activation, NONLINEARITIES)
    check_scheme(init)
    known("--norm", norm, tuple(PLAIN_NORMS))
    if bias_std is not None:
        at_least("--bias-std", bias_std, 0)
    function = nonlinearity(activation)
    pieces = 2 if activation == "maxout" else 1
    chain = plain_chain(depth, width, activation, norm, pieces)
    predicted = _of_plain(chain, init, bias_std)
    shown = f"{depth} layers of {width}, {activation}, {init}" + (f", {norm} norm" if norm != "none" else "")
    inner = predicted.layers[min(1, depth - 1)]
    phase = None
    if norm == "none" and depth > 1:
        phase = asdict(mean_field_at(function, inner.sigma_w, inner.sigma_b, inner.moment))
    return {
        "net": shown,
        "depth": depth,
        "width": width,
        "activation": activation,
        "init": init,
        "norm": norm,
        **_told(predicted),
        "phase": phase,
        "recommended": recommended(function),
        "verdict": _verdict(predicted, lambda: _plain_cure(chain, width, depth, activation, norm, init)),
        "measured": None,
    }


def _of_plain(chain: Chain, init: str, bias_std: float | None) -> Prediction:
    found = predict(chain, init)
    if bias_std is None:
        return found
    return predict(chain, {layer.path: Spread(layer.sigma_w, bias_std) for layer in found.layers})


def recommended(function: Nonlinearity) -> dict[str, float] | None:
    """The edge of chaos; None where there is none."""
    try:
        return critical(function)._asdict()
    except ValueError:
        return None


def _told(found: Prediction) -> dict[str, Any]:
    depth = _shortest(found)
    return {
        "layers": [asdict(layer) for layer in found.layers],
        "gradient_ratio": found.gradient_ratio,
        "dies_at": found.dies_at.path if found.dies_at else None,
        "explodes_at": found.explodes_at.path if found.explodes_at else None,
        "xi": found.xi,
        "depth_by_gradient": found.depth_by_gradient,
        "depth_by_width": found.depth_by_width,
        "trainable_depth": depth,
        "assumed": list(found.assumed),
        "gave_up": found.gave_up,
    }


def _shortest(found: Prediction) -> float:
    return min(depth for depth in (found.depth_by_gradient, found.depth_by_width) if not math.isnan(depth))


def _verdict(found: Prediction, cure: Callable[[], str]) -> dict[str, str]:
    verdict = judge(found)
    return {**verdict._asdict(), "remedy": cure() if verdict.trains in ("no", "hardly") else ""}


def _plain_cure(chain: Chain, width: int, depth: int, activation: str, norm: str, init: str) -> str:
    """The first initialization, else norm, with which theory expects the same net to train."""
    for scheme in CURES:
        if scheme != init and judge(predict(chain, scheme)).trains == "yes":
            return f"Use {scheme} initialization."
    for other in ("layer", "batch"):
        pieces = 2 if activation == "maxout" else 1
        changed = plain_chain(depth, width, activation, other, pieces)
        if other != norm and judge(predict(changed, "kaiming")).trains == "yes":
            return f"Use kaiming initialization and {other} norm."
    limit = max(_shortest(predict(chain, scheme)) for scheme in CURES)
    shorter = f" or about {max(2, math.floor(limit))} layers" if limit < depth else ""
    return f"No initialization cures that: use shortcuts{shorter}, or another activation."


def of_model(name: str, shape: tuple[int, ...], seeds: int) -> dict[str, Any]:
    """What theory says of the user's own net with the weights it has, and with ``seeds`` what is measured.

    Raises:
        InputError: if the function gives no module, or theory can follow no layer of it.
    """
    import torch

    from trainwell.nn.measured_signal import measure_signal
    from trainwell.nn.tracer import trace
    from trainwell.nn.weight_spreads import read_activations, read_spreads

    build = builder(name, shape)
    torch.manual_seed(0)
    model = build()
    example = torch.randn(SAMPLES, *shape, generator=torch.Generator().manual_seed(0))
    chain = trace(model, example[:2])
    activations = read_activations(model, chain)
    spreads = read_spreads(model)
    predicted = predict(chain, spreads, activations=activations)
    if not predicted.layers:
        why = predicted.gave_up or "It runs no linear layer and no convolution."
        raise InputError(f"{name}: theory can predict nothing of it. {why}", "Check --input-shape.")

    def cure() -> str:
        for scheme in CURES:
            drawn = {**spreads, **scheme_spreads(chain, scheme, activations)}
            if judge(predict(chain, drawn, activations=activations)).trains == "yes":
                return f"Use trainwell.init.apply_(model, {scheme!r}, example=batch)."
        return "No initialization cures that: use norms, shortcuts or fewer layers."

    function = next(iter(activations.values()), None)
    found = {
        "net": name,
        **_told(predicted),
        "phase": None,
        "recommended": recommended(function) if function is not None else None,
        "verdict": _verdict(predicted, cure),
        "measured": None,
    }
    if seeds:
        found["measured"] = _measured(measure_signal(build, example, seeds), found["layers"])
    return found


def measure_plain(found: dict[str, Any], bias_std: float | None, seeds: int) -> dict[str, Any] | None:
    """The same plain net measured; ``found`` is what ``plain`` gave."""
    import torch
    from torch import nn

    from trainwell import init as initializers
    from trainwell.nn import ACTIVATIONS
    from trainwell.nn.measured_signal import measure_signal
    from trainwell.nn.nonlinear.activations import activation as activation_named
    from trainwell.nn.nonlinear.activations import pieces
    from trainwell.nn.normalization.norms import norm as norm_named

    depth, width, activation, norm = (found[key] for key in ("depth", "width", "activation", "norm"))
    if activation not in ACTIVATIONS:
        raise InputError(f"--measure: there is no module for {activation!r}.", "Leave --measure out.")

    def build() -> nn.Module:
        parts: list[nn.Module] = []
        for l in range(1, depth + 1):
            made = width * (pieces(activation) if l < depth else 1)
            parts.append(nn.Linear(width, made))
            if l < depth:
                parts += [norm_named(norm, made)] if norm != "none" else []
                parts.append(activation_named(activation))
        net = nn.Sequential(*parts)
        if found["init"] != "pytorch":
            initializers.apply_(net, found["init"], example=torch.ones(2, width))
        for layer in net if bias_std is not None else ():
            if isinstance(layer, nn.Linear) and bias_std is not None:
                nn.init.normal_(layer.bias, std=bias_std)
        return net

    example = torch.randn(SAMPLES, width, generator=torch.Generator().manual_seed(0))
    return _measured(measure_signal(build, example, seeds), found["layers"])


def _measured(seen: Any, layers: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Means and standard errors of the layers that theory followed; None if the net ran them in another way."""
    paths = [layer["path"] for layer in layers]
    if paths != [f"linear{place + 1}" for place in range(len(paths))]:
        places = _places(list(seen.paths), paths)
        if places is None:
            return None
        seen = replace(seen, moment=seen.moment[:, places], gradient=seen.gradient[:, places])
    seen = replace(seen, gradient=seen.gradient / seen.gradient[:, -1:])
    moment, moment_error = seen.mean_moment()
    gradient, gradient_error = seen.gradient_norm()
    return {
        "seeds": len(seen.moment),
        "moment": moment.tolist(),
        "moment_error": moment_error.tolist(),
        "gradient": gradient.tolist(),
        "gradient_error": gradient_error.tolist(),
    }


def _places(ran: list[str], wanted: list[str]) -> list[int] | None:
    """Where each wanted path stands among those that ran, in order; a layer may run several times."""
    places, start = [], 0
    for path in wanted:
        if path not in ran[start:]:
            return None
        start = ran.index(path, start) + 1
        places.append(start - 1)
    return places


def phases(activation: str) -> dict[str, Any]:
    """The phase diagram: the edge of chaos, and 6 ξ against σ_w at some σ_b.

    Raises:
        InputError: if the activation is not known.
    """
    known("--activation", activation, NONLINEARITIES)
    function = nonlinearity(activation)
    sigma_b = [0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0]
    border = [
        {"sigma_b": b, "sigma_w": float(w)} for b, w in zip(sigma_b, edge_of_chaos(function, sigma_b), strict=True)
    ]
    edges = [row["sigma_w"] for row in border if math.isfinite(row["sigma_w"])]
    advice = recommended(function)
    middle = edges[0] if edges else advice["sigma_w"] if advice else float(function.second_moment(1.0)) ** -0.5
    weights = [middle * (0.5 + 0.075 * i) for i in range(21)]
    depths = [
        {"sigma_b": b, "sigma_w": weights, "depth": [_depth(function, w, b) for w in weights]} for b in (0.0, 0.2, 0.5)
    ]
    return {
        "activation": activation,
        "border": border,
        "depths": depths,
        "recommended": advice,
        "summary": _phase_words(activation, edges, advice),
    }


def _depth(function: Nonlinearity, sigma_w: float, sigma_b: float) -> float:
    """6 times the shorter of the depth scales of correlation and gradient; they are one where χ ≤ 1."""
    q = fixed_variance(function, sigma_w, sigma_b)
    chi = float(gradient_factor(function, min(max(q, 1e-12), 1e4), sigma_w))
    change = abs(math.log(chi)) if chi > 0 else math.inf
    scale = 1 / change if change > 1e-9 else math.inf
    if chi > 1 and 0 < q < math.inf:
        scale = min(scale, mean_field_at(function, sigma_w, sigma_b).xi_c)
    return 6 * scale


def _phase_words(activation: str, edges: list[float], advice: dict[str, float] | None) -> str:
    where = "Below the edge gradients vanish and inputs become alike; above it gradients explode."
    if not edges:
        return f"{activation} has no edge of chaos at small variances: deep nets of it lose their gradient. {where}"
    if advice is None:
        return where
    return f"{where} Recommended: σ_w = {advice['sigma_w']:.4g}, σ_b = {advice['sigma_b']:.4g}."


def initializations(incomplete: str) -> list[str]:
    """Schemes for the shell to complete."""
    return [name for name in INITIALIZATIONS if name.startswith(incomplete)]
