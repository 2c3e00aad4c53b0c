"""A plan: what a run would cost and what it could find, in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from untrain.core.notebook import facts_html
from untrain.evaluation import power
from untrain.evaluation.measurement import BITS, amount
from untrain.experiment.plan_memory import Memory
from untrain.experiment.plan_power import AS_GIVEN, AS_IN_DEMO, ModelNoise, Power

Line = tuple[str, str]


@dataclass(frozen=True)
class Plan:
    """What a run would cost, and what it could find.

    Attributes
    ----------
    name, folder : str
        Of the run.
    training_pairs, held_out : int
    given_pictures : int
        Finished pictures instead of a model; 0 if a model is trained. If they are given, nothing is
        trained and everything below except ``queries`` is 0 or None.
    queries, controls : int
        Prompts of each role.
    model : str
        The generator, for people.
    precision : str or None
        The precision of training; None where the generator's class decides.
    precision_reason : str
        Why.
    models : int
        Models to train, including model A.
    workers : int
        How many at a time.
    seconds_per_model, seconds_of_frozen_parts : float or None
        None where the generator does not say.
    seconds : float or None
        All training.
    forget_sets, removed_images : int
        Forget sets, and the different images in them.
    together : bool
        Whether the sets of all prompts are removed as one.
    bytes_on_disk : int
        What the run folder will take, without models if their size is unknown.
    memory : Memory or None
        Peak memory of all processes; None if nothing is trained.
    power : Power or None
        Which effects the trial would find; None where that is unknown.
    design : str
    unit : str
        Of the primary measure.
    """

    name: str
    folder: str
    training_pairs: int
    held_out: int
    given_pictures: int
    queries: int
    controls: int
    model: str
    precision: str | None
    precision_reason: str
    models: int
    workers: int
    seconds_per_model: float | None
    seconds_of_frozen_parts: float | None
    seconds: float | None
    forget_sets: int
    removed_images: int
    together: bool
    bytes_on_disk: int
    memory: Memory | None
    power: Power | None
    design: str
    unit: str

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values; an effect that no trial of this size finds is None."""
        values = asdict(self)
        if self.power:
            values["power"] = {name: _finite(value) for name, value in values["power"].items()}
        return values

    def lines(self) -> list[Line]:
        """Return the plan in words, as (label, value) lines."""
        return _lines(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the plan in words."""
        return facts_html(self.lines())

    def __str__(self) -> str:
        width = max(len(label) for label, _ in self.lines())
        return "\n".join(f"{label:<{width}}  {value}" for label, value in self.lines())


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(plan: Plan) -> list[Line]:
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
        ("prompts", f"{plan.queries} and {_controls(plan.controls)}"),
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
            + (", all prompts together" if plan.together else ""),
        ),
        ("time", _time(plan)),
        ("disk", megabytes + (", models not counted" if each is None else "")),
        *_memory_lines(plan.memory),
        *_power_lines(plan),
    ]


def _controls(count: int) -> str:
    """Say how many positive controls there are, and what there being none means."""
    if count:
        return f"{count} positive controls"
    return (
        "no positive control: that nothing is found may then mean that nothing could be. Add some "
        "with data.plant"
    )


def _memory_lines(memory: Memory | None) -> list[Line]:
    if memory is None:
        return []
    told = f"at most about {memory.bytes / 2**30:.1f} GiB, in the stage {memory.stage}"
    if memory.bytes_on_gpu is not None:
        told += f"; {memory.bytes_on_gpu / 2**30:.1f} GiB of the GPU"
    return [("memory", told + ("" if memory.complete else ", activations not counted"))]


def _time(plan: Plan) -> str:
    if plan.seconds is None:
        return "unknown: the generator does not say what training costs (its method `cost`)"
    first = plan.seconds_of_frozen_parts
    parts = f" ({in_words(first)} of it the frozen parts)" if first else ""
    return f"about {in_words(plan.seconds)} of training{parts}"


def _power_lines(plan: Plan) -> list[Line]:
    if plan.power:
        return power_lines(plan.power)
    if plan.design != "randomised":
        return [("power", "unknown: the noise cannot be estimated from one pair of models")]
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
                f"{_not_attributable(found)}; to find an effect as large "
                f"as the margin takes {found.models_for_margin} models for one query, "
                f"{found.models_for_margin_mean} for the average",
            )
        )
    if unit == BITS:
        lines.insert(1, ("to expect", _to_expect(found)))
    if not found.paired:
        lines.append(("pairing", "none: each model has its own seed, so the noise is larger"))
    if found.models_for_holm > models:
        words = (
            f"with {models} models no single query can remain attributable over {queries} prompts"
        )
        lines.append(("Holm", f"{words}; {found.models_for_holm} can"))
    return lines


def _not_attributable(found: Power) -> str:
    """Say how probable the verdict is where there is no effect, and what it would take."""
    assert found.margin is not None and found.not_attributable is not None
    within = f"not attributable (within ±{found.margin:g})"
    needed = power.models_for_equivalence(found.margin, found.noise.sd)
    if found.not_attributable >= 0.005:
        told = f"a query without any effect is called {within} with {found.not_attributable:.0%}"
        return (
            told if found.models >= needed else f"{told}; with {needed} models, {power.POWER:.0%}"
        )
    return (
        f"{within} is impossible with this design, even for a query without any effect: it takes "
        f"about {needed} models for {power.POWER:.0%}"
    )


def _to_expect(found: Power) -> str:
    """Hold what can be found on average against what ten images did in experiments of before."""
    parts = []
    for where, effect in power.MEASURED.items():
        told = "would be found"
        if effect < found.detectable_mean:
            needed = power.needed_models(effect, found.noise.sd, found.queries)
            told = f"may well be missed: it takes about {needed} models"
        parts.append(f"{amount(f'{effect:g}', found.unit)} on {where} ({told})")
    return "ten images found for a prompt did " + "; ".join(parts)


def _effect(size: float, models: int, unit: str) -> str:
    if math.isinf(size):
        return f"no effect at all (with {models} models p cannot be small enough)"
    return f"an effect of {amount(f'{size:.2f}', unit)}"


def _source(noise: ModelNoise, paired: bool) -> str:
    """Return where the noise comes from."""
    if noise.source == AS_GIVEN:
        return "as given"
    if noise.source == AS_IN_DEMO:
        return "as in the demo" + ("" if paired else ", whose models are paired: too little")
    runs = "the finished run" if noise.runs == 1 else f"{noise.runs} finished runs"
    return f"as in {runs} in the same folder"


def in_words(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
