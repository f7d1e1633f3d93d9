"""The walk through a chain: which rule of theory takes each layer to its node, and where none does.

``Walk.step`` returns "" or a sentence that says why it cannot go on. What each layer reads stands in the chain
(``Layer.reads``); where it doesn't, it is what the step before gave.
"""

import math
from collections.abc import Mapping

from trainwell.theory.chain import Chain, Layer
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.gradient_ways import scaled
from trainwell.theory.initial_spread import Spread
from trainwell.theory.layer_names import nonlinearity_in, norm_kind, number_in, setting, taps_inside
from trainwell.theory.node_places import averaged_places, flattened, largest_of_places, one_place
from trainwell.theory.other_steps import OTHER_STEPS
from trainwell.theory.signal_nodes import through_activation, through_affine, through_norm, through_weights
from trainwell.theory.unit_nodes import Node, gathered, source

_SAME = ("dropout", "output")
_PLACES = "Pixels, tokens and times of an input are taken as unrelated, as of white noise."


class Walk:
    """The forward pass.

    Args:
        chain: of the net.
        spreads: path → spread.
        activations: path → nonlinearity.
        input_moment: E x² per input number.

    Attributes:
        nodes: one for each step, the input first, and some between.
        weighted: layers with weights, with node, spread and what the signal before would have needed.
        assumed: sentences on what was taken for granted.
    """

    def __init__(
        self,
        chain: Chain,
        spreads: Mapping[str, Spread],
        activations: Mapping[str, Nonlinearity],
        input_moment: float,
    ) -> None:
        self.chain, self.spreads, self.activations = chain, spreads, activations
        self.input_moment = input_moment
        self.nodes: list[Node] = []
        self.given: list[int] = []  # step → node
        self.weighted: list[tuple[Layer, int, Spread, float]] = []
        self.assumed: dict[str, None] = {}
        if chain.layers:
            self.input_node(chain.layers[0].input_shape)

    def step(self, layer: Layer) -> str:
        """Follow one layer."""
        read = self.read(layer)
        if isinstance(read, str):
            return read
        why = self._rule(layer, read)
        self.given.append(len(self.nodes) - 1)
        return why

    def _rule(self, layer: Layer, read: list[Node]) -> str:
        node = read[0]
        if layer.kind == "other":
            rule = OTHER_STEPS.get(layer.name)
            return rule(self, layer, read) if rule else f"theory has no word for {layer.name}."
        if layer.kind == "input":
            self.input_node(layer.output_shape)
            self.assume(f"{layer.path!r} standardizes its input.")
            return ""
        if layer.kind in _SAME:
            self.put(flattened(node, self.next, node.units, node.places, layer.output_shape))
            return ""
        rules = {
            "linear": self._weights,
            "conv": self._weights,
            "embedding": self._embedding,
            "activation": self._activation,
            "norm": self._norm,
            "pool": self._pool,
            "flatten": self._flatten,
            "scale": self._scale,
        }
        return rules[layer.kind](layer, node)

    @property
    def next(self) -> int:
        """Number of the next node."""
        return len(self.nodes)

    def put(self, node: Node) -> Node:
        """Add the next node."""
        self.nodes.append(gathered(node))
        return self.nodes[-1]

    def assume(self, sentence: str) -> None:
        """Note what is taken for granted, once."""
        self.assumed.setdefault(sentence)

    def input_node(self, shape: tuple[int, ...]) -> Node:
        """Add a node of white noise."""
        units = shape[0] if len(shape) > 2 else shape[-1] if shape else 1
        places = max(1, math.prod(shape) // max(1, units))
        units = max(1, units)
        size = self.input_moment
        return self.put(
            source(self.next, (size, 0.0, 0.0, 0.0), places, units=units, shape=shape, overlap=size**2 / units)
        )

    def read(self, layer: Layer) -> list[Node] | str:
        """Return the nodes that a layer reads; a sentence if one of them has not the numbers that it reads."""
        steps = layer.reads or (len(self.given) - 1,)
        nodes = [self.nodes[self.given[step]] if step >= 0 else self.nodes[0] for step in steps]
        if layer.kind in ("embedding", "input") or not layer.input_shape:
            return nodes
        wanted, has = math.prod(layer.input_shape), math.prod(nodes[0].shape)
        if wanted == has:
            return nodes
        if steps[0] < 0:
            nodes[0] = self.input_node(layer.input_shape)
        elif nodes[0].places > 1 and wanted == nodes[0].units:
            last = nodes[0].history is not None
            if last:
                self.assume(f"{layer.path!r} is taken to read the last time.")
            nodes[0] = self.put(one_place(nodes[0], self.next, layer.input_shape, last))
        elif has % wanted or not layer.reads:
            return f"it reads shape {layer.input_shape}, and the step before gave {nodes[0].shape}."
        return nodes

    def weigh(self, layer: Layer, before: Node, node: Node, spread: Spread) -> None:
        """Note a layer with weights."""
        self.weighted.append((layer, node.number, spread, before.keeps))

    def _weights(self, layer: Layer, node: Node) -> str:
        if "Transpose" in layer.name or "transpose" in layer.name:
            return "transposed convolutions are not modelled."
        spread = self._spread(layer)
        if spread is None or not layer.fan_in:
            return "the spread of its weights is not known."
        shape = layer.output_shape
        units = (shape[0] if layer.kind == "conv" else shape[-1]) if shape else 1
        places = max(1, math.prod(shape) // units)
        taken = taps_inside(layer) if layer.kind == "conv" else 1.0
        taps = max(1, layer.fan_in // node.units) if layer.kind == "conv" else 1
        if taken < 1:
            self.assume("Convolutions: what padding takes away at the borders is spread over all pixels.")
        if node.places > 1:
            self.assume(_PLACES)
        made = self.put(through_weights(node, self.next, spread, taken, units, taps, places=places, shape=shape))
        self.weigh(layer, node, made, spread)
        return ""

    def _spread(self, layer: Layer) -> Spread | None:
        name = setting(layer, "weight")
        if not layer.path.endswith("()") or name is None:
            return self.spreads.get(layer.path)
        weight = self.spreads.get(name)
        if weight is None:
            return None
        bias = self.spreads.get(setting(layer, "bias") or "", Spread(0.0))
        return Spread(layer.fan_in**0.5 * weight.sigma_w, bias.sigma_w, bias.mean_b)

    def _embedding(self, layer: Layer, node: Node) -> str:
        shape = layer.output_shape
        if layer.name == "Positions":
            code = self.spreads.get(layer.path)
            return "the spread of its codes is not known." if code is None else self.add_code(node, code, shape)
        spread = self.spreads.get(layer.path, Spread(1.0))
        units = shape[-1] if shape else 1
        moments = (spread.sigma_w**2, 0.0, 0.0, 0.0)
        self.put(source(self.next, moments, max(1, math.prod(shape) // units), units=units, shape=shape))
        return ""

    def add_code(self, node: Node, code: Spread, shape: tuple[int, ...]) -> str:
        """Add numbers that are the same for all samples: ``sigma_w`` over all, ``sigma_b`` of their mean."""
        size, shared = code.sigma_w**2, code.sigma_b**2
        moments = (node.moment + size, node.along + shared, node.covariance + size, node.mean)
        overlap = node.overlap + (size - shared) ** 2 / node.units
        others = {"units": node.units, "shape": shape, "parents": node.ways(scaled(1.0)), "overlap": overlap}
        self.put(source(self.next, moments, node.places, **others))
        return ""

    def _activation(self, layer: Layer, node: Node) -> str:
        function = self.activations.get(layer.path) or nonlinearity_in(layer)
        if function is None:
            return f"the moments of {layer.name} are not known."
        if not node.normal and not hasattr(function, "kinks"):
            self.assume(f"What {layer.path!r} reads is taken as normal with mean 0.")
        shape = layer.output_shape
        units = max(1, math.prod(shape) // node.places)
        self.put(through_activation(node, self.next, function, units, shape))
        return ""

    def _norm(self, layer: Layer, node: Node) -> str:
        kind = norm_kind(layer.name)
        if not kind:
            return f"{layer.name} is not modelled."
        if kind == "batch":
            self.assume("Batch norm: large batches of unrelated inputs, in training mode.")
        if not node.normal and kind in ("batch", "instance"):
            self.assume(f"What {layer.path!r} gives is taken as normal.")
        epsilon = setting(layer, "eps")
        size = 1e-5 if epsilon is None else float(epsilon)
        made = through_norm(node, self.next, self.spreads.get(layer.path, Spread(1.0)), kind, size)
        self.put(flattened(made, self.next, made.units, made.places, layer.output_shape))
        return ""

    def _pool(self, layer: Layer, node: Node) -> str:
        shape, low = layer.output_shape, layer.name.lower()
        if layer.name == "LastState":
            self.put(one_place(node, self.next, shape, last=True))
            return ""
        if layer.name == "PoolShortcut":
            return OTHER_STEPS["PadShortcut"](self, layer, [node])
        units = max(1, math.prod(shape) // max(1, node.units))
        window = max(1, node.places // units)
        if math.prod(shape) % node.units:
            return f"it pools {node.shape} to {shape}, over units."
        if node.places > 1:
            self.assume(_PLACES)
        if "max" in low:
            self.assume("Pooling: windows are taken as disjoint.")
            self.put(largest_of_places(node, self.next, window, shape))
            return ""
        made = self.put(averaged_places(node, self.next, window, shape))
        if low == "sum":
            self.put(through_affine(made, self.next, float(window), 0.0))
        return ""

    def _flatten(self, layer: Layer, node: Node) -> str:
        shape = layer.output_shape
        units, size = node.units, math.prod(shape)
        if len(shape) < 2:
            units = max(1, size)
        elif units not in shape:
            units = shape[-1]
        self.put(flattened(node, self.next, units, max(1, size // units), shape))
        return ""

    def _scale(self, layer: Layer, node: Node) -> str:
        factor, shift = number_in(layer, "factor", 1.0), number_in(layer, "shift", 0.0)
        self.put(through_affine(node, self.next, factor, shift))
        return ""
