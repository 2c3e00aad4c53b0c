"""The report of a finished run: one HTML file that needs no network, tables and figures."""

from __future__ import annotations

import base64
import hashlib
import math
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from untrain.files import write_text
from untrain.report import tables
from untrain.report.cards import Pictures, missing_pictures, prompt_cards
from untrain.report.copies import copy_warnings, copy_words
from untrain.report.figures import Plot, figures
from untrain.report.folder import SAMPLER, Run, read_run
from untrain.report.groups import group_rows
from untrain.report.markdown import markdown

CATALOG = {
    "images": "training images",
    "heldout": "held out",
    "skipped": "skipped",
    "duplicate_groups": "groups of copies",
}


def write_report(run: Path) -> Path:
    """Write ``report.html``, ``results/summary.md`` and ``results/figures/`` of a run.

    Parameters
    ----------
    run : Path
        The folder of a finished run; nothing else is read.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    InputError
        If the folder does not hold a finished run.
    """
    data = read_run(Path(run))
    plots = figures(data)
    for plot in plots:
        write_text(data.folder / "results" / "figures" / f"{plot.name}.svg", plot.svg)
    write_text(data.folder / "results" / "summary.md", markdown(data))
    page = data.folder / "report.html"
    write_text(page, render(data, plots))
    return page


def render(run: Run, plots: list[Plot]) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader("untrain", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    package = resources.files("untrain.report")
    script = package.joinpath("report.js").read_text(encoding="utf-8")
    pictures = Pictures()
    cards = prompt_cards(run, pictures)
    prompts = tables.prompt_table(run)
    queries, controls = tables.split_controls(run.effects, run.verdicts)
    return environment.get_template("report.html.j2").render(
        title=run.meta.get("name") or run.folder.name,
        style=Markup(package.joinpath("report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        answer=_tied(tables.answer(run.effects, run.verdicts)),
        warnings=tables.warnings(run) + copy_warnings(run) + missing_pictures(cards, pictures),
        verdicts=tables.verdict_counts(queries),
        controls=tables.verdict_counts(controls),
        known=tables.VERDICTS,
        design=tables.designs(run.effects)[0],
        overall=tables.overall_rows(tables.overall_table(run.effects)) + group_rows(run.groups),
        others=tables.other_rows(tables.other_table(run.effects)),
        prompts=list(zip(prompts["prompt_id"], tables.prompt_rows(prompts), strict=True)),
        plots=[(plot, Markup(plot.inline)) for plot in plots],
        facts=facts(run),
        details=details(run),
        cards=cards,
    )


def _tied(text: str) -> str:
    """Keep a p and a unit on the line of its number."""
    tied = text.replace("p = ", "p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    return tied.replace(" bits/token", "\N{NO-BREAK SPACE}bits/token")


def facts(run: Run) -> list[tuple[str, str]]:
    """Return what was run, as terms and what they were."""
    controls = int((run.prompts["role"] == "control").sum())
    prompts = f"{len(run.prompts) - controls}"
    found = [
        ("Data", _data(run.meta.get("catalog") or {})),
        ("Prompts", prompts + (f", and {controls} controls" if controls else "")),
        ("Models", _models(run)),
        ("Seeds", _inline(run.meta.get("seeds"))),
        ("Ranking", str((run.config.get("ranking") or {}).get("method") or "")),
        ("Copy test", copy_words(run.meta)),
        ("Quality gate", _quality(run.meta.get("quality"))),
        ("Utility", _utility(run)),
        ("Time", duration(sum(_seconds(run).values()))),
    ]
    return [(term, text) for term, text in found if text]


def _data(catalog: dict[str, Any]) -> str:
    counts = [
        f"{catalog[key]:,} {words}"
        for key, words in CATALOG.items()
        if isinstance(catalog.get(key), int) and catalog[key] > 0
    ]
    name = str(catalog.get("name", ""))
    return ", ".join([name, *counts] if name else counts)


def _models(run: Run) -> str:
    paired = [name for name in run.models["model_id"] if name != SAMPLER]
    if not paired:
        return ""
    if tables.designs(run.effects)[0] == "randomised":
        how = f"{len(paired)} paired ones, each without a random half of all sets"
    else:
        how = f"{len(paired)} others ({', '.join(paired)})"
    return f"one drew the pictures; effects are between {how}{_removed_share(run, paired)}"


def _removed_share(run: Run, paired: list[str]) -> str:
    """How much of the data a paired model lacks, on average."""
    images = (run.meta.get("catalog") or {}).get("images")
    if not images or run.removals.empty:
        return ""
    sizes = run.forget_sets["forget_set_id"].value_counts()
    lacking = run.removals["forget_set_id"].map(sizes).sum() / len(paired)
    return f" ({lacking / images:.1%} of the images are out of a model)"


def _quality(quality: Any) -> str:
    if not isinstance(quality, dict):
        return "not tested"
    passed = "passed" if quality.get("passed") else "not passed"
    rest = {key: value for key, value in quality.items() if key not in ("passed", "summary")}
    return f"{passed}: {quality.get('summary') or _inline(rest)}"


def _utility(run: Run) -> str:
    """Likelihood of pairs that no model saw."""
    held = run.measures[run.measures["measure"] == "heldout_nll"]
    paired = held.loc[held["model_id"] != SAMPLER, "value"]
    if paired.empty:
        return ""
    return (
        f"{paired.mean():.2f} bits/token on held-out pairs ({paired.min():.2f}–{paired.max():.2f})"
    )


def details(run: Run) -> list[tuple[str, str]]:
    """Return stages, machine, versions and fingerprints, for who wants to repeat the run."""
    stages = {name: duration(seconds) for name, seconds in _seconds(run).items()}
    found = [("Stages", _inline(stages))]
    names = ("machine", "threads", "versions", "fingerprints", "schema_version")
    found += [(name.replace("_", " ").capitalize(), _inline(run.meta.get(name))) for name in names]
    return [(name, text) for name, text in found if text]


def _seconds(run: Run) -> dict[str, float]:
    """Seconds of each stage that has ended."""
    stages = run.meta.get("stages") or {}
    known = {name: stage.get("seconds") for name, stage in stages.items()}
    return {name: float(s) for name, s in known.items() if s is not None and math.isfinite(s)}


def _inline(values: Any) -> str:
    if not isinstance(values, dict):
        return "" if values is None else str(values)
    shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in values.items()}
    return ", ".join(f"{str(key).replace('_', ' ')} {value}" for key, value in shown.items())


def duration(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
