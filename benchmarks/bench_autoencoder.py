"""Cost of the frozen autoencoder: training steps, encoding, decoding.

``python benchmarks/bench_autoencoder.py --preset small --threads 2``
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch

from timing import report, seconds
from untrain.core.hardware import PRECISIONS, default_precision, device
from untrain.generators.dalle.autoencoder import decode, encode, train_autoencoder
from untrain.generators.dalle.presets import PRESETS, preset_of


def nowhere(n: int) -> None:
    """Take a report of progress."""


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--items", type=int, default=256, help="pictures")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=PRECISIONS, default=default_precision())
    return parser.parse_args()


def main() -> None:
    """Print one line for training, encoding and decoding."""
    args = parse()
    torch.set_num_threads(args.threads)
    preset = replace(preset_of(args.preset), epochs_ae=1)
    shape = (args.items, preset.height, preset.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    print(
        f"preset {args.preset}: {preset.width}×{preset.height} pixels, {preset.positions} tokens, "
        f"{preset.codes} codes; {device()}, {args.precision}, {args.threads} threads"
    )
    steps = -(-args.items // preset.batch_ae)
    took = seconds(
        lambda: train_autoencoder(pixels, preset, 0, nowhere, args.precision), args.repeats
    )
    report("train", took, args.items, "images", f"{steps / took:.1f} steps of {preset.batch_ae}/s")
    model = train_autoencoder(pixels[: preset.batch_ae], preset, 0, nowhere)
    report("encode", seconds(lambda: encode(model, pixels), args.repeats), args.items, "images")
    tokens = encode(model, pixels)
    took = seconds(lambda: decode(model, tokens, preset.grid), args.repeats)
    report("decode", took, args.items, "images")


if __name__ == "__main__":
    main()
