"""The figures of a report: drawn from the run folder only, the same to the byte each time.

One module a family: `effects`, `search`, `embedding`, `training`, and of a bank of models
`equivalent`, `leaderboard` and `groups`, of a ladder `unlearning`; `style` is what they share. A
figure is a function of a run that returns a `Plot`, or several, or says why there is none.
"""

from __future__ import annotations

from untrain.report.figures.effects import (
    effects_by_arm,
    effects_by_prompt,
    k_sweep,
    reference_similarity,
)
from untrain.report.figures.embedding import embedding_map
from untrain.report.figures.equivalent import equivalent
from untrain.report.figures.groups import groups
from untrain.report.figures.leaderboard import leaderboard
from untrain.report.figures.search import metric_agreement, score_distributions
from untrain.report.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    INLINE,
    ORANGE,
    PAPER,
    STYLE,
    Plot,
    styled,
)
from untrain.report.figures.training import training_curves
from untrain.report.figures.unlearning import unlearning
from untrain.runs.results import RunResults

__all__ = [
    "BLUE",
    "FAINT",
    "FIGURES",
    "GREEN",
    "INK",
    "INLINE",
    "ORANGE",
    "PAPER",
    "STYLE",
    "Plot",
    "drawn",
    "figures",
]

FIGURES = {
    "effects-by-arm": effects_by_arm,
    "effects-by-prompt": effects_by_prompt,
    "k-sweep": k_sweep,
    "scores": score_distributions,
    "agreement": metric_agreement,
    "embedding-map": embedding_map,
    "training-curves": training_curves,
    "reference-similarity": reference_similarity,
    "equivalent": equivalent,
    "leaderboard": leaderboard,
    "groups": groups,
    "unlearning": unlearning,
}
"""Name of each figure and what draws it, in the order of the page."""


def figures(run: RunResults) -> list[Plot]:
    """Return the figures that the run has numbers for."""
    return drawn(run)[0]


def drawn(run: RunResults) -> tuple[list[Plot], dict[str, str]]:
    """Return the figures of a run, and for each that it has none of, by name, the reason."""
    plots, reasons = [], {}
    with styled():
        for name, draw in FIGURES.items():
            found = draw(run)
            if isinstance(found, str):
                reasons[name] = found
            else:
                plots += [found] if isinstance(found, Plot) else found
    return plots, reasons
