"""The leaderboard of a run as a page of Markdown, a figure and the terminal's table."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from rich.markup import escape
from rich.table import Table

from untrain.errors import InputError
from untrain.files import write_text
from untrain.report.figures import BLUE, FAINT, GREEN, INK, PAPER, STYLE, Plot, to_svg
from untrain.report.folder import rows

LOOKS = {  # kind: mark, colour, face, words
    "oracle": ("D", GREEN, PAPER, "knows the true family"),
    "chance": ("s", FAINT, PAPER, "at random"),
}
OTHERS = ("o", BLUE, BLUE, "attributor")


def write_leaderboard(folder: Path) -> None:
    """Write ``results/leaderboard.md`` and ``results/figures/leaderboard.svg`` of a run."""
    table = read_leaderboard(folder)
    write_text(folder / "results" / "leaderboard.md", leaderboard_markdown(table))
    plot = leaderboard_figure(table)
    write_text(folder / "results" / "figures" / f"{plot.name}.svg", plot.svg)


def read_leaderboard(folder: Path) -> pd.DataFrame:
    """Read ``results/leaderboard.parquet`` of a run.

    Raises
    ------
    InputError
        There is none.
    """
    path = folder / "results" / "leaderboard.parquet"
    if not path.is_file():
        raise InputError(f"found no leaderboard in {folder}: make it with `untrain leaderboard`")
    return pd.read_parquet(path)


def leaderboard_figure(table: pd.DataFrame) -> Plot:
    """Return the dot plot: LDS and the effect of the top k, a line an attributor, best on top."""
    k = table.attrs["k"]
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(
            1, 2, sharey=True, figsize=(8.6, 1.3 + 0.24 * len(table)), layout="constrained"
        )
        _dots(left, table, "lds")
        _dots(right, table, "effect")
        left.set_yticks(range(len(table)), [_cut(name) for name in table["name"]])
        left.set_ylim(len(table) - 0.4, -0.6)
        left.set_xlabel("LDS: rank correlation with what models do")
        right.set_xlabel(f"effect of the top {k}, bits a token")
        shown = dict.fromkeys(LOOKS.get(kind, OTHERS) for kind in table["kind"])
        for mark, colour, face, words in shown:
            left.plot([], [], mark, mec=colour, mfc=face, ms=6, mew=1.5, label=words)
        figure.legend(loc="outside upper left", ncols=len(shown), frameon=False, fontsize=9.5)
        drawn = to_svg(figure, "leaderboard")
    return Plot("leaderboard", drawn, "Who knows what a picture stands on", _how_to_read(table))


def _dots(axes: Axes, table: pd.DataFrame, what: str) -> None:
    for row, line in enumerate(rows(table)):
        value, low, high = (getattr(line, f"{what}{end}") for end in ("", "_low", "_high"))
        if not math.isfinite(value):
            continue
        mark, colour, face, _ = LOOKS.get(line.kind, OTHERS)
        axes.plot([low, high], [row, row], color=colour, lw=1.8, zorder=3)
        axes.plot(value, row, mark, mec=colour, mfc=face, ms=6, mew=1.5, zorder=4)
    axes.axvline(0, color=INK, lw=1, zorder=1)
    axes.grid(axis="x")
    axes.grid(axis="y", lw=0.4)
    axes.set_axisbelow(True)


def leaderboard_markdown(table: pd.DataFrame) -> str:
    """Return the content of ``results/leaderboard.md``."""
    heads = _heads(table)
    lines = [list(heads), ["---", *["---:"] * (len(heads) - 1)]]
    lines += [[f"`{name}`", *cells] for name, *cells in _cells(table)]
    cells = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    parts = [
        f"# Leaderboard of {table.attrs['name']}",
        _how_to_read(table),
        "\n".join(f"| {line} |" for line in cells),
        "![LDS and effect of every attributor](figures/leaderboard.svg)",
        "\n".join(f"- {note}" for note in _notes(table)),
    ]
    return "\n\n".join(parts) + "\n"


def leaderboard_table(table: pd.DataFrame) -> Table:
    """Return the table for the terminal."""
    about = table.attrs
    shown = Table(
        title=f"{about['queries']} queries, {about['models']} models of random halves of "
        f"{about['images']:,} images",
        caption="LDS: rank correlation of an attributor's sums with what the models do; 95 % "
        "intervals over models and queries",
        title_justify="left",
        caption_justify="left",
    )
    for column, head in enumerate(_heads(table)):
        shown.add_column(head, justify="right" if column else "left", overflow="fold")
    for name, *cells in _cells(table):
        shown.add_row(escape(name), *cells)
    return shown


def _heads(table: pd.DataFrame) -> tuple[str, ...]:
    k, reference = table.attrs["k"], table.attrs["reference"]
    return (
        *("attributor", "LDS", f"over {reference}", f"effect of top {k}"),
        *(f"family in top {k}", "s a query", "filled"),
    )


def _cells(table: pd.DataFrame) -> list[list[str]]:
    return [
        [
            line.name,
            _estimate(line.lds, line.lds_low, line.lds_high, 2),
            "–"
            if line.name == table.attrs["reference"]
            else _estimate(line.lead, line.lead_low, line.lead_high, 2, "+"),
            _estimate(line.effect, line.effect_low, line.effect_high, 3, "+"),
            _number(line.family_precision, ".0%"),
            _number(line.seconds_per_query, ".2g"),
            "–" if line.filled == 0 else _number(line.filled, ".0%"),
        ]
        for line in rows(table)
    ]


def _estimate(value: float, low: float, high: float, digits: int, sign: str = "") -> str:
    if not math.isfinite(value):
        return "–"
    form = f"{sign}.{digits}f"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "–"


def _how_to_read(table: pd.DataFrame) -> str:
    about = table.attrs
    return (
        f"{about['models']} models were each trained on a random half of {about['images']:,} "
        f"images. For each of {about['queries']} prompts (their pictures averaged) an attributor "
        "predicts, by the sum of its scores over a model's images, how well that model does. LDS "
        "is the rank correlation of this prediction with the outcome: 1 is perfect, 0 is chance. "
        f"The effect is what it costs, in bits an image token, to lose the {about['k']} images "
        "that the attributor scores highest, beyond as many average images and with half of the "
        "data out. Intervals are 95 %, over models and queries."
    )


def _notes(table: pd.DataFrame) -> list[str]:
    about = table.attrs
    notes = [
        "LDS goes by the size of all scores, not by their order alone: one that names the right "
        "images first and spreads the scores of the others widely has a low LDS, a large effect.",
        "Models are paired (same start, same order), which raises every LDS; so does averaging "
        "the pictures of a prompt. Compare attributors here, not with figures from elsewhere.",
        f"`over {about['reference']}` is the difference of LDS on the same models and queries. Its "
        "interval says more than whether two intervals overlap. Nothing is adjusted for how many "
        "attributors there are: the best of many is flattered.",
        "Seconds a query are of that attributor alone, on the machine that made this table; the "
        "catalogue's features and indexes are taken to be there. Pixel metrics of the study are "
        "made all in one, and so are feature metrics: each is charged for all of its kind.",
    ]
    if about["candidates"] < about["images"]:
        notes.append(
            f"Pictures were compared with {about['candidates']:,} of {about['images']:,} images a "
            "prompt; the others count as the lowest score (`filled`)."
        )
    kinds = set(table["kind"])
    if "oracle" in kinds:
        notes.append(
            "`family` is no attributor: it knows which images were drawn as one family with the "
            "prompt. It is a reference, not a bound: influence does not end at the family."
        )
    if "chance" in kinds:
        notes.append("`random` is the mean of 20 draws; its effect is 0 but for noise.")
    return notes + list(about["notes"])


def _cut(name: str, length: int = 40) -> str:
    # A dollar sign would start mathematics.
    return (name if len(name) <= length else f"{name[: length - 1]}…").replace("$", r"\$")
