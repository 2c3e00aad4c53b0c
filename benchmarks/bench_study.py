"""The ten prompt sets, from pictures to ranking: ours beside the study's way, in one run.

15 prompts a set, 5 generated pictures a prompt, 100 candidates, ResNet-50 features. Ours is timed
in full, cold (empty cache) and warm (captions indexed, candidates embedded, only the generated
pictures new); the study's way (`plain_way.py`) on a sample of its prompts and forward passes, the
rest taken to last as long::

    python benchmarks/bench_study.py --catalog fashion-product-images-small.zip \\
        --descriptions descriptions --sets 10 --dtype bfloat16 --json study.json

Without ``--catalog`` the pictures are rendered. Without ``--path`` the encoder is a ResNet-50 with
random weights, which take as long as trained ones. Generated pictures are stand-ins: photos of the
catalogue, enlarged and noisy. The study's encoder is Keras; here the plain way runs the same
weights in PyTorch, float32, one image at a time. Starting, opening the catalogue and loading the
model are left out on both sides. Nothing else should run: with company, PyTorch's threads wait for
each other at every layer, and the plain way, which has most layers to pass, suffers most.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image

import plain_way as plain
from study_inputs import Study, make_study, random_resnet
from timing import memory, seconds
from untrain.core.cache import VARIABLE as CACHE_VARIABLE
from untrain.core.parallel import in_threads
from untrain.encoders import Encoder, load_encoder
from untrain.encoders.store import FeatureStore
from untrain.search.compare.comparison import compare
from untrain.search.query_features import TOGETHER
from untrain.search.rank.ranking import rank
from untrain.search.retrieve.candidates import retrieve

TOP = 10
PARTS = ("text", "reading", "encoder", "metrics", "ranking")
NOTES = {
    "text": "captions read, TF-IDF fitted, nearest found",
    "reading": "pictures decoded (the plain way's are decoded where they are used)",
    "encoder": "forward passes, preparation of the pictures, the store",
    "metrics": "pixels and features (ours: with three metrics that the study lacks)",
    "ranking": "weighted sum, mean over generations, the ten lowest",
}


@dataclass
class Clock:
    """Seconds by part."""

    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))

    @contextmanager
    def __call__(self, part: str, times: float = 1) -> Iterator[None]:
        """Count what the block takes towards ``part``, ``times`` over where it is a sample."""
        start = time.perf_counter()
        yield
        self.spent[part] += times * (time.perf_counter() - start)

    def per(self, prompts: int) -> dict[str, float]:
        """Return seconds a prompt, and their sum."""
        parts = {part: spent / prompts for part, spent in self.spent.items()}
        return {**parts, "total": sum(parts.values())}


def ours(study: Study, encoder: Encoder) -> tuple[dict[str, float], int]:
    """Return seconds a prompt by part, and how many different candidates there are."""
    clock, features = Clock(), FeatureStore(None, encoder)
    with clock("text"):
        retrieval = retrieve(study.catalog, study.prompts, "tfidf", study.candidates).table
    tables = []
    groups = [(str(p), found) for p, found in retrieval.groupby("prompt_id", sort=False)]
    for start in range(0, len(groups), TOGETHER):  # as `experiment.searching` does
        together = groups[start : start + TOGETHER]
        with clock("reading"):
            pictures = [
                [np.asarray(Image.open(path)) for path in study.generated(prompt_id)]
                for prompt_id, _ in together
            ]
        with clock("encoder"):
            encoded = encoder.encode([picture for own in pictures for picture in own])
        parts = encoded.reshape(len(together), study.generations, -1)
        for (prompt_id, found), generated, e in zip(together, pictures, parts, strict=True):
            ids = list(found["image_id"])
            with clock("reading"):
                candidates = in_threads(lambda i: np.asarray(study.catalog.image(i)), ids)
            with clock("encoder"):
                f = features.features(study.catalog, ids, "features")
            with clock("metrics"):
                text = {"tfidf": found["score"].to_numpy()}
                tables.append(compare(prompt_id, generated, ids, candidates, e, f, text=text))
    with clock("ranking"):
        rank("study", pd.concat(tables, ignore_index=True), retrieval)
    return clock.per(len(study.prompts)), retrieval["image_id"].nunique()


def theirs(study: Study, path: str, sample: int, forwards: int) -> dict[str, float]:
    """Return seconds a prompt by part of the plain way, on ``sample`` prompts.

    Of each generated picture's forward passes ``forwards`` are timed and the rest taken to last
    as long; all else runs in full.
    """
    clock, encoder = Clock(), plain.PlainEncoder(path)
    captions = study.folder / "captions"
    captions.mkdir()
    for image_id, caption in zip(study.catalog.ids, study.catalog.captions, strict=True):
        (captions / f"{image_id}.txt").write_text(caption, encoding="utf-8")
    names = sorted(study.catalog.ids)
    for prompt_id, prompt in study.prompts[["prompt_id", "prompt"]].to_numpy()[:sample]:
        with clock("text"):
            texts = plain.read_captions(captions)
            found = plain.retrieve_plainly(texts, prompt, study.candidates)
        generated = study.generated(prompt_id)
        others = [study.folder / f"{prompt_id}-{names[row]}.jpg" for row in found]
        for file, row in zip(others, found, strict=True):
            file.write_bytes(study.catalog.read(names[row]))
        encoder.encode(generated[0])  # the first call of all is slower
        _compare_plainly([*generated, *others], len(generated), encoder, forwards, clock)
    return clock.per(min(sample, len(study.prompts)))


def _compare_plainly(
    files: list[Path], generations: int, encoder: plain.PlainEncoder, forwards: int, clock: Clock
) -> None:
    """Compare each of the first ``generations`` files with every other, pair by pair, and rank."""
    with clock("reading"):
        pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files]
        width = sum(picture.shape[1] for picture in pictures) // len(pictures)
        height = sum(picture.shape[0] for picture in pictures) // len(pictures)
        pictures = [cv2.resize(picture, (width, height)) for picture in pictures]
    rows: list[tuple[int, str, tuple[float, ...]]] = []
    for k in range(generations):
        others = [row for row in range(len(files)) if row != k]
        with clock("metrics"):
            pixels = [plain.compare_pixels_plainly(pictures[k], pictures[row]) for row in others]
        own = encoder.encode(files[k])
        timed = others[-forwards:]
        with clock("encoder", times=len(others) / len(timed)):
            features = [encoder.encode(files[row]) for row in timed]
        with clock("metrics", times=len(others) / len(timed)):
            distances = [plain.compare_features_plainly(own, other) for other in features]
        rows += [
            (k, files[row].name, (*pixels[i][:4], *distances[i % len(distances)]))
            for i, row in enumerate(others)
        ]
    with clock("ranking"):
        plain.rank_plainly(rows, TOP)


def floor(encoder: Any, picture: np.ndarray, dtype: str) -> dict[str, float]:
    """Return GFLOP of one forward pass and the GFLOP/s of a large matrix product in ``dtype``."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        encoder.encode([picture])
    size = 1024
    a, b = (torch.ones(size, size, dtype=getattr(torch, dtype)) for _ in range(2))
    took = seconds(lambda: a @ b, 5)
    return {
        "gflop_per_image": counter.get_total_flops() / 1e9,
        "gflop_per_s": 2 * size**3 / took / 1e9,
    }


