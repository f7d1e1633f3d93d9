"""Tensors that a module holds as plain attributes, where the model does not see them, and their cure: parameters."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.private import EveryParameter
from trainwell.training.program import Program

OWN = frozenset(vars(nn.Module()))  # attributes that every module has


@dataclass(frozen=True)
class Plain:
    """An attribute that holds plain tensors.

    Attributes:
        owner: path of the module.
        name: of the attribute.
        tensors: one, or those of its list, tuple or dict.
    """

    owner: str
    name: str
    tensors: tuple[Tensor, ...]

    @property
    def path(self) -> str:
        """As in ``body.table``."""
        return f"{self.owner}.{self.name}" if self.owner else self.name


def plain_tensors(model: nn.Module) -> Iterator[Plain]:
    """Attributes of floating leaf tensors, also in plain lists, tuples and dicts, that are no parameters or buffers."""
    known = {id(tensor) for tensors in (model.parameters(), model.buffers()) for tensor in tensors}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            members = tuple(_members(value)) if name not in OWN else ()
            if members and all(_plain(member, known) for member in members):
                yield Plain(path, name, members)


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) if all(isinstance(key, str) for key in value) else []
    return list(value) if isinstance(value, list | tuple) else [value]


def _plain(value: Any, known: Collection[int]) -> bool:
    leaf = isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and value.grad_fn is None
    return leaf and value.is_floating_point() and value.numel() > 0 and not value.is_sparse and id(value) not in known


def register_tensors(plain: Collection[Plain]) -> Cure:
    """Turn plain tensors into ``nn.Parameter``, and give them to the optimizer."""
    places = [(one.owner, one.name) for one in plain]

    def apply(program: Program) -> Program:
        made = dict[int, nn.Parameter]()
        for path, name in places:
            owner = program.model.get_submodule(path)
            value = getattr(owner, name)
            delattr(owner, name)
            setattr(owner, name, _registered(value, made))
        return replace(program, optimizer=EveryParameter(program.optimizer))

    changes = tuple(Change(f"model.{one.path}", "torch.Tensor", "nn.Parameter") for one in plain)
    return Cure(f"make {', '.join(one.path for one in plain)} parameters", changes, apply)


def _registered(value: Any, made: dict[int, nn.Parameter]) -> nn.Parameter | nn.ParameterList | nn.ParameterDict:
    """Parameters of the same values; a tensor that stands at two places becomes one."""

    def of(tensor: Tensor) -> nn.Parameter:
        return made.setdefault(id(tensor), nn.Parameter(tensor.detach().clone()))

    if isinstance(value, dict):
        return nn.ParameterDict({key: of(tensor) for key, tensor in value.items()})
    return nn.ParameterList([of(tensor) for tensor in value]) if isinstance(value, list | tuple) else of(value)
