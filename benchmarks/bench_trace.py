"""What `untrain trace` costs: the call that indexes a catalogue, and those that come after.

``python benchmarks/bench_trace.py --catalog fashion.zip``                        a real catalogue
``python benchmarks/bench_trace.py``                                              the rendered one
``python benchmarks/bench_trace.py --catalog fashion.zip --prompt "red shirt" --index hnsw``
``python benchmarks/bench_trace.py --run runs/demo``          the training images of a run
``python benchmarks/bench_trace.py --catalog fashion.zip --many 1000``     one call of so many
``python benchmarks/bench_trace.py --catalog fashion.zip --beside ../other/src``      in turns

Every call is a process of its own, as for a user. *Work* is what the program times itself, from
opening the catalogue to the ranked table; start-up (interpreter and imports) and the encoder's load
are told apart from it. Processor seconds are of the whole process, start-up included: where other
work shares the machine, they say more than the clock. The cache is a new temporary folder unless
one is given. ``--beside`` makes every call with the code of another checkout, too, in turns and
with a cache of its own, and prints ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from untrain.cli.catalogue import open_catalogue
from untrain.core.progress import console
from untrain.runs.inputs import open_inputs, run_config

TRACE = "import typer; from untrain.cli.trace import trace; typer.run(trace)"
IMPORTS = "import untrain.cli.trace, untrain.catalogs, untrain.search.trace, untrain.encoders"


def python(code: str, *arguments: str, source: Path | None = None) -> tuple[float, float, str]:
    """Run a process; return its seconds by the clock and by the processor, and what it printed."""
    environment = dict(os.environ)
    if source:
        environment["PYTHONPATH"] = str(source)
        environment["UNTRAIN_CACHE"] += "-beside"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, spent, done.stdout


def queries(args: argparse.Namespace, folder: Path, count: int) -> list[str]:
    """Write some images of the catalogue, a little noisy, as the pictures to trace."""
    if args.run:
        catalog = open_inputs(run_config(args.run)).train
    else:
        catalog = open_catalogue(None if args.catalog == "rendered" else Path(args.catalog))
    chosen = np.linspace(0, len(catalog) - 1, count + 2).astype(int)[1:-1]
    noise = np.random.default_rng(0)
    paths = []
    for position in chosen:
        image = np.asarray(catalog.image(catalog.ids[position])).astype(float)
        noisy = (image + noise.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)
        paths.append(str(folder / f"{catalog.ids[position]}.png"))
        Image.fromarray(noisy).save(paths[-1])
    return paths


def call(
    args: argparse.Namespace, pictures: list[str], prompt: str, source: Path | None = None
) -> dict:
    """Trace pictures in a process of its own; return what it said and its seconds."""
    options = ["--run", str(args.run)] if args.run else ["--catalog", args.catalog]
    options += ["--index", args.index, "--json"]
    options += ["--encoder", args.encoder] if args.encoder else []
    options += ["--prompt", prompt] if prompt else []
    wall, spent, said = python(TRACE, *pictures, *options, source=source)
    return {**json.loads(said), "wall": wall, "processor": spent}


def show(what: str, said: dict) -> None:
    """Print one line: work, its parts, start-up and the whole."""
    work = sum(said["seconds"].values())
    parts = ", ".join(f"{part} {took:.2f}" for part, took in said["seconds"].items())
    load = said["encoder_load_seconds"]
    apart = f"encoder {load:.2f}, start-up and the rest {said['wall'] - work - load:.2f}"
    whole = f"wall {said['wall']:.2f}, processor {said['processor']:.2f}"
    print(f"{what:<22} work {work:7.2f} s ({parts}) | apart: {apart} | {whole}", flush=True)


def later_calls(args: argparse.Namespace, paths: list[str]) -> None:
    """Trace pictures one by one, without and with a prompt; print lines, medians, ratios."""
    sources = [None, args.beside] if args.beside else [None]
    kinds = {"picture": "", "picture and prompt": args.prompt}
    took = {(kind, source): [] for kind in kinds for source in sources}
    for picture in paths:
        for kind, prompt in kinds.items():
            for source in sources:
                said = call(args, [picture], prompt, source)
                show(kind + (", beside" if source else ""), said)
                work = sum(said["seconds"].values())
                took[kind, source].append((work, said["wall"], said["processor"]))
    for kind in kinds:
        own = np.median(took[kind, None], axis=0)
        words = "median of later calls, {}: work {:.2f} s, wall {:.2f}, processor {:.2f}"
        print(words.format(kind, *own))
        if args.beside:
            ratios = np.array(took[kind, args.beside]) / np.array(took[kind, None])
            words = "  beside over this: work {:.1f}, wall {:.1f}, processor {:.1f} (medians)"
            print(words.format(*np.median(ratios, axis=0)))


def many(args: argparse.Namespace, paths: list[str]) -> None:
    """Trace all pictures in one call; print pictures a second, memory, ratios."""
    for source in [None, args.beside] if args.beside else [None]:
        said = call(args, paths, "", source)
        work = sum(said["seconds"].values())
        show(f"{len(paths)} in one call" + (", beside" if source else ""), said)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        rate = f"{len(paths) / work:.1f} pictures/s of work"
        print(f"  {rate}, {1e3 * said['processor'] / len(paths):.0f} ms of processor a picture")
        print(f"  peak memory of the calls so far {peak:,.0f} MiB")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--catalog", default="rendered", help="a folder, a zip, or 'rendered'")
    parser.add_argument("--run", type=Path, help="a run folder, instead of a catalogue")
    parser.add_argument("--encoder", default="", help="as untrain trace takes it")
    parser.add_argument("--index", default="exact")
    parser.add_argument("--prompt", default="men blue casual shirt", help="of every other call")
    parser.add_argument("--pictures", type=int, default=6, help="calls after the first")
    parser.add_argument("--many", type=int, help="pictures in one call, instead of one each")
    parser.add_argument("--beside", type=Path, help="src of another checkout, called in turns")
    parser.add_argument("--cache", type=Path, help="a cache to go on with")
    return parser.parse_args()


def main() -> None:
    """Index, trace, and print one line a call and the medians."""
    args = parse()
    console.quiet = True
    with tempfile.TemporaryDirectory() as temporary:
        # Opening the catalogue here would leave less to be done for the first call.
        os.environ["UNTRAIN_CACHE"] = str(Path(temporary, "other-cache"))
        paths = queries(args, Path(temporary), args.many or args.pictures)
        os.environ["UNTRAIN_CACHE"] = str(args.cache or Path(temporary, "cache"))
        print(f"imports alone {min(python(IMPORTS)[0] for _ in range(3)):.2f} s")
        for source in [None, args.beside] if args.beside else [None]:
            first = call(args, paths[:1], args.prompt, source)
            show("first call" + (", beside" if source else ""), first)
            images = first["images"]
            print(
                f"  indexing {images:,} images: {images / first['seconds']['index']:.0f} images/s"
            )
        if args.many:
            many(args, paths)
        else:
            later_calls(args, paths)


if __name__ == "__main__":
    main()
