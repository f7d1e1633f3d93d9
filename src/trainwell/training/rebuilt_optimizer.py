"""An optimizer made again over the parameters of another model: a copy, or one with modules wrapped or added."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.errors import InputError


def rebuilder(optimizer: Optimizer, model: nn.Module) -> "Rebuilt":
    """What makes the optimizer again for a copy of its model.

    Raises:
        InputError: for one that was built from the model itself, which its settings do not tell.
    """
    if "module" in getattr(optimizer, "needs", ()):
        raise InputError(
            f"{type(optimizer).__name__} is built from its model, so that a copy cannot be made of it.",
            "Give Program the optimizer as a callable with takes_model = True.",
        )
    return Rebuilt(optimizer, model)


class Rebuilt:
    """Makes an optimizer as a given one over a model's parameters of the same names: its class, groups and settings.

    A parameter that was moved (``fc.weight`` → ``1.fc.weight``) stays in its group; one that was added
    gets the settings of the first group. Parameters that are not the model's are left out: a step of theirs would
    change nothing that the model says.

    Args:
        optimizer: the instance.
        model: whose parameters it holds.
    """

    takes_model = True

    def __init__(self, optimizer: Optimizer, model: nn.Module) -> None:
        names = {id(p): name for name, p in model.named_parameters()}
        self.known = {name: tuple(p.shape) for name, p in model.named_parameters()}
        given = [p for group in optimizer.param_groups for p in group["params"]]
        self.strangers = [tuple(p.shape) for p in given if id(p) not in names]  # shapes of what is not the model's
        self.make: Any = type(optimizer)
        self.groups: list[dict[str, Any]] = [
            {
                **{k: v for k, v in group.items() if k not in ("params", "param_names")},
                "params": [names[id(p)] for p in group["params"] if id(p) in names],
            }
            for group in optimizer.param_groups
        ]

    def __call__(self, model: nn.Module | Iterable[nn.Parameter]) -> Optimizer:
        own = self._named(model)
        new = {name: tuple(p.shape) for name, p in own.items() if name not in self.known}
        moved = {name: moved_to(name, shape, new) for name, shape in self.known.items() if name not in own}
        groups = []
        for group in self.groups:
            names = [moved.get(name, name) for name in group["params"]]
            groups.append({**group, "params": [own[name] for name in names if name is not None]})
        settled = {*moved.values()}
        groups[0]["params"] += [own[name] for name in new if name not in settled]
        made: Optimizer = self.make(groups)
        return made

    def _named(self, model: nn.Module | Iterable[nn.Parameter]) -> dict[str, Tensor]:
        """Parameters by name; those given without names have the old ones where shapes and order are the same."""
        if isinstance(model, nn.Module):
            return dict(model.named_parameters())
        given = list(model)
        same = [tuple(p.shape) for p in given] == list(self.known.values())
        return dict(zip(self.known if same else map(str, range(len(given))), given, strict=True))


def moved_to(name: str, shape: tuple[int, ...], new: Mapping[str, tuple[int, ...]]) -> str | None:
    """The new name of a parameter whose module was wrapped: it ends alike, or holds the old name's parts in order.

    Args:
        name: the old one.
        shape: of the parameter.
        new: names that were not there before, with their shapes.

    Example:
        >>> moved_to("fc.weight", (2, 3), {"1.fc.weight": (2, 3), "0.mean": (3,)})
        '1.fc.weight'
    """
    alike = [other for other, size in new.items() if size == shape]
    for fits in (lambda other: other.endswith(f".{name}"), lambda other: _holds(other.split("."), name.split("."))):
        found = [other for other in alike if fits(other)]
        if found:
            return min(found, key=len)
    return None


def _holds(longer: list[str], shorter: list[str]) -> bool:
    rest = iter(longer)
    return all(part in rest for part in shorter)
