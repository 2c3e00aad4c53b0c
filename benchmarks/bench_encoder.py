"""Cost of features by batch size, the pace that "auto" takes, and indexing against its own floor.

The floor of indexing is the encoder alone, on pictures that are already decoded; what is above it
is decoding, hashing and writing. ``--resnet50`` is the study's architecture with random weights,
which take as long as trained ones.

``python benchmarks/bench_encoder.py --resnet50 --dtype bfloat16 --threads 2 --catalog photos.zip``
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from timing import report, seconds
from untrain.catalogs import Catalog, load_catalog, rendered
from untrain.encoders import Encoder, describe, load_encoder
from untrain.encoders.embedding import BATCH
from untrain.encoders.store import FeatureStore
from untrain.encoders.transformers_vision import TransformersEncoder


def resnet50(folder: Path) -> str:
    """Save the architecture of the study with random weights; return the folder."""
    import transformers

    torch.manual_seed(0)
    transformers.ResNetModel(transformers.ResNetConfig()).save_pretrained(folder)
    size = {"height": 224, "width": 224}
    transformers.ViTImageProcessor(size=size).save_pretrained(folder)
    return str(folder)


def encode_all(encoder: Encoder, images: list[np.ndarray], batch: int) -> None:
    """Embed every image once, ``batch`` at a time."""
    for start in range(0, len(images), batch):
        encoder.encode(images[start : start + batch])


def by_batch_size(
    make: Callable[[int], Encoder], images: list[np.ndarray], args: argparse.Namespace
) -> None:
    """Print one line a batch size, rising, since peak memory never falls."""
    for batch in sorted(args.batches):
        encoder = make(batch)
        took = seconds(lambda e=encoder, b=batch: encode_all(e, images, b), args.repeats)  # type: ignore[misc]
        note = f"{1000 * took / len(images):.2f} ms an image"
        report(f"batch {batch}", took, len(images), "images", note)


def multiply_adds(encoder: TransformersEncoder, image: np.ndarray) -> float:
    """Return the multiply–adds of one picture, in thousands of millions."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        TransformersEncoder._forward(encoder, [image])
    return counter.get_total_flops() / 2e9


def indexing(encoder: Encoder, catalog: Catalog, images: list[np.ndarray]) -> None:
    """Print the encoder alone, the store cold, and the store when everything is in it."""
    encoder.encode(images[:BATCH])  # so that nobody pays for the first call
    start = time.perf_counter()
    encode_all(encoder, images, BATCH)
    floor = time.perf_counter() - start
    report("floor: encoder alone", floor, len(images), "images")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        FeatureStore(Path(folder), encoder).index(catalog, "indexing")
        cold = time.perf_counter() - start
        report("indexing, cold", cold, len(images), "images", f"{floor / cold:.0%} of the floor")
        start = time.perf_counter()
        FeatureStore(Path(folder), encoder).index(catalog, "indexing")
        report("indexing again, warm", time.perf_counter() - start, len(images), "images")


def bench(make: Callable[..., Encoder], catalog: Catalog, args: argparse.Namespace) -> None:
    """Print all lines of one encoder; ``make`` takes a batch size where it has any."""
    images = [np.asarray(catalog.image(image_id)) for image_id in catalog.ids]
    print(f"\n{describe(make())}")
    by_batch_size(make, images, args)
    encoder = make()
    if isinstance(encoder, TransformersEncoder):
        encode_all(encoder, images, len(images))
        pace = encoder.pace(images)
        print(f"auto: batches of {pace.batch_size}, {pace.threads} threads")
        macs = multiply_adds(encoder, images[0])
        print(f"{macs:.2f} G multiply–adds an image: {macs * pace.rate:.0f} G a second")
    indexing(encoder, catalog, images)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--path", help="folder or cached hub id of a transformers vision model")
    parser.add_argument("--resnet50", action="store_true", help="the study's, random weights")
    parser.add_argument("--pooling", default="mean")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--catalog", help="zip of the fashion data set; none for rendered pictures")
    parser.add_argument("--items", type=int, default=64, help="images")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4, 8, 32])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def pictures(args: argparse.Namespace) -> Catalog:
    """Return ``--items`` pictures of the catalogue asked for, spread over it."""
    if args.catalog:
        catalog = load_catalog("fashion", path=args.catalog)
    else:
        catalog = rendered(families=-(-args.items // 4), size_of_family=4)
    chosen = np.linspace(0, len(catalog) - 1, min(args.items, len(catalog))).astype(int)
    return catalog.subset(catalog.ids[row] for row in chosen)


def main() -> None:
    """Print the layout encoder's lines, and those of a neural one if one is asked for."""
    args = parse()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    catalog = pictures(args)
    print(f"{len(catalog)} images of {catalog.name}, {args.threads} threads")
    bench(lambda batch=0: load_encoder("layout"), catalog, args)
    with tempfile.TemporaryDirectory() as folder:
        path = resnet50(Path(folder) / "resnet50") if args.resnet50 else args.path
        if path:
            options = {"pooling": args.pooling, "dtype": args.dtype}
            loaded = TransformersEncoder(path, **options)

            def make(batch: int = 0) -> Encoder:
                loaded.batch_size = batch or "auto"
                return loaded

            bench(make, catalog, args)


if __name__ == "__main__":
    main()
