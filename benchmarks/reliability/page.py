"""The tables of docs/reliability.md, from what the harnesses of this folder stored.

    python benchmarks/reliability/page.py           # write them anew
    python benchmarks/reliability/page.py --check   # exit with 1 if the page is out of step

A table stands between ``<!-- figures: NAME -->`` and ``<!-- /figures -->`` and is made of
docs/results/reliability/NAME.json (see ``storing.py``).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storing import DATA, ROOT
from untrain.core.files import read_json, write_text

PAGE = ROOT / "docs" / "reliability.md"
END = "<!-- /figures -->"
MARK = re.compile(rf"^<!-- figures: (?P<name>[a-z0-9-]+) -->\n.*?^{END}$", re.MULTILINE | re.DOTALL)
NOTHING = "*Not measured yet.*"


def cell(value: Any) -> str:
    """Return a cell: whole numbers with commas, others as they are given.

    Examples
    --------
    >>> cell(12345), cell(0.5), cell("200 of 200"), cell("a | b"), cell(None)
    ('12,345', '0.5', '200 of 200', 'a \\\\| b', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("|", "\\|").split())


def table(kept: dict[str, Any]) -> str:
    """Return the Markdown of what was stored: the command, the table, machine and date."""
    heads = kept.get("heads", ["what", "figure"])
    lines = ["| " + " | ".join(map(cell, row)) + " |" for row in [heads, *kept["rows"]]]
    lines.insert(1, "|" + "|".join(["---", *["--:"] * (len(heads) - 1)]) + "|")
    where = "; ".join(str(kept[key]) for key in ("machine", "date") if kept.get(key))
    return f"```text\n{kept['command']}\n```\n\n" + "\n".join(lines) + f"\n\n*{where}.*"


def filled(text: str, folder: Path = DATA) -> str:
    """Return the text of a page with its tables as they are stored."""

    def put(match: re.Match[str]) -> str:
        path = folder / f"{match['name']}.json"
        inside = table(read_json(path)) if path.is_file() else NOTHING
        return f"<!-- figures: {match['name']} -->\n\n{inside}\n\n{END}"

    return MARK.sub(put, text)


def faults(text: str, folder: Path = DATA) -> Iterator[str]:
    """Yield what is wrong with the text of a page."""
    if filled(text, folder) != text:
        yield "docs/reliability.md is out of step: run python benchmarks/reliability/page.py"
    shown = {match["name"] for match in MARK.finditer(text)}
    for path in sorted(folder.glob("*.json")):
        if path.stem not in shown:
            yield (
                f"{path.name} is not on the page: write the lines <!-- figures: {path.stem} --> "
                f"and {END} where docs/reliability.md speaks of it"
            )


def main() -> None:
    """Write or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 if out of step")
    args = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    if not args.check:
        text = filled(text)
        write_text(PAGE, text)
    wrong = list(faults(text))
    print(*wrong or ["docs/reliability.md says what is stored"], sep="\n")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
