"""What was run: data, models, seeds, time, and what reproducing it needs."""

from __future__ import annotations

import math
from typing import Any

from untrain.core.vocabulary import SAMPLER
from untrain.evaluation import measurement as units
from untrain.report.copies import copy_words
from untrain.report.quality import gate_facts
from untrain.report.ranking import ranking_name, rankings_beside
from untrain.report.tables import effects as tables
from untrain.runs.results import RunResults

CATALOG = {
    "images": "training images",
    "heldout": "held out",
    "skipped": "skipped",
    "duplicate_groups": "groups of copies",
}


def trial_facts(run: RunResults) -> list[tuple[str, str]]:
    """Return what a trial was made of, as terms and their values."""
    own = [
        ("Models", _models(run)),
        ("Seeds", _inline(run.meta.get("seeds"))),
        *gate_facts(run.meta.get("quality")),
        ("Utility", _utility(run)),
    ]
    return _known([*_searched(run), *own, ("Time", duration(sum(_seconds(run).values())))])


def given_facts(run: RunResults) -> list[tuple[str, str]]:
    """Return what a run of given pictures searched, as terms and their values."""
    own = [
        ("Pictures", f"{run.meta['given']} given; no model was trained"),
        *gate_facts(run.meta.get("quality")),
    ]
    return _known([*_searched(run), *own, ("Time", duration(sum(_seconds(run).values())))])


def _searched(run: RunResults) -> list[tuple[str, str]]:
    controls = int((run.prompts["role"] == "control").sum())
    prompts = f"{len(run.prompts) - controls}"
    return [
        ("Data", _data(run.meta.get("catalog") or {})),
        ("Prompts", prompts + (f", and {controls} controls" if controls else "")),
        ("Ranking", ", ".join(filter(None, (ranking_name(run), *rankings_beside(run))))),
        ("Copy test", copy_words(run)),
    ]


def _known(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(term, text) for term, text in found if text]


def explained(run: RunResults) -> list[tuple[str, str]]:
    """Return the terms of the page that a reader may not know, with what they mean."""
    return [
        units.explained(run.unit),
        (
            "Attributable",
            "Without the images found for it, models are worse at the prompt’s pictures. If those "
            "images had no effect, a run would say so in at most "
            f"{100 * run.alpha:g}\N{NO-BREAK SPACE}% of cases.",
        ),
        ("Not attributable", _ruled_out(run)),
        ("Undecided", "Neither: the run is too small, or its models too noisy, to tell."),
        (
            "95\N{NO-BREAK SPACE}% interval, p",
            "The interval holds the effects that the run does not rule out; p is how often a "
            "re-drawn random assignment gives an effect this large. Holm: p adjusted for testing "
            "several prompts at once.",
        ),
        (
            "Random images",
            "As many images, removed at random: the effect of any removal of this size.",
        ),
        (
            "Positive control",
            "A prompt whose images are known to matter. A run that misses it can detect nothing.",
        ),
        (
            "Quality gate",
            "A judge learned from real pictures, by the encoder’s features, to tell what they "
            "show. Generated ones pass if it finds in them what was asked for at least "
            "85\N{NO-BREAK SPACE}% as often as in real ones of the same kinds. Where it is not "
            "sure it does not answer; it must answer for generated pictures at least three times "
            "where it answers for real ones four times. Without such names a probe tells for which "
            "of two prompts a picture was drawn, by the training images of their captions.",
        ),
        (
            "Naive figure",
            "Compared with the model that drew the pictures, which finds its own pictures easier "
            "than any other model does: every removal looks harmful.",
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
    paired = [name for name in run.models["model_id"] if name != SAMPLER]
    if not paired:
        return ""
    if tables.designs(run.effects)[0] == "randomised":
        seeds = run.models.loc[run.models["model_id"] != SAMPLER, "seed"].nunique()
        kind = "paired" if seeds == 1 else "unpaired"
        how = f"{len(paired)} {kind} models, each trained without a random half of all sets"
    else:
        how = f"{len(paired)} others ({', '.join(paired)})"
    return f"one drew the pictures; effects compare {how}{_removed_share(run, paired)}"


def _removed_share(run: RunResults, paired: list[str]) -> str:
    """How much of the data a paired model lacks, on average."""
    images = (run.meta.get("catalog") or {}).get("images")
    if not images or run.removals.empty:
        return ""
    sizes = run.forget_sets.groupby("forget_set_id")["image_id"].nunique()
    lacking = run.removals["forget_set_id"].map(sizes).sum() / len(paired)
    return f" ({lacking / images:.1%} of the images on average)"


def _utility(run: RunResults) -> str:
    """Likelihood of pairs that no model saw."""
    held = run.measures[run.measures["measure"] == f"heldout_{units.measure_of(run.unit)}"]
    paired = held.loc[held["model_id"] != SAMPLER, "value"]
    if paired.empty:
        return ""
    mean = units.amount(f"{paired.mean():.2f}", run.unit)
    return f"{mean} on held-out pairs ({paired.min():.2f}–{paired.max():.2f})"


def details(run: RunResults) -> list[tuple[str, str]]:
    """Return stages, machine, versions and fingerprints: what reproducing the run needs."""
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
