"""Dropout as first published: mask in training, scaled weights at test time.

    training:  y = W (m ∘ x) + b,  P(m_i = 0) = p        test:  y = (1 − p) W x + b = E y.

Inverted dropout divides by 1 − p in training instead and leaves the test network alone; for one linear layer on the
masked input the two are the same model up to that factor on W. With nonlinearities behind, the scaled net only
approximates the mean of the 2ⁿ thinned ones: before a linear read-out and a softmax it is their renormalized geometric
mean. Deck M's p is the probability of *keeping* a unit; here and in deck G it is that of dropping.
Source: Srivastava et al. 2014, JMLR 15, §4 and fig. 2.
"""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.nn.dropping.drop_probability import checked
from trainwell.nn.tracer import trace


class MaskDropout(nn.Module):
    """Set numbers to 0 with probability p in training, without scaling the others; do nothing in evaluation.

    Before the model is used, ``weight_scaling_`` has to multiply the weights that read from it by 1 − p.

    Args:
        p: drop probability in [0, 1).

    Raises:
        ValueError: if ``p`` is outside.
    """

    layer_kind = "dropout"

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = checked("MaskDropout", p)

    def forward(self, x: Tensor) -> Tensor:
        """Map each number; torch's global generator draws the mask."""
        if not self.training or self.p == 0:
            return x
        return x * (torch.rand_like(x, dtype=torch.float32) >= self.p)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"p={self.p}"


@torch.no_grad()
def weight_scaling_(model: nn.Module, example: Any) -> dict[str, float]:
    """Multiply the weights behind every ``MaskDropout`` by 1 − p in place, and set its p to 0.

    Args:
        model: trained with ``MaskDropout`` layers.
        example: a batch, as for ``trainwell.nn.trace``, which finds the layer that reads each mask.

    Returns:
        Path of each linear layer or convolution that was scaled → factor; biases are kept.

    Raises:
        ValueError: if a mask is not read by a linear layer or convolution alone (average pooling and flattening may
            stand between), or there is none; nothing is changed then.
    """
    layers = trace(model, example).layers
    masks = [i for i, layer in enumerate(layers) if layer.name == MaskDropout.__name__]
    if not masks:
        raise ValueError("weight_scaling_: the forward pass runs no MaskDropout.")
    factors: dict[str, float] = {}
    for start in masks:
        mask = model.get_submodule(layers[start].path)
        assert isinstance(mask, MaskDropout)
        place = start + 1
        while place < len(layers) and _passes_scale(layers[place].kind, layers[place].name):
            place += 1
        reader = layers[place] if place < len(layers) else None
        if reader is None or reader.kind not in ("linear", "conv") or reader.path.endswith("()"):
            what = "nothing" if reader is None else f"{reader.name} at {reader.path!r}"
            raise ValueError(
                f"weight_scaling_: {layers[start].path!r} is read by {what}. "
                "Only a linear layer or a convolution can take over its factor."
            )
        factors[reader.path] = factors.get(reader.path, 1.0) * (1 - mask.p)
    for path in factors:
        weight = model.get_submodule(path)._parameters.get("weight")
        if weight is None:
            raise ValueError(f"weight_scaling_: the weight of {path!r} is computed from other parameters.")
    for path, factor in factors.items():
        model.get_submodule(path).get_parameter("weight").mul_(factor)
    for start in masks:
        model.get_submodule(layers[start].path).p = 0.0  # type: ignore[assignment]
    return factors


def _passes_scale(kind: str, name: str) -> bool:
    return kind in ("flatten", "dropout") or (kind == "pool" and "Avg" in name)
