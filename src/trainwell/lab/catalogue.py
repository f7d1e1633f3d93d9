"""The experiments, found by their place and read without being run: ``lab/TOPIC/s05_name.py`` is S05.

The docstring says all that the list needs: the first line is ``S05: claim``, and lines that begin with ``Decks:``,
``Control:`` and ``Source:`` open the paragraphs of these names. Between them stands the theory.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from trainwell.errors import InputError
from trainwell.nearest_name import nearest

TOPICS = ("signal", "normalization", "residual", "methods", "landscape", "generalization")
PLACE = Path(__file__).parent
_NAME = re.compile(r"([a-z]\d\d)_\w+\.py")
_PARTS = re.compile(r"^(Decks|Control|Source|Sources): ", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """What is known of an experiment before it runs.

    Attributes:
        id: as S05.
        claim: the sentence of the lecture.
        decks: letters of the lectures that say it.
        topic: folder of ``trainwell.lab``.
        theory: the docstring between claim and control.
        control: what is removed.
        source: paper, section, number.
        path: of the module.
    """

    id: str
    claim: str
    decks: tuple[str, ...]
    topic: str
    theory: str
    control: str
    source: str
    path: Path

    @property
    def module(self) -> str:
        """The name to import."""
        return f"trainwell.lab.{self.topic}.{self.path.stem}"


def entries(groups: tuple[str, ...] = ()) -> list[Entry]:
    """All experiments in the order of their ids; only those of some groups (letters), if any are named.

    Raises:
        InputError: for a group without experiments.
    """
    files = [path for topic in TOPICS for path in sorted((PLACE / topic).glob("*.py")) if _NAME.fullmatch(path.name)]
    found = [_read(path) for path in files]
    letters = {entry.id[0] for entry in found}
    for group in groups:
        if group.upper() not in letters:
            raise InputError(f"The lab has no group {group!r}.", f"The groups are {', '.join(sorted(letters))}.")
    wanted = {group.upper() for group in groups} or letters
    return [entry for entry in found if entry.id[0] in wanted]


def entry(name: str) -> Entry:
    """The experiment of this id, in capitals or not.

    Raises:
        InputError: if there is none, with the nearest id.
    """
    known = {found.id: found for found in entries()}
    if name.upper() in known:
        return known[name.upper()]
    remedy = f"{nearest(name, known)} `trainwell lab list` shows all.".strip()
    raise InputError(f"The lab has no experiment {name!r}.", remedy)


def _read(path: Path) -> Entry:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    pieces = _PARTS.split(text)
    parts = dict(zip(pieces[1::2], (piece.strip() for piece in pieces[2::2]), strict=True))
    head, _, theory = pieces[0].partition("\n\n")
    id, colon, claim = " ".join(head.split()).partition(": ")
    if not colon or id.lower() != path.name[:3]:
        raise ValueError(
            f"{path.name}: the docstring begins with {head!r}, not with {path.name[:3].upper()}: and a claim."
        )
    source = parts.get("Source") or parts.get("Sources", "")
    decks = tuple(re.findall("[A-Z]", parts.get("Decks", "")))
    control = " ".join(parts.get("Control", "").split())
    return Entry(
        id,
        claim[:1].upper() + claim[1:].rstrip("."),
        decks,
        path.parent.name,
        theory.strip(),
        control,
        " ".join(source.split()),
        path,
    )
