"""The spreads that an initialization scheme gives to a chain's linear layers and convolutions, by their paths."""

from collections.abc import Mapping

from trainwell.theory.chain import Chain
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.initial_spread import Spread, check_scheme, initial_spread
from trainwell.theory.layer_names import nonlinearity_in


def scheme_spreads(
    chain: Chain, scheme: str, activations: Mapping[str, Nonlinearity] | None = None
) -> dict[str, Spread]:
    """Return path → spread. Weights that a function uses, outside of a layer, are not drawn and so not in it.

    Args:
        chain: of the net.
        scheme: one of ``INITIALIZATIONS``.
        activations: path → nonlinearity, where the class's name and the printed settings do not say it.

    Raises:
        InputError: if the scheme is not known.

    Example:
        >>> from trainwell.theory.initial_spread import plain_chain
        >>> scheme_spreads(plain_chain(2, 64, "relu"), "kaiming")["linear1"].sigma_w ** 2
        2.0000000000000004
    """
    check_scheme(scheme)
    found: dict[str, Spread] = {}
    for index, layer in enumerate(chain.layers):
        if layer.kind not in ("linear", "conv") or not layer.fan_in or layer.path.endswith("()"):
            continue
        outputs = layer.output_shape[0] if scheme == "orthogonal" and layer.kind == "conv" else layer.fan_out
        following = _following(chain, index, activations or {})
        found.setdefault(layer.path, initial_spread(scheme, layer.fan_in, outputs, following))
    return found


def _following(chain: Chain, index: int, activations: Mapping[str, Nonlinearity]) -> Nonlinearity | None:
    for layer in chain.layers[index + 1 :]:
        if layer.kind == "activation":
            return activations.get(layer.path) or nonlinearity_in(layer)
        if layer.kind not in ("norm", "dropout", "pool", "flatten"):
            return None
    return None
