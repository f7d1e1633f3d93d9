"""Another kind of dropout in a model that has been built, at the places where its own stands.

    inverted, gaussian, alpha, none   each ``nn.Dropout`` becomes a layer of the kind, with the same probability
    spatial                           whole channels, behind every pooling that leaves pictures (or sequences)
    dropconnect                       the model's own dropout goes, and weights are dropped instead

Source: deck G, dropout and its kin; see ``trainwell.nn.dropping.dropouts`` for each.
"""

from torch import nn

from trainwell.errors import InputError
from trainwell.nn.dropping.dropconnect import dropconnect_
from trainwell.nn.dropping.dropouts import DROPOUTS, dropout

KINDS = (*DROPOUTS, "dropconnect")
_POOLS: dict[int, tuple[type[nn.Module], ...]] = {
    1: (nn.MaxPool1d, nn.AvgPool1d),
    2: (nn.MaxPool2d, nn.AvgPool2d),
    3: (nn.MaxPool3d, nn.AvgPool3d),
}


def choose_dropout_(model: nn.Module, name: str, probability: float | None = None) -> list[str]:
    """Replace the model's dropout by another kind, in place.

    Args:
        model: any module.
        name: one of ``KINDS``.
        probability: of dropping; that of the model's own first dropout layer if None.

    Returns:
        Paths of the layers that are new or changed.

    Raises:
        InputError: for an unknown name, a model without dropout where no probability is given, or one without a place
            for this kind.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.2))
        >>> choose_dropout_(net, "gaussian"), net[1]
        (['1'], GaussianDropout(p=0.2))
    """
    if name not in KINDS:
        raise InputError(f"regularization.dropout={name!r} is not known.", f"Use one of {', '.join(KINDS)}.")
    own = {path: module for path, module in model.named_modules() if type(module) is nn.Dropout}
    share = probability if probability is not None else next((module.p for module in own.values()), None)
    if share is None and name != "none":
        raise InputError(f"regularization.dropout={name!r}: the model has no dropout.", "Set model.dropout too.")
    if name in ("spatial", "dropconnect"):
        for path in own:
            model.set_submodule(path, nn.Identity())
        return _spatial_(model, share or 0.0) if name == "spatial" else dropconnect_(model, share or 0.0)
    for path, module in own.items():
        model.set_submodule(path, dropout(name, module.p))
    if not own and name != "none":
        raise InputError(
            f"regularization.dropout={name!r}: the model has no dropout layer to replace.", "Use dropconnect, or mlp."
        )
    return list(own)


def _spatial_(model: nn.Module, probability: float) -> list[str]:
    places = [
        (path, module, dimensions)
        for path, module in model.named_modules()
        for dimensions, pools in _POOLS.items()
        if isinstance(module, pools)
    ]
    for path, module, dimensions in places:
        model.set_submodule(path, nn.Sequential(module, dropout("spatial", probability, dimensions)))
    if not places:
        raise InputError(
            "regularization.dropout='spatial': the model has no pooling layer, behind which channels could be dropped.",
            "Use it with cnn or vgg, or choose another kind.",
        )
    return [f"{path}.1" for path, _, _ in places]
