"""What theory predicts of a ``Chain``: signal, gradient, χ, where it dies, how deep it could be.

The moments of ``trainwell.theory.signal_nodes`` are followed forward through the chain and G = ‖∂L/∂z‖² back, for each
layer with weights (z is its output). Depths are judged by two rules:

    6 ξ, ξ = 1/|mean ln χ|             a rule of thumb: Schoenholz et al. 2017, §5.1, arXiv:1611.01232
    5 width/(3 E φ'⁴/(E φ'²)² − 1)     where Var ln G between equal nets is 5: depth = width for ReLU, where Hanin &
                                       Rolnick 2018, arXiv:1803.01719, saw them fail (Σ 1/n ≈ 1)

A chain shows the order of execution, not which output goes where. An addition is taken for the end of the block that
calls it: its other summand is what the block read, or the branch before a layer named shortcut, downsample or skip, or
before one that reads the block's input again. Where no rule fits, the prediction ends and ``gave_up`` says why.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainwell.theory.chain import Chain, Layer
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.initial_spread import Spread, check_scheme, initial_spread
from trainwell.theory.layer_names import nonlinearity_in, norm_kind, setting
from trainwell.theory.signal_nodes import (
    Node,
    through_activation,
    through_norm,
    through_pool,
    through_sum,
    through_weights,
)

DEAD = 1e-6  # factor on the input's second moment from which the signal counts as dead; its inverse, as exploded
DEPTHS_PER_XI = 6.0
MOST_FLUCTUATION = 5.0
SHORTCUTS = re.compile(r"\b(shortcut|downsample|skip)\w*$")
_SAME = ("flatten", "dropout", "output")


@dataclass(frozen=True)
class LayerPrediction:
    """One layer with weights; z is its output, before a norm or an activation.

    Attributes:
        path, name: in the chain.
        units: features, or channels.
        sigma_w, sigma_b: root mean squares of √fan_in · weight and of the biases.
        moment: E z².
        correlation: of z for two unrelated inputs: 1 if the net can't tell them apart; nan where unknown.
        chi: ‖∂L/∂z‖² of the layer before over that of this one; nan for the first.
        gradient: ‖∂L/∂z‖ over that of the last layer.
        keeps: the σ_w that would have passed on the second moment, 1/√E φ(z)² of the activation before it.
        deviation: relative standard deviation of the mean of z² from net to net, of order √(depth/width).
    """

    path: str
    name: str
    units: int
    sigma_w: float
    sigma_b: float
    moment: float
    correlation: float
    chi: float
    gradient: float
    keeps: float
    deviation: float


@dataclass(frozen=True)
class Prediction:
    """What theory says of a chain.

    Attributes:
        layers: those with weights, in the order of execution, as far as theory could follow.
        assumed: sentences on what was taken for granted.
        gave_up: where the prediction ends before the chain does, and why; "" where it doesn't.
        fluctuation: Var ln‖∂L/∂z‖² of the first layer between equal nets; nan beyond linear layers and activations.
        input_moment: E x² that was started from.
    """

    layers: tuple[LayerPrediction, ...]
    assumed: tuple[str, ...]
    gave_up: str
    fluctuation: float
    input_moment: float = 1.0

    @property
    def gradient_ratio(self) -> float:
        """‖∂L/∂z‖ of the first layer over that of the last; nan without layers."""
        return self.layers[0].gradient if self.layers else math.nan

    @property
    def dies_at(self) -> LayerPrediction | None:
        """The first layer from which on all second moments are below ``DEAD`` times the input's."""
        alive = [i for i, layer in enumerate(self.layers) if layer.moment >= DEAD * self.input_moment]
        first = alive[-1] + 1 if alive else 0
        return self.layers[first] if first < len(self.layers) else None

    @property
    def explodes_at(self) -> LayerPrediction | None:
        """The first layer whose second moment is above 1/``DEAD`` times the input's."""
        return next((layer for layer in self.layers if layer.moment > self.input_moment / DEAD), None)

    @property
    def xi(self) -> float:
        """Layers over which ‖∂L/∂z‖² changes by a factor e, up or down: 1/|mean ln χ|; inf where it does not.

        Of four layers or more the last step does not count: what follows the output layer sets its gain.
        """
        steps = [layer.chi for layer in self.layers[1 : len(self.layers) - (len(self.layers) > 3)]]
        if not steps:
            return math.inf
        if not all(0 < chi < math.inf for chi in steps):
            return 0.0
        change = abs(sum(map(math.log, steps))) / len(steps)
        return 1 / change if change > 1e-9 else math.inf

    @property
    def depth_by_gradient(self) -> float:
        """6 ξ: the depth up to which such nets were seen to train."""
        return DEPTHS_PER_XI * self.xi

    @property
    def depth_by_width(self) -> float:
        """The depth at which Var ln‖∂L/∂z‖² between equal nets reaches 5; nan where it is not known."""
        if math.isnan(self.fluctuation):
            return math.nan
        return MOST_FLUCTUATION * (len(self.layers) - 1) / self.fluctuation if self.fluctuation > 0 else math.inf


