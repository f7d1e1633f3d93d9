"""A model copied together with what refers to it, so that nothing that the copy does reaches the original.

``copy.deepcopy`` refuses tensors that have a history (activations that a model keeps, the weight that
``nn.utils.weight_norm`` computes), drops the hooks of parameters, and shares functions: a loss
``lambda output, y: … + penalty(net)``, a ``step`` that clears the gradients of the script's own optimizer, a hook that
notes into a dict. Here such tensors are copied without their history, and functions are made again with the
variables that they close over, and the globals that they name, exchanged for the copies.
"""

import copy
import random
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset

from trainwell.errors import InputError

Memo = dict[int, Any]
"""Of ``copy.deepcopy``: id of an original → its copy."""

DEEP, LONG, MANY = 6, 10_000, 5_000  # levels of objects followed; entries of a container; objects in all
LIBRARIES = ("torch", "numpy", "trainwell", "scipy", "sklearn", "pandas", "matplotlib")
FOREIGN = {*LIBRARIES, *sys.stdlib_module_names} - {"test", "code", "this"}  # these may be a user's files too
OWN_DICE = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def duplicate(value: Any, memo: Memo | None = None) -> Any:
    """A deep copy of a module, its hooks made again; ``memo`` is filled in.

    Raises:
        InputError: for a module that cannot be copied.
    """
    memo = {} if memo is None else memo
    for tensor in _with_history(value):
        memo.setdefault(id(tensor), tensor.detach().clone())
    filled = dict(memo)  # a copy that fails leaves half of it behind
    try:
        made = copy.deepcopy(value, filled)
    except Exception:  # a lock, a file: shared, as nothing else can be done with it
        filled = {**memo, **{id(entry): entry for entry in _uncopyable(value)}}
        try:
            made = copy.deepcopy(value, filled)
        except Exception as error:
            raise InputError(
                f"examine: the {type(value).__name__} cannot be copied ({type(error).__name__}: {error}).",
                "Keep what cannot be copied (locks, files, handles) outside of the model.",
            ) from error
    memo.update(filled)
    _hook_again(value, made, memo)
    return made


def rebound(value: Any, memo: Memo) -> Any:
    """A function, method or object of the user's with copies in place of the originals it refers to.

    The value itself, where it refers to none and keeps nothing that it could change.
    """
    return _Rebinding(memo).of(value, 0)


class _Rebinding:
    def __init__(self, memo: Memo) -> None:
        self.memo, self.count = memo, 0

    def of(self, value: Any, level: int) -> Any:
        if id(value) in self.memo:
            return self.memo[id(value)]
        self.count += 1
        if level > DEEP or self.count > MANY or isinstance(value, Tensor | type | ModuleType | Dataset | DataLoader):
            return value
        if isinstance(value, nn.Module):
            return duplicate(value, self.memo)
        if isinstance(value, OWN_DICE):
            return self._kept(value, copy.deepcopy(value))
        if isinstance(value, FunctionType):
            return self._function(value, level)
        if isinstance(value, MethodType):
            owner = self.of(value.__self__, level + 1)
            return value if owner is value.__self__ else MethodType(value.__func__, owner)
        if isinstance(value, partial):
            given = {key: self.of(entry, level + 1) for key, entry in value.keywords.items()}
            return partial(self.of(value.func, level), *(self.of(a, level + 1) for a in value.args), **given)
        if isinstance(value, dict | list | set | deque | tuple):
            return self._container(value, level)
        return self._object(value, level)

    def _kept(self, value: Any, made: Any) -> Any:
        self.memo[id(value)] = made
        self.memo.setdefault(id(self.memo), []).append(value)  # as deepcopy does: an id is one for as long as it lives
        return made

    def _function(self, function: FunctionType, level: int) -> Any:
        if (function.__module__ or "").split(".")[0] in FOREIGN:
            return function
        space = dict(function.__globals__)
        cells = tuple(CellType() for _ in function.__closure__ or ())
        made = FunctionType(function.__code__, space, function.__name__, function.__defaults__, cells or None)
        made.__kwdefaults__, made.__dict__ = function.__kwdefaults__, dict(function.__dict__)
        made.__module__, made.__qualname__ = function.__module__, function.__qualname__
        self._kept(function, made)
        for cell, old in zip(cells, function.__closure__ or (), strict=True):
            try:
                cell.cell_contents = self.of(old.cell_contents, level + 1)
            except ValueError:  # a variable that has no value yet
                continue
        named = [name for name in set(_names(function.__code__)) if name in space]
        changed = {name: new for name in named if (new := self.of(space[name], level + 1)) is not space[name]}
        space.update(changed)
        if cells or changed or _writes_globals(function.__code__):
            return made
        self.memo[id(function)] = function
        return function

    def _container(self, value: Any, level: int) -> Any:
        if len(value) > LONG:
            return value
        if isinstance(value, tuple):
            entries = [self.of(entry, level + 1) for entry in value]
            if all(new is old for new, old in zip(entries, value, strict=True)):
                return value
            return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
        try:
            made = self._kept(value, copy.copy(value))
        except Exception:  # a container of the user's own kind
            return value
        if isinstance(value, dict):
            made.update({key: self.of(entry, level + 1) for key, entry in value.items()})
        elif isinstance(value, list):
            made[:] = [self.of(entry, level + 1) for entry in value]
        return made

    def _object(self, value: Any, level: int) -> Any:
        known = isinstance(value, GradScaler | LRScheduler)
        if isinstance(value, Optimizer):
            return self._kept(value, optimizer_over(value, self.memo))
        if not hasattr(value, "__dict__") or (not known and type(value).__module__.split(".")[0] in FOREIGN):
            return value
        try:
            made = copy.copy(value)
        except Exception:  # what cannot be copied is shared
            return value
        self._kept(value, made)
        for name, entry in vars(value).items():
            made.__dict__[name] = self.of(entry, level + 1)
        return made


