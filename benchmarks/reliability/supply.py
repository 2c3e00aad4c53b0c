"""How many tests passed with which Python and which versions of the libraries.

    make test-lowest            # and, in an environment of each Python:
    python -m pytest --junitxml "made/Python 3.12, newest versions/all.xml"
    python benchmarks/reliability/supply.py made/*

Each folder is one environment and is shown by its name; it holds what ``pytest --junitxml`` wrote,
in one file or in several (of parts of the tests). A test that is in two files counts once, as the
newer of them has it.
"""

from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from storing import store

HEADS = ("environment", "tests", "passed", "skipped", "failed")


def outcomes(folder: Path) -> Counter[str]:
    """Return how many tests of an environment passed, were skipped and failed."""
    found = {}
    for path in sorted(folder.glob("*.xml"), key=lambda file: file.stat().st_mtime):
        for case in ET.parse(path).getroot().iter("testcase"):
            kinds = {child.tag for child in case}
            wrong = kinds & {"failure", "error"}
            outcome = "failed" if wrong else "skipped" if "skipped" in kinds else "passed"
            found[case.get("classname"), case.get("name")] = outcome
    return Counter(found.values())


def rows(folders: list[Path]) -> list[list[str | int]]:
    """Return a row for each environment."""
    made: list[list[str | int]] = []
    for folder in folders:
        counts = outcomes(folder)
        kinds = [counts[kind] for kind in ("passed", "skipped", "failed")]
        made.append([folder.name, sum(kinds), *kinds])
    return made


def main() -> None:
    """Count, print, store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="one of each environment")
    args = parser.parse_args()
    found = rows(args.folders)
    if empty := [str(row[0]) for row in found if not row[1]]:
        sys.exit(f"no results of pytest --junitxml in {', '.join(empty)}")
    for row in found:
        print(*row, sep="\t")
    store("supply", found, HEADS, command="python benchmarks/reliability/supply.py made/*")


if __name__ == "__main__":
    main()
