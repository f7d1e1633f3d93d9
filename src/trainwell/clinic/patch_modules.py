"""Rules that find a layer in the user's source: by its path through ``nn.Sequential``, classes and functions of the
file, or, where all layers of a kind change alike (as those of a loop), by their kind.
"""

import ast
import re
from collections import Counter
from collections.abc import Sequence

from trainwell.clinic.cure import Change
from trainwell.clinic.patch_rules import literal, set_field, written
from trainwell.clinic.patch_source import Scope, Site, Source, last_name, within
from trainwell.clinic.subject import Subject

ATTRIBUTES = {"p": 0, "momentum": 2}  # settings of a layer, with their place among the arguments
FUNCTIONAL = {"torch", "F", "functional"}
CALLS = {"nn.ReLU()": "relu", "nn.GELU(approximate='none')": "gelu", "nn.LeakyReLU(negative_slope=0.01)": "leaky_relu"}
MOST_LINES = 8


def by_path(source: Source, site: Site, change: Change) -> bool:
    """One layer, or a setting of one, found by its path."""
    path = change.target.removeprefix("model.")
    if change.target == path or "model" not in site.values:
        return False
    head, _, last = path.rpartition(".")
    if last in ATTRIBUTES and _number(change.after):
        found = find(source, site.values["model"], site.scope, head.split("."))
        return isinstance(found, ast.Call) and _set_argument(source, found, last, change)
    node = find(source, site.values["model"], site.scope, path.split("."))
    if node is None or not _was(source, node, change):
        return False
    text = _replacement(source, node, change)
    if text:
        source.replace(node, text)
    return bool(text)


