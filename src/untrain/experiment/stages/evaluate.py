"""The stage that measures every model and turns measures into effects, verdicts and tables."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import write_json, write_parquet, write_text
from untrain.core.notes import Note
from untrain.core.progress import track
from untrain.counterfactual import design
from untrain.counterfactual.design import SAMPLER
from untrain.encoders.base import Encoder
from untrain.evaluation import measures as ms
from untrain.evaluation.before_after import before_after_effects
from untrain.evaluation.effects import group_effects, trial_effects
from untrain.evaluation.measurement import BITS, primary
from untrain.evaluation.side_effects import (
    ANY_SET,
    NEAREST,
    OTHERS,
    nearest_prompts,
    specificity_effects,
    utility_effects,
)
from untrain.evaluation.study_table import study_table
from untrain.evaluation.verdicts import COLUMNS as VERDICT_COLUMNS
from untrain.evaluation.verdicts import verdicts
from untrain.experiment.stages import stages
from untrain.generators.base import has_likelihood
from untrain.runs.pictures import read_picture
from untrain.runs.run import Run
from untrain.training import models as bank


def evaluate(run: Run) -> None:
    """Measure all models, estimate the effects, judge the queries and write ``results/``."""
    stages.prepare(run)
    drawn = stages.assignment(run)
    if design.removals(drawn).to_dict("list") != run.table("removals").to_dict("list"):
        raise InputError(
            f"the models of {run.folder} were trained by another design, perhaps of an older "
            "untrain: train them anew with `untrain retrain … --again`"
        )
    table = _measure(run)
    write_parquet(run.path("results", "measures.parquet"), table)
    before_after = run.config.design.kind == "before-after"
    results = _before_after(run, table) if before_after else _trial(run, table, drawn)
    for warning in results["effects"].attrs.get("warnings", ()):
        run.warn(Note("prompt-left-out", warning))
    for name, found in results.items():
        write_parquet(run.path("results", f"{name}.parquet"), found)
    for name, naive in (("similarity_results", False), ("similarity_results_naive", True)):
        study = _study(run, table, drawn, naive)
        write_text(run.path("results", f"{name}.csv"), study.to_csv(index=False))
    _summarise(run, **results)


def _before_after(run: Run, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return effects, effects by group and no verdicts."""
    # A control's own set is out in no model of this design: it has nothing to say here.
    controls = set(run.prompts[run.prompts["role"] == "control"]["prompt_id"])
    draws = run.config.evaluation.draws
    estimate = partial(before_after_effects, draws=draws, seed=run.config.seed)
    return {
        "effects": estimate(table[~table["prompt_id"].isin(controls)]),
        "groups": group_effects(estimate, table, _groups(run), primary(table)),
        "verdicts": pd.DataFrame(columns=VERDICT_COLUMNS),
    }


def _trial(run: Run, table: pd.DataFrame, drawn: design.Assignment) -> dict[str, pd.DataFrame]:
    """Return effects (on other prompts and held-out pairs, too), those by group, and verdicts."""
    settings = run.config.evaluation
    units = design.units_of(run.table("forget_sets"))
    draws, seed = settings.draws, run.config.seed
    estimate = partial(trial_effects, units=units, assignment=drawn, draws=draws, seed=seed)
    own = estimate(table)
    texts = dict(zip(run.prompts["prompt_id"], run.prompts["prompt"], strict=True))
    nearest = nearest_prompts(texts)
    others = specificity_effects(table, units, drawn, nearest, draws, seed)
    held_out = utility_effects(table, units, drawn, draws, seed)
    effects = _stacked([own, others, held_out])
    effects.attrs = own.attrs
    judge = partial(verdicts, own, settings.alpha, run.margin, measure=primary(own))
    return {
        "effects": effects,
        "groups": group_effects(estimate, table, _groups(run), primary(table)),
        "verdicts": _stacked([judge(k=run.config.removal.k[0]), judge(arm="family")]),
    }


