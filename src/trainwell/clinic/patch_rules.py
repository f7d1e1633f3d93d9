"""Rules that find the place of a change in the user's source: one for settings, one for loss, targets and inputs.

A rule edits the source and returns True, or leaves it and returns False where it is not certain what to change.
"""

import ast
import math
import re
from typing import Any

from torch import nn

from trainwell.clinic.cure import Change
from trainwell.clinic.features import features_of
from trainwell.clinic.patch_source import Site, Source, only_return
from trainwell.clinic.subject import Subject

MODULES = {"nn": "from torch import nn", "torch": "import torch", "trainwell": "import trainwell"}
SETTINGS = ("batch_size", "epochs", "shuffle", "clip_grad")
MEASURED = ("train_inputs", "input_mean", "input_std")  # names of the lines that measure the inputs
LABELS = re.compile(r"labels (-?[\d.]+) … (-?[\d.]+)")
RANGE = re.compile(r"(-?[\d.e+-]+) … (-?[\d.e+-]+)")


def setting(source: Source, site: Site, change: Change) -> bool:
    """``epochs``, ``batch_size``, ``shuffle``, ``clip_grad`` of the program."""
    if change.target not in SETTINGS or not isinstance(change.after, bool | int | float | None):
        return False
    return set_field(source, site, change.target, literal(change.after))


def set_field(source: Source, site: Site, name: str, text: str) -> bool:
    """Replace the value of a field of the program, or add it."""
    if name in site.values:
        source.replace(site.values[name], text)
        return True
    if isinstance(site.node, ast.Dict):
        if None in site.node.keys or not site.node.values:
            return False
        return _append(source, site.node, site.node.values[-1], f'"{name}": {text}')
    if any(keyword.arg is None for keyword in site.node.keywords):
        return False
    last = [*site.node.args, *(keyword.value for keyword in site.node.keywords)]
    return bool(last) and _append(source, site.node, last[-1], f"{name}={text}")


def _append(source: Source, node: ast.expr, last: ast.expr, text: str) -> bool:
    """A further member behind the last, on a line of its own where that has one."""
    place = source.span(last)[1]
    start = source.starts[last.lineno - 1]
    line = source.bytes[start:].decode().splitlines()[0]
    alone = last.lineno != node.lineno and not re.match(r"\s*\S+?\s*[=:].*,.*[=:]", line)
    indent = line[: len(line) - len(line.lstrip())]
    source.insert(place, f",{source.newline}{indent}{text}" if alone else f", {text}")
    return True


def optimizer(source: Source, site: Site, change: Change) -> bool:
    """A setting of the optimizer, or its parameters, wherever its class is called."""
    if not change.target.startswith("optimizer.") or "optimizer" not in site.values:
        return False
    call, argument = _optimizer_call(source, site)
    if call is None:
        return False
    name = change.target.removeprefix("optimizer.")
    if name == "params":
        model = site.values.get("model")
        held = argument or (f"{source.of(model)}.parameters()" if isinstance(model, ast.Name) else "")
        if not held or not call.args:
            return False
        source.replace(call.args[0], held)
        return True
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if name == "lr" and len(call.args) > 1:
        given.setdefault("lr", call.args[1])
    if name in given:
        here = given[name]
        if isinstance(here, ast.Constant) and not _same(here.value, change.before):
            return False
        source.replace(here, literal(change.after))
        return True
    if None in given or not (call.args or call.keywords):
        return False
    last = call.keywords[-1].value if call.keywords else call.args[-1]
    source.insert(source.span(last)[1], f", {name}={literal(change.after)}")
    return True


def _optimizer_call(source: Source, site: Site) -> tuple[ast.Call | None, str]:
    """The call of the optimizer's class, and the name of the parameters that a lambda or function is given."""
    node, scope = source.resolve(site.values["optimizer"], site.scope)
    argument = ""
    if isinstance(node, ast.Name):
        function = source.function_named(node.id)
        inner = None if function is None else only_return(function)
        if function is None or inner is None or not function.args.args:
            return None, ""
        node, scope = source.resolve(inner, function)
        argument = function.args.args[0].arg
    elif isinstance(node, ast.Lambda):
        argument = node.args.args[0].arg if node.args.args else ""
        node, scope = source.resolve(node.body, scope)
    if not isinstance(node, ast.Call):
        return None, ""
    grouped = any(isinstance(key, ast.Constant) and key.value == "lr" for n in ast.walk(node) for key in _keys(n))
    return (None if grouped else node), argument


def _keys(node: ast.AST) -> list[Any]:
    return node.keys if isinstance(node, ast.Dict) else []


def loss(source: Source, site: Site, change: Change) -> bool:
    """Another loss, or one made of the old one (``loss`` in its text)."""
    if change.target != "loss" or "loss" not in site.values:
        return False
    text = written(source, str(change.after), {"loss": source.of(site.values["loss"])})
    return bool(text) and set_field(source, site, "loss", text)


def targets(source: Source, site: Site, change: Change) -> bool:
    """``train.y`` and ``val.y``: another type, shape or code, written behind the expression."""
    part, _, which = change.target.partition(".")
    pair = _pair(source, site, part)
    if which != "y" or pair is None:
        return False
    return _behind(source, pair.elts[1], _of_targets(str(change.before), str(change.after)))


