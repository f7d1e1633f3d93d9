"""The augmentation of a kind of data, from named options."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch

from trainwell.data.augment.pictures import Augment
from trainwell.data.augment.rows import TableAugment
from trainwell.data.augment.series import SequenceAugment
from trainwell.errors import InputError

AUGMENTATIONS: dict[str, type[Augment] | type[TableAugment] | type[SequenceAugment]] = {
    "image": Augment,
    "table": TableAugment,
    "array": TableAugment,
    "sequence": SequenceAugment,
}
"""Kind of data → what augments it."""


def augmenter(kind: str, **options: Any) -> Callable[[Any, torch.Generator], Any] | None:
    """Make the augmentation of a kind of data; None where nothing is switched on.

    Args:
        kind: ``image``, ``table``, ``array`` or ``sequence``.
        options: fields of ``Augment``, ``TableAugment`` (table, array) or ``SequenceAugment``; None is the field's
            default, and an option of another kind may be named as long as it is off.

    Raises:
        InputError: if an option is on that this kind of data does not have, or a value is out of range.

    Example:
        >>> augmenter("image", flip=True, pad=4, swap=None).pad
        4
        >>> augmenter("table", swap=0.0) is None
        True
    """
    if kind not in AUGMENTATIONS:
        raise InputError(f"augmentation: no data are of the kind {kind!r}.", f"Kinds: {', '.join(AUGMENTATIONS)}.")
    made = AUGMENTATIONS[kind]
    defaults = {field.name: field.default for field in fields(made)}
    given = {name: value for name, value in options.items() if value is not None}
    wrong = [name for name in given if name not in defaults and not _is_off(name, given[name])]
    if wrong:
        fitting = ", ".join(name for name in defaults if name != "std")
        raise InputError(f"augmentation.{wrong[0]} does not fit data of the kind {kind}.", f"These have {fitting}.")
    result = made(**{name: value for name, value in given.items() if name in defaults})
    switches = [name for name, default in defaults.items() if not default]  # the others only say how
    return result if any(getattr(result, name) for name in switches if name != "std") else None


def _is_off(name: str, value: object) -> bool:
    others = [field for made in AUGMENTATIONS.values() for field in fields(made) if field.name == name]
    return any(value == field.default for field in others)
