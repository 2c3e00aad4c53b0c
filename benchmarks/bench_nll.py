"""Cost of the primary measure: the log-likelihood of stored tokens under a model, by batch size.

``python benchmarks/bench_nll.py --preset small --items 256 --batches 16 64``
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from timing import report, seconds
from untrain.core.hardware import device
from untrain.generators.dalle.presets import PRESETS, preset_of
from untrain.generators.dalle.transformer import Transformer, log_likelihood


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--items", type=int, default=256, help="queries")
    parser.add_argument("--text", type=int, default=40, help="text tokens a prompt")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64, 256])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Print one line a batch size, with untrained weights."""
    args = parse()
    torch.set_num_threads(args.threads)
    preset = preset_of(args.preset)
    torch.manual_seed(0)
    model = Transformer(preset, preset.vocabulary).to(device()).eval().requires_grad_(False)
    draw = np.random.default_rng(0)
    text = draw.integers(1, preset.vocabulary, (args.items, args.text))
    image = draw.integers(0, preset.codes, (args.items, preset.positions))
    print(
        f"preset {args.preset}: {args.items} queries of {args.text} text + {preset.positions} "
        f"image tokens; {device()}, {args.threads} threads"
    )
    tokens = image.size
    for batch in sorted(args.batches):
        took = seconds(
            lambda batch=batch: log_likelihood(model, text, image, batch),  # type: ignore[misc]
            args.repeats,
        )
        report(f"batch {batch}", took, tokens, "tokens", f"{args.items / took:.1f} images/s")


if __name__ == "__main__":
    main()