def _of_targets(before: str, after: str) -> str:
    """What to write behind ``y``, with ``%`` in front of what binds less tightly; "" if that is not known."""
    if re.fullmatch(r"y\.[\w.]+\(.*\)", after):
        return after.removeprefix("y").replace("len(y)", "-1")
    if re.fullmatch(r"torch\.\w+", after):
        return f".to({after})"
    old, new = LABELS.fullmatch(before), LABELS.fullmatch(after)
    if old and new and float(old[2]) - float(old[1]) == float(new[2]) - float(new[1]):
        return f"% - {float(old[1]) - float(new[1]):g}".replace("- -", "+ ")
    span = RANGE.fullmatch(before)
    if span and after == "0 … 1":
        low, high = float(span[1]), float(span[2])
        return f"% / {high:g}" if low == 0 else f"%% - {low:g}) / {high - low:g}"
    return ""


def _behind(source: Source, node: ast.expr, text: str) -> bool:
    if not text:
        return False
    start, end = source.span(node)
    tight = isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call)
    opening, closing = ("", "") if tight else ("(", ")")
    if text.startswith("%%"):
        opening = "(" + opening
    source.edits += [(start, start, opening), (end, end, closing + text.lstrip("%"))]
    return True


def inputs(source: Source, site: Site, change: Change, subject: Subject) -> bool:
    """The model behind a scaling of its inputs, or before one of its outputs, or drawn anew."""
    if change.target == "model.weights":
        return _drawn(source, site, str(change.after))
    model, pair = site.values.get("model"), _pair(source, site, "train")
    if change.target != "model" or model is None:
        return False
    known = {"model": source.of(model)}
    if re.search(r"\b(mean|std|shape)\b", str(change.after)):
        if pair is None:
            return False
        x = source.of(pair.elts[0])
        known["shape"] = f"{x}.shape[1:]"
        if re.search(r"\bmean, 1 / std\b", str(change.after)):
            lines = _moments(subject, x)
            taken = {node.id for node in ast.walk(site.scope) if isinstance(node, ast.Name)} & set(MEASURED)
            if not lines or taken or not source.insert_lines(site.statement, lines):
                return False
            needs(source, "torch")
            known |= {"mean": MEASURED[1], "std": MEASURED[2]}
    text = written(source, str(change.after), known)
    return bool(text) and set_field(source, site, "model", text)


def _moments(subject: Subject, x: str) -> list[str]:
    """Lines that measure mean and spread of each feature; none where there are no features."""
    features = features_of(subject)
    if features is None:
        return []
    axes = tuple(axis for axis in range(features.x.dim()) if axis != features.axis)
    along = "0" if axes == (0,) else f"{axes}, keepdim=True"
    first = "" if axes == (0,) else "[0]"
    samples, mean, std = MEASURED
    return [
        f"{samples} = torch.as_tensor({x}).double()",
        f"{mean}, {std} = {samples}.mean({along}){first}, {samples}.std({along}){first}",
        f"{std} = torch.where({std} > 0, {std}, 1.0)",
    ]


def _drawn(source: Source, site: Site, after: str) -> bool:
    model, pair = site.values.get("model"), _pair(source, site, "train")
    if not isinstance(model, ast.Name) or pair is None:
        return False
    text = written(source, after, {"model": model.id, "X": f"torch.as_tensor({source.of(pair.elts[0])})"})
    needs(source, "torch")
    return bool(text) and source.insert_lines(site.statement, [text])


def _pair(source: Source, site: Site, part: str) -> ast.Tuple | None:
    """``(X, y)`` of a part of the data, where it is written in the function that makes the program."""
    if part not in site.values:
        return None
    node, scope = source.resolve(site.values[part], site.scope)
    return node if isinstance(node, ast.Tuple) and len(node.elts) == 2 and scope is site.scope else None


# text that is written into the source


def written(source: Source, text: str, known: dict[str, str]) -> str:
    """The text with the user's expressions for the names in it, and imports of what it needs; "" if that is no code.

    Args:
        source: gets the imports.
        text: such as ``nn.Sequential(model, nn.Tanh())``.
        known: name → expression.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return ""
    own = {argument.arg for node in ast.walk(tree) if isinstance(node, ast.Lambda) for argument in node.args.args}
    edits: list[tuple[int, int, str]] = []
    starts = text.encode()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name) or node.id in own:
            continue
        if node.id in known:
            new = known[node.id]
        elif node.id in MODULES:
            new = source.alias(node.id)
            needs(source, node.id)
        elif source.knows(node.id):
            continue
        elif hasattr(nn, node.id):
            needs(source, "nn")
            new = f"{source.alias('nn')}.{node.id}"
        else:
            return ""
        edits.append((node.col_offset, node.end_col_offset or 0, new))
    for start, end, new in sorted(edits, reverse=True):
        starts = starts[:start] + new.encode() + starts[end:]
    return starts.decode()


def needs(source: Source, name: str) -> None:
    """Import ``nn``, ``torch`` or ``trainwell`` where the file does not."""
    line = MODULES[name]
    if not source.knows(source.alias(name)) and not any(text.startswith(line) for _, _, text in source.edits):
        source.add_import(line)


def literal(value: Any) -> str:
    """A number as one writes it.

    Example:
        >>> literal(0.1 / 3), literal(True), literal("(0.9, 0.999)")
        ('0.0333333', 'True', '(0.9, 0.999)')
    """
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _same(here: Any, before: Any) -> bool:
    numbers = isinstance(here, int | float) and isinstance(before, int | float)
    return math.isclose(here, before, rel_tol=1e-6, abs_tol=1e-12) if numbers else True
