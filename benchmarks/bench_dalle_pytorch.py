"""Our transformer against DALLE-pytorch 1.6, the study's generator, at equal size, in one run.

Its package is not a dependency and does not import beside a current torch: put it in a folder, from
where it is read with stand-ins for what it imports and this never calls (pretrained autoencoders)::

    pip install --no-deps --target other dalle-pytorch==1.6.6 "rotary-embedding-torch<0.3" \\
        axial-positional-embedding
    python benchmarks/bench_dalle_pytorch.py other --threads 2
    python benchmarks/bench_dalle_pytorch.py other --threads 2 --size study --repeats 1

Steps alternate, theirs and ours; both take the same image tokens, and theirs also pictures, which
its own autoencoder then encodes at each step. Its blocks have half as many weights again (gated
feed-forward): "as many weights" is ours with more blocks instead. Floating-point operations are
those of our matrix products and attention, counted; the peak is a large product in the same run.
"""

from __future__ import annotations

import argparse
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from untrain.core.hardware import PRECISIONS, Precision, default_precision
from untrain.generators.dalle import training
from untrain.generators.dalle.presets import Preset, preset_of
from untrain.generators.dalle.transformer import Transformer, sample

PEAK = 4096  # rows and columns of the product that measures the machine's peak


@dataclass(frozen=True)
class Size:
    """One configuration, for both sides."""

    preset: Preset
    batch: int
    pictures: int  # drawn at once
    timed: tuple[int, ...]  # of theirs, positions whose tokens are timed; none: all are drawn
    deeper: int  # blocks of ours that have as many weights as theirs


SIZES = {
    "small": Size(
        preset_of(
            "tiny", height=64, width=64, levels=[8, 8, 8], dim=256, depth=6, heads=4, head_dim=64,
            vocabulary=2064, text_limit=64,
        ),
        batch=32, pictures=16, timed=(), deeper=8,
    ),
    "study": Size(
        preset_of("seed", vocabulary=49_920),
        batch=1, pictures=1, timed=(0, 256, 512, 768, 1023), deeper=20,
    ),
}  # fmt: skip


def theirs(folder: Path, size: Size) -> nn.Module:
    """Return their model of a size, with the autoencoder that their package brings."""
    sys.path.insert(0, str(folder))
    package = types.ModuleType("dalle_pytorch")
    package.__path__ = [str(folder / "dalle_pytorch")]
    pretrained: Any = types.ModuleType("dalle_pytorch.vae")
    pretrained.OpenAIDiscreteVAE = pretrained.VQGanVAE = type("Absent", (), {})
    sys.modules |= {"dalle_pytorch": package, "dalle_pytorch.vae": pretrained}
    from dalle_pytorch.dalle_pytorch import DALLE, DiscreteVAE  # type: ignore[import-not-found]

    preset = size.preset
    vae = DiscreteVAE(image_size=preset.height, num_layers=3, num_tokens=preset.codes)
    return DALLE(
        dim=preset.dim, vae=vae, depth=preset.depth, heads=preset.heads, dim_head=preset.head_dim,
        num_text_tokens=preset.vocabulary - preset.text_limit, text_seq_len=preset.text_limit,
    )  # fmt: skip


def their_step(model: nn.Module, text: torch.Tensor, image: torch.Tensor) -> Callable[[], None]:
    """Return one training step of theirs, as its training script takes it (Adam, clipped)."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=4.5e-4)

    def step() -> None:
        loss = model(text, image, return_loss=True)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 0.5)
        optimizer.step()
        optimizer.zero_grad()

    return step


def our_step(
    preset: Preset, text: torch.Tensor, image: torch.Tensor, precision: Precision
) -> Callable[[], None]:
    """Return one step of `train_transformer`."""
    torch.manual_seed(0)
    model = Transformer(preset, preset.vocabulary)
    optimizer = training._optimizer(model, preset)

    def step() -> None:
        loss = training.pair_losses(model, text, image, preset, precision).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), preset.clip)
        optimizer.step()

    return step


def took(work: Callable[[], object]) -> float:
    """Return the seconds of one call: of one thread the processor's, which company costs less."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    work()
    return clock() - start


