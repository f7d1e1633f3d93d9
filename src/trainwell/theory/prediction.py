"""What theory predicts of a ``Chain``: signal, gradient, χ, where it dies, how deep it could be.

The moments of ``trainwell.theory.signal_nodes`` are followed forward through the chain and G = ‖∂L/∂z‖² back, for each
layer with weights (z is its output). Depths are judged by two rules:

    6 ξ, ξ = 1/|mean ln χ|             a rule of thumb: Schoenholz et al. 2017, §5.1, arXiv:1611.01232
    5 width/(3 E φ'⁴/(E φ'²)² − 1)     where Var ln G between equal nets is 5: depth = width for ReLU, where Hanin &
                                       Rolnick 2018, arXiv:1803.01719, saw them fail (Σ 1/n ≈ 1)

The gradient starts at the output, unrelated in all numbers of it, or at the last layer with weights where the output is
not reached. Where no rule fits a step, the prediction ends and ``gave_up`` says why.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trainwell.theory.chain import Chain
from trainwell.theory.chain_walk import Walk
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.gradient_ways import Pull, scaled
from trainwell.theory.initial_spread import Spread
from trainwell.theory.scheme_spreads import scheme_spreads
from trainwell.theory.unit_nodes import Node

DEAD = 1e-6  # factor on the input's second moment from which the signal counts as dead; its inverse, as exploded
DEPTHS_PER_XI = 6.0
MOST_FLUCTUATION = 5.0


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
            embedding: of its entries; of a tensor of the model that a function uses: under its own name).
        activations: path → nonlinearity, where the class's name and the printed settings do not say it.
        input_moment: E x² per input number, above 0; inputs are taken as unrelated and of mean 0.

    Example:
        >>> from trainwell.theory.initial_spread import plain_chain
        >>> found = predict(plain_chain(3, 64, "relu"), "xavier")
        >>> [layer.moment for layer in found.layers], found.gradient_ratio
        ([1.0, 0.5, 0.25], 0.5)
    """
    known = scheme_spreads(chain, spreads, activations) if isinstance(spreads, str) else spreads
    walk = Walk(chain, known, activations or {}, input_moment)
    gave_up = chain.incomplete if chain.incomplete.startswith("The forward pass failed") else ""
    for layer in chain.layers:
        refusal = walk.step(layer)
        if refusal:
            gave_up = f"It ends before {layer.path!r}: {refusal}"
            break
    layers, fluctuation = _backward(walk, not gave_up)
    return Prediction(layers, tuple(walk.assumed), gave_up, fluctuation, input_moment)


def _backward(walk: Walk, whole: bool) -> tuple[tuple[LayerPrediction, ...], float]:
    """Pull the gradient back through the nodes, and gather what is known of each layer with weights."""
    if not walk.weighted:
        return (), 0.0
    last = walk.weighted[-1][1]
    pulled = _pulled(walk, walk.nodes[-1]) if whole else []
    if not pulled or not pulled[last].size:
        pulled = _pulled(walk, walk.nodes[last])
    unit = pulled[last].size
    rows: list[LayerPrediction] = []
    for place, (layer, number, spread, keeps) in enumerate(walk.weighted):
        node, size = walk.nodes[number], pulled[number].size / unit
        before = pulled[walk.weighted[place - 1][1]].size / unit if place else math.nan
        chi = before / size if place and size else math.nan
        deviation = math.sqrt(node.variance + 2 / node.units)
        known = (node.moment, node.correlation, chi, math.sqrt(size), keeps, deviation)
        rows.append(LayerPrediction(layer.path, layer.name, node.units, spread.sigma_w, spread.sigma_b, *known))
    first = walk.weighted[0][1]
    plain = all(layer.kind in ("linear", "activation", "flatten", "dropout", "output") for layer in walk.chain.layers)
    return tuple(rows), sum(node.noise for node in walk.nodes[first + 1 : last + 1]) if plain else math.nan


def _pulled(walk: Walk, end: Node) -> list[Pull]:
    pulled = [Pull()] * len(walk.nodes)
    for source, way in end.ways(scaled(1.0)):
        pulled[source] = pulled[source].plus(way(Pull(1.0, 1.0)))
    for number in range(len(walk.nodes) - 1, -1, -1):
        if pulled[number].size:
            for parent, way in walk.nodes[number].parents:
                pulled[parent] = pulled[parent].plus(way(pulled[number]))
    return pulled
