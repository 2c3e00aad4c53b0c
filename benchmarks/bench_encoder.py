"""Cost of features by batch size: the layout encoder, and a transformers model if one is given.

``python benchmarks/bench_encoder.py --path weights/mobilenet_v2 --dtype bfloat16``
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from timing import report, seconds
from untrain.encoders import Encoder, load_encoder


def encode_all(encoder: Encoder, images: Sequence[np.ndarray], batch: int) -> None:
    """Embed every image once, ``batch`` at a time."""
    for start in range(0, len(images), batch):
        encoder.encode(images[start : start + batch])


def bench(
    name: str, encoder: Encoder, images: Sequence[np.ndarray], args: argparse.Namespace
) -> None:
    """Print one line a batch size, rising, since peak memory never falls."""
    for batch in sorted(args.batches):
        took = seconds(lambda batch=batch: encode_all(encoder, images, batch), args.repeats)  # type: ignore[misc]
        note = f"{1000 * took / len(images):.2f} ms an image"
        report(f"{name}, batch {batch}", took, len(images), "images", note)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--path", help="folder or cached hub id of a transformers vision model")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--items", type=int, default=64, help="images")
    parser.add_argument("--height", type=int, default=80, help="of the images, pixels")
    parser.add_argument("--width", type=int, default=60)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4, 8, 32])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Print one line a batch size and encoder."""
    args = parse()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    shape = (args.items, args.height, args.width, 3)
    images = list(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    print(f"{args.items} images of {args.width}×{args.height} pixels, {args.threads} threads")
    bench("layout", load_encoder("layout"), images, args)
    if args.path:
        options = {"dtype": args.dtype, "batch_size": max(args.batches)}
        encoder = load_encoder("transformers", path=args.path, **options)
        bench(args.dtype, encoder, images, args)


if __name__ == "__main__":
    main()
