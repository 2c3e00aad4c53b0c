"""Tables of the pages that are written whole from the stored data."""

from __future__ import annotations

import pandas as pd

from stored_tables import DATA, MINUS
from untrain.core.files import read_json


def demo() -> str:
    """Return the table of the README: effects of the demo of seed 0."""
    found = {row["arm"]: row for row in read_json(DATA / "demo.json")["effects"]}
    rows = {
        "targeted": "the 10 images found for the prompt",
        "random_uniform": "10 random images",
        "family": "the whole family (positive control)",
    }
    lines = [
        "| models trained without | worse at the picture by (bits/token) | 95 % interval | p |",
        "|---|---|---|---|",
    ]
    for arm, label in rows.items():
        row = found[arm]
        interval = f"{signed(row['low'], 2)} to {signed(row['high'], 2)}"
        lines.append(
            f"| {label} | {signed(row['effect'], 2)} | {interval} | {p_of(row['p_value'])} |"
        )
    return "\n".join(lines)


def fresh_seeds() -> str:
    """Return the table of the README: the range of effects over ten seeds."""
    table = pd.read_csv(DATA / "demo-seeds.csv")
    lines = [
        "| models trained without | effect over seeds (bits/token) | p (one-sided unless stated) |",
        "|---|---|---|",
    ]
    for arm, label, places in (
        ("targeted", "the 10 images found for a prompt", 1),
        ("random_uniform", "10 random images", 2),
        ("family", "the prompt's whole family (positive control)", 1),
    ):
        if arm == "random_uniform":
            count = int((table[f"{arm}_two_sided_p"] > 0.05).sum())
            p = f"above 0.05 (two-sided) in {count} of {len(table)}"
        else:
            highest = table[f"{arm}_p"].max()
            p = f"{p_of(highest)} in {int((table[f'{arm}_p'] <= highest).sum())} of {len(table)}"
        low, high = (signed(end, places) for end in (table[arm].min(), table[arm].max()))
        lines.append(f"| {label} | {low} to {high} | {p} |")
    return "\n".join(lines)


def seeds() -> str:
    """Return the table of the demo on ten seeds."""
    import repeat_demo

    return repeat_demo.markdown(pd.read_csv(DATA / "demo-seeds.csv"))


def ten_sets() -> str:
    """Return both tables of the study's ten prompt sets."""
    import prompt_sets

    rows = pd.read_csv(DATA / "ten-sets.csv").to_dict("records")
    known = [{k: v for k, v in row.items() if not pd.isna(v)} for row in rows]
    return prompt_sets.markdown(known)


def copies() -> str:
    """Return the page of the copy detector, from what the package ships."""
    import copies_tables
    from untrain.search.copy_detector import measured

    return copies_tables.page(measured())


def unlearning(part: str) -> str:
    """Return the curve of the methods, and their table by the kind of set, of one part."""
    from ladder_tables import GOAL, by_kind, curve

    table = pd.read_csv(DATA / f"unlearning-{part}.csv")
    table["kind"] = table["kind"].astype(object).where(table["kind"].notna(), None)
    return "\n".join([*curve(table), "", *by_kind(table, GOAL)])


def installed() -> str:
    """Return the table of what an installed base weighs."""
    import distribution

    return distribution.table(read_json(DATA / "wheel.json"))


def signed(value: float, places: int) -> str:
    """Return a number with a minus sign as people write it."""
    return f"{value:.{places}f}".replace("-", MINUS)


def p_of(value: float) -> str:
    """Return a p-value: four places where it is small, else two."""
    return f"{value:.4f}" if value < 0.001 else f"{value:.2f}"
