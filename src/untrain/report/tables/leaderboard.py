"""The leaderboard of a run as text: a page of Markdown, the terminal's table, the report's rows."""

from __future__ import annotations

import math
from typing import Any

from rich.box import HEAVY_HEAD
from rich.table import Table

from untrain.core.printing import escape
from untrain.core.text import markdown, markdown_code, markdown_prose, markdown_table
from untrain.evaluation.measurement import in_full
from untrain.runs.leaderboard import Leaderboard, has_leaderboard, read_leaderboard
from untrain.runs.results import RunResults, rows

WIDE = 150  # columns of a terminal that shows the whole table


def leaderboard_markdown(board: Leaderboard) -> str:
    """Return the content of ``results/leaderboard.md``."""
    heads = headings(board)
    lines = [list(heads), ["---", *["---:"] * (len(heads) - 1)]]
    lines += [[markdown_code(name), *cells] for name, *cells in text_rows(board)]
    parts = [
        f"# Leaderboard of {markdown(board.name)}",
        how_to_read(board),
        markdown_table(lines),
        "![LDS and effect of every attributor](figures/leaderboard.svg)",
        "\n".join(f"- {markdown_prose(note)}" for note in notes(board)),
    ]
    return "\n\n".join(parts) + "\n"


def leaderboard_table(
    board: Leaderboard, width: int = WIDE, more: str = "results/leaderboard.md"
) -> Table:
    """Return the table for a terminal that is ``width`` columns wide: below `WIDE`, the main four.

    There metrics go without the word, effects have a figure less, and the caption says where there
    is ``more``.
    """
    wide = width >= WIDE
    caption = (
        "LDS: rank correlation of an attributor's summed scores with how well the models do; 95 % "
        "intervals over models and queries"
    )
    shown = Table(
        title=f"{board.queries} queries, {board.models} models of random halves of "
        f"{board.images:,} images",
        caption=caption if wide else f"{caption}. More columns: {more}",
        title_justify="left",
        caption_justify="left",
        box=HEAVY_HEAD if wide else None,
        pad_edge=wide,
    )
    heads, lines = headings(board), text_rows(board)
    if not wide:
        heads = ("attributor", "LDS", f"effect of top {board.k}", "family")
        lines = [
            [
                line.name.removeprefix("metric:"),
                _estimate(line.lds, line.lds_low, line.lds_high, 2),
                _estimate(line.effect, line.effect_low, line.effect_high, 2, "+"),
                _number(line.family_precision, ".0%"),
            ]
            for line in rows(board.table)
        ]
    for column, head in enumerate(heads):
        shown.add_column(
            head,
            justify="right" if column else "left",
            overflow="fold",
            no_wrap=bool(column) and not wide,
        )
    for name, *cells in lines:
        shown.add_row(escape(name), *cells)
    return shown


def headings(board: Leaderboard) -> tuple[str, ...]:
    """Return the column heads of the leaderboard."""
    k, reference = board.k, board.reference
    return (
        *("attributor", "LDS", f"over {reference}", f"effect of top {k}"),
        *(f"family in top {k}", "s once", "s a query", "filled"),
    )


def text_rows(board: Leaderboard) -> list[list[str]]:
    """Return the leaderboard as text, a row an attributor."""
    return [
        [
            line.name,
            _estimate(line.lds, line.lds_low, line.lds_high, 2),
            "–"
            if line.name == board.reference
            else _estimate(line.lead, line.lead_low, line.lead_high, 2, "+"),
            _estimate(line.effect, line.effect_low, line.effect_high, 3, "+"),
            _number(line.family_precision, ".0%"),
            "–" if line.seconds_once == 0 else _number(line.seconds_once, ".2g"),
            _number(line.seconds_per_query, ".2g"),
            "–" if line.filled == 0 else _number(line.filled, ".0%"),
        ]
        for line in rows(board.table)
    ]


def _estimate(value: float, low: float, high: float, digits: int, sign: str = "") -> str:
    if not math.isfinite(value):
        return "–"
    form = f"{sign}.{digits}f"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "–"


def how_to_read(board: Leaderboard) -> str:
    """Return what the figures of the leaderboard mean."""
    return (
        f"{board.models} models were each trained on a random half of {board.images:,} "
        f"images. For each of {board.queries} prompts (their pictures averaged) an attributor "
        "predicts, by the sum of its scores over a model's images, how well that model does. The "
        "linear datamodeling score (LDS) is the rank correlation of this prediction with the "
        "outcome: 1 is perfect, 0 is chance. The effect is how much worse models are, in "
        f"{in_full(board.unit)}, without the {board.k} images that the attributor scores highest, "
        "compared with as many average images and with "
        "half of the data removed. Intervals are 95 %, over models and queries."
    )


def notes(board: Leaderboard) -> list[str]:
    notes = [
        "LDS depends on the size of all scores, not only on their order: an attributor that ranks "
        "the right images first but spreads the other scores widely has a low LDS and a large "
        "effect.",
        "Models are paired (same start, same order), which raises every LDS; so does averaging "
        "the pictures of a prompt. Compare attributors here, not with figures from elsewhere.",
        f"`over {board.reference}` is the difference in LDS on the same models and queries; "
        "read its interval rather than whether two intervals overlap. Nothing is adjusted for the "
        "number of attributors, so the best of many looks better than it is.",
        "Seconds a query were measured on the machine that made this table, with the catalogue's "
        "features and indexes already computed; seconds once are those of gradients of the whole "
        "catalogue, which all queries and methods with the same output share. The study's pixel "
        "metrics are computed together, and so are the feature metrics: each counts the time of "
        "its whole group.",
    ]
    if board.candidates < board.images:
        notes.append(
            f"Pictures were compared with {board.candidates:,} of {board.images:,} images a "
            "prompt; the others count as the lowest score (`filled`)."
        )
    kinds = set(board.table["kind"])
    if "oracle" in kinds:
        notes.append(
            "`family` is not an attributor: it knows which images were rendered as the prompt's "
            "family. It is a reference, not a bound: other images have influence, too."
        )
    if "chance" in kinds:
        notes.append("`random` is the mean of 20 draws; its effect is 0 up to noise.")
    return notes + [note.text for note in board.notes]


def leaderboard_text(run: RunResults) -> dict[str, Any] | None:
    """Return table and notes of the leaderboard as text, or None where there is none."""
    if not has_leaderboard(run.folder):
        return None
    board = read_leaderboard(run.folder)
    return {
        "how": how_to_read(board),
        "heads": headings(board),
        "rows": text_rows(board),
        "notes": notes(board),
    }
