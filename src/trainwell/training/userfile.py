"""Functions of the user's own, named as ``FILE.py:NAME``: the only code of others that trainwell runs."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainwell.errors import InputError


def names_file(name: str) -> bool:
    """Does this name mean a function in a file?"""
    return ".py:" in name


def load_function(name: str) -> Callable[..., Any]:
    """Import the file and return its function.

    Args:
        name: ``FILE.py:NAME``, the file relative to the working directory or absolute.

    Raises:
        InputError: if file or name is missing, or the file cannot be imported.
    """
    path_text, _, attribute = name.rpartition(":")
    path = Path(path_text).expanduser()
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Give FILE.py:FUNCTION with the path of your own file.")
    module_name = f"trainwell_user_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} cannot be imported.", "It must be a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"{path} failed while it was imported: {type(error).__name__}: {error}.", "Mend the file."
        ) from error
    if not callable(getattr(module, attribute, None)):
        have = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module_name]
        raise InputError(f"{path} has no function {attribute!r}.", f"It has {', '.join(have) or 'none'}.")
    return getattr(module, attribute)


def absolute(name: str) -> str:
    """The name with its file's absolute path, so that a run folder can be used from elsewhere."""
    path_text, _, attribute = name.rpartition(":")
    return f"{Path(path_text).expanduser().resolve()}:{attribute}"


def refuse_inside(name: str, folder: Path) -> None:
    """Refuse to run a file that lies in a run folder: the folder may be somebody else's.

    Raises:
        InputError: if it does.
    """
    path = Path(name.rpartition(":")[0]).expanduser().resolve()
    if folder.resolve() in path.parents:
        raise InputError(
            f"The run's recipe names the file {path} inside its own folder; reading a run runs no code that "
            "came with it.",
            "Move the file elsewhere and name it in the recipe if you trust it.",
        )
