"""Read the project's documents: code blocks, commands, tables, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^( *)```(.*)$")
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$")


class Block(NamedTuple):
    """One fenced block of code."""

    path: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Where it stands, for test ids."""
        return f"{self.path.relative_to(ROOT).as_posix()}:{self.line}"


class Command(NamedTuple):
    """One command of a shell block: its own environment, and its words."""

    environment: dict[str, str]
    words: list[str]

    @property
    def program(self) -> str:
        """The program, without the way to it."""
        return "feedmux" if self.words[0].endswith("/feedmux") else self.words[0]

    @property
    def args(self) -> list[str]:
        """What the program is given."""
        return self.words[1:]


@cache
def documents() -> tuple[Path, ...]:
    """Every document of the project."""
    return (*sorted(ROOT.glob("*.md")), ROOT / "bench" / "README.md", *sorted(ROOT.glob("docs/**/*.md")))


@cache
def blocks() -> tuple[Block, ...]:
    """Every block of every document."""
    return tuple(block for path in documents() for block in blocks_of(path))


def blocks_of(path: Path) -> Iterator[Block]:
    """The fenced blocks of one document.

    Raises:
        AssertionError: a fence is not closed.
    """
    start, language, lines = 0, "", list[str]()
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and not start:
            start, language, lines = number, fence[2].strip(), []
        elif fence:
            yield Block(path, start, language, "\n".join(lines) + "\n")
            start = 0
        elif start:
            lines.append(line)
    assert not start, f"{path}: the block of line {start} is not closed"


def prose(path: Path) -> str:
    """A document without its blocks."""
    inside, kept = False, []
    for line in path.read_text("utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def code_spans(path: Path) -> list[str]:
    """What stands between backticks in a document's prose."""
    return [span.strip("`") for span in _CODE.findall(prose(path))]


def links(path: Path) -> list[str]:
    """Where a document's links and pictures lead."""
    return _LINK.findall(_CODE.sub("", prose(path)))


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    found = (_HEADING.match(line) for line in prose(path).splitlines())
    return {anchor(heading[1]) for heading in found if heading}


def anchor(heading: str) -> str:
    """The anchor of one heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def table(path: Path, heading: str) -> list[tuple[str, ...]]:
    """The rows of the first table below a heading, without its head."""
    lines = prose(path).splitlines()
    start = next(i for i, line in enumerate(lines) if (h := _HEADING.match(line)) and h[1] == heading)
    first = next(i for i in range(start, len(lines)) if lines[i].startswith("|"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))))
    return rows


def commands(block: Block) -> list[Command]:
    """The commands of a shell block, each part of a pipe by itself."""
    text = re.sub(r"\\\n", " ", block.text)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [_command(part) for line in lines for part in line.split(" | ")]


def _command(text: str) -> Command:
    words = shlex.split(text, comments=True)
    if ">" in words:
        words = words[: words.index(">")]
    environment = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    return Command(environment, words)


DATA_KEYED = {
    "brokers", "clients", "closed_by_code", "refused", "refused_by_status", "states", "topics_by_state",
    "venues",
}  # fmt: skip
"""Objects whose keys are data: their values are alike, their keys are not promised."""


def is_like(example: Any, real: Any, name: str = "") -> bool:
    """Whether an example has the keys of a real message, in their order, and values of its types."""
    if example is None or real is None:
        return True
    if isinstance(example, dict) and isinstance(real, dict):
        return _are_alike(example, real, name)
    if isinstance(example, list) and isinstance(real, list):
        return all(is_like(one, real[0]) for one in example if real)
    return _type_of(example) is _type_of(real)


def _are_alike(example: dict[str, Any], real: dict[str, Any], name: str) -> bool:
    if name in DATA_KEYED:
        return all(is_like(one, other) for one in example.values() for other in real.values())
    return list(example) == list(real) and all(is_like(example[key], real[key], key) for key in example)


def _type_of(value: Any) -> type:
    """A value's type; a whole number may stand for one with decimals."""
    return float if type(value) is int else type(value)
