"""What is printed and written, searched for text that something would act on."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"  # controls, except tab and line feed
    "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r]")
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+|inf)(e[+-]?\d+)?", re.IGNORECASE)
EXACT = ("table.csv", "benchmark", "dattri")
"""Files and folders of tables for programs, which keep every text as it is."""


@dataclass
class Found:
    """What was searched, and what got through."""

    commands: int = 0
    files: int = 0
    faults: list[tuple[str, str, str]] = field(default_factory=list)

    def fault(self, where: str, what: str, sample: str = "") -> None:
        self.faults.append((where, what, ascii(sample)[:160]))


def around(text: str, hit: re.Match[str]) -> str:
    """Return a hit with what stands beside it."""
    return text[max(0, hit.start() - 40) : hit.end() + 30]


def search_printed(found: Found, name: str, code: int, out: str, err: str) -> None:
    """Search what a command printed."""
    if code not in (0, 2) or "should not have happened" in err:
        found.fault(name, f"exit {code}", err[-600:])
    for stream, text in (("stdout", out), ("stderr", err)):
        if hit := RAW.search(text):
            found.fault(f"{name} → {stream}", "raw", around(text, hit))


def search_file(found: Found, path: Path, name: str) -> None:
    """Search a file by its kind."""
    kind, data = path.suffix.lower(), path.read_bytes()
    if kind not in (".csv", ".tex", ".md", ".html", ".svg", ".json", ".jsonl", ".txt", ".yaml"):
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        found.fault(name, "no UTF-8", str(error))
        return
    search = SEARCHES.get(kind)
    if search is not None:
        for what, sample in search(text, path):
            found.fault(name, what, sample)


def _csv(text: str, path: Path) -> Iterator[tuple[str, str]]:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        yield "no CSV", str(error)
        return
    if len({len(row) for row in rows}) > 1:
        yield "rows of several lengths", str(rows[:2])
    if path.name in EXACT or any(part in EXACT for part in path.parts):
        return
    for row in rows:
        for cell in row:
            if FORMULA.match(cell) and not NUMBER.fullmatch(cell):
                yield "formula", cell
                return


def _tex(text: str, path: Path) -> Iterator[tuple[str, str]]:
    for pattern in (
        r"\\(input|write|frac)",
        r"(?<!\\)[%#]",
        r"(?<!\\)\$(?!-\$|\\infty\$)(?<!\$-\$)(?<!\\infty\$)",
    ):
        if hit := re.search(pattern, text):
            yield "TeX", around(text, hit)
    if hit := RAW.search(text):
        yield "raw", around(text, hit)


def _md(text: str, path: Path) -> Iterator[tuple[str, str]]:
    if hit := RAW.search(text):
        yield "raw", around(text, hit)
    fenced = re.sub(r"^(`{3,}|~{3,}).*?^\1`*$", "", text, flags=re.DOTALL | re.MULTILINE)
    plain = re.sub(r"(?<!\\)(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", fenced)
    for pattern in (r"<(script|img|b)\b", r"(?<!\\)\]\(javascript", r"(?<!\\)!?(?<!\\)\[i\]"):
        if hit := re.search(pattern, plain):
            yield "Markdown", around(plain, hit)
    wide = None
    for line in text.splitlines():
        if not line.startswith("|"):
            wide = None
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        if wide is not None and cells != wide:
            yield "cells", line
            return
        wide = cells


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        for name, value in attrs:
            acts = name in ("href", "src") and "javascript:" in (value or "").lower()
            if name.startswith("on") or acts:
                self.faults.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self._within == "script" and data.strip().startswith("alert(1)"):
            self.faults.append(data[:60])


def _html(text: str, path: Path) -> Iterator[tuple[str, str]]:
    if hit := RAW.search(text):
        yield "raw", around(text, hit)
    tags = _Tags()
    tags.feed(text)
    yield from (("HTML", fault) for fault in tags.faults[:1])


def _svg(text: str, path: Path) -> Iterator[tuple[str, str]]:
    try:
        ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        yield "no XML", str(error)
    if hit := RAW.search(text):
        yield "raw", around(text, hit)


def _json(text: str, path: Path) -> Iterator[tuple[str, str]]:
    for line in text.strip().split("\n") if path.suffix == ".jsonl" else [text]:
        try:
            json.loads(line, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
        except ValueError as error:
            yield "no JSON", str(error)
            return


def _txt(text: str, path: Path) -> Iterator[tuple[str, str]]:
    if path.name == "log.txt" and (hit := RAW.search(text)):
        yield "raw", around(text, hit)


SEARCHES = {
    ".csv": _csv,
    ".tex": _tex,
    ".md": _md,
    ".html": _html,
    ".svg": _svg,
    ".txt": _txt,
    ".json": _json,
    ".jsonl": _json,
}