def find(source: Source, node: ast.expr, scope: Scope, path: Sequence[str]) -> ast.expr | None:
    """The expression that makes the module at a path, or None."""
    node, scope = source.resolve(node, scope)
    if not path:
        return node
    if not isinstance(node, ast.Call):
        return None
    first, *rest = path
    if last_name(node.func) == "Sequential" and first.isdigit():
        place, plain = int(first), not any(isinstance(a, ast.Starred) for a in node.args[: int(first) + 1])
        return find(source, node.args[place], scope, rest) if plain and place < len(node.args) else None
    if last_name(node.func) == "Sequential" and first == "body":
        return find(source, node.args[-1], scope, rest)  # what an earlier change has put behind a scaling
    made = source.class_named(node.func.id) if isinstance(node.func, ast.Name) else None
    init = [n for n in made.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"] if made else []
    values = [
        n.value
        for n in (within(init[0]) if init else ())
        if isinstance(n, ast.Assign) and len(n.targets) == 1 and ast.unparse(n.targets[0]) == f"self.{first}"
    ]
    return find(source, values[0], init[0], rest) if len(values) == 1 else None


def _was(source: Source, node: ast.expr, change: Change) -> bool:
    """Is it the class that the change tells of?"""
    name = last_name(node.func) if isinstance(node, ast.Call) else ""
    return bool(name) and name in re.findall(r"\w+", str(change.before))


def _replacement(source: Source, node: ast.expr, change: Change) -> str:
    """What to write in its place: the user's own text stays where the old layer is part of the new."""
    before, after, old = str(change.before), str(change.after), source.of(node)
    if before in after:
        after = after.replace(before, "OLD")
    after = after.replace("nn.OLD", "OLD")
    return written(source, after, {"OLD": old})


def _set_argument(source: Source, call: ast.Call, name: str, change: Change) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    place = ATTRIBUTES[name]
    if name in given:
        source.replace(given[name], literal(change.after))
    elif len(call.args) > place:
        source.replace(call.args[place], literal(change.after))
    elif call.args and None not in given:
        end = call.keywords[-1].value if call.keywords else call.args[-1]
        source.insert(source.span(end)[1], f", {name}={literal(change.after)}")
    else:
        return False
    return True


def by_kind(source: Source, changes: Sequence[Change], subject: Subject) -> bool:
    """All layers of a class without weights, or all calls of a function, that change alike."""
    kinds = {(str(change.before), str(change.after)) for change in changes}
    paths = [change.target.removeprefix("model.") for change in changes]
    if len(kinds) != 1:
        return False
    before, after = next(iter(kinds))
    kind = re.sub(r"^nn\.|\(.*$", "", before)
    nodes = [node for node in source.reachable() if isinstance(node, ast.Call)]
    if all(path.endswith("()") for path in paths):
        wanted, new = paths[0].removesuffix("()").rpartition(".")[2], CALLS.get(after)
        calls = Counter(layer.path for layer in subject.chain.layers)
        if new is None or calls[paths[0]] != len(paths):
            return False
        found = [n.func for n in nodes if isinstance(n.func, ast.Attribute) and n.func.attr == wanted]
        found = [f for f in found if isinstance(f, ast.Attribute) and last_name(f.value) in FUNCTIONAL]
        text = written(source, f"torch.{'' if new == 'relu' else 'nn.functional.'}{new}", {})
        targets: list[ast.expr] = list(found)
    else:
        modules = [m for m in subject.program.model.modules() if type(m).__name__ == kind]
        if len(modules) != len(set(paths)) or any(list(m.parameters()) for m in modules):
            return False
        targets = [node for node in nodes if last_name(node.func) == kind]
        text = written(source, after, {})
    for target in targets if text else ():
        source.replace(target, text)
    return bool(targets and text)


def settings_by_kind(source: Source, changes: Sequence[Change], subject: Subject) -> bool:
    """The same setting of all layers of a class, as all dropout."""
    names = {change.target.rpartition(".")[2] for change in changes}
    values = {(change.before, change.after) for change in changes}
    if len(names) != 1 or len(values) != 1 or not names <= set(ATTRIBUTES):
        return False
    name = names.pop()
    paths = [change.target.removeprefix("model.").rpartition(".")[0] for change in changes]
    try:
        kinds = {type(subject.program.model.get_submodule(path)).__name__ for path in paths}
    except AttributeError:
        return False
    here = [m for m in subject.program.model.modules() if type(m).__name__ in kinds]
    calls = [n for n in source.reachable() if isinstance(n, ast.Call) and last_name(n.func) in kinds]
    if len(here) != len(set(paths)) or not calls:
        return False
    return all([_set_argument(source, call, name, changes[0]) for call in calls])


def by_lines(source: Source, site: Site, changes: Sequence[Change]) -> bool:
    """Biases put to zero and parameters unfrozen, by lines in front of the program."""
    model = site.values.get("model")
    if not isinstance(model, ast.Name):
        return False
    lines = []
    for change in changes:
        path, _, what = change.target.removeprefix("model.").rpartition(".")
        if what == "bias" and change.after == 0:
            lines.append(written(source, f"nn.init.zeros_({_access(model.id, path)}.bias)", {model.id: model.id}))
        elif what == "requires_grad" and change.after is True:
            lines.append(f"{_access(model.id, path)}.requires_grad_(True)")
        else:
            return False
    return len(lines) <= MOST_LINES and all(lines) and source.insert_lines(site.statement, lines)


def unfrozen(source: Source, site: Site, changes: Sequence[Change], subject: Subject) -> bool:
    """All frozen parameters: where the source freezes them, or all of the model at once."""
    names = {change.target.removeprefix("model.").removesuffix(".requires_grad") for change in changes}
    frozen = {name for name, p in subject.program.model.named_parameters() if not p.requires_grad}
    if not all(change.target.endswith(".requires_grad") for change in changes) or names != frozen:
        return False
    found: list[ast.expr] = []
    for node in source.reachable():
        assigned = isinstance(node, ast.Assign) and any(last_name(t) == "requires_grad" for t in node.targets)
        value = node.value if assigned and isinstance(node, ast.Assign) else None
        if isinstance(node, ast.Call) and last_name(node.func) == "requires_grad_" and node.args:
            value = node.args[0]
        if isinstance(value, ast.Constant) and value.value is False:
            found.append(value)
    for value in found:
        source.replace(value, "True")
    model = site.values.get("model")
    if found or not isinstance(model, ast.Name):
        return bool(found)
    return source.insert_lines(site.statement, [f"{model.id}.requires_grad_(True)"])


def wrapped(source: Source, site: Site, change: Change) -> bool:
    """The whole model replaced (a path of "" is the model itself)."""
    if change.target != "model." or "model" not in site.values:
        return False
    text = _replacement(source, site.values["model"], change)
    return bool(text) and set_field(source, site, "model", text)


def _access(model: str, path: str) -> str:
    """``net[0].fc`` of ``0.fc``."""
    return model + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".") if part)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
