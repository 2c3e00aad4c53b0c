"""What adding pictures costs: a catalogue of photos, the same again, and 1 % more of them.

``python benchmarks/bench_growth.py --path fashion.zip --images 10000 --scratch DIR``
``python benchmarks/bench_growth.py … --encoder weights/mobilenet_v2 --preset small``

Photos of the zip are laid into a folder beside their captions, or into a zip of their own
(``--format fashion``), some later, between the others. Of each part are shown wall and processor
seconds of making it the first time, of opening it again unchanged, and of opening it after they
grew; the last two also as shares of the first. A part has what those before it made. Everything is
made in a cache of its own, which is deleted.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from untrain.attribution.gradients.outputs import OUTPUTS
from untrain.attribution.gradients.rows import dimensions_for
from untrain.attribution.gradients.store import GradientStore
from untrain.catalogs import load_catalog
from untrain.catalogs.base import Catalog
from untrain.catalogs.formats.fashion import COLUMNS
from untrain.core.files import write_json
from untrain.encoders.base import Encoder, pooled
from untrain.encoders.registry import load_encoder
from untrain.encoders.store import FeatureStore
from untrain.generators.dalle.generator import DalleGenerator
from untrain.search.catalog_index import open_calibration, open_index
from untrain.search.duplicates import duplicate_groups
from untrain.search.retrieve.candidates import open_text

PHASES = ("first", "again", "grown")


def lay_out(photos: Catalog, ids: list[str], place: Path, side: int, format: str) -> Path:
    """Write photos beside their captions, or all of them into a zip; return where they are.

    Those with a ``side`` are made as high as that.
    """
    if format == "fashion":
        rows = photos.attributes.iloc[[photos.index[i] for i in ids]].assign(id=ids)
        with zipfile.ZipFile(place / "photos.zip", "w") as archive:
            archive.writestr("styles.csv", rows[list(COLUMNS)].to_csv(index=False))
            for image_id in ids:
                archive.writestr(f"images/{image_id}.jpg", picture(photos, image_id, side))
        return place / "photos.zip"
    folder = place / "photos"
    folder.mkdir(exist_ok=True)
    for image_id in ids:
        if not (folder / f"{image_id}.jpg").exists():
            (folder / f"{image_id}.jpg").write_bytes(picture(photos, image_id, side))
            caption = photos.captions[photos.index[image_id]]
            (folder / f"{image_id}.txt").write_text(caption, encoding="utf-8")
    return folder


def picture(photos: Catalog, image_id: str, side: int) -> bytes:
    """Return the file of a photo."""
    if not side:
        return photos.read(image_id)
    photo, buffer = photos.image(image_id), io.BytesIO()
    photo.resize((round(photo.width * side / photo.height), side)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def parts_of(args: argparse.Namespace, encoder: Encoder) -> dict[str, Callable[[Catalog], object]]:
    """Return what is made of a catalogue, by name."""

    def copies(catalog: Catalog) -> object:
        return open_calibration(open_index(catalog, encoder))

    parts: dict[str, Callable[[Catalog], object]] = {
        "features": lambda catalog: FeatureStore(None, pooled(encoder)).index(catalog, "features"),
        **{
            f"index, {kind}": lambda catalog, kind=kind: open_index(catalog, encoder, kind)
            for kind in args.indexes
        },
        **{
            f"captions, {name}": lambda catalog, name=name: open_text(catalog, name)
            for name in args.text
        },
        "copy test": copies,
        "copies": duplicate_groups,
    }
    return {name: part for name, part in parts.items() if name not in args.without}


def fitted(args: argparse.Namespace, catalog: Catalog, place: Path) -> DalleGenerator:
    """Return a model of the catalogue, hardly trained: its gradients cost the same."""
    settings = {"epochs": 1, "epochs_ae": 1}
    generator = DalleGenerator.from_preset(args.preset, settings, precision="float32")
    generator.prepare(catalog, place / "shared", lambda n: None)
    few = catalog.ids[64:]
    generator.fit(catalog, few, 0, lambda n: None)
    return generator


def main() -> None:
    """Print a line for each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--path", type=Path, required=True, help="Fashion Product Images")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--added", type=float, default=0.01, help="share added")
    parser.add_argument("--side", type=int, default=0, help="enlarge photos to this height")
    parser.add_argument("--format", choices=["folder", "fashion"], default="folder")
    parser.add_argument("--encoder", default="layout")
    parser.add_argument("--indexes", nargs="*", default=["exact", "ivfpq"])
    parser.add_argument("--text", nargs="*", default=["tfidf"])
    parser.add_argument("--without", nargs="*", default=[], metavar="PART")
    parser.add_argument("--preset", help="also gradients, of a model of this preset")
    parser.add_argument("--gradients", type=int, default=2000, help="of so many photos")
    parser.add_argument("--scratch", type=Path, help="folder for photos and cache")
    parser.add_argument("--out", type=Path, help="write the figures to this file (JSON)")
    args = parser.parse_args()
    photos = load_catalog("fashion", path=args.path)
    more = max(1, round(args.images * args.added))
    draw = np.random.default_rng(0).permutation(len(photos))[: args.images + more]
    chosen = [photos.ids[row] for row in draw]
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        os.environ["UNTRAIN_CACHE"] = f"{scratch}/cache"
        figures = measured(args, photos, chosen, Path(scratch))
        for name, times in figures.items():
            whole = times["first"][0], times["first"][1]
            told = [
                f"{phase} {wall:8.2f} s, {cpu:8.2f} s of processor"
                + (f" ({wall / whole[0]:6.1%}, {cpu / whole[1]:6.1%})" if phase != "first" else "")
                for phase, (wall, cpu) in times.items()
            ]
            print(f"{name:<18} " + " | ".join(told), flush=True)
        if args.out:
            about = {
                "images": args.images,
                "added": more,
                "side": args.side,
                "format": args.format,
                "encoder": args.encoder,
            }
            write_json(args.out, {**about, "preset": args.preset, "seconds": figures})


def measured(
    args: argparse.Namespace, photos: Catalog, chosen: list[str], scratch: Path
) -> dict[str, dict[str, tuple[float, float]]]:
    """Return wall and processor seconds of each part in each phase."""
    path = lay_out(photos, chosen[: args.images], scratch, args.side, args.format)
    encoder = load_encoder(args.encoder)
    parts = parts_of(args, encoder)
    figures: dict[str, dict[str, tuple[float, float]]] = {"listing": {}}

    def timed(name: str, phase: str, work: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        made = work()
        took = time.perf_counter() - wall, time.process_time() - cpu
        figures.setdefault(name, {})[phase] = took
        return made

    encoder.encode([np.zeros((8, 8, 3), np.uint8)])  # imports and weights are no part of it
    model = old = None
    for phase in PHASES:
        if phase == "grown":
            lay_out(photos, chosen, scratch, args.side, args.format)
        catalog = timed("listing", phase, lambda: load_catalog(args.format, path=path))
        for name, part in parts.items():
            timed(name, phase, lambda part=part, catalog=catalog: part(catalog))
        if args.preset:
            few = catalog.subset(set(chosen[: args.gradients]) & set(catalog.ids))
            if model is None:
                model, old = fitted(args, few, scratch), few
            if phase == "grown":
                new = chosen[args.images :][: max(1, round(args.gradients * args.added))]
                few = catalog.subset({*old.ids, *new})
            dimensions = dimensions_for(len(old))
            store = GradientStore(model, old, OUTPUTS["squared"], dimensions)
            timed("gradients", phase, lambda store=store, few=few: store.rows_of(few))
    return figures


if __name__ == "__main__":
    main()
