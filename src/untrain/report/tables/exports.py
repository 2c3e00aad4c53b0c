"""The tables of a report as files: CSV with the numbers, LaTeX with the words of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from untrain.attribution.registry import is_search_ranking
from untrain.core.files import write_csv, write_text
from untrain.core.text import tex
from untrain.evaluation.measurement import in_full
from untrain.report.arms import arm_label, arm_order
from untrain.report.ranking import main_ranking, rankings_beside, rows_of
from untrain.report.tables import effects as tables
from untrain.report.tables.differences import difference_rows, difference_table, equivalent_rows
from untrain.report.tables.leaderboard import leaderboard_text
from untrain.report.tables.unlearning import unlearning_text
from untrain.report.words import bare_p, interval, number, size
from untrain.runs.fidelity import read_fidelity
from untrain.runs.leaderboard import read_leaderboard
from untrain.runs.results import RunResults, rows

OVERALL = ("Removed", "k", "Effect", "95 % interval", "p", "Naive", "Naive interval")
BEYOND = ("Compared", "Difference", "95 % interval", "p, two-sided")
OTHERS = ("Measure", "Removed", "k", "Effect", "95 % interval", "p, two-sided")
PROMPTS = ("Prompt", "Effect", "95 % interval", "p (Holm)", "Naive", "Verdict")
ARMS = ("Prompt", "Removed", "k", "Effect", "95 % interval", "p")
RANKED = ("Prompt", "Rank", "Image", "Caption", "Score")
EQUIVALENT = ("Removed", "Images", "Effect", "Random images, same effect")
TOP = 10
WORDED = {
    "Compared",
    "Removed",
    "Measure",
    "Verdict",
    "Prompts",
    "Attributor",
    "Method",
    "Ranking",
    "Image",
    "Random images, same effect",
}
BROKEN = {"Prompt", "Caption"}  # over several lines
LONG = 40  # rows on a printed page


@dataclass(frozen=True)
class ReportTable:
    """A table of the report.

    Attributes
    ----------
    name : str
        Of its files.
    caption : str
        What it says, with the unit.
    numbers : DataFrame
        As computed: the CSV.
    heads, words : sequence of str, sequence of sequences of str
        As people read it: the LaTeX.
    """

    name: str
    caption: str
    numbers: pd.DataFrame
    heads: Sequence[str]
    words: Sequence[Sequence[str]]

    def save(self, folder: Path) -> None:
        """Write ``<name>.csv`` and ``<name>.tex`` into ``folder``, each whole or not at all."""
        write_csv(folder / f"{self.name}.csv", self.numbers)
        write_text(folder / f"{self.name}.tex", latex(self))


def worse(unit: str) -> str:
    """Return what a number in a table of effects means."""
    full = in_full(unit)
    return f"{full[0].upper()}{full[1:]}; positive: models are worse without."


def save_tables(run: RunResults) -> None:
    """Write the tables of a run into ``results/tables/``, as CSV and LaTeX."""
    for table in report_tables(run):
        table.save(run.folder / "results" / "tables")


def report_tables(run: RunResults) -> list[ReportTable]:
    """Return the tables that the run has rows for."""
    return [table for make in TABLES if (table := make(run)) is not None and len(table.numbers)]


def latex(table: ReportTable) -> str:
    """Return a table in LaTeX: booktabs, or a longtable that breaks across pages if it is long.

    ``\\usepackage{booktabs}`` is needed, and ``longtable`` for the long ones.
    """
    frame = pd.DataFrame(
        [[tex(cell) for cell in line] for line in _once(table)],
        columns=[tex(head) for head in table.heads],
    )
    broken = 0.36 if "Caption" not in table.heads else 0.28
    wide = rf"p{{{broken}\linewidth}}"
    columns = "".join(
        wide if head in BROKEN else "l" if head in WORDED else "r" for head in table.heads
    )
    return frame.to_latex(
        index=False,
        escape=False,  # done above, with what pandas does not know
        column_format=columns,
        caption=tex(table.caption),
        label=f"tab:{table.name}",
        position=None if len(frame) > LONG else "tb",
        longtable=len(frame) > LONG,
    )


def _once(table: ReportTable) -> list[list[str]]:
    """Return the words of a table that says a prompt once, above the rows that belong to it."""
    lines, last = [list(line) for line in table.words], ""
    for line in lines if table.heads[0] == "Prompt" else []:
        line[0], last = "" if line[0] == last else line[0], line[0]
    return lines


def _overall(run: RunResults) -> ReportTable:
    table = tables.overall_table(run.effects)
    caption = f"Overall effect of each removal. {worse(run.unit)} p is one-sided."
    return ReportTable("effects-by-arm", caption, table, OVERALL, tables.overall_rows(table))


def _groups(run: RunResults) -> ReportTable | None:
    parts = [
        tables.overall_table(run.groups[run.groups["group"] == group]).assign(group=group)
        for group in tables.GROUPS
    ]
    caption = f"Overall effects by group of prompts. {worse(run.unit)} p is one-sided."
    numbers = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    return ReportTable("effects-by-group", caption, numbers, OVERALL, tables.group_rows(run.groups))


def _others(run: RunResults) -> ReportTable:
    table = tables.other_table(run.effects)
    caption = "Overall effects on the other measures."
    return ReportTable("other-measures", caption, table, OTHERS, tables.other_rows(table))


def _beyond(run: RunResults) -> ReportTable:
    caption = f"Effects compared. {worse(run.unit)} p is two-sided."
    words = difference_rows(run.effects)
    return ReportTable("effects-compared", caption, difference_table(run.effects), BEYOND, words)


def _prompts(run: RunResults) -> ReportTable | None:
    table = tables.prompt_table(run)
    if table["effect"].isna().all() and table["verdict"].eq("").all():
        return None
    caption = f"Each prompt without its own images, the strongest effect first. {worse(run.unit)}"
    return ReportTable("effects-by-prompt", caption, table, PROMPTS, tables.prompt_rows(table))


def _arms(run: RunResults) -> ReportTable:
    """Effects of every arm on every prompt, as on the page's cards."""
    chosen = tables.single_effects(run.effects)
    chosen = chosen.assign(
        prompt=chosen["prompt_id"].map(run.texts).fillna(""), order=chosen["arm"].map(arm_order)
    )
    chosen = chosen.sort_values(["prompt_id", "order", "k"], kind="stable")
    numbers = chosen[["prompt_id", "prompt", "arm", "k", "effect", "low", "high", "p_value"]]
    words = [
        (
            *(r.prompt or r.prompt_id, arm_label(r.arm), size(r.k)),
            *(number(r.effect, 3), interval(r.low, r.high, 3), bare_p(r.p_value)),
        )
        for r in rows(numbers)
    ]
    caption = f"Effect of every removal on every prompt. {worse(run.unit)}"
    return ReportTable(
        "effects-by-prompt-and-arm", caption, numbers.reset_index(drop=True), ARMS, words
    )


