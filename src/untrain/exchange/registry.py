"""The names by which ``untrain export --to`` knows what is no format of pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from untrain.core.registry import Registry

Export = Callable[[Path, Path], str]
"""From a run (or a benchmark) and where to write, to a line that says what was written."""

EXCHANGES: Registry[Export] = Registry(
    "export format",
    {
        name: f"untrain.exchange.libraries:to_{name}"
        for name in ("dattri", "kronfluence", "trak", "quanda")
    },
)
