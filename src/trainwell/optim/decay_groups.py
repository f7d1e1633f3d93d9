"""Parameter groups with weight decay on matrices and kernels only.

A norm's gain and a bias have one or no dimension: shrinking them does not make the function smoother, it moves the
operating point of the layer, so they get no decay. Source: deck G, L2 regularization; He et al. 2019, "Bag of Tricks
for Image Classification", §2.3 ("no bias decay"), arXiv:1812.01187.
"""

from collections.abc import Iterable
from typing import Any

from torch import nn


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Split trainable parameters into a group that decays (two dimensions or more) and one that does not.

    Args:
        parameters: any iterable of parameters; frozen ones (``requires_grad=False``) are left out.
        weight_decay: decay of the first group, per unit of rate (decoupled) or of loss (SGD).

    Returns:
        One or two groups for a ``torch.optim.Optimizer``; empty groups are not listed.
    """
    trainable = [p for p in parameters if p.requires_grad]
    matrices = [p for p in trainable if p.dim() >= 2]
    vectors = [p for p in trainable if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
