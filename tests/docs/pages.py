"""The pages of the documentation as their blocks, and a runner that does what a reader would do, in the same order.

A block ``python`` is run, all of a page in one namespace; with a name behind (```` ```python mynet.py ````) it is first
written to that file. A block ``sh`` that starts with ``trainwell`` is run line by line in this process, but for the
data sets that would be downloaded: those command lines are only parsed.
"""

import pathlib
import re
import shlex
from dataclasses import dataclass
from typing import Any

from trainwell.cli import verbs
from trainwell.cli.main import main

ROOT = pathlib.Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_AT_HAND = {"mnist", "fashion-mnist", "cifar10", "cifar100"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what stands behind it on the fence, and its text."""

    language: str
    name: str
    text: str


def blocks(page: pathlib.Path) -> list[Block]:
    """The blocks of a page in order."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [Block(language, name.strip(), text) for language, name, text in found]


def command_lines(block: Block) -> list[list[str]]:
    """The words behind ``trainwell`` of each line of a shell block; none if the block is of another program."""
    if block.language != "sh" or not block.text.startswith("trainwell "):
        return []
    lines = [shlex.split(line, comments=True) for line in block.text.replace("\\\n", " ").splitlines()]
    assert all(words[0] == "trainwell" for words in lines if words), block.text
    return [words[1:] for words in lines if words]


def run_page(page: pathlib.Path, folder: pathlib.Path) -> None:
    """Run all blocks of a page in this folder, which is the working directory."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.name and block.language in ("python", "toml"):
            (folder / block.name).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            exec(compile(block.text, f"{page.name}: {block.text.splitlines()[0]}", "exec"), names)
        for words in command_lines(block):
            if NOT_AT_HAND.isdisjoint(words):
                assert main(words) == 0, f"{page.name}: trainwell {' '.join(words)}"
            else:
                verbs.load(words[0]).make_context(words[0], list(words[1:]))
