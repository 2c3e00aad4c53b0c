"""The settings that most tests start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

MICRO = Path(str(files("untrain.settings"))) / "micro.yaml"
