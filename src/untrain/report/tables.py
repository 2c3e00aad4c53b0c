"""A finished run as tables, as numbers in words, and as one plain sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from untrain.errors import InputError
from untrain.files import read_json

PRIMARY = "nll"
"""The measure that the answer is about: bits per image token."""

VERDICTS = ("attributable", "undecided", "not attributable")

ARMS = {
    "targeted": "the {k} images found for a prompt",
    "family": "{k} images of its true family",
    "random-uniform": "{k} random ones",
    "random": "{k} random ones",
    "random-candidate": "{k} random ones of those retrieved",
    "least-similar": "the {k} least similar of those retrieved",
    "ids": "the images listed",
}
"""Each arm as the end of "models trained without …"; the order is that of every table."""

FEW_PROMPTS = 10

COLUMNS = {
    "prompts.csv": ("prompt_id", "prompt", "family", "role"),
    "ranking.parquet": ("method", "prompt_id", "image_id", "score", "rank"),
    "forget_sets.parquet": ("forget_set_id", "arm", "prompt_id", "draw", "k", "image_id"),
    "models.parquet": ("model_id", "seed", "fingerprint"),
    "removals.parquet": ("model_id", "forget_set_id"),
    "captions.parquet": ("image_id", "caption"),
    "results/effects.parquet": (
        *("design", "arm", "prompt_id", "measure", "estimate", "low", "high", "p_value"),
        *("k", "two_sided_p", "null_sd", "n_units"),
    ),
    "results/verdicts.parquet": ("prompt_id", "verdict", "reason"),
    "results/similarity_results.csv": (
        *("Folder", "Mean_1", "Min_1", "Max_1"),
        *("Mean_2", "Min_2", "Max_2"),
    ),
}
_TEXT = {"prompt_id", "prompt", "family", "role", "method", "image_id", "forget_set_id", "arm"}
_TEXT |= {"model_id", "fingerprint", "caption", "design", "measure", "verdict", "reason", "Folder"}


@dataclass(frozen=True)
class Run:
    """A finished run folder, read: a table or value for each file, empty where there is none."""

    folder: Path
    config: dict[str, Any]
    meta: dict[str, Any]
    prompts: pd.DataFrame
    ranking: pd.DataFrame
    forget_sets: pd.DataFrame
    models: pd.DataFrame
    removals: pd.DataFrame
    captions: pd.DataFrame
    effects: pd.DataFrame
    verdicts: pd.DataFrame
    similarity: pd.DataFrame

    @property
    def designs(self) -> tuple[str, str]:
        """The design that the answer rests on and its naive counterpart."""
        return designs(self.effects)


def read_run(folder: Path) -> Run:
    """Read the tables of a finished run.

    Raises
    ------
    InputError
        If ``run.json``, ``prompts.csv`` or ``results/effects.parquet`` is absent.
    """
    for name in ("run.json", "prompts.csv", "results/effects.parquet"):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder}: found no {name}; expected the folder of a finished run. "
                "Run the experiment to its end (it resumes where it stopped), then report again"
            )
    config = folder / "config.yaml"
    tables = {name: _read_table(folder / name, columns) for name, columns in COLUMNS.items()}
    return Run(
        folder,
        (yaml.safe_load(config.read_text(encoding="utf-8")) or {}) if config.is_file() else {},
        read_json(folder / "run.json"),
        *tables.values(),
    )


def _read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table with at least ``columns``; ids and words as `str`, missing ones empty."""
    if not path.is_file():
        table = pd.DataFrame(columns=list(columns))
    elif path.suffix == ".csv":
        words = dict.fromkeys(_TEXT, str)
        table = pd.read_csv(path, dtype=words, na_filter=True, keep_default_na=False, na_values=[""])
    else:
        table = pd.read_parquet(path)
    for column in columns:
        if column not in table:
            table[column] = float("nan")
    for column in table.columns:
        if column in _TEXT:
            words_only = table[column].astype(object)
            table[column] = words_only.where(words_only.notna(), "").map(str)
        elif column in columns and column != "reason":
            table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


def designs(effects: pd.DataFrame) -> tuple[str, str]:
    """Return the design that the answer rests on and its naive counterpart."""
    if (effects["design"] == "before-after").any():
        return "before-after", "before-after-naive"
    return "randomised", "naive"


