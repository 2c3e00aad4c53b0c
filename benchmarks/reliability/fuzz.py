"""Every reader on samples that were cut, flipped, spliced and retyped, until the time is up.

Whatever the bytes, a reader gives an answer or an `untrain.core.errors.UntrainError`; anything else
is a find: it is printed, and the bytes that caused it are kept under ``--kept``, where they are
tried first the next time, and from where they become cases of ``tests/hostile``.

    python benchmarks/reliability/fuzz.py --seconds 600

Hypothesis draws the changes; one find of each kind is kept, as it was found. With ``--engine
atheris`` (``pip install atheris``) coverage of the code guides the changes of one reader
(``--only``), and the first find ends it.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from storing import store
from untrain.catalogs import load_catalog, rendered
from untrain.catalogs.export import export
from untrain.catalogs.opt_out import read_opt_out
from untrain.core.errors import UntrainError
from untrain.core.images import read_image
from untrain.core.progress import console
from untrain.search.rank.arrays import read_array
from untrain.settings.load import load_config
from untrain.takedowns.request import read_letter

KEPT = Path(__file__).parent / "fuzz"
ODD: tuple[Any, ...] = (None, True, -1, 1.5, "", "\0", [], {}, {"a": [{}]}, 10**30, float("nan"))
"""What takes the place of a value in JSON and YAML."""
SETTINGS = """\
name: mine
seed: 3
data: {format: rendered, families: 20, where: {colour: [red, blue], year: {min: 2012}}}
prompts: {texts: [a red shirt, a blue bag]}
generator: {preset: micro, settings: {epochs: 2}}
ranking: {method: fusion, also: [study, bm25]}
removal: {arms: [targeted, random_uniform], k: [2, 5], draws: 2}
design: {models: 4}
evaluation: {draws: 100, alpha: 0.05}
"""
LETTER = "from: Jane Doe\nreceived: 2026-11-20\nreference: 2026-17\nasks: Please remove them.\n"

Reader = tuple[str, bytes, Callable[[Path], object]]
"""Suffix of the file, a sample, and what reads it."""


def readers(folder: Path) -> dict[str, Reader]:
    """Return every reader with a sample that it reads without complaint."""
    catalog = rendered(families=1, size_of_family=3, resolution=16)
    for format in ("csv", "coco", "parquet", "webdataset"):
        export(catalog, [], folder / format, format)

    def table(format: str) -> Callable[[Path], object]:
        return lambda path: load_catalog(format, path=path, fresh=True)

    def sample(format: str, suffix: str) -> Reader:
        path = next((folder / format).glob(f"*{suffix}"))
        return str(path.relative_to(folder)), path.read_bytes(), table(format)

    scores = io.BytesIO()
    np.save(scores, np.arange(6.0).reshape(2, 3))
    return {
        "csv": sample("csv", ".csv"),
        "coco": sample("coco", ".json"),
        "parquet": sample("parquet", ".parquet"),
        "webdataset": sample("webdataset", ".tar"),
        "settings": ("x.yaml", SETTINGS.encode(), load_config),
        "letter": ("request.yaml", LETTER.encode(), read_letter),
        "opt-out.txt": ("x.txt", b"sha256:" + b"a" * 64 + b"\nhttps://a.org/b\n", read_opt_out),
        "opt-out.csv": ("x.csv", b"id,url\n1,https://a.org/b\n", read_opt_out),
        "scores.npy": ("x.npy", scores.getvalue(), lambda path: read_array(path, 2, 3)),
        "picture": ("x.png", catalog.read(catalog.ids[0]), read_image),
    }


Change = tuple[str, int, int]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "splice", "drop", "zero", "retype", "retype"]),
        st.integers(0, 2**16),
        st.integers(0, 2**16),
    ),
    min_size=1,
    max_size=6,
)


def changed(data: bytes, changes: list[Change]) -> bytes:
    """Return a sample with changes: of its bytes, or of a value where it is JSON or YAML."""
    for kind, at, other in changes:
        if not data:
            return data
        place, length = at % len(data), other % 64
        if kind == "flip":
            data = data[:place] + bytes([data[place] ^ (1 + other % 255)]) + data[place + 1 :]
        elif kind == "cut":
            data = data[:place]
        elif kind == "splice":
            start = other % len(data)
            data = data[:place] + data[start : start + 99] + data[place:]
        elif kind == "drop":
            data = data[:place] + data[place + length :]
        elif kind == "zero":
            data = data[:place] + bytes(len(data[place : place + length])) + data[place + length :]
        else:
            data = retyped(data, at, other)
    return data


def retyped(data: bytes, at: int, other: int) -> bytes:
    """Return JSON or YAML with one of its values replaced by an odd one; others as they are."""
    try:
        found = yaml.safe_load(data) if data[:1] not in b"{[" else json.loads(data)
    except Exception:
        return data
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, each in list(value.items() if isinstance(value, dict) else enumerate(value)):
            places.append((value, key))
            if isinstance(each, dict | list):
                walk(each)

    if not isinstance(found, dict | list):
        return data
    walk(found)
    if not places:
        return data
    holder, key = places[at % len(places)]
    holder[key] = ODD[other % len(ODD)]
    return (json.dumps(found) if data[:1] in b"{[" else yaml.safe_dump(found)).encode()


class Find(Exception):
    """A reader raised what is no message."""


def tried(reader: Reader, data: bytes, folder: Path) -> None:
    """Let a reader read; raise `Find` for anything that is no message for the user."""
    name, _, read = reader
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        read(path)
    except UntrainError:
        pass
    except Exception as error:
        raise Find(f"{type(error).__name__}: {error}") from error


def keep(name: str, data: bytes, error: Exception, kept: Path) -> str:
    """Keep what was found; return a line about it."""
    folder = kept / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    return f"{name}: {error}"


def fuzz(name: str, reader: Reader, folder: Path, kept: Path, seconds: float, start: int) -> Any:
    """Return how many inputs a reader was tried on, and what was found."""
    found: dict[str, str] = {}
    count = 0
    for path in sorted((kept / name).glob("*")):
        count += 1
        try:
            tried(reader, path.read_bytes(), folder)
        except Find as error:
            found[str(error)[:60]] = f"{name}: {error} ({path})"
    end = time.monotonic() + seconds
    number = start
    while time.monotonic() < end:

        @seed(number)
        @settings(
            max_examples=200,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
        )
        @given(CHANGES)
        def attempt(changes: list[Change]) -> None:
            nonlocal count
            if time.monotonic() > end:
                return
            count += 1
            data = changed(reader[1], changes)
            try:
                tried(reader, data, folder)
            except Find as error:
                if (kind := str(error)[:60]) not in found:
                    found[kind] = keep(name, data, error, kept)

        attempt()
        number += 1
    return count, list(found.values())


def with_atheris(reader: Reader, folder: Path, seconds: int) -> None:
    """Let coverage guide what a reader is tried on; ends at the first find, as libFuzzer does."""
    import atheris

    for each in gc.get_objects():  # of all modules it would take minutes
        if isinstance(each, FunctionType) and str(each.__module__).startswith("untrain."):
            atheris.instrument_func(each)

    def once(data: bytes) -> None:
        tried(reader, data, folder)

    seeds = folder / "seeds"
    seeds.mkdir()
    (seeds / "sample").write_bytes(reader[1])
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", str(seeds)], once)
    atheris.Fuzz()


def main() -> None:
    """Fuzz all readers, or one, and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="for all readers together")
    parser.add_argument("--only", default="", help="one reader")
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder of what was found")
    parser.add_argument("--store", action="store_true", help="keep the counts for the page")
    asked = parser.parse_args()
    console.quiet = True
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        known = readers(folder)
        chosen = {n: r for n, r in known.items() if asked.only in ("", n)}
        if asked.engine == "atheris":
            with_atheris(next(iter(chosen.values())), folder, int(asked.seconds))
            return
        rows, finds = [], []
        for name, reader in chosen.items():
            tried(reader, reader[1], folder)
            share = asked.seconds / len(chosen)
            count, found = fuzz(name, reader, folder, asked.kept, share, asked.seed)
            rows.append([f"inputs to {name}", count])
            finds += found
            print(f"{name}: {count:,} inputs, {len(found)} finds", flush=True)
        rows += [["inputs", sum(row[1] for row in rows)], ["that end in no message", len(finds)]]
    print("\n".join(finds))
    if asked.store:
        store("fuzz", rows)
    sys.exit(bool(finds))


if __name__ == "__main__":
    main()