def _stacked(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return tables under one another; an empty one has no types to spoil the others'."""
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def _groups(run: Run) -> dict[str, str]:
    """Return by prompt whether it is the caption of a training image; controls are left out."""
    asked = run.prompts[run.prompts["role"] == "query"]
    words = ["seen" if seen else "new" for seen in asked["seen"]]
    return dict(zip(asked["prompt_id"], words, strict=True))


def _measure(run: Run) -> pd.DataFrame:
    """Return every measure of every model, one row each."""
    keys = stages.query_keys(run)
    text = dict(zip(run.prompts["prompt_id"], run.prompts["prompt"], strict=True))
    samples_of = stages.read_queries(run)
    samples = np.stack([samples_of[f"{p}/{g}"] for p, g in keys])
    prompts = [text[p] for p, _ in keys]
    encoder = run.encoder
    originals = _pictures(run, run.path("queries"), keys)
    features = encoder.encode(list(originals))
    reference = _reference_features(run, encoder, keys)
    likely = has_likelihood(run.generator)
    removed = _removed_pairs(run) if likely else {}
    models = run.table("models")
    rows: list = []
    for model in track(list(models.itertuples()), "measuring", len(models)):
        generator = bank.load_model(run, str(model.path))
        name = str(model.model_id)
        if likely:
            surprise = ms.Surprise(generator.log_likelihood, generator.unit)
            rows += surprise.rows(name, keys, samples, prompts)
            if len(run.held_out):
                held = generator.encode(run.held_out.pixels(generator.image_size))
                rows.append(surprise.mean_row(name, "", held, run.held_out.captions, "heldout"))
            for prompt_id, (pairs, captions) in removed.items():
                rows.append(surprise.mean_row(name, prompt_id, pairs, captions, "removed"))
        if name == SAMPLER:  # its own pictures: what the study holds the new ones against
            cosines = ms.cosine_rows(reference, features)
            rows += [(name, *key, "reference_cosine", float(v)) for key, v in zip(keys, cosines)]  # noqa: B905
            again_features = features
        else:
            again = _pictures(run, run.path("generations", name), keys)
            again_features = encoder.encode(list(again))
            rows += ms.deviation_rows(
                name, keys, originals, again, features, again_features, reference
            )
        if not likely:
            rows += ms.dissimilarity_rows(name, keys, features, again_features)
    return ms.table(rows)


def _pictures(run: Run, folder: Path, keys: list[tuple[str, int]]) -> np.ndarray:
    return np.stack([read_picture(folder / p / f"{g}.png") for p, g in keys])


def _reference_features(run: Run, encoder: Encoder, keys: list[tuple[str, int]]) -> np.ndarray:
    """Return the features of each query's reference picture."""
    ids = list(run.prompts["prompt_id"])
    pictures = [read_picture(run.path("queries", p, "reference.png")) for p in ids]
    features = dict(zip(ids, encoder.encode(pictures), strict=True))
    return np.stack([features[p] for p, _ in keys])


def _removed_pairs(run: Run) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Return samples and captions of each prompt's primary set: did removal work at all?"""
    sets = run.table("forget_sets")
    primary = (sets["arm"] == "targeted") & (sets["k"] == run.config.removal.k[0])
    own = sets[primary | (sets["arm"] == "family")]
    pairs = {}
    for prompt_id, of_prompt in own.groupby("prompt_id", sort=False):
        ids = list(of_prompt["image_id"])
        samples = run.generator.encode(run.catalog.pixels(run.generator.image_size, ids))
        captions = [run.catalog.captions[run.catalog.index[i]] for i in ids]
        pairs[str(prompt_id)] = (samples, captions)
    return pairs


def _study(run: Run, table: pd.DataFrame, drawn: design.Assignment, naive: bool) -> pd.DataFrame:
    """Return the study's table.

    Under the trial "before" are the pictures of models that had the prompt's set, "after" those of
    models that did not; the reference is A's. Where it is naive, as the study published it,
    "before" are A's own pictures.
    """
    cosine = table[table["measure"] == "reference_cosine"].rename(columns={"value": "cosine"})
    prompts = run.prompts[run.prompts["role"] == "query"]
    wanted = dict(zip(prompts["prompt_id"], prompts["prompt"], strict=True))
    own = cosine[cosine["model_id"] == SAMPLER]
    if run.config.design.kind == "before-after":
        before, after = (cosine[cosine["model_id"] == m] for m in ("full", "targeted"))
        return study_table(own if naive else before, after, wanted)
    units = design.by_row(design.units_of(run.table("forget_sets")), drawn)
    primary = (units["arm"] == "targeted") & (units["k"] == run.config.removal.k[0])
    row = dict(zip(units["prompt_id"][primary], units.index[primary], strict=True))
    column = {m: i for i, m in enumerate(drawn.model_ids)}
    wanted = {p: text for p, text in wanted.items() if p in row}
    cosine = cosine[cosine["prompt_id"].isin(wanted) & (cosine["model_id"] != SAMPLER)]
    out = drawn.out[cosine["prompt_id"].map(row), cosine["model_id"].map(column)]
    return study_table(own if naive else cosine[~out], cosine[out], wanted)


def _summarise(
    run: Run, effects: pd.DataFrame, groups: pd.DataFrame, verdicts: pd.DataFrame
) -> None:
    overall = effects[effects["prompt_id"] == ""]
    names = run.prompts.set_index("prompt_id")["role"]
    of_queries = verdicts[verdicts["prompt_id"].map(names) == "query"]
    controls = verdicts[verdicts["prompt_id"].map(names) == "control"]["verdict"]
    holm = (of_queries["p_holm"] <= run.config.evaluation.alpha).sum()
    removed_share, measure = _removed_share(run), primary(effects)
    of_measure = f"{measure}_bits_per_token" if run.unit == BITS else measure
    side = [words.format(measure) for words in (OTHERS, NEAREST)]
    summary = {
        "name": run.config.name,
        "design": run.config.design.kind,
        "paired": run.paired,
        "together": run.config.removal.together,
        "k": list(run.config.removal.k),
        "models": len(run.table("models")),
        "measure": measure,
        "unit": run.unit,
        f"effects_{of_measure}": _records(overall[overall["measure"] == measure]),
        "effects_of_seen_and_new_prompts": _records(groups),
        "effects_on_other_prompts": _records(overall[overall["measure"].isin(side)]),
        f"heldout_{measure}_per_tenth_removed": _utility(run, overall, removed_share),
        "verdicts": of_queries["verdict"].value_counts().to_dict(),
        "attributable_after_holm": int(holm),
        "control_verdicts": controls.value_counts().to_dict(),
        "random_sets_called_attributable": _false_positives(effects, run.config.evaluation.alpha),
        "copies": run.record.get("copies"),
        "quality": run.record.get("quality"),
        "removed_share": removed_share,
    }
    write_json(run.path("results", "summary.json"), summary)


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.astype(object).replace({np.nan: None}).to_dict("records")


def _utility(run: Run, overall: pd.DataFrame, removed_share: float) -> dict[str, Any] | None:
    """Return how much worse held-out pairs become for each tenth of the data that is removed.

    A line through the models, which lack different shares; the effect of one set is turned into
    that of a tenth by the mean size of a set, in which it is counted. A model lacks half of all.
    """
    found = overall[overall["measure"].str.startswith("heldout_") & (overall["arm"] == ANY_SET)]
    if found.empty:
        return None
    row = found.iloc[0]
    sets = 0.1 * row["n_units"] / (2 * removed_share)
    scaled = {name: row[name] * sets for name in ("estimate", "low", "high")}
    values = {**scaled, "two_sided_p": row["two_sided_p"]}
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def _false_positives(effects: pd.DataFrame, alpha: float) -> dict[str, list[int]]:
    """Return, for each random arm, how many of its sets the verdict's rule would name, of all."""
    random = effects[
        (effects["design"] == "randomised")
        & effects["arm"].str.startswith("random")
        & (effects["measure"] == primary(effects))
        & (effects["prompt_id"] != "")
        & effects["p_value"].notna()
    ]
    named = random["p_value"] <= alpha
    return {
        str(arm): [int(of_arm.sum()), len(of_arm)] for arm, of_arm in named.groupby(random["arm"])
    }


def _removed_share(run: Run) -> float:
    """Return the mean share of the training pairs that a paired model is trained without."""
    sets, removals = run.table("forget_sets"), run.table("removals")
    sizes = sets["forget_set_id"].value_counts()
    total = removals["forget_set_id"].map(sizes).sum()
    models = run.table("models")
    n = (models["model_id"] != SAMPLER).sum()
    return float(total / n / len(run.catalog))
