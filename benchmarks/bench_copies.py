"""How many copies the copy detector finds, by kind and strength of edit, and how often it errs.

``python benchmarks/bench_copies.py --catalog fashion-product-images-small.zip --rows rows``
``python benchmarks/bench_copies.py --catalog … --rows rows --minutes 5``     as much as that allows
``python benchmarks/bench_copies.py --catalog … --rows rows --write``     into the package and docs
``python benchmarks/bench_copies.py --catalog … --times``               seconds of five pictures

Photos are drawn from the catalogue, in an order that a seed decides. As they are, with themselves
and their known duplicates out of the way, they have no copy, and whatever is called one is wrong;
edited, they have one. What is said of half of them was decided on the other half.
Rows are kept in ``--rows`` as they are made, and a later call goes on where the last one stopped;
rows of other code must not be mixed, so take a new folder after a change.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

import copies_tables
from untrain.catalogs import Catalog
from untrain.cli.catalogue import open_catalogue
from untrain.core.files import rng
from untrain.search.copy_detector import CopyDetector
from untrain.search.copy_detector.detector import MODES, Match
from untrain.search.copy_detector.edits import EDITS, Edit
from untrain.search.duplicates import duplicate_groups

SEED = 0
OTHERS = 15  # kept of each picture


def tasks(count: int, edited: int, unedited: int) -> Iterator[tuple[int, int, Edit | None]]:
    """Yield (number, photo, edit) in the order of work, both kinds in turns; None: as it is."""
    photos = rng("bench copies", SEED).permutation(count)
    plain = iter(range(unedited))
    for number in range(edited):
        for edit in EDITS:
            yield number, int(photos[number]), edit
        for other in islice(plain, -(-unedited // edited)):
            yield other, int(photos[other]), None
    for other in plain:
        yield other, int(photos[other]), None


def row_of(match: Match, rank: int) -> dict:
    """Return what is kept of a match: what its scores are made of."""
    both = [match.overlay.evidence(colours).round(5).tolist() for colours in (True, False)]
    row = {"position": match.position, "rank": rank, "kinds": " ".join(match.kinds)}
    return {**row, "colours": both[0], "refitted": both[1], "lost": match.overlay.correlation < 0}


def measure(args: argparse.Namespace, catalog: Catalog, mode: str) -> None:
    """Work through the tasks of a mode, from where it was left, and keep a row of each."""
    path = args.rows / f"{mode}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = len(path.read_text("utf-8").splitlines()) if path.exists() else 0
    groups = duplicate_groups(catalog).set_index("image_id")["group"]
    known = groups.reindex(catalog.ids).fillna(0).to_numpy(int)
    detector = CopyDetector(catalog, mode)
    end = time.monotonic() + 60 * args.minutes
    everything = list(tasks(len(catalog), args.edited, args.unedited))
    with path.open("a", encoding="utf-8") as file:
        for number, photo, edit in everything[done:]:
            if time.monotonic() > end:
                break
            picture = np.asarray(catalog.image(catalog.ids[photo]))
            if edit is not None:
                picture = edit(picture, rng("bench copies", SEED, photo, edit.label))
            start = time.process_time()
            found = detector.matches(picture)
            took = time.process_time() - start
            own = detector.group[photo]
            ours = set(np.flatnonzero(known == known[photo]).tolist()) if known[photo] else set()
            rows = [(detector.group[m.position], row_of(m, i)) for i, m in enumerate(found)]
            others = [r for group, r in rows if group != own and r["position"] not in ours]
            told = {
                "number": number,
                "photo": photo,
                "kind": edit.kind if edit else "",
                "label": edit.label if edit else "",
                "processor": round(took, 4),
                "own": next((r for group, r in rows if group == own), None),
                "others": others[:OTHERS],
            }
            file.write(json.dumps(told) + "\n")
            file.flush()
            done += 1
    print(f"{mode}: {done:,} of {len(everything):,} pictures", flush=True)


def times(catalog: Catalog, modes: list[str]) -> None:
    """Print what opening a detector takes, and five pictures of all kinds, one by one."""
    edits = {edit.kind: edit for edit in EDITS}
    for mode in modes:
        start, spent = time.perf_counter(), time.process_time()
        detector = CopyDetector(catalog, mode)
        report(f"{mode}: open, features known", start, spent)
        for kind in ("same_pixels", "cropped", "mirrored", "recoloured", "padded"):
            picture = np.asarray(catalog.image(catalog.ids[len(catalog) // 3]))
            picture = edits[kind](picture, rng("bench copies", SEED))
            start, spent = time.perf_counter(), time.process_time()
            found = detector.find({kind: picture}).iloc[0]
            report(f"{mode}: {kind}, {found['verdict']}", start, spent)


def report(what: str, start: float, spent: float) -> None:
    """Print one line: seconds by the clock and by the processor."""
    wall, processor = time.perf_counter() - start, time.process_time() - spent
    print(f"{what:<40} {wall:7.3f} s, processor {processor:7.3f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--rows", type=Path, default=Path("copies-rows"))
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--edited", type=int, default=12, help="photos that are edited every way")
    parser.add_argument("--unedited", type=int, default=600, help="photos without a copy")
    parser.add_argument("--minutes", type=float, default=1e9, help="of each mode")
    parser.add_argument("--write", action="store_true", help="write tables, measure nothing")
    parser.add_argument("--times", action="store_true", help="time five pictures, nothing else")
    args = parser.parse_args()
    catalog = open_catalogue(args.catalog, "")
    if args.times:
        times(catalog, args.modes)
        return
    if args.write:
        given = f"--catalog {args.catalog.name} --edited {args.edited} --unedited {args.unedited}"
        command = f"python benchmarks/bench_copies.py {given}"
        about = {"command": command, "catalog": catalog.name, "images": len(catalog), "seed": SEED}
        copies_tables.write(args.rows, about)
        return
    for mode in args.modes:
        measure(args, catalog, mode)


if __name__ == "__main__":
    main()
