"""Attribution by gradients on a machine with one GPU: the store at full size, and a leaderboard.

    python benchmarks/gpu_attribution.py --out gpu-results --photos fashion.zip --prompts file.txt
    python benchmarks/gpu_attribution.py --out /tmp/tiny --tiny  # on any machine: does it work?

``store`` needs no data: stores of 44,072 pairs of random tokens, up to the study's model size, in
both precisions. ``leaderboard`` trains a model on all photos and a bank of random halves in stacks,
and compares attributors on it, in bfloat16 and then in float32; without ``--photos`` it takes the
demo. Steps run and are recorded as in ``gpu.py``; eight minutes are enough.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch

import bench_attribution
from gpu import Row, Setting, parser_of, run_steps
from untrain.core.hardware import PRECISIONS, device
from untrain.generators.dalle.presets import PRESETS

PHOTOS = 44_072
COMMAND = [sys.executable, "-c", "from untrain.cli import main; main()"]


@dataclass(frozen=True)
class Photos(Setting):
    """What the leaderboard is made on."""

    photos: Path | None = None
    prompts: Path | None = None
    preset: str = "small"
    models: int = 16


def store(at: Setting) -> Iterator[Row]:
    """The gradient store of random tokens, its inverse, a warm query, beside a training epoch."""
    items = 128 if at.tiny else PHOTOS
    for preset in at.presets:
        few = items // 8 if preset == "seed" else items  # its store is as fast at any size
        for precision in PRECISIONS:
            if device().type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            asked = argparse.Namespace(
                preset=preset, text=24, output="squared", dimensions=None, scratch=None,
                precision=precision,
            )  # fmt: skip
            found = bench_attribution.measure(asked, few, 5)
            rounded = {name: round(value, 4) for name, value in found.items()}
            row: Row = {"preset": preset, "precision": precision, **rounded}
            if device().type == "cuda":
                row["GPU MiB"] = round(torch.cuda.max_memory_allocated() / 2**20)
                torch.cuda.empty_cache()
            yield row


def leaderboard(at: Setting) -> Iterator[Row]:
    """Attributors compared on a bank of random halves, in both precisions."""
    assert isinstance(at, Photos)
    for precision in ("bfloat16", "float32"):
        name = f"gpu-{precision}"
        file = at.out / f"{name}.yaml"
        file.write_text(json.dumps(_experiment(at, name, precision)), encoding="utf-8")
        where = [str(file), "--runs", str(at.out / "runs")]
        for command in (
            ["run", *where, "--until", "generate"],
            ["bank", *where, "--models", str(4 if at.tiny else at.models)],
            ["leaderboard", *where],
        ):
            start = time.perf_counter()
            done = subprocess.run(
                [*COMMAND, *command], capture_output=True, text=True, check=False,
                timeout=max(30.0, at.left),
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError((done.stdout + done.stderr)[-2000:])
            seconds = round(time.perf_counter() - start, 1)
            yield {"precision": precision, "what": command[0], "seconds": seconds}
        board = pd.read_parquet(at.out / "runs" / name / "results" / "leaderboard.parquet")
        for line in board.head(12).to_dict("records"):
            yield {
                "precision": precision,
                "what": line["name"],
                "seconds": round(line["seconds_per_query"] + line["seconds_once"], 3),
                "LDS": f"{line['lds']:.2f} [{line['lds_low']:.2f}, {line['lds_high']:.2f}]",
            }


def _experiment(at: Photos, name: str, precision: str) -> Row:
    """Return the experiment as JSON, which is YAML."""
    found: Row = {
        "name": name,
        "data": {"format": "rendered", "families": 12 if at.tiny else 144, "family_size": 12},
        "prompts": {"families": 4 if at.tiny else 16},
        "generator": {"preset": "micro" if at.tiny else at.preset, "precision": precision},
        "generations": 2 if at.tiny else 5,
        "design": {"kind": "randomised", "models": 4},
    }
    if at.photos is not None:
        found["data"] = {"format": "fashion", "path": str(at.photos.resolve())}
        found["prompts"] = {"file": str(Path(at.prompts or "prompts.txt").resolve())}
    return found


STEPS = (store, leaderboard)


def main() -> None:
    """Run all steps; exit with 1 if one failed."""
    parser = parser_of(__doc__, STEPS, 7.5)
    parser.add_argument("--photos", type=Path, help="the zip of Fashion Product Images (Small)")
    parser.add_argument("--prompts", type=Path, help="a file of prompts, one a line")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small")
    parser.add_argument("--models", type=int, default=16, help="of the bank, in each precision")
    args = parser.parse_args()
    at = Photos(args.tiny, args.out, time.monotonic() + 60 * args.minutes)
    asked = {name: getattr(args, name) for name in ("photos", "prompts", "preset", "models")}
    run_steps(STEPS, args.only, replace(at, **asked))


if __name__ == "__main__":
    main()