def _verdicts(run: RunResults) -> ReportTable:
    parts = zip(
        ("prompts", "positive controls"),
        tables.split_controls(run.effects, run.verdicts),
        strict=True,
    )
    found = [
        (name, verdict, n)
        for name, verdicts in parts
        for verdict, n in tables.verdict_counts(verdicts).items()
    ]
    numbers = pd.DataFrame(found, columns=["prompts", "verdict", "n"])
    words = [(name, verdict, str(n)) for name, verdict, n in found]
    heads = ("Prompts", "Verdict", "n")
    return ReportTable("verdicts", "How many prompts have each verdict.", numbers, heads, words)


def _most_similar(run: RunResults) -> ReportTable | None:
    """The training images that rankings by likeness put first for each prompt."""
    caption = f"The {TOP} training images most similar to each prompt's pictures, by ranking."
    return _first(run, "most-similar", caption, by_likeness=True)


def _highest_scores(run: RunResults) -> ReportTable | None:
    """The training images that attributors, or a file of scores, put first for each prompt."""
    caption = f"The {TOP} training images with the highest scores for each prompt."
    return _first(run, "highest-scores", caption, by_likeness=False)


def _first(run: RunResults, name: str, caption: str, by_likeness: bool) -> ReportTable | None:
    several = [main_ranking(run), *(rows_of(run, each) for each in rankings_beside(run))]
    of_kind = [
        ranking
        for ranking in several
        if len(ranking) and is_search_ranking(str(ranking["method"].iloc[0])) is by_likeness
    ]
    if not of_kind:
        return None
    top = pd.concat([ranking.groupby("prompt_id", sort=False).head(TOP) for ranking in of_kind])
    captions = dict(zip(run.captions["image_id"], run.captions["caption"], strict=True))
    numbers = top.assign(
        prompt=top["prompt_id"].map(run.texts).fillna(""),
        caption=top["image_id"].map(captions).fillna(""),
    )
    numbers = numbers[["prompt_id", "prompt", "method", "rank", "image_id", "caption", "score"]]
    words: list[tuple[str, ...]] = [
        (r.prompt or r.prompt_id, f"{r.rank:g}", r.image_id, r.caption, number(r.score, 3))
        for r in rows(numbers)
    ]
    heads: tuple[str, ...] = RANKED
    if len(of_kind) > 1:
        heads = ("Prompt", "Ranking", *RANKED[1:])
        by = numbers["method"].astype(str)
        words = [(line[0], method, *line[1:]) for line, method in zip(words, by, strict=True)]
    return ReportTable(name, caption, numbers, heads, words)


def _equivalent(run: RunResults) -> ReportTable:
    kept = [{k: v for k, v in row.items() if k != "curve"} for row in run.equivalent]
    caption = f"How many random images have the effect of the chosen ones. {worse(run.unit)}"
    return ReportTable("equivalent", caption, pd.DataFrame(kept), EQUIVALENT, equivalent_rows(run))


def _leaderboard(run: RunResults) -> ReportTable | None:
    text = leaderboard_text(run)
    if text is None:
        return None
    heads = ("Attributor", *text["heads"][1:])
    return ReportTable(
        "leaderboard", text["how"], read_leaderboard(run.folder).table, heads, text["rows"]
    )


def _unlearning(run: RunResults) -> ReportTable | None:
    text = unlearning_text(run)
    if text is None:
        return None
    numbers = read_fidelity(run.folder).table
    caption = f"{text['title']}. {text['how']}"
    return ReportTable("unlearning", caption, numbers, text["heads"], text["rows"])


TABLES: tuple[Callable[[RunResults], ReportTable | None], ...] = (
    *(_overall, _groups, _beyond, _others, _prompts, _arms),
    *(_verdicts, _most_similar, _highest_scores, _equivalent, _leaderboard, _unlearning),
)
