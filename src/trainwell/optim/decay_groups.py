"""Parameter groups with weight decay on matrices and kernels only.

A norm's gain and a bias have one or no dimension: shrinking them does not make the function smoother, it moves the
operating point of the layer, so they get no decay. Source: deck G, L2 regularization; He et al. 2019, "Bag of Tricks
for Image Classification", §2.3 ("no bias decay"), arXiv:1812.01187.
"""

from collections.abc import Iterable
from typing import Any

from torch import nn

from trainwell.objectives.weights import is_matrix, named_weights


def decay_groups(parameters: nn.Module | Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Split trainable parameters into a group that decays and one that does not, by the rule of ``objectives.weights``.

    Args:
        parameters: a model, of which norms' gains of any shape are told apart; or any iterable of parameters, of which
            all with two dimensions or more decay. Frozen ones (``requires_grad=False``) are left out.
        weight_decay: decay of the first group, per unit of rate (decoupled) or of loss (SGD).

    Returns:
        One or two groups for a ``torch.optim.Optimizer``; empty groups are not listed.
    """
    if isinstance(parameters, nn.Module):
        everything, weights = list(parameters.parameters()), list(named_weights(parameters).values())
    else:
        everything = list(parameters)
        weights = [p for p in everything if is_matrix(p)]
    decaying = {id(p) for p in weights}
    trainable = [p for p in everything if p.requires_grad]
    matrices = [p for p in trainable if id(p) in decaying]
    vectors = [p for p in trainable if id(p) not in decaying]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
