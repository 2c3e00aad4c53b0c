"""Where the repository is, and data beside it that not every machine has."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
REAL = SHARED / "data" / "fashion-product-images-small.zip"
