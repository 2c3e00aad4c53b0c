"""A user's script is checked by mypy --strict as it is written: the public names are typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

SCRIPT = """
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from PIL import Image

import untrain


def answer(folder: Path) -> str:
    result = untrain.load_result(folder)
    prompt: str = result.prompts["prompt"].iloc[0]
    drawn: untrain.PictureFrame = result.pictures(prompt)
    found: pd.DataFrame = result.influences(prompt, top=3)
    effect = result.effect(prompt, k=3)
    axes: Axes = result.plot.effects(by="prompt")
    axes.set_title(f"{effect.effect:.2f} {effect.unit}, p = {effect.p_value:.3f}: {len(drawn)}")
    asked: untrain.Attribution = result.attribute(method="fusion", prompts=prompt)
    traced: untrain.Traced = result.trace(Image.new("RGB", (8, 8)), prompt)
    board: untrain.Leaderboard = result.bank().leaderboard(k=3)
    print(asked.scores.shape, traced.table, board.table, len(found))
    return result.answer


def plan(name: str) -> int:
    experiment = untrain.Experiment.demo(name)
    catalog: untrain.Catalog = experiment.catalog
    table: untrain.Catalog = untrain.load(pd.DataFrame({"image": [], "text": []}))
    print(len(catalog), len(table))
    return experiment.plan().models
"""
WRONG = "\n\ndef wrong() -> int:\n    return untrain.load_result('x').plot.effects(by='colour')\n"


@pytest.mark.slow
def test_a_script_is_typed_and_mistakes_in_it_are_found(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(script)]
    cache = ["--cache-dir", os.environ.get("MYPY_CACHE_DIR", str(ROOT / ".mypy_cache"))]
    path = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    done = subprocess.run(
        [*command, *cache], cwd=tmp_path, env=path, capture_output=True, text=True, check=False
    )
    line = len((SCRIPT + WRONG).rstrip().splitlines())
    told = [each for each in done.stdout.splitlines() if "error:" in each]
    assert len(told) == 2 and all(f"script.py:{line}:" in each for each in told), done.stdout
