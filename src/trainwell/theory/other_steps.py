"""Rules for the steps of kind ``other``: joins of signals, zeros, attention, recurrent layers, scalars.

Each takes the walk, the layer and the nodes that it reads, puts one node or more, and returns "" or why it cannot.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from trainwell.theory.chain import Layer
from trainwell.theory.initial_spread import Spread
from trainwell.theory.layer_names import nonlinearity_in, setting
from trainwell.theory.node_joins import added, concatenated, multiplied, repeated
from trainwell.theory.node_places import averaged_places, flattened, with_zeros
from trainwell.theory.recurrent_cells import cell_of
from trainwell.theory.recurrent_moments import LONGEST, through_recurrence
from trainwell.theory.signal_nodes import through_affine, through_weights
from trainwell.theory.softmax_averages import attended, through_attention
from trainwell.theory.unit_nodes import Node

if TYPE_CHECKING:
    from trainwell.theory.chain_walk import Walk

Rule = Callable[["Walk", Layer, list[Node]], str]

_TOKENS = "Attention: wide heads, no mask, tokens unrelated beyond what they share."


def _join(walk: "Walk", layer: Layer, read: list[Node]) -> str:
    name = setting(layer, "parameter")
    if len(read) == 1 and name is not None and layer.name in ("add", "mul"):
        code = walk.spreads.get(name)
        if code is None:
            return f"the spread of {name!r} is not known."
        if layer.name == "add":
            return walk.add_code(read[0], code, layer.output_shape)
        walk.put(through_affine(read[0], walk.next, code.sigma_w, 0.0))
        return ""
    if len(read) != 2:
        return "the chain does not show what is added to what." if layer.name != "mul" else "it shows one factor."
    one, other = read
    if one.units != other.units or (one.places != other.places and 1 not in (one.places, other.places)):
        return f"it joins shapes {one.shape} and {other.shape}, as far as the chain tells."
    if one.places != other.places:
        if one.places == 1:
            one = walk.put(repeated(one, other, walk.next))
        else:
            other = walk.put(repeated(other, one, walk.next))
    if layer.name == "mul":
        walk.put(multiplied(one, other, walk.next, layer.output_shape))
    else:
        walk.put(added(one, other, walk.next, -1.0 if layer.name == "sub" else 1.0, layer.output_shape))
    return ""


def _concatenate(walk: "Walk", layer: Layer, read: list[Node]) -> str:
    if len(read) == 1:
        if math.prod(read[0].shape) != math.prod(layer.output_shape):
            return "it joins the signal with something else."
        walk.put(flattened(read[0], walk.next, read[0].units, read[0].places, layer.output_shape))
        return ""
    size = math.prod(layer.output_shape)
    if sum(node.units * node.places for node in read) != size:
        return "the chain does not show what is put beside what."
    alike = len({node.places for node in read}) == 1
    axes = [i for i, (a, b) in enumerate(zip(layer.input_shape, layer.output_shape, strict=False)) if a != b]
    axis = axes[-1] if axes else 0
    of_units = axis == (0 if len(layer.output_shape) > 2 else len(layer.output_shape) - 1)
    if not (of_units and alike) and len({node.units for node in read}) != 1:
        return "it joins signals that differ in units and in places."
    walk.put(concatenated(read, walk.next, of_units and alike, layer.output_shape))
    return ""


def _pad(walk: "Walk", layer: Layer, read: list[Node]) -> str:
    node, shape = read[0], layer.output_shape
    window = max(1, round(node.places / max(1, math.prod(shape[1:]))))
    if layer.name == "PoolShortcut" and window > 1:
        node = walk.put(averaged_places(node, walk.next, window, (node.units, *shape[1:])))
        window = 1
    walk.put(with_zeros(node, walk.next, shape[0], window, shape))
    return ""


def _sequential(walk: "Walk", layer: Layer, read: list[Node]) -> str:
    if layer.input_shape != layer.output_shape:
        return "theory has no word for Sequential."
    walk.put(flattened(read[0], walk.next, read[0].units, read[0].places, layer.output_shape))
    return ""


def _scalar(walk: "Walk", layer: Layer, read: list[Node]) -> str:
    name, otherwise = ("weight", 1.0) if layer.name == "ScalarScale" else ("bias", 0.0)
    number = walk.spreads.get(f"{layer.path}.{name}", Spread(0.0, 0.0, otherwise)).mean_b
    factor, shift = (number, 0.0) if layer.name == "ScalarScale" else (1.0, number)
    walk.put(through_affine(read[0], walk.next, factor, shift))
    return ""


def _circulant(walk: "Walk", layer: Layer, read: list[Node]) -> str:
    spread = walk.spreads.get(layer.path)
    if spread is None:
        return "the spread of its weights is not known."
    shape = layer.output_shape
    made = walk.put(through_weights(read[0], walk.next, spread, 1.0, shape[-1], places=read[0].places, shape=shape))
    walk.weigh(layer, read[0], made, spread)
    return ""


def _dot_product(walk: "Walk", layer: Layer, read: list[Node]) -> str:
    queries, keys, values = (read * 3)[:3] if len(read) == 1 else read[:3]
    shape = layer.output_shape
    walk.assume(_TOKENS)
    walk.put(attended(queries, keys, values, walk.next, max(1, math.prod(shape) // queries.places), shape))
    return ""


def _multihead(walk: "Walk", layer: Layer, read: list[Node]) -> str:
    projection, output = (walk.spreads.get(f"{layer.path}.{name}") for name in ("in_proj", "out_proj"))
    if projection is None or output is None:
        return "the spread of its weights is not known."
    if "batch_first=True" not in layer.detail:
        return "it reads time before samples; theory follows batch_first=True."
    queries, keys, values = (read * 3)[:3] if len(read) == 1 else read[:3]
    walk.assume(_TOKENS)
    scales = (projection.sigma_w**2, projection.sigma_b**2)
    mixed = walk.put(through_attention((queries, keys, values), walk.next, scales, queries.shape))
    shape = layer.output_shape
    made = walk.put(through_weights(mixed, walk.next, output, 1.0, shape[-1], places=mixed.places, shape=shape))
    walk.weigh(layer, queries, made, output)
    return ""


def _recurrent(walk: "Walk", layer: Layer, read: list[Node]) -> str:
    node = read[0]
    if "bidirectional=True" in layer.detail or "proj_size" in layer.detail:
        return "recurrent layers in both directions or with projections are not modelled."
    if "norm=layer" in layer.detail:
        return "norms inside recurrent cells are not modelled."
    if "batch_first=True" not in layer.detail and not layer.name.endswith("Layer") and len(layer.input_shape) > 1:
        return "it reads time before samples; theory follows batch_first=True."
    if node.places > LONGEST:
        return f"it runs over {node.places} times, and theory follows {LONGEST}."
    depth, spread = 0, Spread(0.0)
    while f"{layer.path}.input{depth}.0" in walk.spreads:
        gates: list[tuple[Spread, Spread]] = []
        while (name := f"{depth}.{len(gates)}") and f"{layer.path}.input{name}" in walk.spreads:
            gates.append((walk.spreads[f"{layer.path}.input{name}"], walk.spreads[f"{layer.path}.state{name}"]))
        cell = cell_of(gates, walk.activations.get(layer.path) or nonlinearity_in(layer))
        if cell is None:
            return f"the cell of {layer.name} is not known."
        before, spread = node, gates[0][0]
        node = walk.put(through_recurrence(before, walk.next, cell, layer.output_shape[-1], layer.output_shape))
        depth += 1
    if not depth:
        return "the spread of its weights is not known."
    walk.assume("Recurrent layers: the law of a unit over time is drawn, not computed; times of gradients averaged.")
    walk.weigh(layer, read[0], node, spread)
    return ""


OTHER_STEPS: dict[str, Rule] = {
    **dict.fromkeys(("add", "sub", "mul"), _join),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concatenate),
    **dict.fromkeys(("PadShortcut", "PoolShortcut"), _pad),
    **dict.fromkeys(("ScalarShift", "ScalarScale"), _scalar),
    "Sequential": _sequential,
    "CirculantLinear": _circulant,
    "scaled_dot_product_attention": _dot_product,
    "MultiheadAttention": _multihead,
    **dict.fromkeys(("RNN", "GRU", "LSTM", "FusedRecurrence", "RnnLayer", "GruLayer", "LstmLayer"), _recurrent),
}
"""Name of a step → its rule."""
