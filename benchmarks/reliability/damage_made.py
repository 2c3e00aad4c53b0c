"""What no stage made, damaged: a bank, groups, a ladder, an unlearned model, a takedown, shards.

A micro run is finished, and each command that adds to a run, or writes a folder of its own, adds
to it. Then, one at a time, a file that it wrote is cut, emptied, given a flipped bit, replaced by
other JSON, or deleted. Reading it must fail with its name and a command; that command, typed as it
stands there, must leave the bytes of before (without seconds and dates).

    python benchmarks/reliability/damage_made.py --folder damaged-made --seconds 400
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from damaging import (
    DAMAGES,
    Case,
    Row,
    content,
    copy,
    damage,
    differing,
    held,
    micro,
    one_of_each,
    tried,
)
from storing import store

COMMANDS = (
    "bank runs/micro --models 4",
    "bank runs/micro --models 5 --share 0.3",
    "bank runs/micro --by groups.csv --models 3 --share 0.4 --share 0.6",
    "leaderboard runs/micro --k 3",
    "ladder runs/micro -m fine_tuning -b 0.5 --seeds 1 --targeted 1 --random 0 --family 0",
    "unlearn runs/micro --ids ids.txt -m npo:rate=0.3 --budget 0.5",
    "takedown letter --run runs/micro --remove none --probes 0",
    "takedown letter --catalog photos --out answers",
    "index photos --out shards --shard-rows 64",
)
PARTS = {
    "a bank": "runs/micro/bank/",
    "a bank of groups": "runs/micro/groups/",
    "shares of groups": "runs/micro/results/shares-",
    "a leaderboard": "runs/micro/results/leaderboard",
    "a ladder": "runs/micro/ladder/",
    "fidelity": "runs/micro/results/fidelity",
    "an unlearned model": "runs/micro/unlearned/",
    "the answer to a takedown request": "runs/micro/takedowns/",
    "the same of a catalogue": "answers/",
    "an index in shards": "shards/",
}
"""What a row of the table is, and where its files lie."""
IN_MODELS = "a model of bank or ladder"


def untrain(*arguments: str) -> int:
    """Call the command line in this process; return its exit code."""
    from untrain.cli import main

    sys.argv = ["untrain", *arguments]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def make(place: Path) -> None:
    """Make all of it in the working folder."""
    from untrain.catalogs.export import export
    from untrain.runs.run import open_run

    run = open_run(micro(place))
    stages = {path.name for path in Path("runs/micro/models").iterdir()}
    ids = run.catalog.ids
    rows = [f"{each},{'abc'[place % 3]}\n" for place, each in enumerate(ids)]
    Path("groups.csv").write_text("".join(["image_id,group\n", *rows]))
    Path("ids.txt").write_text("".join(f"{each}\n" for each in ids[:2]))
    if not Path("photos").exists():
        export(run.catalog, [], Path("photos"), "folder")
    Path("letter").mkdir(exist_ok=True)
    picture = next(path for path in sorted(Path("photos").rglob("*.png")) if ids[0] in path.stem)
    Path("letter", "mine.png").write_bytes(picture.read_bytes())
    ready = [untrain("-q", *command.split()) for command in COMMANDS]
    if any(ready):
        raise SystemExit(f"not all of it could be made: {ready}")
    Path("stages.txt").write_text("\n".join(stages))


def part_of(name: str) -> str:
    """Return which row of the table a file belongs to; empty if it is none of these."""
    if name.startswith("runs/micro/models/"):
        known = Path("stages.txt").read_text().split()
        return "" if name.split("/")[3] in known else IN_MODELS
    return next((part for part, start in PARTS.items() if name.startswith(start)), "")


def attempt(place: Path, name: str, kind: str) -> Row:
    """Damage a file of a copy of all of it, and return what came of it.

    The copy has the place that all of it was made in: commands name files by whole paths.
    """
    from untrain.core.errors import Damaged
    from untrain.core.manifest import check, not_as_written

    os.chdir(place)
    os.environ["UNTRAIN_CACHE"] = str(place / "cache")
    for folder in ("runs", "answers", "shards"):
        copy(place / "whole" / folder, place / folder)
    before = {root: content(place / root) for root in ("runs", "answers", "shards")}
    path = place / name
    damage(path, kind)
    if name.startswith("shards/"):
        said, commands = _said_of_shards(), [COMMANDS[-1]]
        row: Row = {"noticed": bool(said), "named": "untrain index" in said}
        return row | _mended(place, commands, before)
    try:
        check(path)
        return {"same": False, "noticed": False}
    except FileNotFoundError:
        said = str(not_as_written(path, "it is missing"))
    except Damaged as error:
        said = str(error)
    commands = re.findall(r"`untrain (?!verify)([^`]+)`", said)
    row = {"noticed": True, "named": name in said and bool(commands)}
    return row | _mended(place, commands, before)


def _said_of_shards() -> str:
    """Return what is said when an index is opened and asked; empty if nothing is."""
    from untrain.core.errors import InputError
    from untrain.search.sharded import open_shards

    try:
        index = open_shards([Path("shards")])
        index.rows(range(len(index)))
    except InputError as error:
        return str(error)
    return ""


def _mended(place: Path, commands: list[str], before: dict[str, dict[str, str]]) -> Row:
    """Return whether commands, as they are typed, make the bytes of before."""
    codes = [untrain("-q", *shlex.split(command)) for command in commands]
    after = {root: content(place / root) for root in before}
    differ = [f"{r}/{n}" for r, own in before.items() for n in differing(own, after[r])]
    differ = [each for each in differ if not each.endswith(".html")]  # which have a date
    return {"same": not differ and not any(codes), "differ": differ[:5], "codes": codes}


def main() -> None:
    """Damage files and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=0, help="cases; 0 is all")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no case after so long")
    parser.add_argument("--folder", type=Path, help="keeps all of it, and what came of each case")
    parser.add_argument("--store", action="store_true", help="for docs/reliability.md")
    asked = parser.parse_args()
    found = measure(asked.count, asked.seconds, asked.folder)
    print(*(" ".join(map(str, row)) for row in found["rows"]), *found["not_held"], sep="\n")
    if asked.store:
        store(
            "damage-made",
            found["rows"],
            command="python benchmarks/reliability/damage_made.py --folder damaged-made --store",
            heads=("what", "cases", "noticed, with a command", "the same bytes after it"),
            not_held=found["not_held"],
        )


