"""The names by which ``untrain export --to`` knows what is no format of pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from untrain.core.registry import Registry

Export = Callable[..., str]
"""From a run (or a benchmark) and where to write, to a line that says what was written; those in
`SCORES` take further scores as well."""

Card = Callable[[Path], str]
"""From a run to a card in Markdown."""

SCORES = ("dattri", "kronfluence", "trak", "quanda")
EXCHANGES: Registry[Export] = Registry(
    "export format",
    {
        **{name: f"untrain.exchange.libraries:to_{name}" for name in SCORES},
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
