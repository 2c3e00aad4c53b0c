"""Runs, traces and requests after each other in one process: memory, open files and threads."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from many_runs import micro_run
from untrain.core.progress import console
from watching import Held, Outcome, held

MEMORY_SHARE = 0.1
"""How much more memory a process may hold at the end than when two thirds were done."""


def process(place: Path, count: int) -> Outcome:
    """Run the preset ``micro`` with one seed after another; each leaves a run folder."""
    return _steady(
        lambda number: micro_run(place / "runs", f"micro-{number:04d}", number), count, "runs"
    )


def traces(place: Path, count: int) -> Outcome:
    """Trace one picture after another in a small catalogue, opened anew each time."""
    import untrain

    pictures = _pictures()

    def once(number: int) -> None:
        catalog = untrain.load_catalog("rendered", families=12, size_of_family=6, resolution=32)
        untrain.trace(pictures[number % len(pictures)], catalog, prompt="red shirt")

    return _steady(once, count, "traces")


def serve(place: Path, count: int) -> Outcome:
    """Ask the page: pictures of one's own, answers, tables, runs, images, wrong addresses."""
    from starlette.testclient import TestClient

    from untrain.catalogs import load_catalog
    from untrain.serve.app import make_app
    from untrain.serve.shelf import Shelf

    micro_run(place / "runs", "micro-0000", 0)
    photos = load_catalog("rendered", families=12, size_of_family=6, resolution=32)
    shelf = Shelf(lambda: (photos, None), None, place / "runs")
    host, codes = "127.0.0.1:8808", list[int]()
    with TestClient(make_app(shelf, [host]), f"http://{host}") as page:
        while not page.get("/state").json()["ready"]:
            time.sleep(0.05)

        def get(address: str) -> None:
            codes.append(page.get(address).status_code)

        def ask(number: int) -> None:
            sent = page.post("/pictures", params={"name": "mine.png"}, content=_own(number))
            codes.append(sent.status_code)
            get(f"/answer?p={sent.json()['key']}")
            get(f"/answer.csv?p={sent.json()['key']}")

        def damaged(number: int) -> None:
            codes.append(page.post("/pictures", content=_own(number)[:40]).status_code)

        kinds: list[Callable[[int], None]] = [
            ask,
            lambda number: get("/runs"),
            lambda number: get("/runs/micro-0000"),
            lambda number: get("/runs/micro-0000/pictures/A/p00/0"),
            lambda number: get(f"/browse?page={number % 3}"),
            lambda number: get(f"/thumbnails/160/{number % len(photos)}"),
            lambda number: get(f"/nothing/{number}"),
            damaged,
        ]
        found = _steady(lambda number: kinds[number % len(kinds)](number), count, "requests")
    failed = sum(code >= 500 for code in codes)
    found.zero(f"answers of {len(codes)} that were errors of the server", failed)
    return found


def _steady(once: Callable[[int], object], count: int, what: str) -> Outcome:
    """Do something often; tell what the process held after a third, two thirds and all of it."""
    console.quiet = True
    looks: dict[int, Held] = {}
    marks = {max(1, round(count * share / 3)) for share in (1, 2, 3)}
    for number in range(count):
        once(number)
        if number + 1 in marks:
            looks[number + 1] = held()
    seen = list(looks.values())
    outcome = Outcome()
    outcome.rows.append([what, " → ".join(f"{number:,}" for number in looks)])
    outcome.rows.append(["memory (RSS), MiB", " → ".join(f"{each.memory:,.0f}" for each in seen)])
    given = " → ".join(f"{each.given:,.0f}" for each in seen)
    outcome.rows.append(["of that given out by malloc and not given back, MiB", given])
    for name, label in (("files", "open files"), ("threads", "threads"), ("objects", "objects")):
        counted = [getattr(each, name) for each in seen]
        outcome.rows.append([label, " → ".join(f"{each:,}" for each in counted)])
    last, before = seen[-1], seen[-2] if len(seen) > 1 else seen[-1]
    if last.memory > before.memory * (1 + MEMORY_SHARE):
        outcome.faults.append(f"memory grew from {before.memory:.0f} to {last.memory:.0f} MiB")
    for name in ("files", "threads"):
        if getattr(last, name) > getattr(before, name):
            grown = getattr(before, name), getattr(last, name)
            outcome.faults.append(f"{name} grew from {grown[0]} to {grown[1]}")
    return outcome


def _pictures() -> list[Image.Image]:
    """Return pictures of no catalogue, each one other."""
    chance = np.random.default_rng(17)
    made = chance.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    return [Image.fromarray(pixels) for pixels in made]


def _own(number: int) -> bytes:
    """Return the file of a picture that nobody asked about before."""
    pixels = np.random.default_rng(number).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