def predict(
    chain: Chain,
    spreads: str | Mapping[str, Spread],
    *,
    activations: Mapping[str, Nonlinearity] | None = None,
    input_moment: float = 1.0,
) -> Prediction:
    """Follow signal and gradient through a chain at initialization.

    Args:
        chain: ``trainwell.nn.trace`` makes it of a module.
        spreads: one of ``INITIALIZATIONS`` for all layers, or path → spread (of a norm: of its scale and shift; of an
            embedding: of its entries).
        activations: path → nonlinearity, where the class's name and the printed settings do not say it.
        input_moment: E x² per input number, above 0; inputs are taken as unrelated and of mean 0.

    Example:
        >>> from trainwell.theory.initial_spread import plain_chain
        >>> found = predict(plain_chain(3, 64, "relu"), "xavier")
        >>> [layer.moment for layer in found.layers], found.gradient_ratio
        ([1.0, 0.5, 0.25], 0.5)
    """
    if isinstance(spreads, str):
        check_scheme(spreads)
    walk = _Walk(chain, spreads, activations or {}, input_moment)
    gave_up = chain.incomplete if chain.incomplete.startswith("The forward pass failed") else ""
    for index, layer in enumerate(chain.layers):
        refusal = walk.step(index, layer)
        if refusal:
            gave_up = f"It ends before {layer.path!r}: {refusal}"
            break
    layers, fluctuation = _backward(walk)
    return Prediction(layers, tuple(walk.assumed), gave_up, fluctuation, input_moment)


