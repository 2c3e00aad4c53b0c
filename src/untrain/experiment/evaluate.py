"""The stage that measures every model and turns measures into effects, verdicts and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from untrain.counterfactual import design
from untrain.encoders.base import Encoder
from untrain.errors import InputError
from untrain.evaluation import measures as ms
from untrain.evaluation.effects import before_after_effects, trial_effects
from untrain.evaluation.study_table import study_table
from untrain.evaluation.verdicts import verdicts
from untrain.experiment import bank, stages
from untrain.experiment.run import Run, read_picture
from untrain.files import write_json, write_parquet, write_text
from untrain.progress import track

SAMPLER = stages.SAMPLER


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
    settings = run.config.evaluation
    if run.config.design.kind == "before-after":
        # A control's own set is out in no model of this design: it has nothing to say here.
        controls = set(run.prompts[run.prompts["role"] == "control"]["prompt_id"])
        asked = table[~table["prompt_id"].isin(controls)]
        effects = before_after_effects(asked, settings.draws, run.config.seed)
        judged = pd.DataFrame(columns=["prompt_id", "verdict", "reason"])
    else:
        units = design.units_of(run.table("forget_sets"))
        effects = trial_effects(table, units, drawn, settings.draws, run.config.seed)
        k = run.config.removal.k[0]
        judged = verdicts(effects, settings.alpha, settings.margin, k=k)
        positive = verdicts(effects, settings.alpha, settings.margin, arm="family")
        judged = pd.concat([judged, positive], ignore_index=True)
    for warning in effects.attrs.get("warnings", ()):
        run.warn(warning)
    write_parquet(run.path("results", "effects.parquet"), effects)
    write_parquet(run.path("results", "verdicts.parquet"), judged)
    for name, naive in (("similarity_results", False), ("similarity_results_naive", True)):
        study = _study(run, table, drawn, naive)
        write_text(run.path("results", f"{name}.csv"), study.to_csv(index=False))
    _summarise(run, effects, judged)


def _measure(run: Run) -> pd.DataFrame:
    """Return every measure of every model, one row each."""
    keys = stages.query_keys(run)
    text = dict(zip(run.prompts["prompt_id"], run.prompts["prompt"], strict=True))
    tokens_of = stages.read_queries(run)
    tokens = np.stack([tokens_of[f"{p}/{g}"] for p, g in keys])
    prompts = [text[p] for p, _ in keys]
    encoder = run.encoder
    originals = _pictures(run, run.path("queries"), keys)
    features = encoder.encode(list(originals))
    reference = _reference_features(run, encoder, keys)
    removed = _removed_pairs(run)
    models = run.table("models")
    rows: list = []
    for model in track(list(models.itertuples()), "measuring", len(models)):
        generator = bank.load_model(run, str(model.path))
        name = str(model.model_id)
        rows += ms.nll_rows(name, generator.log_likelihood, keys, tokens, prompts)
        if len(run.held_out):
            held = generator.tokenize(run.held_out.pixels(generator.image_size))
            rows.append(
                ms.mean_nll_row(
                    name, "", generator.log_likelihood, held, run.held_out.captions, "heldout_nll"
                )
            )
        for prompt_id, (pair_tokens, captions) in removed.items():
            rows.append(
                ms.mean_nll_row(
                    name, prompt_id, generator.log_likelihood, pair_tokens, captions, "removed_nll"
                )
            )
        if name == SAMPLER:  # its own pictures: what the study holds the new ones against
            cosines = ms.cosine_rows(reference, features)
            rows += [(name, *key, "reference_cosine", float(v)) for key, v in zip(keys, cosines)]  # noqa: B905
        else:
            again = _pictures(run, run.path("generations", name), keys)
            rows += ms.deviation_rows(
                name, keys, originals, again, features, encoder.encode(list(again)), reference
            )
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
    """Return tokens and captions of each prompt's primary set: did removal work at all?"""
    sets = run.table("forget_sets")
    primary = (sets["arm"] == "targeted") & (sets["k"] == run.config.removal.k[0])
    own = sets[primary | (sets["arm"] == "family")]
    pairs = {}
    for prompt_id, of_prompt in own.groupby("prompt_id", sort=False):
        ids = list(of_prompt["image_id"])
        tokens = run.generator.tokenize(run.catalog.pixels(run.generator.image_size, ids))
        captions = [run.catalog.captions[run.catalog.index[i]] for i in ids]
        pairs[str(prompt_id)] = (tokens, captions)
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
    units = design.units_of(run.table("forget_sets"))
    primary = (units["arm"] == "targeted") & (units["k"] == run.config.removal.k[0])
    row = dict(zip(units["prompt_id"][primary], units.index[primary], strict=True))
    column = {m: i for i, m in enumerate(drawn.model_ids)}
    wanted = {p: text for p, text in wanted.items() if p in row}
    cosine = cosine[cosine["prompt_id"].isin(wanted) & (cosine["model_id"] != SAMPLER)]
    out = drawn.out[cosine["prompt_id"].map(row), cosine["model_id"].map(column)]
    return study_table(own if naive else cosine[~out], cosine[out], wanted)


def _summarise(run: Run, effects: pd.DataFrame, judged: pd.DataFrame) -> None:
    overall = effects[(effects["prompt_id"] == "") & (effects["measure"] == "nll")]
    records = overall.replace({np.nan: None}).to_dict("records")
    names = run.prompts.set_index("prompt_id")["role"]
    queries = judged[judged["prompt_id"].map(names) == "query"]["verdict"]
    controls = judged[judged["prompt_id"].map(names) == "control"]["verdict"]
    summary = {
        "name": run.config.name,
        "design": run.config.design.kind,
        "k": list(run.config.removal.k),
        "models": len(run.table("models")),
        "effects_nll_bits_per_token": records,
        "verdicts": queries.value_counts().to_dict(),
        "control_verdicts": controls.value_counts().to_dict(),
        "random_sets_called_attributable": _false_positives(effects, run.config.evaluation.alpha),
        "copies": run.record.get("copies"),
        "quality": run.record.get("quality"),
        "removed_share": _removed_share(run),
    }
    write_json(run.path("results", "summary.json"), summary)


def _false_positives(effects: pd.DataFrame, alpha: float) -> dict[str, list[int]]:
    """Return, for each random arm, how many of its sets the verdict's rule would name, of all."""
    random = effects[
        (effects["design"] == "randomised")
        & effects["arm"].str.startswith("random")
        & (effects["measure"] == "nll")
        & (effects["prompt_id"] != "")
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
