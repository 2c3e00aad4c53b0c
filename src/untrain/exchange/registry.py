"""The names by which ``untrain export --to`` knows what is no format of pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from untrain.core.registry import Registry

Export = Callable[[Path, Path], str]
"""From a run (or a benchmark) and where to write, to a line that says what was written."""

Card = Callable[[Path], str]
"""From a run to a card in Markdown."""

EXCHANGES: Registry[Export] = Registry(
    "export format",
    {
        **{
            name: f"untrain.exchange.libraries:to_{name}"
            for name in ("dattri", "kronfluence", "trak", "quanda")
        },
        "fiftyone": "untrain.exchange.fiftyone:to_fiftyone",
    },
)
CARDS: Registry[Card] = Registry(
    "card",
    {
        "model-card": "untrain.exchange.cards:model_card",
        "dataset-card": "untrain.exchange.cards:dataset_card",
    },
)
