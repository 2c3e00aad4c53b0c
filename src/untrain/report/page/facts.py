"""What was run, in terms and words: data, models, seeds, time, and what a repetition needs."""

from __future__ import annotations

import math
from typing import Any

from untrain.evaluation import measurement as units
from untrain.report.copies import copy_words
from untrain.report.tables import effects as tables
from untrain.runs.results import SAMPLER, RunResults

CATALOG = {
    "images": "training images",
    "heldout": "held out",
    "skipped": "skipped",
    "duplicate_groups": "groups of copies",
}


def facts(run: RunResults) -> list[tuple[str, str]]:
    """Return what was run, as terms and what they were."""
    controls = int((run.prompts["role"] == "control").sum())
    prompts = f"{len(run.prompts) - controls}"
    found = [
        ("Data", _data(run.meta.get("catalog") or {})),
        ("Prompts", prompts + (f", and {controls} controls" if controls else "")),
        ("Models", _models(run)),
        ("Seeds", "" if run.given else _inline(run.meta.get("seeds"))),
        ("Ranking", str((run.config.get("ranking") or {}).get("method") or "")),
        ("Copy test", copy_words(run)),
        ("Quality gate", _quality(run.meta.get("quality"))),
        ("Utility", _utility(run)),
        ("Time", duration(sum(_seconds(run).values()))),
    ]
    return [(term, text) for term, text in found if text]


def explained(run: RunResults) -> list[tuple[str, str]]:
    """Return the words of the page that a reader may not know, as terms and what they mean."""
    level = (run.config.get("evaluation") or {}).get("alpha", 0.05)
    return [
        units.explained(run.unit),
        (
            "Attributable",
            "Without the images found for it, models are worse at the prompt’s pictures, and "
            f"chance alone would do as much in at most {100 * level:g}\N{NO-BREAK SPACE}% of runs.",
        ),
        ("Not attributable", _ruled_out(run)),
        ("Undecided", "Neither: the run is too small, or its models too noisy, to say."),
        (
            "95\N{NO-BREAK SPACE}% interval, p",
            "Effects that the run does not rule out; and how often chance alone would do as much. "
            "Holm: p made larger because several prompts were tested together.",
        ),
        (
            "Random images",
            "As many images taken out by lot. What they do is what any removal does.",
        ),
        (
            "Positive control",
            "A prompt whose images are known beforehand. The run must find them.",
        ),
        (
            "Naive figure",
            "Against the model that drew the pictures, to which its own come easier than to any "
            "other: it flatters every removal.",
        ),
    ]


def _ruled_out(run: RunResults) -> str:
    """Say which effect is ruled out by the verdict "not attributable"."""
    settings = run.config.get("evaluation") or {}
    margin = run.generator.get("margin", settings.get("margin", 0.1))
    if margin is None:
        return "No prompt of this run: no margin was set (evaluation.margin)."
    size = units.amount(f"{margin:g}", run.unit).replace("/", " per ")
    return f"An effect as large as {size} is ruled out, either way."


def _data(catalog: dict[str, Any]) -> str:
    counts = [
        f"{catalog[key]:,} {words}"
        for key, words in CATALOG.items()
        if isinstance(catalog.get(key), int) and catalog[key] > 0
    ]
    name = str(catalog.get("name", ""))
    return ", ".join([name, *counts] if name else counts)


def _models(run: RunResults) -> str:
    if run.given:
        return f"none: {run.meta['given']} pictures were given"
    paired = [name for name in run.models["model_id"] if name != SAMPLER]
    if not paired:
        return ""
    if tables.designs(run.effects)[0] == "randomised":
        seeds = run.models.loc[run.models["model_id"] != SAMPLER, "seed"].nunique()
        kind = "paired" if seeds == 1 else "unpaired"
        how = f"{len(paired)} {kind} ones, each without a random half of all sets"
    else:
        how = f"{len(paired)} others ({', '.join(paired)})"
    return f"one drew the pictures; effects are between {how}{_removed_share(run, paired)}"


def _removed_share(run: RunResults, paired: list[str]) -> str:
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


def _utility(run: RunResults) -> str:
    """Likelihood of pairs that no model saw."""
    held = run.measures[run.measures["measure"] == f"heldout_{units.measure_of(run.unit)}"]
    paired = held.loc[held["model_id"] != SAMPLER, "value"]
    if paired.empty:
        return ""
    mean = units.amount(f"{paired.mean():.2f}", run.unit)
    return f"{mean} on held-out pairs ({paired.min():.2f}–{paired.max():.2f})"


def details(run: RunResults) -> list[tuple[str, str]]:
    """Return stages, machine, versions and fingerprints, for who wants to repeat the run."""
    stages = {name: duration(seconds) for name, seconds in _seconds(run).items()}
    found = [("Stages", _inline(stages))]
    names = ("machine", "threads", "versions", "fingerprints", "schema_version")
    found += [(name.replace("_", " ").capitalize(), _inline(run.meta.get(name))) for name in names]
    return [(name, text) for name, text in found if text]


def _seconds(run: RunResults) -> dict[str, float]:
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
