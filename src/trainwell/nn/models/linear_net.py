"""Deep linear networks: y = W_L … W_2 W_1 x, linear in x and not in its weights.

What such a net can represent is a matrix of rank ≤ the smallest width; how it learns is what deep nets do, solvable.
From balanced, aligned weights each mode of strength u towards its target s obeys (square loss, whitened input)

    du/dt = L u^{2 − 2/L} (s − u),    t in units of 1/η.

Orthogonal weights start all modes at u = gain^L whatever L; Gaussian ones start the small modes exponentially small in
L. Sources: Saxe, McClelland & Ganguli 2014, §3, arXiv:1312.6120; deck T, §2.5.2; THEORY S13.
"""

import itertools
import math

from torch import nn

from trainwell.errors import InputError

_INITIALIZATIONS = ("orthogonal", "gaussian")


def deep_linear(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 128,
    depth: int = 4,
    initialization: str = "orthogonal",
    gain: float = 1.0,
) -> nn.Module:
    """Build a net of linear layers without biases and nothing between them.

    Args:
        inputs: shape of one sample; flattened.
        outputs: number of logits or values.
        width: units between the layers.
        depth: number of weight matrices L, at least 1.
        initialization: ``orthogonal`` (all singular values are the gain; exact for each matrix, and for the product
            where no width is smaller than the smaller of inputs and outputs on the way) or ``gaussian``
            (N(0, gain²/fan_in)).
        gain: factor of each layer, 1 by default: the product neither grows nor shrinks with L.

    Raises:
        InputError: if depth or width is below 1, or the initialization is not known.

    Example:
        >>> import torch
        >>> weights = [layer.weight for layer in deep_linear((3,), 3, width=3, depth=10) if hasattr(layer, "weight")]
        >>> product = torch.linalg.multi_dot(weights[::-1])
        >>> bool(torch.allclose(torch.linalg.svdvals(product), torch.ones(3), atol=1e-5))
        True
    """
    if depth < 1 or width < 1:
        raise InputError(f"deep_linear: depth={depth}, width={width}.", "Use 1 or more of both.")
    if initialization not in _INITIALIZATIONS:
        raise InputError(
            f"deep_linear: initialization={initialization!r} is not known.",
            f"Use one of {', '.join(_INITIALIZATIONS)}.",
        )
    sizes = [math.prod(inputs), *[width] * (depth - 1), outputs]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(sizes):
        layer = nn.Linear(before, after, bias=False)
        if initialization == "orthogonal":
            nn.init.orthogonal_(layer.weight, gain)
        else:
            nn.init.normal_(layer.weight, std=gain * before**-0.5)
        layers.append(layer)
    return nn.Sequential(*layers)
