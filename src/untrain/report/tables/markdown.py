"""The run's tables as one Markdown page."""

from __future__ import annotations

from untrain.core.text import markdown as markdown_text
from untrain.core.text import markdown_table
from untrain.report.answer import answer
from untrain.report.copies import copy_words
from untrain.report.notes import further_warnings
from untrain.report.quality import gate_facts
from untrain.report.tables import effects as tables
from untrain.report.tables.differences import difference_rows
from untrain.report.tables.exports import BEYOND, OTHERS, OVERALL, PROMPTS, worse
from untrain.report.tables.unlearning import unlearning_text
from untrain.runs.results import RunResults

_WORDS = {"Method", "Compared", "Removed", "Measure", "Prompt", "Verdict"}


def markdown(run: RunResults) -> str:
    """Return the content of ``results/summary.md``."""
    head = [
        f"# {markdown_text(run.meta.get('name') or run.folder.name)}",
        markdown_text(answer(run)),
        "\n".join(f"- {markdown_text(note)}" for note in further_warnings(run)),
        *([f"Copy test: {markdown_text(copy_words(run))}."] if copy_words(run) else []),
        "\n".join(
            f"- {term}: {markdown_text(text)}" for term, text in gate_facts(run.meta.get("quality"))
        ),
    ]
    parts = [*head, *(_nearest(run) if run.given else _effects(run)), *_unlearning(run)]
    return "\n\n".join(parts) + "\n"


def _nearest(run: RunResults) -> list[str]:
    """Return the training images that rank first for each prompt."""
    return ["## Nearest training images", _table(("Prompt", *tables.PLACES), tables.nearest(run))]


def _unlearning(run: RunResults) -> list[str]:
    """Return how near methods of unlearning come to exact retraining, where that is known."""
    text = unlearning_text(run)
    if text is None:
        return []
    said = markdown_text(" ".join(text["answer"]))
    how = f"{markdown_text(text['how'])} More: fidelity.md."
    return ["## Unlearning", said, how, f"{text['title']}:", _table(text["heads"], text["rows"])]


def _effects(run: RunResults) -> list[str]:
    others = tables.other_rows(tables.other_table(run.effects))
    parts = [
        "## Overall",
        f"{worse(run.unit)} p is one-sided.",
        _table(
            OVERALL,
            tables.overall_rows(tables.overall_table(run.effects)) + tables.group_rows(run.groups),
        ),
    ]
    beyond = difference_rows(run.effects)
    if beyond:
        parts += ["## Beyond random sets, and beyond smaller ones", _table(BEYOND, beyond)]
    if others:
        parts += ["## Other measures", _table(OTHERS, others)]
    return [*parts, "## Each prompt", _table(PROMPTS, tables.prompt_rows(tables.prompt_table(run)))]


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    rule = tuple("---" if head in _WORDS else "---:" for head in heads)
    lines = [heads, rule, *[tuple(markdown_text(cell) for cell in row) for row in rows]]
    return markdown_table(lines)
