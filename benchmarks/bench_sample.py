"""Cost of drawing pictures: with the key/value cache, and without it, in the same run.

Without a cache each token costs a forward pass over all that came before. Both ways take the same
noise and must draw the same tokens. ``python benchmarks/bench_sample.py --presets tiny small``
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from timing import report, seconds
from untrain.core.hardware import device
from untrain.generators.base import Noise
from untrain.generators.dalle.presets import PRESETS, Preset, preset_of
from untrain.generators.dalle.transformer import Transformer, sample
from untrain.generators.noise import noise_batch


@torch.inference_mode()
def sample_plainly(
    model: Transformer, text: np.ndarray, noise: np.ndarray, preset: Preset
) -> np.ndarray:
    """Draw as `sample` does, by a whole forward pass for each token."""
    where = next(model.parameters()).device
    words, gumbel = torch.from_numpy(text).to(where), torch.from_numpy(noise).to(where)
    top_k = max(1, round(preset.top_k * preset.codes))
    tokens = torch.zeros(gumbel.shape[:2], dtype=torch.int64, device=where)
    for p in range(preset.positions):
        # The token at p is not looked at when its own logits are computed: any will do.
        logits = model(words, tokens[:, : p + 1])[1][:, -1].float() / preset.temperature
        lowest = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < lowest, -torch.inf)
        tokens[:, p] = (logits + gumbel[:, p]).argmax(-1)
    return tokens.cpu().numpy()


def bench(name: str, args: argparse.Namespace) -> None:
    """Time noise, cached and plain sampling of one preset, with untrained weights."""
    preset = preset_of(name)
    torch.manual_seed(0)
    model = Transformer(preset, preset.vocabulary).to(device()).eval().requires_grad_(False)
    text = np.random.default_rng(0).integers(1, preset.vocabulary, (args.items, args.text))
    keys = [("prompt", number) for number in range(args.items)]

    def noise() -> np.ndarray:
        return noise_batch(Noise("gumbel", (preset.positions, preset.codes)), 0, keys)

    gumbel, tokens = noise(), args.items * preset.positions
    report(f"{name}: noise", seconds(noise, args.repeats), tokens, "tokens")
    cached = seconds(lambda: sample(model, text, gumbel, preset), args.repeats)
    rate = f"{args.items / cached:.1f} images/s"
    report(f"{name}: with cache", cached, tokens, "tokens", rate)
    plain = seconds(lambda: sample_plainly(model, text, gumbel, preset), 1)
    drawn = sample(model, text, gumbel, preset)
    same = np.mean(drawn == sample_plainly(model, text, gumbel, preset))
    note = f"cache {plain / cached:.1f} times as fast, {same:.1%} of tokens the same"
    report(f"{name}: without cache", plain, tokens, "tokens", note)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", choices=sorted(PRESETS), default=["tiny", "small"])
    parser.add_argument("--items", type=int, default=16, help="pictures, drawn as one batch")
    parser.add_argument("--text", type=int, default=40, help="text tokens a prompt")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Print three lines a preset."""
    args = parse()
    torch.set_num_threads(args.threads)
    print(f"{args.items} pictures, {args.text} text tokens; {device()}, {args.threads} threads")
    for name in args.presets:
        bench(name, args)


if __name__ == "__main__":
    main()
