"""Cost of a catalogue: rendering or opening it, its fingerprint, its copies, its pixels.

``python benchmarks/bench_catalog.py``                      the rendered catalogue
``python benchmarks/bench_catalog.py --path fashion.zip``   a zip or a folder as well
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from timing import report, seconds
from untrain.catalogs import load_catalog, rendered
from untrain.catalogs.base import Catalog
from untrain.progress import console


def bench_content(catalog: Catalog, args: argparse.Namespace) -> None:
    """Time what every run asks of its catalogue, however it was made."""
    count = len(catalog)
    identify = type(catalog).__dict__["fingerprint"].func  # cached: asked for once otherwise
    report("  fingerprint", seconds(lambda: identify(catalog), args.repeats), count, "images")
    report("  groups of copies", seconds(catalog.duplicates, args.repeats), count, "images")
    ids = catalog.ids[: args.pixels]
    size = (args.height, args.width)
    took = seconds(lambda: catalog.pixels(size, ids), args.repeats)
    report(f"  pixels at {args.width}×{args.height}", took, len(ids), "images")


def opened(path: Path) -> Catalog:
    """Open a Fashion Product Images zip or folder, or a folder of <id>.jpg beside <id>.txt."""
    is_fashion = path.suffix == ".zip" or any(path.glob("**/styles.csv"))
    return load_catalog("fashion" if is_fashion else "folder", path=path)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--path", type=Path, help="a zip or folder to open as well")
    parser.add_argument("--families", type=int, default=100, help="rendered families")
    parser.add_argument("--size", type=int, default=12, help="pictures a family")
    parser.add_argument("--resolution", type=int, default=64, help="of rendering, pixels a side")
    parser.add_argument("--height", type=int, default=64, help="of the pixels that a model takes")
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--pixels", type=int, default=1000, help="images to decode for pixels")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Print one line a step."""
    args = parse()
    console.quiet = True
    start = time.perf_counter()
    catalog = rendered(args.families, args.size, resolution=args.resolution)
    report("render", time.perf_counter() - start, len(catalog), "images")
    bench_content(catalog, args)
    if args.path:
        start = time.perf_counter()  # once: a second time the files are in the system's cache
        catalog = opened(args.path)
        report(f"open {args.path.name}", time.perf_counter() - start, len(catalog), "images")
        bench_content(catalog, args)


if __name__ == "__main__":
    main()
