"""A function of the user's own file that makes a program, read as a tree, with edits that keep all else byte for byte.

Names are followed as far as it is certain what they mean: one binding in the function, else one in the file; a call of
a function of the same file is what its only ``return`` gives. What is not certain is not found.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

Scope = ast.FunctionDef | ast.Module
FIELDS = ("model", "train", "loss", "optimizer", "val", "batch_size", "epochs", "shuffle", "scheduler", "clip_grad")
DEEPEST = 20  # names followed one after the other


@dataclass(frozen=True)
class Site:
    """Where the program is made.

    Attributes:
        node: the call of ``Program`` or ``dict``, or the dict.
        scope: the function or file it stands in.
        statement: that it is part of.
        values: expression of each field that is given there.
    """

    node: ast.Call | ast.Dict
    scope: Scope
    statement: ast.stmt
    values: dict[str, ast.expr]


class Source:
    """The text of a file, and edits of it.

    Args:
        text: of the file.
        function: whose program is meant.

    Raises:
        SyntaxError: if it is no Python.
    """

    def __init__(self, text: str, function: str) -> None:
        self.text, self.function = text, function
        self.bytes = text.encode()
        self.starts = [0, *(match.end() for match in re.finditer(rb"\r\n|\n|\r", self.bytes))]
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.tree = ast.parse(text)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.edits: list[tuple[int, int, str]] = []
        self.site = self._find()

    # reading

    def of(self, node: ast.expr) -> str:
        """The text of an expression."""
        start, end = self.span(node)
        return self.bytes[start:end].decode()

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Its place in bytes."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def resolve(self, node: ast.expr, scope: Scope) -> tuple[ast.expr, Scope]:
        """Follow names, and calls of functions of this file, as far as their meaning is certain."""
        for _ in range(DEEPEST):
            following = None
            if isinstance(node, ast.Name):
                following = self.bound(node.id, scope)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                function = self.function_named(node.func.id)
                returned = None if function is None else only_return(function)
                following = None if function is None or returned is None else (returned, function)
            if following is None:
                return node, scope
            node, scope = following
        return node, scope

    def bound(self, name: str, scope: Scope) -> tuple[ast.expr, Scope] | None:
        """The only value that a name gets in this function, or in the file."""
        for place in (scope, self.tree):
            places = [n for n in within(place) if isinstance(n, ast.Name) and n.id == name and not _reads(n)]
            arguments = ast.walk(place.args) if isinstance(place, ast.FunctionDef) else ()
            given = name in {node.arg for node in arguments if isinstance(node, ast.arg)}
            if given or len(places) > 1:
                return None
            if places:
                statement = self.parents[places[0]]
                simple = isinstance(statement, ast.Assign) and statement.targets == [places[0]]
                annotated = isinstance(statement, ast.AnnAssign) and statement.value is not None
                if simple or annotated:
                    value: ast.expr = statement.value  # type: ignore[attr-defined]
                    return value, place
                return None
            if place is self.tree:
                break
        return None

    def function_named(self, name: str) -> ast.FunctionDef | None:
        """A function of the file."""
        found = [n for n in self.tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
        return found[0] if len(found) == 1 else None

    def class_named(self, name: str) -> ast.ClassDef | None:
        """A class of the file."""
        found = [n for n in self.tree.body if isinstance(n, ast.ClassDef) and n.name == name]
        return found[0] if len(found) == 1 else None

    def knows(self, name: str) -> bool:
        """Does the file bind this name at its top?"""
        names = {n.id for n in within(self.tree) if isinstance(n, ast.Name) and not _reads(n)}
        for node in self.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
        return name in names

    def alias(self, module: str) -> str:
        """The name under which the file imports ``torch``, ``trainwell`` or ``nn``; the usual one if it does not."""
        for node in self.tree.body:
            for alias in node.names if isinstance(node, ast.Import) else ():
                if alias.asname and alias.name == {"nn": "torch.nn"}.get(module, module):
                    return alias.asname
        return module

    def reachable(self) -> list[ast.AST]:
        """The function that makes the program, what it calls in this file, and all classes of the file."""
        todo, seen = [self.function], list[ast.AST]()
        done = set[str]()
        while todo:
            name = todo.pop()
            function = self.function_named(name)
            if name in done or function is None:
                continue
            done.add(name)
            nodes = list(ast.walk(function))
            seen += nodes
            todo += [n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                seen += ast.walk(node)
        return seen

    def statement_of(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that holds it."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    # editing

    def replace(self, node: ast.expr, text: str) -> None:
        """Another text in the place of an expression."""
        self.edits.append((*self.span(node), text))

    def insert(self, place: int, text: str) -> None:
        """Text at a byte."""
        self.edits.append((place, place, text))

    def insert_lines(self, statement: ast.stmt, lines: list[str]) -> bool:
        """Lines before a statement, as far indented as it is; False where it does not begin its line."""
        start = self.starts[statement.lineno - 1]
        indent = self.bytes[start : start + statement.col_offset].decode()
        if indent.strip():
            return False
        self.insert(start, "".join(f"{indent}{line}{self.newline}" for line in lines))
        return True

    def add_import(self, line: str) -> None:
        """An import behind the others (behind the docstring, where there are none)."""
        body = self.tree.body
        imports = [n for n in body if isinstance(n, ast.Import | ast.ImportFrom)]
        docstring = [n for n in body[:1] if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
        before = (imports or docstring)[-1:]
        line_after = (before[0].end_lineno or 0) if before else 0
        place = self.starts[line_after] if line_after < len(self.starts) else len(self.bytes)
        self.insert(place, line + self.newline)

    def edited(self) -> str:
        """The text with all edits.

        Raises:
            SyntaxError: if it is no Python any more, or edits overlap.
        """
        result, last = b"", 0
        for start, end, text in sorted(self.edits, key=lambda edit: edit[:2]):
            if start < last:
                raise SyntaxError("edits overlap")
            result, last = result + self.bytes[last:start] + text.encode(), end
        edited = (result + self.bytes[last:]).decode()
        ast.parse(edited)
        return edited

    def _find(self) -> Site | None:
        function = self.function_named(self.function)
        returned = None if function is None else only_return(function)
        if function is None or returned is None:
            return None
        node, scope = self.resolve(returned, function)
        if isinstance(node, ast.Call) and last_name(node.func) in ("Program", "dict"):
            values = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            values |= dict(zip(FIELDS, node.args, strict=False)) if last_name(node.func) == "Program" else {}
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            values = {key: value for key, value in zip(keys, node.values, strict=True) if isinstance(key, str)}
        else:
            return None
        return Site(node, scope, self.statement_of(node), values)


def only_return(function: ast.FunctionDef) -> ast.expr | None:
    """What it returns, where there is one ``return`` of its own."""
    found = [node for node in within(function) if isinstance(node, ast.Return)]
    return found[0].value if len(found) == 1 else None


def within(scope: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a function or file, but not those of the functions and classes in it."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from within(node)


def last_name(node: ast.expr) -> str:
    """``SGD`` of ``torch.optim.SGD``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _reads(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)
