"""A plan in words: lines of a label and what belongs to it."""

from __future__ import annotations

import math

from untrain.evaluation import power
from untrain.evaluation.measurement import amount
from untrain.experiment.plan import Plan, in_words
from untrain.experiment.plan_power import AS_GIVEN, AS_IN_DEMO, Noise, Power

Line = tuple[str, str]


def plan_lines(plan: Plan) -> list[Line]:
    """Return a plan as (label, value) lines."""
    if plan.given_pictures:
        return [
            ("training pairs", f"{plan.training_pairs}"),
            ("pictures", f"{plan.given_pictures} given, for {plan.queries} prompts"),
            ("trainings", "none: there is no model to train, so no counterfactual is made"),
        ]
    each = plan.seconds_per_model
    share = plan.removed_images / plan.training_pairs
    megabytes = f"about {plan.bytes_on_disk / 1e6:.0f} MB in {plan.folder}"
    return [
        ("training pairs", f"{plan.training_pairs} ({plan.held_out} held out)"),
        ("prompts", f"{plan.queries} and {plan.controls} positive controls"),
        ("model", plan.model),
        ("precision", plan.precision_reason),
        (
            "trainings",
            f"1 + {plan.models - 1}, {plan.workers} at a time, "
            + ("of unknown length" if each is None else f"each {in_words(each)}"),
        ),
        (
            "forget sets",
            f"{plan.forget_sets}, {plan.removed_images} images ({share:.1%} of the data)"
            + (", those of all prompts together" if plan.together else ""),
        ),
        ("time", _time(plan)),
        ("disk", megabytes + (", models not counted" if each is None else "")),
        *_power_lines(plan),
    ]


def _time(plan: Plan) -> str:
    if plan.seconds is None:
        return "unknown: the generator does not say what a training costs (its method `cost`)"
    first = plan.seconds_of_frozen_parts
    parts = f" ({in_words(first)} of it the frozen parts)" if first else ""
    return f"about {in_words(plan.seconds)} of training{parts}"


def _power_lines(plan: Plan) -> list[Line]:
    if plan.power:
        return power_lines(plan.power)
    if plan.design != "randomised":
        return [("power", "unknown: one pair of models says nothing about its own luck")]
    return [
        ("power", f"unknown until a run in this unit ({plan.unit}) is done, or --noise is given")
    ]


def power_lines(found: Power) -> list[Line]:
    """Return the power of a trial as (label, value) lines."""
    models, queries, unit = found.models, found.queries, found.unit
    one, mean = (_effect(size, models, unit) for size in (found.detectable, found.detectable_mean))
    lines = [
        (
            "power",
            f"{one} in one query, or {mean} on average over {queries} prompts, is found with "
            f"{power.POWER:.0%} (noise between models {found.noise.sd:.2f}, "
            f"{_source(found.noise, found.paired)}; --noise)",
        ),
    ]
    if found.margin is not None:
        lines.append(
            (
                "verdicts",
                "a query that nothing moves is called not attributable (within "
                f"±{found.margin:g}) with {found.not_attributable:.0%}; to find an effect as large "
                f"as the margin takes {found.models_for_margin} models for one query, "
                f"{found.models_for_margin_mean} for the average",
            )
        )
    if not found.paired:
        lines.append(("pairing", "none: each model has a seed of its own, so that noise is larger"))
    if found.models_for_holm > models:
        words = f"with {models} models no single query can stay attributable over {queries} prompts"
        lines.append(("Holm", f"{words}; {found.models_for_holm} can"))
    return lines


def _effect(size: float, models: int, unit: str) -> str:
    if math.isinf(size):
        return f"no effect at all (with {models} models p cannot be small enough)"
    return f"an effect of {amount(f'{size:.2f}', unit)}"


def _source(noise: Noise, paired: bool) -> str:
    """Return whose noise it is."""
    if noise.source == AS_GIVEN:
        return "as given"
    if noise.source == AS_IN_DEMO:
        return "as in the demo" + ("" if paired else ", whose models are paired: too little")
    runs = "the finished run" if noise.runs == 1 else f"{noise.runs} finished runs"
    return f"as in {runs} beside it"
