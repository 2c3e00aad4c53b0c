"""What the two harnesses share that damage files: how, of which file, and what is compared after.

Each case is tried in a child of this process, which has imported everything; what came of it is
kept in ``cases.jsonl`` of a folder, so that a call goes on where the one before ended.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "one bit": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :]
        if data
        else b"\1"
    ),
    "other": lambda _: b'{"other": [1, 2]}',
    "deleted": lambda _: None,
}
GROWING = {"log.txt", "checksums.txt", ".lock"}
"""What says what happened, and so is never the same."""
TIMES = ("seconds", "written", "created", "sha256", "files", "versions")
"""Keys and columns that hold a time, or a checksum of what holds one."""
LONGEST = 300.0
Case = tuple[str, str, str]
Row = dict[str, Any]


def micro(place: Path) -> Path:
    """Finish a micro run and return its folder."""
    from untrain.experiment.pipeline import run_stages
    from untrain.experiment.telling import Telling
    from untrain.runs.run import Run
    from untrain.settings.load import load_config

    preset = Path(str(files("untrain.settings"))) / "micro.yaml"
    run = Run(load_config(preset, ["workers=1"], runs=place / "runs"))
    return run_stages(run, telling=Telling(run))


def damage(path: Path, kind: str) -> None:
    """Do one of `DAMAGES` to a file."""
    data = DAMAGES[kind](path.read_bytes())
    path.unlink()  # it may be a hard link
    if data is not None:
        path.write_bytes(data)


def one_of_each(folder: Path) -> list[str]:
    """Return one file of each name and place: of many pictures or models, the first."""
    found: dict[tuple[str, str], str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in GROWING and not path.name.endswith("lock"):
            name = path.relative_to(folder)
            kind = path.suffix if path.suffix in (".png", ".svg", ".csv", ".tex") else path.name
            found.setdefault((name.parts[0], kind), name.as_posix())
    return list(found.values())


def copy(source: Path, target: Path, linked: bool = True) -> None:
    """Put a folder in the place of another; files that are never changed in place are linked."""

    def put(here: str, there: str) -> None:
        if linked and Path(here).name not in GROWING:
            os.link(here, there)
        else:
            shutil.copy2(here, there)

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=put)


def content(folder: Path) -> dict[str, str]:
    """Return a checksum of what every file holds, by name: of tables and JSON without times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in GROWING and not path.name.endswith("lock"):
            held = hashlib.sha256(_timeless(path)).hexdigest()
            found[path.relative_to(folder).as_posix()] = held
    return found


def _timeless(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".json" or path.name == ".untrain":
        with suppress(ValueError):  # damaged still
            return json.dumps(_without_times(json.loads(data)), sort_keys=True).encode()
    if path.suffix == ".parquet" and b"seconds" in data:
        import pandas as pd

        table = pd.read_parquet(path)
        return table[[n for n in table if "seconds" not in n]].to_json().encode()
    if path.suffix == ".csv" and b"seconds" in data.partition(b"\n")[0]:
        rows = list(csv.reader(io.StringIO(data.decode())))
        kept = [place for place, name in enumerate(rows[0]) if "seconds" not in name]
        return json.dumps([[row[place] for place in kept] for row in rows]).encode()
    if path.stem == "leaderboard" and path.suffix in (".md", ".tex"):
        return b"the rows of the CSV, with seconds"
    return data


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not any(word in k for word in TIMES)}
        return {k: _without_times(v) for k, v in kept.items()}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the names of files that are not in both, or not the same."""
    return sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))


def tried(
    cases: Iterable[Case],
    attempt: Callable[[Case], Row],
    folder: Path,
    count: int = 0,
    seconds: float = 1e9,
) -> Iterator[tuple[Case, Row]]:
    """Yield every case that was tried, of earlier calls too, with what came of it.

    Parameters
    ----------
    cases : iterable of (what, file, damage)
        Drawn in an order of their own, always the same.
    attempt : callable
        Tries a case, in a child of this process.
    folder : Path
        Keeps what came of each.
    count : int
        How many are wanted, those of earlier calls among them; 0 is all.
    seconds : float
        No case begins after so long.
    """
    kept, begun = folder / "cases.jsonl", time.monotonic()
    known: dict[Case, Row] = {}
    if kept.exists():
        for line in kept.read_text(encoding="utf-8").splitlines():
            case, row = json.loads(line)
            known[tuple(case)] = row
    drawn = list(cases)
    random.Random(0).shuffle(drawn)
    for case in drawn[: count or len(drawn)]:
        if case not in known:
            if time.monotonic() - begun > seconds:
                continue
            known[case] = _in_child(lambda case=case: attempt(case), folder)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps([case, known[case]]) + "\n")
            if not held(known[case]):
                print(case, known[case], file=sys.stderr, flush=True)
        yield case, known[case]


def held(row: Row) -> bool:
    """Tell whether a case ended as it should."""
    return bool(row["same"] and row.get("noticed", True) and row.get("named", True))


def _in_child(work: Callable[[], Row], folder: Path) -> Row:
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        try:
            os.setpgid(0, 0)
            silent = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            answer.write_text(json.dumps(work()))
        except BaseException as error:
            told = "".join(traceback.format_exception(error))[-600:]
            answer.write_text(json.dumps({"same": False, "differ": [told]}))
        finally:
            os._exit(0)
    end = time.monotonic() + LONGEST
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"same": False, "differ": [f"it took more than {LONGEST:.0f} s"]}
        time.sleep(0.01)
    found: Row = json.loads(answer.read_text()) if answer.exists() else {"same": False}
    return found
