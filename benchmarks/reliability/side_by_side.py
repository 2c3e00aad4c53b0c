"""Two demos at once and four `trace`s beside them, all on one cache that is empty at first."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from untrain.core.files import read_json
from watching import Outcome, digests, equal

COMMAND = (sys.executable, "-c", "from untrain.cli import main; main()")
ABOUT = {"seconds", "encoder_load_seconds"}  # of an answer: how long it took, not what was found


def demos(place: Path, count: int, preset: str, alone: Path | None) -> Outcome:
    """Run the demos and the traces, then each once more by itself, in a cache of its own.

    Parameters
    ----------
    place : Path
    count : int
        How often each of the four traces is asked.
    preset : str
        Of the demo: ``demo`` or ``micro``.
    alone : Path, optional
        A demo that ran by itself, of this untrain on this machine; made if left out.
    """
    picture = _picture(place / "picture.png")
    shared = place / "cache"
    start = time.monotonic()
    demos = {
        name: _begun(place / name, shared, "demo", "--preset", preset, "--no-pictures")
        for name in ("first", "second")
    }
    answers: list[dict] = []
    codes: list[int] = []
    for turn in range(count):
        out = [place / f"trace-{turn}-{number}.json" for number in range(4)]
        asking = [_begun(place, shared, *_trace(picture, path)) for path in out]
        codes += [each.wait() for each in asking]
        answers += [_answer(path) for path in out if path.exists()]
    ended = [each.wait() for each in demos.values()]
    took = time.monotonic() - start
    outcome = Outcome()
    outcome.count("demos that ended well, begun at the same time", ended.count(0), 2)
    outcome.count("traces beside them that ended well, four at a time", codes.count(0), 4 * count)
    outcome.rows.append(
        ["seconds until all had ended, on a machine that did other work", round(took)]
    )
    _begun(place, place / "own", *_trace(picture, place / "trace.json")).wait()
    wanted = _answer(place / "trace.json")
    same = sum(each == wanted for each in answers)
    outcome.count("their answers equal to that of one trace by itself", same, 4 * count)
    if alone is None:
        _begun(place / "alone", place / "own", "demo", "--preset", preset, "--no-pictures").wait()
        alone = next((place / "alone" / "runs").iterdir())
    known = digests(alone)
    for name in demos:
        found = digests(place / name / "runs" / alone.name)
        right, of, other = equal(found, known)
        outcome.count(f"files of the {name} demo with the bytes of one by itself", right, of)
        if other:
            outcome.faults.append(f"the {name} demo: {other} differs")
    left = [path for path in place.rglob("*.untrain-tmp") if "own" not in path.parts]
    outcome.zero("half-made files left behind", len(left))
    return outcome


def _begun(folder: Path, cache: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the command line in a folder, on a cache; what it says goes to a file there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=folder,
            env={**os.environ, "UNTRAIN_CACHE": str(cache)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )


def _picture(path: Path) -> Path:
    """Write a picture of the rendered catalogue, to be asked about."""
    from untrain.catalogs import load_catalog

    catalog = load_catalog("rendered", families=4, size_of_family=2, resolution=32)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(catalog.encoded(catalog.ids[3]))
    return path


def _trace(picture: Path, out: Path) -> tuple[str, ...]:
    return ("trace", str(picture), "--catalog", "rendered", "--out", str(out))


def _answer(path: Path) -> dict:
    """Return what a trace found, without when and by which version."""
    found: dict = read_json(path)
    return {name: value for name, value in found.items() if name not in ABOUT}
