"""What has been measured of the copy detector: how many copies it finds, how often it errs."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def measured() -> dict[str, Any]:
    """Return the record that `benchmarks/bench_copies.py` wrote, see docs/results/copies.md."""
    text = files("untrain.search.copy_detector").joinpath("measured.json").read_text("utf-8")
    return dict(json.loads(text))


def threshold(mode: str) -> float:
    """Return the score from which on an image counts as a copy."""
    return float(measured()["modes"][mode]["threshold"])
