"""A cure as a patch of the user's own source: a unified diff of the file whose function makes the program.

Each change is looked for in the tree of the source; where its place is certain, these characters are changed and no
others. Where it is not, the change is written as a comment, to be made by hand. A file is only ever changed by
:func:`write`.
"""

import difflib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainwell.clinic import patch_modules, patch_rules
from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.meter import Meter
from trainwell.clinic.patch_source import Site, Source
from trainwell.clinic.subject import Subject
from trainwell.errors import InputError, JobError
from trainwell.training.trial import untouched

if TYPE_CHECKING:
    from trainwell.clinic.exam import Exam

Rule = Callable[[Source, Site], bool]


@dataclass(frozen=True)
class Patch:
    """A cure of a file.

    Attributes:
        path: of the file, as it was named.
        text: of the file, patched.
        diff: from the file to ``text``, unified; "" where nothing was found.
        by_hand: changes whose place was not found.
        line: of the file, near which the program is made; 0 if that is not known.
    """

    path: str
    text: str
    diff: str
    by_hand: tuple[Change, ...]
    line: int

    def __str__(self) -> str:
        return "\n".join([*self.comments(), *([self.diff.rstrip("\n")] if self.diff else [])])

    def comments(self) -> list[str]:
        """What is to be changed by hand, as comments; programs that apply a diff pass over them."""
        if not self.by_hand:
            return []
        place = f"{self.path}, line {self.line}" if self.line else self.path
        return [f"# By hand, at the program of {place}:", *(f"#   {_line(change)}" for change in self.by_hand)]


def patch(exam: "Exam", path: str | os.PathLike[str], function: str, cures: Sequence[Cure] | None = None) -> Patch:
    """The exam's cures as a patch of the file; the file stays as it is.

    Args:
        exam: of the program that the function makes.
        path: of the file.
        function: its name there.
        cures: other cures than the exam's own.

    Raises:
        InputError: if the file cannot be read as UTF-8.
    """
    try:
        text = before = Path(path).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", "Give a Python file in UTF-8.") from error
    by_hand: list[Change] = []
    with untouched(exam.program.train):
        subject = Subject(exam.program, Meter(float("inf")), seed=exam.reasoned.subject.seed)
        for cure in exam.cures if cures is None else cures:
            text, left = _with_cure(text, function, cure, subject)
            by_hand += left
            with suppress(Exception):  # a cure that only fits behind others that were left out
                subject = subject.cured(cure)
    site = _site(before, function)
    diff = "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(
            before.splitlines(keepends=True), text.splitlines(keepends=True), f"a/{_shown(path)}", f"b/{_shown(path)}"
        )
    )
    return Patch(str(path), text, diff, tuple(by_hand), site.node.lineno if site else 0)


def write(found: Patch) -> Path:
    """Write the patched file in one piece, with the permissions that it has.

    Raises:
        JobError: if it cannot be written.
    """
    target = Path(found.path).resolve()
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        mode = target.stat().st_mode
        with unfinished.open("wb") as file:
            file.write(found.text.encode())
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(mode)
        os.replace(unfinished, target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise JobError(
            f"{target} could not be written: {error.strerror or error}.", "The file is as it was; use --patch instead."
        ) from error
    return target


def _with_cure(text: str, function: str, cure: Cure, subject: Subject) -> tuple[str, list[Change]]:
    """The text with as many of the cure's changes as have a certain place, and the others.

    Layers of one cure are changed together; then one change after the other, each on the text that the last left.
    """
    wanted = [c for c in cure.changes if subject.program.val is not None or not c.target.startswith("val")]
    layers = [c for c in wanted if c.target.startswith("model.") and c.target != "model.weights"]
    rest = [c for c in wanted if c not in layers]
    if len(layers) > 1 or (layers and layers[0].target.endswith("()")):
        edited = _first(text, function, _together(layers, subject))
        if edited is None:
            rest = [*layers, *rest]
        else:
            text = edited
    else:
        rest = [*layers, *rest]
    left = []
    for change in rest:
        edited = _first(text, function, _alone(change, subject))
        if edited is None:
            left.append(change)
        else:
            text = edited
    return text, left


def _together(changes: Sequence[Change], subject: Subject) -> Iterator[Rule]:
    yield lambda source, site: patch_modules.unfrozen(source, site, changes, subject)
    yield lambda source, site: all(patch_modules.by_path(source, site, change) for change in changes)
    yield lambda source, site: patch_modules.by_kind(source, changes, subject)
    yield lambda source, site: patch_modules.settings_by_kind(source, changes, subject)
    yield lambda source, site: patch_modules.by_lines(source, site, changes)


def _alone(change: Change, subject: Subject) -> Iterator[Rule]:
    yield lambda source, site: patch_rules.setting(source, site, change)
    yield lambda source, site: patch_rules.optimizer(source, site, change)
    yield lambda source, site: patch_rules.loss(source, site, change)
    yield lambda source, site: patch_rules.targets(source, site, change)
    yield lambda source, site: patch_rules.inputs(source, site, change, subject)
    yield lambda source, site: patch_modules.unfrozen(source, site, [change], subject)
    yield lambda source, site: patch_modules.by_path(source, site, change)
    yield lambda source, site: patch_modules.wrapped(source, site, change)
    yield lambda source, site: patch_modules.by_lines(source, site, [change])


def _first(text: str, function: str, rules: Iterator[Rule]) -> str | None:
    """The text after the first rule that finds its place and leaves a Python file; None if none does."""
    for rule in rules:
        try:
            source = Source(text, function)
            if source.site is None:
                return None
            if rule(source, source.site):
                return source.edited()
        except SyntaxError:
            continue
    return None


def _site(text: str, function: str) -> Site | None:
    try:
        return Source(text, function).site
    except SyntaxError:
        return None


def _line(change: Change) -> str:
    return " ".join(str(change).split())


def _shown(path: Any) -> str:
    return Path(path).name if Path(path).is_absolute() else Path(path).as_posix()