class _Walk:
    """The forward pass: ``step`` returns a sentence where it cannot go on."""

    def __init__(
        self,
        chain: Chain,
        spreads: str | Mapping[str, Spread],
        activations: Mapping[str, Nonlinearity],
        input_moment: float,
    ) -> None:
        self.chain, self.spreads, self.activations = chain, spreads, activations
        self.input_moment = input_moment
        shape = chain.layers[0].input_shape if chain.layers else ()
        self.nodes = [Node(input_moment, 0.0, 0.0, 0.0, (), shape)]
        self.here = 0
        self.weighted: list[tuple[Layer, int, Spread]] = []
        self.entered: dict[str, int] = {}  # running module → node that it read
        self.aside: dict[str, int] = {}  # block → end of its branch while the shortcut runs
        self.assumed: dict[str, None] = {}

    def step(self, index: int, layer: Layer) -> str:
        self._enter(layer)
        if layer.kind == "other" and layer.name == "Sequential" and layer.input_shape == layer.output_shape:
            return ""  # an empty one, as a shortcut
        if layer.kind == "other":
            return self._sum(layer) if layer.name in ("add", "sub") else f"theory has no word for {layer.name}."
        if layer.kind == "input":
            self._put(Node(self.input_moment, 0.0, 0.0, 0.0, (), layer.output_shape))
            self._assume(f"{layer.path!r} standardizes its input.")
            return ""
        node = self.nodes[self.here]
        if math.prod(layer.input_shape) != math.prod(node.shape) and layer.kind != "embedding":
            if not self._turn_back(layer):
                return f"it reads shape {layer.input_shape}, and the step before gave {node.shape}."
            node = self.nodes[self.here]
        if layer.kind in _SAME:
            self._put(_reshaped(node, self.here, layer.output_shape))
            return ""
        rule = {
            "linear": self._weights,
            "conv": self._weights,
            "embedding": self._embedding,
            "activation": self._activation,
            "norm": self._norm,
            "pool": self._pool,
        }[layer.kind]
        return rule(index, layer, node)

    def _weights(self, index: int, layer: Layer, node: Node) -> str:
        if "Transpose" in layer.name or "transpose" in layer.name:
            return "transposed convolutions are not modelled."
        spread = self._spread(index, layer)
        if spread is None or not layer.fan_in:
            return "the spread of its weights is not known."
        if layer.kind == "conv":
            self._assume("Convolutions: what padding takes away at the borders is neglected.")
        self._put(through_weights(node, self.here, spread, layer.output_shape))
        self.weighted.append((layer, self.here, spread))
        return ""

    def _embedding(self, index: int, layer: Layer, node: Node) -> str:
        spread = self._spread(index, layer) if not isinstance(self.spreads, str) else Spread(1.0)
        if spread is None:
            return "the spread of its entries is not known."
        self._put(Node(spread.sigma_w**2, 0.0, 0.0, 0.0, (), layer.output_shape))
        return ""

    def _spread(self, index: int, layer: Layer) -> Spread | None:
        if not isinstance(self.spreads, str):
            return self.spreads.get(layer.path)
        outputs = layer.fan_out
        if self.spreads == "orthogonal" and layer.kind == "conv":
            outputs = layer.output_shape[0]
        return initial_spread(self.spreads, layer.fan_in, outputs, self._following(index))

    def _following(self, index: int) -> Nonlinearity | None:
        for layer in self.chain.layers[index + 1 :]:
            if layer.kind == "activation":
                return self._nonlinearity(layer)
            if layer.kind not in ("norm", "dropout", "pool", "flatten"):
                return None
        return None

    def _nonlinearity(self, layer: Layer) -> Nonlinearity | None:
        return self.activations.get(layer.path) or nonlinearity_in(layer)

    def _activation(self, index: int, layer: Layer, node: Node) -> str:
        function = self._nonlinearity(layer)
        if function is None:
            return f"the moments of {layer.name} are not known."
        if not node.weighted and self.here and node.keeps != 1.0:
            self._assume(f"What {layer.path!r} reads is taken as normal with mean 0.")
        self._put(through_activation(node, self.here, function, layer.output_shape))
        return ""

    def _norm(self, index: int, layer: Layer, node: Node) -> str:
        kind = norm_kind(layer.name)
        if not kind:
            return f"{layer.name} is not modelled."
        if kind == "batch":
            self._assume("Batch norm: large batches of unrelated inputs, in training mode.")
        if layer.name.lower().startswith("instance"):
            self._assume("Instance norm is taken for batch norm: pixels for samples.")
        known = None if isinstance(self.spreads, str) else self.spreads.get(layer.path)
        epsilon = setting(layer, "eps")
        size = 1e-5 if epsilon is None else float(epsilon)
        self._put(through_norm(node, self.here, known or Spread(1.0), kind, size, layer.output_shape))
        return ""

    def _pool(self, index: int, layer: Layer, node: Node) -> str:
        self._assume("Pooling is taken to keep the second moment: neighbouring pixels as alike.")
        share = math.prod(layer.output_shape) / max(1, math.prod(layer.input_shape))
        mean = "avg" in layer.name.lower() or layer.name == "mean"
        factor = share if mean else 1 / share if layer.name == "sum" else 1.0
        self._put(through_pool(node, self.here, factor, layer.output_shape))
        return ""

    def _sum(self, layer: Layer) -> str:
        block = layer.path.rpartition(".")[0]
        other = self.aside.pop(block, self.entered.get(block, self.here))
        if not block or other == self.here:
            return "the chain does not show what is added to what."
        one, two = self.nodes[self.here], self.nodes[other]
        if one.shape != two.shape:
            return f"its summands have shapes {one.shape} and {two.shape} as far as the chain tells."
        self._assume("Additions: branch and shortcut are taken as uncorrelated.")
        self._put(through_sum(one, two, (self.here, other)))
        self.entered[block] = self.here
        return ""

    def _enter(self, layer: Layer) -> None:
        """Note what each module around the layer read, and go back to it where a shortcut begins or has ended."""
        parts = layer.path.split(".")
        around = [".".join(parts[:n]) for n in range(1, len(parts) + (layer.kind not in ("other",)))]
        for path in [path for path in self.entered if path not in around]:
            start, block = self.entered.pop(path), path.rpartition(".")[0]
            first = SHORTCUTS.search(path) and self.entered.get(block) == start and block not in self.aside
            if first and block in around and layer.kind != "other":
                self.aside[block], self.here = self.here, start  # the shortcut ran first, now comes the branch
        for path in around:
            block = path.rpartition(".")[0]
            begins = path not in self.entered and SHORTCUTS.search(path) and block in self.entered
            if begins and block not in self.aside and self.entered[block] != self.here:
                self.aside[block], self.here = self.here, self.entered[block]
            self.entered.setdefault(path, self.here)

    def _turn_back(self, layer: Layer) -> bool:
        """Go back to what a block around the layer read, if the layer can read that."""
        path = layer.path
        while path := path.rpartition(".")[0]:
            start = self.entered.get(path)
            if start is not None and path not in self.aside and self.nodes[start].shape == layer.input_shape:
                self.aside[path], self.here = self.here, start
                return True
        return False

    def _put(self, node: Node) -> None:
        self.nodes.append(node)
        self.here = len(self.nodes) - 1

    def _assume(self, sentence: str) -> None:
        self.assumed.setdefault(sentence)