def arm_order(arm: str) -> tuple[int, str]:
    """Sort key of an arm: what was chosen first, then its controls, then what we do not know."""
    return (list(ARMS).index(arm) if arm in ARMS else len(ARMS), arm)


def arm_words(arm: str, k: float = math.nan) -> str:
    """Return an arm as the end of "models trained without …"."""
    size = "" if math.isnan(k) else f"{k:g}"
    return " ".join(ARMS.get(arm, f"{{k}} images of arm “{arm}”").format(k=size).split())


def overall_table(effects: pd.DataFrame, measure: str = PRIMARY) -> pd.DataFrame:
    """Return the overall effects, one row an arm and size, the naive figures beside them.

    Parameters
    ----------
    effects : DataFrame
        The run's ``results/effects.parquet``.
    measure : str
        Which measure; ``nll`` is in bits per image token, larger is worse.

    Returns
    -------
    DataFrame
        ``arm, k, effect, low, high, p, naive, naive_low, naive_high, naive_p, null_sd, n_units``;
        NaN where a figure does not exist.
    """
    chosen, naive = designs(effects)
    overall = effects[(effects["prompt_id"].fillna("") == "") & (effects["measure"] == measure)]
    overall = overall.reindex(columns=list(COLUMNS["results/effects.parquet"]))
    rename = {"estimate": "effect", "p_value": "p"}
    columns = ["arm", "k", "effect", "low", "high", "p"]
    left = overall[overall["design"] == chosen].rename(columns=rename)
    right = overall[overall["design"] == naive].rename(columns=rename)[columns]
    right.columns = ["arm", "k", "naive", "naive_low", "naive_high", "naive_p"]
    table = left[[*columns, "null_sd", "n_units"]].merge(right, on=["arm", "k"], how="outer")
    order = table["arm"].map(arm_order)
    table = table.iloc[sorted(range(len(table)), key=lambda i: (order.iloc[i], table["k"].iloc[i]))]
    ends = ["effect", "low", "high", "p", *right.columns[2:], "null_sd", "n_units"]
    return table[["arm", "k", *ends]].reset_index(drop=True)


def other_table(effects: pd.DataFrame) -> pd.DataFrame:
    """Return the overall effects on every measure but the primary: ``measure`` + `overall_table`."""
    parts = []
    for measure in sorted(set(effects["measure"]) - {PRIMARY, ""}):
        part = overall_table(effects, measure)
        part.insert(0, "measure", measure)
        parts.append(part)
    empty = overall_table(effects).iloc[:0].assign(measure="")
    return pd.concat(parts, ignore_index=True) if parts else empty


def prompt_table(run: Run) -> pd.DataFrame:
    """Return one row a prompt, the strongest targeted effect first.

    Columns ``prompt_id, prompt, family, role, effect, low, high, p, naive, verdict, reason``.
    """
    table = run.prompts[list(COLUMNS["prompts.csv"])].copy()
    for name, design in zip(("", "naive_"), run.designs, strict=True):
        rows = main_arm_rows(run.effects, design).drop_duplicates("prompt_id")
        rows = rows.set_index("prompt_id")
        columns = {"effect": "estimate", "low": "low", "high": "high", "p": "p_value"}
        for column, source in columns.items():
            table[name + column] = table["prompt_id"].map(rows[source])
    verdicts = run.verdicts.drop_duplicates("prompt_id").set_index("prompt_id")
    spelt = verdicts["verdict"].str.replace(r"[-_]", " ", regex=True)
    table["verdict"] = table["prompt_id"].map(spelt).fillna("")
    table["reason"] = table["prompt_id"].map(verdicts["reason"]).fillna("")
    return table.sort_values("effect", ascending=False, kind="stable").reset_index(drop=True)


def main_arm(effects: pd.DataFrame) -> str:
    """Return the arm whose removal is in question: targeted, or the first that there is."""
    rows = effects[effects["measure"] == PRIMARY]
    return min(set(rows["arm"]) or {"targeted"}, key=arm_order)


def main_arm_rows(effects: pd.DataFrame, design: str) -> pd.DataFrame:
    """Return the rows of single prompts for the arm in question, on the primary measure."""
    return effects[
        (effects["design"] == design)
        & (effects["arm"] == main_arm(effects))
        & (effects["prompt_id"] != "")
        & (effects["measure"] == PRIMARY)
    ]


