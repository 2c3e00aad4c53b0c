"""What `untrain trace` costs: the call that indexes a catalogue, and those that come after.

``python benchmarks/bench_trace.py --catalog fashion.zip``                        a real catalogue
``python benchmarks/bench_trace.py``                                              the rendered one
``python benchmarks/bench_trace.py --catalog fashion.zip --prompt "red shirt" --index hnsw``
``python benchmarks/bench_trace.py --run runs/demo``          the training images of a run

Every call is a process of its own, as for a user. *Work* is what the program times itself, from
opening the catalogue to the ranked table; start-up (interpreter and imports) and the encoder's load
are told apart from it. The cache is a new temporary folder unless one is given.
"""

from __future__ import annotations

import argparse
import json
import os
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


def python(code: str, *arguments: str) -> tuple[float, str]:
    """Run a process; return its seconds and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return time.perf_counter() - start, done.stdout


def queries(args: argparse.Namespace, folder: Path) -> list[str]:
    """Write some images of the catalogue, a little noisy, as the pictures to trace."""
    if args.run:
        catalog = open_inputs(run_config(args.run)).train
    else:
        catalog = open_catalogue(None if args.catalog == "rendered" else Path(args.catalog))
    chosen = np.linspace(0, len(catalog) - 1, args.pictures + 2).astype(int)[1:-1]
    noise = np.random.default_rng(0)
    paths = []
    for position in chosen:
        image = np.asarray(catalog.image(catalog.ids[position])).astype(float)
        noisy = (image + noise.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)
        paths.append(str(folder / f"{catalog.ids[position]}.png"))
        Image.fromarray(noisy).save(paths[-1])
    return paths


def call(args: argparse.Namespace, picture: str, prompt: str) -> dict:
    """Trace one picture in a process of its own; return what it said and its wall time."""
    options = ["--run", str(args.run)] if args.run else ["--catalog", args.catalog]
    options += ["--index", args.index, "--json"]
    options += ["--encoder", args.encoder] if args.encoder else []
    options += ["--prompt", prompt] if prompt else []
    wall, said = python(TRACE, picture, *options)
    return {**json.loads(said), "wall": wall}


def show(what: str, said: dict) -> None:
    """Print one line: work, its parts, start-up and the whole."""
    work = sum(said["seconds"].values())
    parts = ", ".join(f"{part} {took:.2f}" for part, took in said["seconds"].items())
    load = said["encoder_load_seconds"]
    apart = f"encoder {load:.2f}, start-up and the rest {said['wall'] - work - load:.2f}"
    print(f"{what:<22} work {work:7.2f} s ({parts}) | apart: {apart} | wall {said['wall']:.2f}")


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
    parser.add_argument("--cache", type=Path, help="a cache to go on with")
    return parser.parse_args()


def main() -> None:
    """Index, trace, and print one line a call and the medians."""
    args = parse()
    console.quiet = True
    with tempfile.TemporaryDirectory() as temporary:
        # Opening the catalogue here would leave less to be done for the first call.
        os.environ["UNTRAIN_CACHE"] = str(Path(temporary, "other-cache"))
        paths = queries(args, Path(temporary))
        os.environ["UNTRAIN_CACHE"] = str(args.cache or Path(temporary, "cache"))
        print(f"imports alone {min(python(IMPORTS)[0] for _ in range(3)):.2f} s")
        first = call(args, paths[0], args.prompt)
        show("first call", first)
        images = first["images"]
        print(f"  indexing {images:,} images: {images / first['seconds']['index']:.0f} images/s")
        later: dict[str, list[float]] = {"picture": [], "picture and prompt": []}
        for picture in paths:
            for kind, prompt in (("picture", ""), ("picture and prompt", args.prompt)):
                said = call(args, picture, prompt)
                show(kind, said)
                later[kind].append(sum(said["seconds"].values()))
        for kind, took in later.items():
            print(f"median work of later calls, {kind}: {np.median(took):.2f} s")


if __name__ == "__main__":
    main()
