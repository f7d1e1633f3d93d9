"""Training of nothing but the normalizations' scales and shifts.

Every weight stays at its random start; γ and β alone, 2 numbers a channel, choose and mix the random features. Frankle
et al. freeze the classifier too; a model whose last layer should learn gets it back by ``requires_grad_(True)``.
Source: Frankle, Schwab & Morcos 2021, "Training BatchNorm and Only BatchNorm", arXiv:2003.00152.
"""

from torch import nn

from trainwell.nn.operations import kind_of


def train_only_norms_(model: nn.Module) -> list[str]:
    """Freeze every parameter that does not belong to a normalization, in place.

    Args:
        model: any module; its normalizations keep their ``requires_grad``.

    Returns:
        Paths of the parameters that were trainable and no longer are.

    Raises:
        ValueError: if no trainable parameter is left.

    Example:
        >>> train_only_norms_(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)))
        ['0.weight', '0.bias', '2.weight', '2.bias']
    """
    kept = {id(p) for m in model.modules() if kind_of(m) == "norm" for p in m.parameters() if p.requires_grad}
    if not kept:
        raise ValueError(
            "train_only_norms_: no normalization of this model has a trainable parameter. Use one with a scale and a "
            "shift, such as norm='batch'."
        )
    frozen = []
    for path, parameter in model.named_parameters():
        if id(parameter) not in kept and parameter.requires_grad:
            parameter.requires_grad_(False)
            frozen.append(path)
    return frozen
