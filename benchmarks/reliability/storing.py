"""How a harness keeps what it counted: a JSON in docs/results/reliability that the page shows.

    from storing import store

    store("kills", [["kills", 200], ["finished with the same bytes", "200 of 200"]])

``python benchmarks/reliability/page.py`` puts the rows into docs/reliability.md, between the lines
``<!-- figures: kills -->`` and ``<!-- /figures -->``.
"""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from untrain.core.files import write_json

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs" / "results" / "reliability"


def store(
    name: str,
    rows: Sequence[Sequence[Any]],
    heads: Sequence[str] = ("what", "figure"),
    command: str | None = None,
    folder: Path = DATA,
    **more: Any,
) -> Path:
    """Write what was counted; return the file.

    Parameters
    ----------
    name : str
        Of the file, and of the mark on the page.
    rows : sequence of sequences
        Cells as text or numbers, as many in each as there are ``heads``.
    heads : sequence of str
    command : str, optional
        What printed the figures; the command line of this process if it is not given.
    folder : Path
        Another one in tests.
    **more : object
        What else JSON can hold and someone may want to read; the page does not show it.

    Raises
    ------
    ValueError
        For a row with more or fewer cells than there are heads.
    """
    for row in rows:
        if len(row) != len(heads):
            raise ValueError(f"{row!r} has {len(row)} cells, the table {len(heads)} columns")
    kept = {
        "command": command or own_command(),
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "heads": list(heads),
        "rows": [list(row) for row in rows],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    write_json(path, kept | more)
    return path


def own_command() -> str:
    """Return the command line of this process as one would type it in the repository."""
    script = Path(sys.argv[0]).resolve()
    inside = script.is_relative_to(ROOT)
    shown = script.relative_to(ROOT).as_posix() if inside else script.name
    return shlex.join(["python", shown, *sys.argv[1:]])


def machine() -> str:
    """Return on what: cores, memory, system, Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cores} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )
