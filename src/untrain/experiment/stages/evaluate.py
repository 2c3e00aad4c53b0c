"""The stage ``evaluate``: measure every model; effects, verdicts and tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.files import write_json
from untrain.core.progress import track
from untrain.core.tables import MEASURES, VERDICTS
from untrain.core.vocabulary import SAMPLER, Arm, Design, Measure, Role, is_targeted
from untrain.counterfactual import design
from untrain.counterfactual.design import Assignment
from untrain.evaluation import measures as ms
from untrain.evaluation.before_after import before_after_effects
from untrain.evaluation.effects import Effects, group_effects, trial_effects
from untrain.evaluation.measurement import primary
from untrain.evaluation.model_measures import ModelMeasures, Pairs
from untrain.evaluation.side_effects import nearest_prompts, specificity_effects, utility_effects
from untrain.evaluation.study_table import before_after_cosines, study_table
from untrain.evaluation.summary import Findings, removed_share, summarise
from untrain.evaluation.trust import doubts_about, withhold
from untrain.evaluation.verdicts import verdicts
from untrain.experiment.stages.base import Stage, encoder_identity, section
from untrain.generators.base import Generator, has_likelihood
from untrain.runs.queries import read_queries, read_redrawn, read_references
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP
from untrain.runs.trial import read_assignment
from untrain.settings.sections import Evaluation


def settings(run: Run) -> Any:
    """Return the settings of the statistics, the margin, the encoder and the held-out pairs."""
    statistics = {**section(run, "evaluation"), "margin": run.margin}
    return [statistics, encoder_identity(run.config.encoder), run.held_out.fingerprint]


def evaluate(run: Run) -> None:
    """Write ``results/``: measures, effects, groups, verdicts, the study's tables, a summary."""
    run.trainer.prepare()
    folder, forget_sets, first = run.folder, run.table("forget_sets"), run.config.removal.k[0]
    models = run.table("models")
    primary_sets = primary_sets_of(forget_sets, first)
    measures = _measure(run, models, primary_sets)
    run.keep("results/measures", measures)
    sets = design.forget_set_table(forget_sets)
    assignment = read_assignment(folder)
    seed, asked = run.config.seed, run.config.evaluation
    if run.config.design.kind == Design.BEFORE_AFTER:
        found = before_after_findings(measures, run.prompts, asked, seed)
    else:
        found = trial_findings(
            measures, sets, assignment, run.prompts, asked, run.margin, first, seed
        )
    for note in found.notes:
        run.warn(note)
    doubts = doubts_about(run.record.get("quality"), found.effects, asked.alpha)
    found = replace(found, verdicts=withhold(found.verdicts, found.effects, doubts))
    for name in ("effects", "groups", "verdicts"):
        run.keep(f"results/{name}", getattr(found, name))
    for name, naive in (("similarity_results", False), ("similarity_results_naive", True)):
        table = study_results(measures, run.prompts, primary_sets, assignment, naive)
        run.keep(f"results/{name}", table)
    share = removed_share(forget_sets, run.table("removals"), models, len(run.catalog))
    roles = run.prompts.set_index("prompt_id")["role"]
    about = {
        "name": run.config.name,
        "design": run.config.design.kind,
        "paired": run.paired,
        "together": run.config.removal.together,
        "k": list(run.config.removal.k),
        "models": len(models),
        "copies": run.record.get("copies"),
        "quality": run.record.get("quality"),
    }
    summary = summarise(found, roles, run.unit, asked.alpha, share, doubts)
    write_json(run.path("results", "summary.json"), about | summary)


def _measure(run: Run, models: pd.DataFrame, primary_sets: pd.DataFrame) -> pd.DataFrame:
    """Return every measure of every model, one row each."""
    folder, queries = run.folder, read_queries(run.folder)
    prompt_ids = list(run.prompts["prompt_id"])
    held_out, removed = None, {}
    if has_likelihood(run.generator):
        held_out = pairs_of(run.generator, run.held_out) if len(run.held_out) else None
        removed = {
            str(prompt_id): pairs_of(run.generator, run.catalog, list(of_prompt["image_id"]))
            for prompt_id, of_prompt in primary_sets.groupby("prompt_id", sort=False)
        }
    references = dict(zip(prompt_ids, read_references(folder, prompt_ids), strict=True))
    measured = ModelMeasures(queries, references, run.encoder, held_out, removed)
    rows: list[ms.Row] = []
    for name, path in track(
        list(zip(models["model_id"], models["path"], strict=True)), "measuring", len(models)
    ):
        model = run.trainer.load(path)
        if name == SAMPLER:
            rows += measured.of_sampler(name, model)
        else:
            rows += measured.of_model(name, model, read_redrawn(folder, name, queries))
    return MEASURES.of(rows)


def primary_sets_of(forget_sets: pd.DataFrame, first: int) -> pd.DataFrame:
    """Return the rows of each query's set of the first size, and of each control's family."""
    targeted = (forget_sets["arm"] == Arm.TARGETED) & (forget_sets["k"] == first)
    return forget_sets[targeted | (forget_sets["arm"] == Arm.FAMILY)]


