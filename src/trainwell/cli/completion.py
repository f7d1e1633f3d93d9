"""Names that the shell completes, without importing what they name.

The recipe's fields are read from the source of ``trainwell.training`` as syntax trees: importing it would cost
pydantic, and a list by hand would go stale.
"""

import ast
import importlib.util
from pathlib import Path

DATA = {
    "digits": "1797 images 8×8, always there",
    "mnist": "70000 handwritten digits 28×28",
    "fashion-mnist": "70000 pieces of clothing 28×28",
    "cifar10": "60000 colour photos 32×32, 10 classes",
    "cifar100": "60000 colour photos 32×32, 100 classes",
}
TASKS = ("classification", "binary", "multilabel", "regression")
SPLITS = ("stratified", "random", "group", "time")
DEVICES = ("auto", "cpu", "cuda", "mps")
SOURCES = ("settings.py", "sections.py", "recipe.py")  # of trainwell.training, where the recipe is written down


def data_names(incomplete: str) -> list[tuple[str, str]]:
    """Known data sets; files are the shell's to complete."""
    return [(name, about) for name, about in DATA.items() if name.startswith(incomplete)]


def models(incomplete: str) -> list[str]:
    """Models by name; your own are FILE.py:BUILD."""
    from trainwell.nn import MODELS

    return _starting(MODELS, incomplete)


def methods(incomplete: str) -> list[str]:
    """Methods by name, the last of a list with commas."""
    from trainwell.optim import METHODS

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in METHODS if name.startswith(last)]


def tasks(incomplete: str) -> list[str]:
    """What can be predicted."""
    return _starting(TASKS, incomplete)


def splits(incomplete: str) -> list[str]:
    """Ways to split rows."""
    return _starting(SPLITS, incomplete)


def devices(incomplete: str) -> list[str]:
    """Devices that torch may have."""
    return _starting(DEVICES, incomplete)


def recipe_fields(incomplete: str) -> list[tuple[str, str]]:
    """``section.field=`` of the recipe, each with its sentence; sections first, until a point is typed."""
    fields = recipe()
    if "." not in incomplete:
        return [(f"{section}.", "") for section in fields if section.startswith(incomplete)]
    names = {f"{section}.{field}=": about for section, entries in fields.items() for field, about in entries.items()}
    return [(name, about) for name, about in names.items() if name.startswith(incomplete)]


def recipe() -> dict[str, dict[str, str]]:
    """Sections of the recipe → fields → sentences; empty where the source is not at hand."""
    package = importlib.util.find_spec("trainwell")
    if package is None or package.origin is None:
        return {}
    folder = Path(package.origin).parent / "training"
    try:
        trees = [ast.parse((folder / name).read_text(encoding="utf-8")) for name in SOURCES]
    except OSError:
        return {}
    classes = {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}
    sections = {name: kind for name, kind, _ in _fields("Recipe", classes)}
    return {
        name: {field: about for field, _, about in _fields(kind, classes)}
        for name, kind in sections.items()
        if kind in classes
    }


def _fields(name: str, classes: dict[str, ast.ClassDef]) -> list[tuple[str, str, str]]:
    """Name, annotation and description of a class's fields, those of its bases first."""
    if name not in classes:
        return []
    inherited = [entry for base in classes[name].bases for entry in _fields(ast.unparse(base), classes)]
    own = [
        (node.target.id, ast.unparse(node.annotation), _description(node.value))
        for node in classes[name].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    return list({entry[0]: entry for entry in (*inherited, *own)}.values())


def _description(value: ast.expr | None) -> str:
    for keyword in value.keywords if isinstance(value, ast.Call) else ():
        if keyword.arg == "description" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return ""


def _starting(names: tuple[str, ...], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