def measure(count: int = 0, seconds: float = 1e9, folder: Path | None = None) -> dict[str, Any]:
    """Return the figures; see the module."""
    import torch

    from untrain.core.progress import console

    console.quiet = True
    torch.set_num_threads(1)
    kept, here = os.environ.get("UNTRAIN_CACHE"), Path.cwd()
    with tempfile.TemporaryDirectory(prefix="untrain-damage-") as passing:
        place = (folder or Path(passing)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        try:
            os.chdir(place)
            return _measured(place, count, seconds)
        finally:
            os.chdir(here)
            os.environ.pop("UNTRAIN_CACHE", None)
            if kept is not None:
                os.environ["UNTRAIN_CACHE"] = kept


def _measured(place: Path, count: int, seconds: float) -> dict[str, Any]:
    whole = place / "whole"
    if not whole.exists():
        os.environ["UNTRAIN_CACHE"] = str(place / "cache")
        make(place)
        for name in ("runs", "answers", "shards"):
            copy(place / name, place / "begun" / name)
        (place / "begun").rename(whole)
    cases: list[Case] = []
    for root in (*PARTS.values(), "runs/micro/models/"):
        above = whole / root if root.endswith("/") else (whole / root).parent
        inside = [(above / each).relative_to(whole).as_posix() for each in _each(above)]
        names = [each for each in inside if each.startswith(root) and part_of(each)]
        cases += [(part_of(name), name, kind) for name in names for kind in DAMAGES]
    cases = list(dict.fromkeys(cases))
    done: dict[str, list[Row]] = {}
    not_held = []
    for case, row in tried(cases, lambda case: attempt(place, *case[1:]), place, count, seconds):
        done.setdefault(case[0], []).append(row)
        if not held(row):
            not_held.append([*case, row])
    rows = [
        [
            part,
            len(done.get(part, [])),
            sum(
                row.get("noticed", False) and row.get("named", False) for row in done.get(part, [])
            ),
            sum(row["same"] for row in done.get(part, [])),
        ]
        for part in (*PARTS, IN_MODELS)
    ]
    totals = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
    return {
        "rows": [*rows, [f"all, of {len(cases)} that there are", *totals]],
        "not_held": not_held,
    }


def _each(folder: Path) -> list[str]:
    """Return one file of each name: of models of a bank, one with its files."""
    if folder.name == "models":
        others = [
            path for path in sorted(folder.iterdir()) if part_of(f"runs/micro/models/{path.name}/x")
        ]
        return [
            path.relative_to(folder).as_posix()
            for path in sorted(others[0].rglob("*"))
            if path.is_file()
        ]
    return one_of_each(folder)


if __name__ == "__main__":
    main()
