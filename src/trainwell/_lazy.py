"""Lazy public names of a package (PEP 562), so that importing a room costs nothing until a name is used."""

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """A package in which a public name stays what it is when a module of the same name is imported."""

    _places: Mapping[str, str]

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and self._places.get(name, ".") != ".":
            return  # the import system binds each submodule to its package: ``data/load.py`` would hide ``data.load``
        super().__setattr__(name, value)


def attach(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names live in its modules.

    Args:
        package: ``__name__`` of the package.
        places: public name → module inside the package that defines it; a module of the same name as the public
            name that should be returned itself is written ``"."``.

    Example:
        >>> __getattr__, __dir__, __all__ = attach("trainwell.theory", {"Chain": "chain"})
        >>> __getattr__("Chain").__name__
        'Chain'
    """
    names = sorted(places)
    room = sys.modules[package]
    room.__dict__["_places"] = dict(places)
    room.__class__ = _Room

    def __getattr__(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(names)}")
        if places[name] == ".":
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(f"{package}.{places[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return names

    return __getattr__, __dir__, names