def pairs_of(generator: Generator, catalog: Catalog, ids: list[str] | None = None) -> Pairs:
    """Return pairs of a catalogue, all of them unless ``ids`` are given, as a generator reads them.

    Its frozen parts must be prepared.
    """
    if ids is None:
        return Pairs(generator.encode(catalog.pixels(generator.image_size)), catalog.captions)
    samples = generator.encode(catalog.pixels(generator.image_size, ids))
    return Pairs(samples, [catalog.captions[catalog.index[i]] for i in ids])


def before_after_findings(
    measures: pd.DataFrame, prompts: pd.DataFrame, asked: Evaluation, seed: int
) -> Findings:
    """Return effects, effects by group and no verdicts."""
    # No model of this design is trained without a control's own set, so controls are left out.
    controls = set(prompts[prompts["role"] == Role.CONTROL]["prompt_id"])
    estimate = partial(before_after_effects, draws=asked.draws, seed=seed)
    effects: Effects = estimate(measures[~measures["prompt_id"].isin(controls)])
    groups = group_effects(estimate, measures, _groups(prompts), primary(measures))
    return Findings(effects.table, groups, VERDICTS.empty(), effects.notes)


def trial_findings(
    measures: pd.DataFrame,
    sets: pd.DataFrame,
    assignment: Assignment,
    prompts: pd.DataFrame,
    asked: Evaluation,
    margin: float | None,
    first: int,
    seed: int,
) -> Findings:
    """Return effects (including other prompts and held-out pairs), those by group, and verdicts."""
    draws = asked.draws
    estimate = partial(trial_effects, sets=sets, assignment=assignment, draws=draws, seed=seed)
    own: Effects = estimate(measures)
    texts = dict(zip(prompts["prompt_id"], prompts["prompt"], strict=True))
    nearest = nearest_prompts(texts)
    others = specificity_effects(measures, sets, assignment, nearest, draws, seed)
    held_out = utility_effects(measures, sets, assignment, draws, seed)
    judge = partial(verdicts, own.table, asked.alpha, margin, measure=primary(own.table))
    return Findings(
        effects=pd.concat([own.table, others, held_out], ignore_index=True),
        groups=group_effects(estimate, measures, _groups(prompts), primary(measures)),
        verdicts=_judged(judge, sets, first),
        notes=own.notes,
    )


def _judged(judge: Callable[..., pd.DataFrame], sets: pd.DataFrame, first: int) -> pd.DataFrame:
    """Return verdicts on the targeted sets of the first size and on the families of controls.

    Where several rankings have sets each, the table says whose verdict it is.
    """
    chosen = [arm for arm in sets["arm"].unique() if is_targeted(arm) and arm != Arm.TARGETED]
    found = {Arm.TARGETED: judge(k=first), Arm.FAMILY: judge(arm=Arm.FAMILY)}
    found |= {arm: judge(arm=arm, k=first) for arm in chosen}
    if chosen:
        found = {arm: table.assign(arm=str(arm)) for arm, table in found.items()}
    return pd.concat(list(found.values()), ignore_index=True)


def _groups(prompts: pd.DataFrame) -> dict[str, str]:
    """Return by prompt whether it is the caption of a training image; controls are left out."""
    asked = prompts[prompts["role"] == Role.QUERY]
    words = ["seen" if seen else "new" for seen in asked["seen"]]
    return dict(zip(asked["prompt_id"], words, strict=True))


def study_results(
    measures: pd.DataFrame,
    prompts: pd.DataFrame,
    primary_sets: pd.DataFrame,
    assignment: Assignment,
    naive: bool,
) -> pd.DataFrame:
    """Return the study's table; if naive, "before" uses A's own pictures, as the study did.

    The reference picture is A's. See `untrain.evaluation.study_table.before_after_cosines`.
    """
    cosine = measures[measures["measure"] == Measure.REFERENCE_COSINE].rename(
        columns={"value": "cosine"}
    )
    asked = prompts[prompts["role"] == Role.QUERY]
    texts = dict(zip(asked["prompt_id"], asked["prompt"], strict=True))
    own = cosine[cosine["model_id"] == SAMPLER]
    if not assignment.is_random:
        before, after = (cosine[cosine["model_id"] == m] for m in ("full", "targeted"))
        return study_table(own if naive else before, after, texts)
    targeted = primary_sets[primary_sets["arm"] == Arm.TARGETED]
    # Where rankings share images, a prompt's set is several forget sets: the largest stands for it.
    sizes = targeted.groupby(["prompt_id", "forget_set_id"])["image_id"].transform("size")
    order = targeted.assign(size=sizes).sort_values("size", ascending=False, kind="stable")
    largest = order.groupby("prompt_id")["forget_set_id"].transform("first")
    sets = order[order["forget_set_id"] == largest].drop_duplicates("prompt_id").sort_index()
    before, after = before_after_cosines(cosine, sets, assignment)
    texts = {p: text for p, text in texts.items() if p in set(sets["prompt_id"])}
    return study_table(own if naive else before, after, texts)


STAGE = Stage(
    name="evaluate",
    help=STAGE_HELP["evaluate"],
    work=evaluate,
    settings=settings,
    after=("judge", "regenerate"),
    outputs=("results/measures.parquet", "results/effects.parquet", "results/summary.json"),
    others=(
        *("results/groups.parquet", "results/verdicts.parquet"),
        *("results/similarity_results.csv", "results/similarity_results_naive.csv"),
        "pictures/with-and-without.png",
    ),
)
