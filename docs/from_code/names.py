"""Presets, checks, and the names that settings may take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def presets() -> str:
    """Return the presets of the generator side by side."""
    from untrain.generators.dalle.presets import PRESETS

    return _side_by_side({name: preset.to_dict() for name, preset in PRESETS.items()})


def diffusion_presets() -> str:
    """Return the presets of the diffusion generator side by side."""
    from untrain.generators.diffusion.presets import DIFFUSION_PRESETS

    return _side_by_side({name: preset.to_dict() for name, preset in DIFFUSION_PRESETS.items()})


def checks() -> str:
    """Return the checks of a generator, each with its first line."""
    from untrain.testing.checks import CHECKS

    lines = ["| check | what must hold |", "|---|---|"]
    for check in CHECKS:
        says = (check.__doc__ or "").strip().splitlines()[0]
        lines.append(f"| `{check.__name__.removeprefix('check_')}` | {says} |")
    return "\n".join(lines)


def _side_by_side(columns: dict[str, dict[str, Any]]) -> str:
    lines = ["| setting | " + " | ".join(f"`{name}`" for name in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for setting in next(iter(columns.values())):
        cells = [_short(preset[setting]) for preset in columns.values()]
        lines.append(f"| `{setting}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def names() -> str:
    """Return what each registered name may be."""
    from untrain.attribution.registry import ATTRIBUTORS, is_search_ranking
    from untrain.catalogs import CATALOGS
    from untrain.counterfactual.arms import ARMS
    from untrain.encoders import ENCODERS
    from untrain.experiment.tracking import TRACKERS
    from untrain.generators.registry import GENERATORS
    from untrain.search.rank.ranking import RANKINGS
    from untrain.search.retrieve.candidates import RETRIEVERS
    from untrain.training.engines import ENGINES

    kinds: dict[str, Iterable[str]] = {
        "data.format": CATALOGS,
        "generator.name": GENERATORS,
        "encoder.name": ENCODERS,
        "retrieval.method": RETRIEVERS,
        "ranking.method": RANKINGS,
        "ranking.method: attributors": [
            name for name in ATTRIBUTORS if not is_search_ranking(name)
        ],
        "removal.arms": ARMS,
        "engine.name": ENGINES,
        "tracking.name": TRACKERS,
    }
    lines = ["| setting | names |", "|---|---|"]
    for setting, registry in kinds.items():
        lines.append(f"| `{setting}` | " + ", ".join(f"`{name}`" for name in registry) + " |")
    return "\n".join(lines)
