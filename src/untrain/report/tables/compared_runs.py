"""Two finished runs side by side: which settings differ, and how the results do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from untrain.core.errors import InputError
from untrain.core.printing import escape
from untrain.core.vocabulary import Gate
from untrain.evaluation.measurement import spoken
from untrain.report.arms import arm_label, arm_order
from untrain.report.quality import gate_line, verdict_of
from untrain.report.tables import effects as tables
from untrain.report.words import interval, number, size
from untrain.runs.results import RunResults, read_results, rows

IRRELEVANT = ("name", "runs", "workers", "engine", "tracking")  # settings that no result depends on
ENDS = ("effect", "low", "high")


@dataclass(frozen=True, eq=False)
class ComparedRuns:
    """Two runs.

    Attributes
    ----------
    names : tuple of str
    settings : DataFrame
        Columns setting, first, second: those that differ, as the configuration has them.
    effects : DataFrame
        One row an arm and size of either run: arm, k, effect, low, high, p_value of the first, the
        same with ``_2`` of the second, difference (second less first) with its low and high.
    verdicts : DataFrame
        Columns group (prompts, controls), verdict, first, second: how many.
    changed : DataFrame
        Prompts that both runs have and judge differently: prompt, first, second.
    units : tuple of str
        Of the effects.
    notes : tuple of str
        What to know before a figure is believed.
    """

    names: tuple[str, str]
    settings: pd.DataFrame
    effects: pd.DataFrame
    verdicts: pd.DataFrame
    changed: pd.DataFrame
    units: tuple[str, str]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        found = {n: getattr(self, n) for n in ("settings", "effects", "verdicts", "changed")}
        records = {name: table.to_dict("records") for name, table in found.items()}
        return {
            "runs": list(self.names),
            "units": list(self.units),
            **records,
            "notes": list(self.notes),
        }


def compare_runs(first: Path, second: Path) -> ComparedRuns:
    """Read two finished runs and set them side by side.

    The interval of a difference is made of the two intervals (MOVER: Zou and Donner, 2008,
    Statistics in Medicine 27, 1693–1702), as if the runs were independent.

    Raises
    ------
    InputError
        One of them is not finished, or they are the same folder.
    """
    if first.resolve() == second.resolve():
        raise InputError(f"{first} was given twice; name two runs")
    one, two = read_results(first), read_results(second)
    return ComparedRuns(
        _names(first, second),
        _settings(one.config, two.config),
        _effects(one, two),
        _verdicts(one, two),
        _changed(one, two),
        (one.unit, two.unit),
        tuple(_notes(one, two)),
    )


def difference(one: tuple[float, ...], two: tuple[float, ...]) -> tuple[float, float, float]:
    """Return ``two`` less ``one`` with its interval, each an estimate with its two limits."""
    (a, a_low, a_high), (b, b_low, b_high) = one, two
    low = b - a - math.hypot(b - b_low, a_high - a)
    high = b - a + math.hypot(b_high - b, a - a_low)
    return b - a, low, high


def _names(first: Path, second: Path) -> tuple[str, str]:
    names = (first.resolve().name, second.resolve().name)
    return names if names[0] != names[1] else (str(first), str(second))


def _settings(one: dict[str, Any], two: dict[str, Any]) -> pd.DataFrame:
    left, right = _flat(one), _flat(two)
    keys = [key for key in dict.fromkeys([*left, *right]) if key.split(".")[0] not in IRRELEVANT]
    differ = [(k, left.get(k), right.get(k)) for k in keys if left.get(k) != right.get(k)]
    return pd.DataFrame(differ, columns=["setting", "first", "second"], dtype=object)


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings under dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return found


def _effects(one: RunResults, two: RunResults) -> pd.DataFrame:
    kept = ["arm", "k", *ENDS, "p_value"]
    left, right = (tables.overall_table(run.effects)[kept] for run in (one, two))
    table = left.merge(right, on=["arm", "k"], how="outer", suffixes=("", "_2"))
    table = table[table["effect"].notna() | table["effect_2"].notna()]
    table = table.assign(order=table["arm"].map(arm_order)).sort_values(["order", "k"])
    differences = [
        difference(
            tuple(getattr(row, name) for name in ENDS),
            tuple(getattr(row, f"{name}_2") for name in ENDS),
        )
        for row in rows(table)
    ]
    names = ["difference", "difference_low", "difference_high"]
    added = pd.DataFrame(differences, columns=names, index=table.index)
    return table.drop(columns="order").join(added).reset_index(drop=True)


def _verdicts(one: RunResults, two: RunResults) -> pd.DataFrame:
    found = []
    split = [tables.split_controls(run.effects, run.verdicts) for run in (one, two)]
    for group, (left, right) in zip(("prompts", "controls"), zip(*split, strict=True), strict=True):
        counts = [tables.verdict_counts(verdicts) for verdicts in (left, right)]
        for verdict in dict.fromkeys([*counts[0], *counts[1]]):
            found.append((group, verdict, *(count.get(verdict, 0) for count in counts)))
    return pd.DataFrame(found, columns=["group", "verdict", "first", "second"])


def _changed(one: RunResults, two: RunResults) -> pd.DataFrame:
    """Return the prompts, told by their words, whose verdicts differ."""
    left, right = (
        tables.prompt_table(run).drop_duplicates("prompt")[["prompt", "verdict"]]
        for run in (one, two)
    )
    both = left.merge(right, on="prompt", suffixes=("_1", "_2"))
    both.columns = pd.Index(["prompt", "first", "second"])
    return both[both["first"] != both["second"]].reset_index(drop=True)


def _notes(one: RunResults, two: RunResults) -> list[str]:
    notes = []
    prints = [(run.meta.get("fingerprints") or {}).get("catalog") for run in (one, two)]
    if prints[0] != prints[1]:
        notes.append("the training images differ")
    if set(one.prompts["prompt"]) != set(two.prompts["prompt"]):
        shared = len(set(one.prompts["prompt"]) & set(two.prompts["prompt"]))
        notes.append(f"the prompts differ ({shared} are in both)")
    if tables.designs(one.effects)[0] != tables.designs(two.effects)[0]:
        notes.append("the designs differ: their effects are not comparable")
    if one.unit != two.unit:
        notes.append(
            f"the effects are in different units ({one.unit}, {two.unit}): their difference has no "
            "meaning"
        )
    if _seeds(one) == _seeds(two):
        notes.append(
            "the seeds are the same: the runs share noise and initial weights, but the intervals "
            "of differences assume independent runs, so they may be too wide or too narrow"
        )
    for run in (one, two):
        quality = run.meta.get("quality")
        if isinstance(quality, dict) and verdict_of(quality) != Gate.PASSED:
            notes.append(f"quality gate of {run.folder.name}: {gate_line(quality)}")
    return notes


def _seeds(run: RunResults) -> Any:
    return (run.meta.get("seeds") or {}).get("a")


# For the terminal -------------------------------------------------------------------------------


def settings_table(found: ComparedRuns) -> Table:
    """Return the settings that differ."""
    table = _table("Settings that differ", found, "setting")
    for row in rows(found.settings):
        table.add_row(*(escape(_shown(value)) for value in (row.setting, row.first, row.second)))
    return table


def effects_table(found: ComparedRuns) -> Table:
    """Return the overall effects: of each run, with the interval under it, and the difference."""
    units = " and ".join(spoken(unit) for unit in dict.fromkeys(found.units))
    table = _table(
        f"How much worse without the images, in {units}", found, "arm", "difference", "right"
    )
    for r in rows(found.effects):
        arm = f"{arm_label(r.arm)}" + ("" if math.isnan(r.k) else f", k = {size(r.k)}")
        table.add_row(
            arm,
            _figure(r.effect, r.low, r.high),
            _figure(r.effect_2, r.low_2, r.high_2),
            _figure(r.difference, r.difference_low, r.difference_high),
        )
    return table


def verdicts_table(found: ComparedRuns) -> Table:
    """Return how many prompts, and controls, have which verdict."""
    table = _table("Verdicts", found, "", justify="right")
    for r in rows(found.verdicts):
        table.add_row(f"{r.group}: {r.verdict}", str(r.first), str(r.second))
    return table


def changed_table(found: ComparedRuns, width: int) -> Table:
    """Return the prompts that are judged differently."""
    table = _table("Prompts judged differently", found, "prompt")
    room = max(12, width - 46)
    for r in rows(found.changed):
        cut = r.prompt if len(r.prompt) <= room else f"{r.prompt[: room - 1].rstrip()}…"
        table.add_row(escape(cut), r.first or "—", r.second or "—")
    return table


def _table(
    title: str, found: ComparedRuns, head: str, last: str = "", justify: Any = "left"
) -> Table:
    table = Table(head, title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in (*found.names, *([last] if last else [])):
        table.add_column(escape(name), justify=justify, overflow="fold")
    return table


def _figure(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "—"
    return f"{number(value, 3)}\n{interval(low, high, 3)}"


def _shown(value: Any) -> str:
    return "—" if value is None else str(value)
