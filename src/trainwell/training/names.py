"""Names in a recipe that stand for parts: whether there are such parts, before any data are read."""

from collections.abc import Iterable

from trainwell import nn
from trainwell.data import SCALINGS
from trainwell.errors import InputError
from trainwell.init import SCHEMES
from trainwell.nearest_name import nearest
from trainwell.nn.dropping.dropout_choice import KINDS
from trainwell.objectives import ATTACKS, CONSTRAINTS, PROXIMAL
from trainwell.optim.clipping import CLIPPERS
from trainwell.optim.methods import METHODS
from trainwell.optim.scheduling.schedules import SCHEDULES
from trainwell.training.recipe import Recipe

LONGEST_LIST = 20  # names that an error shows


def tables() -> dict[tuple[str, str], Iterable[str]]:
    """Section and field → the names that it may have."""
    return {
        ("model", "activation"): nn.ACTIVATIONS,
        ("model", "norm"): nn.NORMS,
        ("model", "parametrization"): nn.PARAMETRIZATIONS,
        ("model", "block"): nn.BLOCKS,
        ("model", "shortcut"): nn.SHORTCUTS,
        ("init", "scheme"): ("model", "lsuv", *SCHEMES),
        ("data", "scaling"): SCALINGS,
        ("optimizer", "name"): ("auto", *METHODS),
        ("optimizer", "clip"): CLIPPERS,
        ("schedule", "name"): ("auto", *SCHEDULES),
        ("regularization", "dropout"): KINDS,
        ("regularization", "constraint"): ("none", *CONSTRAINTS),
        ("regularization", "proximal"): ("none", *PROXIMAL),
        ("regularization", "attack"): ("none", *ATTACKS),
    }


def check_names(recipe: Recipe) -> None:
    """Say so where a name stands for nothing.

    Raises:
        InputError: with the field, the name and the nearest right one.
    """
    for (section, field), known in tables().items():
        name = getattr(getattr(recipe, section), field)
        names = list(known)
        if name is None or name in names:
            continue
        hint = nearest(name, names)
        shown = f"{', '.join(names[:LONGEST_LIST])}{', …' if len(names) > LONGEST_LIST else ''}"
        raise InputError(f"{section}.{field} is {name!r}.", f"{hint} Known: {shown}.".strip())
