"""Hundreds of runs in one folder, and a hundred thousand files in the cache: what lists them."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from watching import Outcome, copied_run

FEW = 10
FILES_OF_AN_ENTRY = 3
MODELS = 6
"""Of the bank that a leaderboard is made of."""


def runs(place: Path, count: int) -> Outcome:
    """Finish a run of the preset ``micro``, copy it under other names, ask beside the copies."""
    folder = place / "runs"
    micro_run(folder, "micro-0000", 0)
    _copies(folder / "micro-0000", 1, min(FEW, count))
    _said("bank", *_banked(folder))
    few = _measured(folder)
    _copies(folder / "micro-0001", min(FEW, count), count)  # without the bank
    many = _measured(folder)
    outcome = Outcome()
    outcome.rows.append(["runs", f"{min(FEW, count)} and {count}"])
    for name, seconds in many.items():
        outcome.rows.append(
            [f"{name}: seconds of the processor", f"{few[name]:.2f} and {seconds:.2f}"]
        )
    return outcome


def cache(place: Path, count: int) -> Outcome:
    """List a cache of so many files, three an entry."""
    from untrain.core.cache import cache_folder, entries

    root = cache_folder("catalogs")
    entries_made = count // FILES_OF_AN_ENTRY
    meta = {"description": "a listing", "version": 1, "created": "2026-01-01", "rows": 3}
    marker = {"written_by": "untrain", "files": ["content", "meta.json"]}
    for number in range(entries_made):
        folder = root / f"{number:016x}"
        folder.mkdir(parents=True)
        (folder / "content").write_text("nothing", encoding="utf-8")
        (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        (folder / ".untrain").write_text(json.dumps(marker), encoding="utf-8")
    start = time.process_time()
    found = len(entries())
    took = time.process_time() - start
    outcome = Outcome()
    outcome.count(f"entries listed, of {FILES_OF_AN_ENTRY} files each", found, entries_made)
    outcome.rows.append(["seconds of the processor", f"{took:.1f}"])
    return outcome


def micro_run(runs: Path, name: str, seed: int) -> Path:
    """Run the preset ``micro`` in this process."""
    from importlib.resources import files

    from untrain.core.progress import console
    from untrain.experiment.pipeline import run_stages
    from untrain.runs.run import Run
    from untrain.settings.load import load_config

    console.quiet = True
    preset = Path(str(files("untrain.settings"))) / "micro.yaml"
    config = load_config(preset, ["workers=1", "threads=1", f"seed={seed}"], runs=runs, name=name)
    return run_stages(Run(config), "report")


def _copies(run: Path, first: int, last: int) -> None:
    for number in range(first, last):
        copied_run(run, run.parent / f"micro-{number:04d}")


def _banked(folder: Path) -> list[object]:
    """Return how the run that has a bank, and how large that is, are named on a command line."""
    return [folder / "micro-0000" / "config.yaml", "--runs", folder, "--models", MODELS]


def _measured(folder: Path) -> dict[str, float]:
    """Return seconds of the processor of what lists runs, or looks for one among them."""
    from starlette.testclient import TestClient

    from untrain.catalogs import load_catalog
    from untrain.serve.app import make_app
    from untrain.serve.shelf import Shelf

    names = sorted(path.name for path in folder.iterdir())
    first, last = folder / names[0], folder / names[-1]
    found = {
        "untrain status": _seconds(lambda: _said("status", "--runs", folder)),
        "untrain status --json": _seconds(lambda: _said("status", "--runs", folder, "--json")),
        "untrain compare": _seconds(lambda: _said("compare", first, last)),
        "untrain leaderboard": _seconds(lambda: _said("leaderboard", *_banked(folder)[:3])),
        "untrain show": _seconds(lambda: _said("show", last)),
        "a run that continues where all is done": _seconds(lambda: _again(last)),
        "a model looked for in the other runs, 64 of them": _seconds(lambda: _looked_for(first)),
    }
    photos = load_catalog("rendered", families=6, size_of_family=4, resolution=32)
    shelf = Shelf(lambda: (photos, None), None, folder)
    host = "127.0.0.1:8808"
    with TestClient(make_app(shelf, [host]), f"http://{host}") as page:
        while not page.get("/state").json()["ready"]:
            time.sleep(0.05)

        def get(address: str) -> Callable[[], Any]:
            return lambda: page.get(address).raise_for_status()

        found["the page /runs, first"] = _seconds(get("/runs"))
        found["the page /runs, again"] = _seconds(get("/runs"))
        found["the page of a run"] = _seconds(get(f"/runs/{names[-1]}"))
        found["the page /compare"] = _seconds(get("/compare"))
        found["a picture of a run"] = _seconds(get(f"/runs/{names[-1]}/pictures/A/p00/0"))
    return found


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _said(*arguments: object) -> str:
    """Return what a command prints; it must end well."""
    from untrain.cli import main

    before, said = sys.argv, io.StringIO()
    sys.argv = ["untrain", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(said):
            main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{' '.join(sys.argv)} ended with {end.code}") from None
    finally:
        sys.argv = before
    return said.getvalue()


def _again(folder: Path) -> None:
    from untrain.experiment.pipeline import run_stages
    from untrain.runs.run import open_run

    run_stages(open_run(folder))


def _looked_for(folder: Path) -> None:
    from untrain.training.store import ModelStore

    store = ModelStore(folder, folder.parent)
    for number in range(64):
        if store.has_model(f"{number:016x}"):
            raise RuntimeError("a model was found that nobody trained")
