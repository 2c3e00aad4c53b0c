"""The fenced blocks of a Markdown page, and the command lines of its bash blocks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.places import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "ARCHITECTURE.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

FENCE = re.compile(r"^([ ]*)```([^\n]*)\n(.*?)^\1```[ ]*$", re.MULTILINE | re.DOTALL)
INFO = re.compile(r'^\s*(\w*)(?:\s+title="([^"]+)")?\s*$')


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it stands for (if it has a title), its text."""

    page: Path
    line: int  # of its first line of text
    language: str
    title: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        info = INFO.match(match[2])
        assert info, f"{page.name}:{line - 1}: cannot read ```{match[2]}"
        yield Block(page, line, info[1], info[2] or "", match[3])


def command_lines(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a bash block: as it is written on one line, and as words."""
    joined = re.sub(r"\\\n\s*", " ", block.text)
    variables: dict[str, str] = {}
    for line in joined.splitlines():
        for name, value in variables.items():
            line = line.replace(f"${name}", value)
        words = shlex.split(line, comments=True)
        assignment = re.fullmatch(r"([A-Z]+)=(\S+)", words[0]) if len(words) == 1 else None
        if assignment:
            variables[assignment[1]] = assignment[2]
        elif words:
            yield " ".join(line.split()), words