def optimizer_over(optimizer: Optimizer, memo: Memo) -> Optimizer:
    """An optimizer copied attribute by attribute over the parameters of a copy, without state.

    ``deepcopy`` would lose what its class keeps beside groups and state, and its constructor may ask for more than
    groups. A scheduler's wrapper around ``step``, which would step the original, is left behind.

    Args:
        optimizer: the original.
        memo: ids of the original's parameters → those of the copy; an id that is absent stands for itself.
    """
    made: Optimizer = object.__new__(type(optimizer))
    groups = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    memo = {**{id(p): p for p in groups}, **memo, id(optimizer): made, id(optimizer.state): defaultdict(dict)}
    for name, value in vars(optimizer).items():
        if name in ("step", "state"):
            continue
        try:
            made.__dict__[name] = copy.deepcopy(value, memo)
        except Exception:
            made.__dict__[name] = value
    made.state = defaultdict(dict)
    return made


def _with_history(value: Any, level: int = 0) -> Iterator[Tensor]:
    """Tensors that are no leaves, in attributes of modules and containers in them."""
    if isinstance(value, Tensor):
        if value.grad_fn is not None:
            yield value
    elif isinstance(value, nn.Module):
        for module in value.modules() if level == 0 else ():
            for name, entry in vars(module).items():
                if name not in ("_modules", "_parameters"):
                    yield from _with_history(entry, level + 1)
    elif isinstance(value, dict) and level < DEEP and len(value) <= LONG:
        for entry in value.values():
            yield from _with_history(entry, level + 1)
    elif isinstance(value, list | tuple | set | deque) and level < DEEP and len(value) <= LONG:
        for entry in value:
            yield from _with_history(entry, level + 1)
    elif hasattr(value, "__dict__") and level < 3 and not isinstance(value, type | ModuleType | FunctionType):
        for entry in vars(value).values():
            yield from _with_history(entry, level + 1)


def _uncopyable(value: Any) -> Iterator[Any]:
    """Attributes of modules that have no copy."""
    for module in value.modules() if isinstance(value, nn.Module) else (value,):
        for name, entry in vars(module).items():
            if name in ("_modules", "_parameters", "_buffers") or isinstance(entry, nn.Module):
                continue
            try:
                copy.deepcopy(entry, {id(module): module, id(value): value})
            except Exception:
                yield entry


def _hook_again(value: Any, made: Any, memo: Memo) -> None:
    """Hooks and functions that modules hold, made again for the copies; hooks of parameters, which a copy loses."""
    if not isinstance(value, nn.Module):
        return
    rebinding = _Rebinding(memo)
    for module in made.modules():
        for name, entry in vars(module).items():
            if isinstance(entry, FunctionType):
                module.__dict__[name] = rebinding.of(entry, 1)
            elif name.endswith("hooks") and isinstance(entry, OrderedDict):
                for key, hook in entry.items():  # methods and objects are copied already
                    entry[key] = rebinding.of(hook, 1) if isinstance(hook, FunctionType) else hook
    for parameter in value.parameters():
        for hook in (parameter._backward_hooks or {}).values():
            other = memo.get(id(parameter))
            if other is not None and other is not parameter and not other._backward_hooks:
                other.register_hook(rebinding.of(hook, 1))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _writes_globals(code: CodeType) -> bool:
    import dis

    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return any(i.opname == "STORE_GLOBAL" for i in dis.get_instructions(code)) or any(map(_writes_globals, inner))
