"""Stages on request: the demo, gradient stores at full size, a leaderboard on photos."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from gpu.experiment import PHOTOS
from gpu.pack import unpacked
from gpu.results import Item, Row, Setting
from untrain.core.hardware import PRECISIONS, Precision

COMMAND = [sys.executable, "-c", "from untrain.cli import main; main()"]


def untrain(at: Setting, *arguments: str) -> Row:
    """Run a command, ended with the stage."""
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False,
        timeout=max(30.0, at.left),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr)[-2000:])
    return {}


def demo(at: Setting) -> Iterator[Item]:
    """Yield a run of the demo, and the seconds of its stages."""
    name = "micro" if at.miniature else "demo"
    runs = at.work / "runs"
    yield "run", partial(untrain, at, "demo", "--preset", name, "--runs", str(runs))

    def seconds() -> Row:
        record = json.loads((runs / name / "run.json").read_text(encoding="utf-8"))
        return {stage: entry["seconds"] for stage, entry in record["stages"].items()}

    def found() -> Row:
        text = (runs / name / "results" / "summary.json").read_text(encoding="utf-8")
        return {"summary": json.loads(text)}

    yield "seconds", seconds
    yield "found", found


def stores(at: Setting) -> Iterator[Item]:
    """Yield the store of each preset and precision beside a training epoch."""
    for preset in ("micro",) if at.miniature else ("tiny", "small", "seed"):
        for precision in PRECISIONS[:1] if at.miniature else PRECISIONS:
            yield f"{preset}, {precision}", partial(_store, preset, precision, at)


def _store(preset: str, precision: Precision, at: Setting) -> Row:
    import torch

    import bench_attribution

    asked = argparse.Namespace(
        preset=preset, text=24, output="squared", dimensions=None, scratch=None, precision=precision
    )
    photos = 128 if at.miniature else PHOTOS
    few = photos // 8 if preset == "seed" else photos  # its store is as fast at any size
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    found: Row = bench_attribution.measure(asked, few, 5)
    row = {name: round(value, 4) for name, value in found.items()}
    if torch.cuda.is_available():
        row["GPU MiB"] = round(torch.cuda.max_memory_allocated() / 2**20)
    return row


def leaderboard(at: Setting) -> Iterator[Item]:
    """Yield a model of all photos, a bank of random halves, and its leaderboard, by precision."""
    for precision in ("float32",) if at.miniature else ("bfloat16", "float32"):
        name = f"bank-{precision}"
        file, runs = at.work / f"{name}.yaml", str(at.work / "runs")
        file.write_text(json.dumps(_experiment(at, name, precision)), encoding="utf-8")
        for command, *more in (
            ("run", "--until", "generate"),
            ("bank", "--models", "4" if at.miniature else "16"),
            ("leaderboard",),
        ):
            work = partial(untrain, at, command, str(file), "--runs", runs, *more)
            yield f"{precision}: {command}", work
        yield f"{precision}: LDS", partial(_lds, Path(runs) / name)


def _lds(folder: Path) -> Row:
    board = pd.read_parquet(folder / "results" / "leaderboard.parquet")
    return {
        line["name"]: f"{line['lds']:.2f} [{line['lds_low']:.2f}, {line['lds_high']:.2f}]"
        for line in board.head(12).to_dict("records")
    }


def _experiment(at: Setting, name: str, precision: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "data": {"format": "rendered", "families": 12 if at.miniature else 144, "family_size": 12},
        "prompts": {"families": 4 if at.miniature else 16},
        "generator": {"preset": "micro" if at.miniature else "small", "precision": precision},
        "generations": 2 if at.miniature else 5,
        "design": {"kind": "randomised", "models": 4},
    }
    if at.photos is not None:
        found["data"] = {"format": "fashion", "path": str(unpacked(at.photos, at.work))}
        found["prompts"] = {"file": str(at.prompts)}
    return found
