"""What the stages have found so far: one JSON file, written anew after every row, and a page."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Item = tuple[str, Callable[[], Row]]
"""A name, and what finds a row; where the name has a row already, that is not done again."""


@dataclass(frozen=True)
class Setting:
    """What a stage is told.

    Attributes
    ----------
    out : Path
        Of the results and pictures.
    work : Path
        Of what is large: photos, runs.
    until : float
        `time.monotonic` when it is to end.
    miniature : bool
        As little of everything as works.
    photos, prompts, other : Path, optional
        The zip of photos, packed or not; a prompt a line; where DALLE-pytorch was installed to.
    found : mapping
        The rows of all stages so far, by stage and name.
    """

    out: Path
    work: Path
    until: float
    miniature: bool = False
    photos: Path | None = None
    prompts: Path | None = None
    other: Path | None = None
    found: Mapping[str, Mapping[str, Row]] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.until - time.monotonic()

    @property
    def seconds(self) -> float:
        """What one timing should take."""
        return 0.02 if self.miniature else 1.0


@dataclass(frozen=True)
class Stage:
    """A part of the script: ``minutes`` is its share of a call's time."""

    name: str
    what: str
    minutes: float
    items: Callable[[Setting], Iterator[Item]]


class Results:
    """The file ``results.json`` in a folder, and ``results.md`` made of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stages: dict[str, Any] = {}
        self.read()

    def read(self) -> None:
        """Take what another process wrote."""
        file = self.folder / "results.json"
        if file.exists():
            self.stages = json.loads(file.read_text(encoding="utf-8"))

    def rows(self) -> dict[str, dict[str, Row]]:
        """Return the rows of all stages."""
        return {name: found["rows"] for name, found in self.stages.items()}

    def begin(self, stage: Stage, again: bool) -> dict[str, Row]:
        """Open a stage; return its rows, live."""
        found = self.stages.setdefault(stage.name, {"what": stage.what, "seconds": 0.0, "rows": {}})
        found["error"] = ""
        if again:
            found["rows"].clear()
        self.write()
        return found["rows"]

    def end(self, stage: str, seconds: float, error: str = "") -> None:
        """Close a stage."""
        found = self.stages[stage]
        found["seconds"] = round(found["seconds"] + seconds, 1)
        found["error"] = found["error"] or error
        self.write()

    def failed(self, stages: list[str]) -> bool:
        """Tell whether one of the stages, or a row of one, has an error."""
        found = [self.stages[name] for name in stages]
        rows = [row for stage in found for row in stage["rows"].values()]
        return any(stage["error"] for stage in found) or any("error" in row for row in rows)

    def write(self) -> None:
        """Write both files, whole or not at all."""
        told = json.dumps(self.stages, indent=1, default=str)
        for name, text in (("results.json", told), ("results.md", page(self.stages))):
            begun = self.folder / f".{name}"
            begun.write_text(text, encoding="utf-8")
            begun.replace(self.folder / name)


def run_stage(stage: Stage, at: Setting, results: Results, again: bool = False) -> None:
    """Do what is not done yet of a stage; a row that fails has its error and stops no other."""
    rows, start, error = results.begin(stage, again), time.monotonic(), ""
    at = replace(at, found={**at.found, stage.name: rows})  # as they come
    print(f"{stage.name}: {stage.what} ({at.left:.0f} s)", flush=True)
    try:
        for name, find in stage.items(at):
            if name in rows and "error" not in rows[name]:
                continue
            if at.left <= 0:
                error = f"its time was over before: {name}"
                break
            begun = time.monotonic()
            try:
                row = find()
            except Exception:
                row = {"error": traceback.format_exc()[-2000:]}
            rows[name] = {**row, "s": round(time.monotonic() - begun, 1)}
            print(f"  {name}: {cell(rows[name])}", flush=True)
            results.write()
    except Exception:
        error = traceback.format_exc()[-2000:]
    results.end(stage.name, time.monotonic() - start, error)


def page(stages: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    parts = ["# One machine with a GPU\n"]
    for name, found in stages.items():
        parts.append(f"## {name}: {found['what']} ({found['seconds']} s)\n")
        rows = found["rows"]
        if rows:
            columns = list(dict.fromkeys(key for row in rows.values() for key in row))
            lines = [["", *columns], ["---"] * (len(columns) + 1)]
            lines += [[n, *(cell(row.get(c, "")) for c in columns)] for n, row in rows.items()]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
        if found["error"]:
            parts.append(f"```\n{found['error']}\n```\n")
    return "\n".join(parts)


def cell(value: Any) -> str:
    """Return a value as it stands in a table."""
    told = json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)
    return told.replace("|", "/").replace("\n", " ")[-300:]