def _backward(walk: _Walk) -> tuple[tuple[LayerPrediction, ...], float]:
    """Pull G = 1 at the last layer with weights back through the nodes, and gather what is known of each layer."""
    if not walk.weighted:
        return (), 0.0
    last = walk.weighted[-1][1]
    pulled = [0.0] * len(walk.nodes)
    pulled[last] = 1.0
    for place in range(last, -1, -1):
        for parent, factor in walk.nodes[place].parents:
            pulled[parent] += pulled[place] * factor if pulled[place] else 0.0
    rows: list[LayerPrediction] = []
    for number, (layer, place, spread) in enumerate(walk.weighted):
        node = walk.nodes[place]
        before = pulled[walk.weighted[number - 1][1]] if number else math.nan
        chi = before / pulled[place] if number and pulled[place] else math.nan
        keeps = walk.nodes[node.parents[0][0]].keeps
        deviation = math.sqrt(node.variance + 2 / node.units)
        known = (node.moment, node.correlation, chi, math.sqrt(pulled[place]), keeps, deviation)
        rows.append(LayerPrediction(layer.path, layer.name, node.units, *spread, *known))
    first = walk.weighted[0][1]
    plain = all(layer.kind in ("linear", "activation", *_SAME) for layer in walk.chain.layers)
    return tuple(rows), sum(node.noise for node in walk.nodes[first + 1 : last + 1]) if plain else math.nan


def _reshaped(node: Node, place: int, shape: tuple[int, ...]) -> Node:
    values = (node.moment, node.covariance, node.mean, node.variance, ((place, 1.0),), shape)
    return Node(*values, keeps=node.keeps, weighted=node.weighted)