def verdict_counts(verdicts: pd.DataFrame) -> dict[str, int]:
    """Return how many prompts have each verdict, in the order of `VERDICTS`; others follow."""
    spelt = verdicts["verdict"].str.replace(r"[-_]", " ", regex=True)
    counts = {str(name): int(n) for name, n in spelt.value_counts(sort=False).items()}
    if not counts:
        return {}
    return {name: counts.pop(name, 0) for name in VERDICTS} | dict(sorted(counts.items()))


# Numbers in words -------------------------------------------------------------------------------


def number(value: float, digits: int | None = None) -> str:
    """Return a number for people: true minus sign, — for NaN, ∞; two figures unless told."""
    if value is None or math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if digits is None:
        digits = 2 if abs(value) >= 0.1 or value == 0 else 3 if abs(value) >= 0.01 else 4
    text = f"{value:.{digits}f}"
    return (text[1:] if float(text) == 0 and text[0] == "-" else text).replace("-", "−")


def interval(low: float, high: float, digits: int | None = None) -> str:
    """Return an interval for people; an end that is infinite or missing leaves it open."""
    if not math.isfinite(low) and not math.isfinite(high):
        return "—"
    if not math.isfinite(high):
        return f"{number(low, digits)} or more"
    if not math.isfinite(low):
        return f"{number(high, digits)} or less"
    joint = " to " if low < 0 or high < 0 else "–"
    return number(low, digits) + joint + number(high, digits)


def p_value(p: float) -> str:
    """Return ``p = …`` with as many figures as it deserves, or nothing."""
    if math.isnan(p):
        return ""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.{4 if p < 0.001 else 3 if p < 0.01 else 2}f}"


def _uncertainty(low: float, high: float, p: float, level: str = "") -> str:
    ends = interval(low, high)
    parts = [f"{level}{ends}" if ends != "—" else "", p_value(p)]
    inside = ", ".join(part for part in parts if part)
    return f" ({inside})" if inside else ""


def _by_chance(low: float, high: float, p: float) -> bool:
    """Whether chance alone could do it: p above 5 %, or, without a p, an interval around zero."""
    return p > 0.05 if not math.isnan(p) else not (low > 0 or high < 0)


def answer(effects: pd.DataFrame, verdicts: pd.DataFrame | None = None) -> str:
    """Return what the run found, in plain words with its uncertainty.

    Parameters
    ----------
    effects : DataFrame
        The run's ``results/effects.parquet``.
    verdicts : DataFrame, optional
        The run's ``results/verdicts.parquet``; adds a sentence that counts them.
    """
    table = overall_table(effects)
    measured = table[table["effect"].notna()]
    if measured.empty:
        return "This run measured no overall effect, so it has no answer."
    main = measured[measured["arm"] == measured["arm"].iloc[0]].iloc[-1]
    same_size = (measured["k"] == main["k"]) | measured["k"].isna() | math.isnan(main["k"])
    controls = measured[(measured["arm"] != main["arm"]) & same_size]
    way = "worse" if main["effect"] >= 0 else "better"
    first = (
        f"Models trained without {arm_words(main['arm'], main['k'])} are "
        f"{number(abs(main['effect']))} bits/token {way} at its pictures"
        + _uncertainty(main["low"], main["high"], main["p"], "95 % interval ")
        + (", which chance alone could do" if _by_chance(*main[["low", "high", "p"]]) else "")
    )
    others = [
        f"without {arm_words(row.arm, row.k)}, {number(row.effect)}"
        + (f" ({p_value(row.p)})" if p_value(row.p) else "")
        for row in controls.itertuples()
        if row.arm != "reseed"
    ]
    sentences = ["; ".join([first, *others]) + ".", _naive_sentence(main, controls)]
    if designs(effects)[0] == "before-after":
        sentences.append("This rests on one pair of models and holds for that pair only.")
    counts = verdict_counts(verdicts) if verdicts is not None else {}
    if counts:
        listed = ", ".join(f"{n} {name}" for name, n in counts.items())
        sentences.append(f"Of {sum(counts.values())} prompts: {listed}.")
    return " ".join(sentence for sentence in sentences if sentence)