def alternating(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each way, called in turns, after one turn not counted."""
    turns = [{name: took(work) for name, work in ways.items()} for _ in range(repeats + 1)]
    return {name: float(np.median([turn[name] for turn in turns[1:]])) for name in ways}


def operations(preset: Preset, n: int) -> float:
    """Return the floating-point operations of one of our training steps.

    Two a weight and position forward, twice that backward; attention over the positions that a
    position may see (half of all) has four a channel and pair forward, and ten backward, where
    the kernel computes its scores again.
    """
    length, inner = preset.text_limit + preset.positions - 1, preset.heads * preset.head_dim
    block = 4 * preset.dim * inner + 8 * preset.dim**2
    heads = preset.text_limit * preset.vocabulary + preset.positions * preset.codes
    products = length * preset.depth * block + heads * preset.dim
    return n * (6 * products + 14 * preset.depth * inner * length**2 / 2)


def peak() -> float:
    """Return the floating-point operations a second of a large product, the best of five."""
    a, b = torch.randn(2, PEAK, PEAK)
    return 2 * PEAK**3 / min(took(lambda: a @ b) for _ in range(5))


def training_steps(size: Size, model: nn.Module, args: argparse.Namespace) -> None:
    """Print the table of training steps."""
    preset, draw = size.preset, torch.Generator().manual_seed(0)
    text = torch.randint(
        1, preset.vocabulary - preset.text_limit, (size.batch, preset.text_limit), generator=draw
    )
    image = torch.randint(0, preset.codes, (size.batch, preset.positions), generator=draw)
    pixels = torch.rand(size.batch, 3, preset.height, preset.width, generator=draw)
    deeper = replace(preset, depth=size.deeper)
    ways = {
        "DALLE-pytorch, tokens": their_step(model, text, image),
        "DALLE-pytorch, pictures": their_step(model, text, pixels),
        "ours": our_step(preset, text, image, args.precision),
        "ours, as many weights": our_step(deeper, text, image, args.precision),
    }
    seconds = alternating(ways, args.repeats)
    fastest, first = peak(), seconds["DALLE-pytorch, tokens"]
    tokens = size.batch * (preset.text_limit + preset.positions)
    print(f"\na step of {size.batch} × {tokens // size.batch} tokens; ", end="")
    print(f"peak of a product {fastest / 1e9:.0f} GFLOP/s\n")
    print("| | s a step | ms a token | times as fast | share of the peak |")
    print("|---|--:|--:|--:|--:|")
    for name, s in seconds.items():
        of = {"ours": preset, "ours, as many weights": deeper}.get(name)
        share = "" if of is None else f"{operations(of, size.batch) / s / fastest:.0%}"
        print(f"| {name} | {s:.3f} | {1000 * s / tokens:.2f} | {first / s:.2f} | {share} |")


@torch.inference_mode()
def sampling(size: Size, model: Any, args: argparse.Namespace) -> None:
    """Print the table of drawing pictures."""
    preset, n = size.preset, size.pictures
    text = np.random.default_rng(0).integers(
        1, preset.vocabulary - preset.text_limit, (n, preset.text_limit)
    )
    shape = n, preset.positions, preset.codes
    noise = np.random.default_rng(0).gumbel(size=shape).astype(np.float32)
    words = torch.from_numpy(text)
    codes = torch.zeros(n, preset.positions, dtype=torch.int64)
    models = [
        Transformer(p, p.vocabulary).eval() for p in (preset, replace(preset, depth=size.deeper))
    ]
    model.eval()
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: sample(models[0], text, noise, preset),
        "ours, as many weights": lambda: sample(models[1], text, noise, preset),
    }
    if not size.timed:
        whole = {"DALLE-pytorch": lambda: model.generate_images(words)}
        seconds = alternating(whole | ways, args.repeats)
    else:
        seconds = {"DALLE-pytorch": 0.0} | alternating(ways, args.repeats)
        at = [took(lambda p=p: model(words, codes[:, :p])) for p in size.timed]  # type: ignore[misc]
        print(
            "\ntheirs, s a token at position", dict(zip(size.timed, np.round(at, 2), strict=True))
        )
        every = np.interp(np.arange(preset.positions), size.timed, at)
        seconds["DALLE-pytorch"] = float(every.sum())
    print(f"\n{n} pictures of {preset.positions} tokens, {preset.text_limit} text tokens", end="")
    print(" (theirs between those positions interpolated)\n" if size.timed else "\n")
    print("| | s | ms a token | times as fast |\n|---|--:|--:|--:|")
    for name, s in seconds.items():
        each = 1000 * s / n / preset.positions
        print(f"| {name} | {s:.2f} | {each:.2f} | {seconds['DALLE-pytorch'] / s:.1f} |")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where DALLE-pytorch was installed to")
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--part", choices=["training", "sampling", "both"], default="both")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=PRECISIONS, default=default_precision())
    return parser.parse_args()


def main() -> None:
    """Print both tables."""
    args = parse()
    torch.set_num_threads(args.threads)
    size = SIZES[args.size]
    model = theirs(args.folder, size)
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    ours = sum(p.numel() for p in Transformer(size.preset, size.preset.vocabulary).parameters())
    print(f"{args.size}: {weights / 1e6:.1f} M weights theirs, {ours / 1e6:.1f} M ours; ", end="")
    print(f"{args.precision}, {args.threads} threads")
    if args.part != "sampling":
        training_steps(size, model, args)
    if args.part != "training":
        sampling(size, model, args)


if __name__ == "__main__":
    main()
