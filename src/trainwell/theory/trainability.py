"""Whether a net will train at all, in plain words, from what theory predicts of it at initialization.

A net whose gradient norm changes by a factor below ``WEAK`` (or above its inverse) from the last to the first layer
trains badly, beyond ``HOPELESS`` not at all: no one learning rate suits all layers. A signal below 10⁻⁶ or above 10⁶
times the input's second moment is dead or about to overflow; outputs that no longer depend on the input carry none.
Behind norms the weights' scale does not matter and a large gradient only slows a layer down: there ``EXPLODED`` is the
bound (plain nets with batch norm were seen to fail from about 50 layers on: Yang et al. 2019, arXiv:1902.08129).
The thresholds are ours; the depth at which such nets stop training is measured in Schoenholz et al. 2017,
arXiv:1611.01232, Fig. 5 (norm factor e^{−3} to e^{−6} at 6 ξ).
"""

import math
from typing import NamedTuple

from trainwell.theory.prediction import MOST_FLUCTUATION, LayerPrediction, Prediction

WEAK, HOPELESS = 0.05, 1e-3
EXPLODED = 1e5
ALIKE = 1 - 1e-4


class Verdict(NamedTuple):
    """``trains`` (yes, hardly, no, unknown) and why, one sentence without a final remedy."""

    trains: str
    why: str


def judge(prediction: Prediction) -> Verdict:
    """Return the verdict on a net.

    Example:
        >>> from trainwell.theory.initial_spread import plain_chain
        >>> from trainwell.theory.prediction import predict
        >>> judge(predict(plain_chain(30, 128, "relu"), "xavier"))
        Verdict(trains='no', why='The gradient at layer 1 is 4.3e-05 of that at layer 30: it will not train.')
    """
    layers = prediction.layers
    if len(layers) < 2:
        return Verdict("unknown", "There are fewer than two layers with weights: nothing can fade between them.")
    ratio = prediction.gradient_ratio
    if prediction.gave_up and ratio == 0:
        return Verdict("unknown", f"Theory followed it only up to {layers[-1].path!r}: it cannot tell.")
    ends = f"The gradient at {_named(prediction, layers[0])}"
    size = "0" if ratio == 0 else f"{ratio:.2g}" if ratio < 1e4 else f"{ratio:.1e}"
    compared = f"{ends} is {size} of that at {_named(prediction, layers[-1])}"
    larger = f"{ends} is {size} times that at {_named(prediction, layers[-1])}"
    told = compared if ratio < 1 else larger
    most = EXPLODED if math.isnan(prediction.fluctuation) else 1 / HOPELESS
    if not HOPELESS <= ratio <= most:
        return Verdict("no", f"{told}: it will not train.")
    lost = prediction.dies_at or prediction.explodes_at
    if lost is not None:
        what = "dies" if prediction.dies_at else "explodes"
        return Verdict(
            "no", f"The signal {what}: its second moment at {_named(prediction, lost)} is {lost.moment:.2g}."
        )
    if not WEAK <= ratio <= 1 / WEAK:
        return Verdict("hardly", f"{told}: it will train slowly, if at all.")
    if layers[-1].correlation > ALIKE:
        return Verdict(
            "hardly",
            f"Unrelated inputs give outputs of correlation {layers[-1].correlation:.6f}: they are hardly told apart.",
        )
    if prediction.fluctuation > MOST_FLUCTUATION:
        wide = math.ceil(prediction.fluctuation / MOST_FLUCTUATION * layers[0].units)
        return Verdict(
            "hardly",
            "It is too deep for its width: between equally drawn nets the gradient at the first layer differs by a "
            f"factor of {math.exp(math.sqrt(prediction.fluctuation) / 2):.2g}; a width of {wide} would do.",
        )
    reached = "as far as theory could follow, signal and" if prediction.gave_up else "signal and"
    return Verdict("yes", f"{told}: {reached} gradient reach all layers.")


def _named(prediction: Prediction, layer: LayerPrediction) -> str:
    plain = layer.path.startswith("linear") and layer.path[6:].isdigit()
    return f"layer {prediction.layers.index(layer) + 1}" if plain else f"{layer.path!r}"
