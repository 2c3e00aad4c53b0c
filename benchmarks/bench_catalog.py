"""Cost of a catalogue: rendering or opening it, its fingerprint, its copies, its pixels.

``python benchmarks/bench_catalog.py``                      the rendered catalogue
``python benchmarks/bench_catalog.py --path fashion.zip``   a zip or a folder as well
``python benchmarks/bench_catalog.py --copies 500``         also the share of copies that is found

Copies are made of so many images in known ways and each compared with its original. What is
confused is counted where it is known: in the rendered catalogue, whose pictures all differ.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from timing import report, seconds
from untrain.catalogs import load_catalog, rendered
from untrain.catalogs.base import Catalog
from untrain.core.files import rng
from untrain.core.progress import console
from untrain.encoders.layout import LayoutEncoder
from untrain.search.compare.extra import perceptual_hashes
from untrain.search.duplicates import duplicate_groups
from untrain.search.near_copies import (
    COLOUR_DIFFERENCE,
    COSINE,
    DIFFERENCE,
    HASH_BITS,
    differences,
    thumbnail,
)


def bench_content(catalog: Catalog, args: argparse.Namespace) -> None:
    """Time what every run asks of its catalogue, however it was made."""
    count = len(catalog)
    identify = type(catalog).__dict__["content"].func  # cached: asked for once otherwise
    report("  fingerprint", seconds(lambda: identify(catalog), args.repeats), count, "images")
    report("  groups of copies", seconds(catalog.duplicates, args.repeats), count, "images")
    ids = catalog.ids[: args.pixels]
    size = (args.height, args.width)
    took = seconds(lambda: catalog.pixels(size, ids), args.repeats)
    report(f"  pixels at {args.width}×{args.height}", took, len(ids), "images")


def opened(path: Path, fresh: bool) -> Catalog:
    """Open a Fashion Product Images zip or folder, or a folder of <id>.jpg beside <id>.txt."""
    is_fashion = path.suffix == ".zip" or any(path.glob("**/styles.csv"))
    return load_catalog("fashion" if is_fashion else "folder", path=path, fresh=fresh)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Compress and read again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def resize(image: Image.Image, scale: float) -> Image.Image:
    """Resize by a factor."""
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)


def crop(image: Image.Image, share: float) -> Image.Image:
    """Cut a share of the width and height off, half of it at either side."""
    x, y = image.width * share / 2, image.height * share / 2
    box = (x, y, image.width - x, image.height - y)
    return image.resize(image.size, Image.Resampling.LANCZOS, box=box)


WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 90": lambda image: jpeg(image, 90),
    "JPEG, quality 75": lambda image: jpeg(image, 75),
    "JPEG, quality 50": lambda image: jpeg(image, 50),
    "half size": lambda image: resize(image, 0.5),
    "three quarters": lambda image: resize(image, 0.75),
    "double size": lambda image: resize(image, 2),
    "2 % cropped": lambda image: crop(image, 0.02),
    "4 % cropped": lambda image: crop(image, 0.04),
    "5 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.05),
    "5 % darker": lambda image: ImageEnhance.Brightness(image).enhance(0.95),
    "mirrored (no copy)": ImageOps.mirror,
}


def bench_copies(catalog: Catalog, count: int) -> None:
    """Print the share of copies that each test lets pass and that all find, and the confused."""
    start = time.perf_counter()
    groups = duplicate_groups(catalog)
    report("  near copies, first time", time.perf_counter() - start, len(catalog), "images")
    near = groups[groups["kind"] == "near"]
    sizes = groups["group"].value_counts()
    print(f"  {len(near)} near copies, in {near['group'].nunique()} of {len(sizes)} groups")
    print(f"  images in the largest groups: {', '.join(map(str, sizes.head(5)))}")
    ids = rng("bench-copies").choice(catalog.ids, min(count, len(catalog)), replace=False)
    originals = [catalog.image(image_id) for image_id in ids]
    for way, change in WAYS.items():
        passed = pass_tests(originals, [change(image) for image in originals])
        shares = "  ".join(f"{name} {share.mean():6.1%}" for name, share in passed.items())
        print(f"  {way:<20} {shares}  all {np.all(list(passed.values()), axis=0).mean():6.1%}")


def pass_tests(a: list[Image.Image], b: list[Image.Image]) -> dict[str, np.ndarray]:
    """Return for each test of near copies which pairs pass."""
    hashes = [perceptual_hashes([np.asarray(i) for i in side]) for side in (a, b)]
    features = [LayoutEncoder().encode([np.asarray(i) for i in side]) for side in (a, b)]
    units = [f / np.linalg.norm(f, axis=1, keepdims=True) for f in features]
    small = [np.stack([thumbnail(i) for i in side]) for side in (a, b)]
    brightness, colour = differences(*small)
    return {
        "hash": (hashes[0] != hashes[1]).sum(axis=1) <= HASH_BITS,
        "cosine": (units[0] * units[1]).sum(axis=1) >= COSINE,
        "difference": (brightness <= DIFFERENCE) & (colour <= COLOUR_DIFFERENCE),
    }


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
    parser.add_argument("--copies", type=int, default=0, help="images to make copies of")
    return parser.parse_args()


def main() -> None:
    """Print one line a step."""
    args = parse()
    console.quiet = True
    start = time.perf_counter()
    catalog = rendered(args.families, args.size, resolution=args.resolution)
    report("render", time.perf_counter() - start, len(catalog), "images")
    bench_content(catalog, args)
    if args.copies:
        bench_copies(catalog, args.copies)
    if args.path:
        start = time.perf_counter()  # once: a second time the files are in the system's cache
        catalog = opened(args.path, fresh=True)
        report(f"open {args.path.name}", time.perf_counter() - start, len(catalog), "images")
        again = seconds(lambda: opened(args.path, fresh=False).fingerprint, args.repeats)
        report("open it again", again, len(catalog), "images")
        one = seconds(lambda: catalog.image(catalog.ids[-1]), 100)
        report("  read one image", one, 1, "image")
        bench_content(catalog, args)
        if args.copies:
            bench_copies(catalog, args.copies)


if __name__ == "__main__":
    main()
