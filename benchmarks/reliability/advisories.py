"""Known vulnerabilities of packages, from a copy of PyPA's advisory database; nothing is asked for.

    git clone https://github.com/pypa/advisory-database
    python benchmarks/reliability/advisories.py advisory-database
    python benchmarks/reliability/advisories.py advisory-database --file constraints-lowest.txt

Looks at what is installed beside this Python, or at the versions in a file of ``name==version``
lines. Where the database can be reached over the network, ``make audit`` (pip-audit) asks it for
the newest. It knows nothing of what was found after the copy was made: its date is printed.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


def installed() -> dict[str, str]:
    """Return the version of each package beside this Python."""
    return {canonicalize_name(each.metadata["Name"]): each.version for each in distributions()}


def pinned(path: Path) -> dict[str, str]:
    """Return the version of each package in a file of ``name==version`` lines."""
    lines = [line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines()]
    pairs = [line.split("==", 1) for line in lines if "==" in line]
    return {canonicalize_name(name): version.split(";")[0].strip() for name, version in pairs}


def concerns(advisory: dict[str, Any], version: str) -> bool:
    """Tell whether an advisory is about a version.

    Examples
    --------
    >>> events = [{"introduced": "1.0"}, {"fixed": "1.2"}]
    >>> known = {"affected": [{"ranges": [{"type": "ECOSYSTEM", "events": events}]}]}
    >>> [concerns(known, each) for each in ("0.9", "1.0", "1.1+cpu", "1.2")]
    [False, True, True, False]
    """
    if advisory.get("withdrawn"):
        return False
    version = version.split("+")[0]
    for affected in advisory.get("affected", ()):
        if version in affected.get("versions", ()):
            return True
        for span in affected.get("ranges", ()):
            if span["type"] == "ECOSYSTEM" and _inside(span["events"], version):
                return True
    return False


def _inside(events: list[dict[str, str]], version: str) -> bool:
    """Tell whether a version lies between an introduction and a fix."""
    inside = False
    try:
        own = Version(version)
        steps = [(Version(place), what) for event in events for what, place in event.items()]
    except InvalidVersion:
        return False
    for place, what in sorted(steps, key=lambda step: (step[0], step[1] != "fixed")):
        if what == "introduced" and place <= own:
            inside = True
        elif (what == "fixed" and place <= own) or (what == "last_affected" and place < own):
            inside = False
    return inside


def found_in(database: Path, packages: dict[str, str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield name, version and advisory of each package that one is about."""
    for name, version in sorted(packages.items()):
        for path in sorted((database / "vulns" / name).glob("*.yaml")):
            advisory = yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)
            if concerns(advisory, version):
                yield name, version, advisory


def newest(database: Path) -> datetime.date:
    """Return when the database was last changed, by what its advisories say."""
    dates = (line[9:].strip("\" '") for line in _modified(database))
    return max(datetime.date.fromisoformat(date[:10]) for date in dates if date)


def _modified(database: Path) -> Iterator[str]:
    for path in database.glob("vulns/*/*.yaml"):
        yield from (s for s in path.read_text("utf-8").splitlines() if s.startswith("modified:"))


def main() -> None:
    """Look, and end with 1 if anything is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("database", type=Path, help="a clone of pypa/advisory-database")
    parser.add_argument("--file", type=Path, help="versions, instead of what is installed")
    args = parser.parse_args()
    packages = pinned(args.file) if args.file else installed()
    found = list(found_in(args.database, packages))
    for name, version, advisory in found:
        print(name, version, advisory["id"], *advisory.get("aliases", ()))
        print("   ", " ".join(str(advisory.get("details", "")).split())[:150])
    print(f"{len(packages)} packages, {len(found)} advisories, as of {newest(args.database)}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
