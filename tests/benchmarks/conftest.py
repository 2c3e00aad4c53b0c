"""Benchmarks are scripts beside each other: their folders are on the path while they are tested."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
for each in (FOLDER, FOLDER / "reliability"):
    if str(each) not in sys.path:
        sys.path.append(str(each))