def table(columns: dict[str, dict[str, float]]) -> str:
    """Return seconds a prompt of every way and part in Markdown, with ratios to the first."""
    first = next(iter(columns.values()))
    heads = [
        name if name in columns and values is first else f"{name} | times as fast"
        for name, values in columns.items()
    ]
    lines = ["| s a prompt | " + " | ".join(heads) + " |"]
    lines.append("|---" * (2 * len(columns)) + "|")
    for part in (*PARTS, "total"):
        cells = []
        for values in columns.values():
            cells.append(f"{values[part]:.4f}")
            if values is not first:
                ratio = first[part] / values[part] if values[part] else float("nan")
                cells.append(f"{ratio:,.1f}")
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--catalog", help="zip or folder; rendered items without it")
    parser.add_argument("--format", default="fashion", help="of --catalog")
    parser.add_argument("--descriptions", help="folder of prompt sets, one prompt a line")
    parser.add_argument("--sets", type=int, default=1)
    parser.add_argument("--prompts", type=int, default=3, help="of each set")
    parser.add_argument("--generations", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--side", type=int, default=256, help="pixels of a generated picture")
    parser.add_argument("--path", help="folder of a transformers model; random ResNet-50 without")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--sample", type=int, default=1, help="prompts of the plain way")
    parser.add_argument(
        "--forwards", type=int, default=20, help="forward passes timed of each generated picture"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="write all figures here")
    return parser.parse_args()


def main() -> None:
    """Print a table of seconds by part, and where ours spends the rest."""
    import torch

    args = parse()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = make_study(args, folder)
        some = [np.asarray(study.catalog.image(i)) for i in study.catalog.ids[:32]]
        path = args.path or random_resnet(folder / "resnet-50", some)
        encoder = load_encoder("transformers", path=path, pooling="flatten", dtype=args.dtype)
        encoder.encode(some)  # chooses its batch size; the first call of all is slower
        columns = {"the study's way": theirs(study, path, args.sample, args.forwards)}
        os.environ[CACHE_VARIABLE] = str(folder / "cache")  # empty, and then what cold left there
        columns["ours, cold"], unique = ours(study, encoder)
        columns["ours, warm"], _ = ours(study, encoder)
        limits = floor(encoder, some[0], args.dtype)
    report(args, study, columns, unique, limits)


def report(
    args: argparse.Namespace,
    study: Study,
    columns: dict[str, dict[str, float]],
    unique: int,
    limits: dict[str, float],
) -> None:
    """Print everything; write it as JSON if asked."""
    import torch

    instructions = torch.backends.cpu.get_cpu_capability()
    prompts = len(study.prompts)
    drawn = prompts * study.generations
    print(
        f"{len(study.catalog):,} images, {prompts} prompts × {study.generations} generated × "
        f"{study.candidates} candidates ({unique:,} different), {args.dtype}, "
        f"{args.threads} threads, {instructions}, "
        f"{memory()}\n\n{table(columns)}\n"
    )
    for part, what in NOTES.items():
        print(f"- {part}: {what}")
    each = limits["gflop_per_image"] / limits["gflop_per_s"]
    for name, images in (("ours, cold", unique + drawn), ("ours, warm", drawn)):
        total, least = columns[name]["total"], images * each / prompts
        shares = ", ".join(f"{part} {columns[name][part] / total:.0%}" for part in PARTS)
        print(
            f"\n{name}: {shares}. The encoder sees {images / prompts:.1f} pictures a prompt, "
            f"{limits['gflop_per_image']:.2f} GFLOP each; at {limits['gflop_per_s']:.0f} GFLOP/s, "
            f"what a large matrix product reaches here, that is {least:.3f} s, "
            f"{least / columns[name]['encoder']:.0%} of what the encoder took."
        )
    if args.json:
        machine = {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "instructions": instructions,
        }
        settings = {key: str(value) for key, value in vars(args).items()}
        figures = {**machine, "settings": settings, "seconds": columns, "unique": unique, **limits}
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