def _naive_sentence(main: pd.Series, controls: pd.DataFrame) -> str:
    """Set the naive figures beside the answer; say so where random removal does as much."""
    if math.isnan(main["naive"]):
        return ""
    rows = controls[controls["arm"].str.startswith("random") & controls["naive"].notna()]
    start = "The naive figure, against the model that drew the pictures, says "
    if rows.empty:
        return f"{start}{number(main['naive'])}."
    random = float(rows["naive"].iloc[0])
    share = random / main["naive"] if main["naive"] > 0 else 0.0
    why = ": mere retraining" if share > 0.8 else ": mostly retraining" if share > 0.5 else ""
    return f"{start}{number(main['naive'])} and, for random ones, {number(random)}{why}."


def warnings(run: Run) -> list[str]:
    """Return what a reader must know before believing the run; the gravest first."""
    quality, found = run.meta.get("quality"), []
    if not isinstance(quality, dict):
        found.append("The generator's quality was not tested, so it may not draw what it is asked.")
    elif not quality.get("passed", False):
        found.append(
            "The generator is weak: it did not pass the quality gate. What training images do to "
            "pictures that do not show what was asked for means little."
        )
    found += [str(text) for text in run.meta.get("warnings") or []]
    queries = int((run.prompts["role"] != "control").sum())
    if queries < FEW_PROMPTS:
        found.append(f"Few prompts ({queries}): an overall figure may not carry over to others.")
    found.append(
        "The autoencoder and the tokenizer are frozen, shared by all models, and saw the removed "
        "images; what those images taught them is not part of the effects."
    )
    return found


# Markdown ---------------------------------------------------------------------------------------


def markdown(run: Run) -> str:
    """Return the run's tables as one Markdown page."""
    prompts = prompt_table(run)
    parts = [
        f"# {_cell(run.meta.get('name') or run.folder.name)}",
        answer(run.effects, run.verdicts),
        "\n".join(f"- {_cell(text)}" for text in warnings(run)),
        "## Overall effect, bits per image token (positive: worse without)",
        _markdown_table(
            ("Without", "k", "Effect", "95 % interval", "p", "Naive", "Naive interval"),
            overall_rows(overall_table(run.effects)),
        ),
    ]
    others = other_table(run.effects)
    if len(others):
        parts += [
            "## Other measures",
            _markdown_table(("Measure", "Without", "k", "Effect", "Interval", "p"), other_rows(others)),
        ]
    parts += [
        "## Each prompt",
        _markdown_table(
            ("Prompt", "Effect", "95 % interval", "p", "Naive", "Verdict"), prompt_rows(prompts)
        ),
    ]
    return "\n\n".join(parts) + "\n"


def overall_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return `overall_table` as text."""
    return [
        (
            *(r.arm, _size(r.k), number(r.effect, 3), interval(r.low, r.high, 3)),
            *(_bare_p(r.p), number(r.naive, 3), interval(r.naive_low, r.naive_high, 3)),
        )
        for r in table.itertuples()
    ]


def other_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return `other_table` as text."""
    return [
        (
            *(r.measure.replace("_", " "), r.arm, _size(r.k)),
            *(number(r.effect, 4), interval(r.low, r.high, 4), _bare_p(r.p)),
        )
        for r in table.itertuples()
    ]


def prompt_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return `prompt_table` as text."""
    return [
        (
            *(r.prompt, number(r.effect, 3), interval(r.low, r.high, 3)),
            *(_bare_p(r.p), number(r.naive_effect, 3), r.verdict or "—"),
        )
        for r in table.itertuples()
    ]


def _size(k: float) -> str:
    return "—" if math.isnan(k) else f"{k:g}"


def _bare_p(p: float) -> str:
    return p_value(p).removeprefix("p = ").removeprefix("p ") or "—"


def _cell(text: Any) -> str:
    """Return text that Markdown and the HTML inside it leave alone."""
    flat = " ".join(str(text).split())
    for special in "\\`*_|[]":
        flat = flat.replace(special, "\\" + special)
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _markdown_table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    words = {"Without", "Measure", "Prompt", "Verdict"}
    rule = ["---" if head in words else "---:" for head in heads]
    lines = [heads, rule, *[[_cell(cell) for cell in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
