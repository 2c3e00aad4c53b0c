"""A finished run whose effects are sums of known weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.search.rank.metric_table import nearness, with_metrics

METRICS = [
    *("pixel_mse", "pixel_mae", "pixel_cosine", "feature_cosine", "feature_kl"),
]

TRUE = {"pixel_mse": 0.3, "feature_cosine": 0.1, "text_tfidf": 0.2}

INTERCEPT = 0.05


def make_run(
    folder: Path, prompts: int = 12, seed: int = 0, noise: float = 0.0, measure: str = "nll"
) -> Path:
    """Write what a finished run leaves; effects are sums of ``TRUE`` over the sets' images."""
    random = np.random.default_rng(seed)
    names = [f"p{n:02d}" for n in range(prompts)]
    ids = [f"i{n:02d}" for n in range(20)]
    index = pd.MultiIndex.from_product(
        [names, range(2), ids], names=["prompt_id", "generation", "image_id"]
    )
    values = random.random((len(index), len(METRICS)))
    comparison = pd.DataFrame(values, index, METRICS).reset_index()
    retrieval = comparison.loc[comparison["generation"] == 0, ["prompt_id", "image_id"]].copy()
    retrieval["score"] = random.random(len(retrieval))
    retrieval["rank"] = 1
    z = nearness(with_metrics(comparison, retrieval, list(TRUE)), list(TRUE))
    single = INTERCEPT + (z * pd.Series(TRUE)).sum(axis=1)
    sets, effects = [], []
    for name in names:
        shuffled = list(random.permutation(ids))
        for arm, members in (
            ("targeted", {4: shuffled[:4], 10: shuffled[4:10]}),
            ("random_candidate", {4: shuffled[10:14]}),
            ("random_uniform", {4: ["far away", "farther", *shuffled[:2]]}),
        ):
            total = 0.0
            for k, of_k in members.items():
                sets += [(f"{arm}/{name}/k{k}", arm, name, 0, k, image) for image in of_k]
                total += float(single.reindex([(name, i) for i in of_k]).fillna(9.0).sum())
                estimate = total + noise * random.normal()
                effects.append(("randomised", arm, name, measure, estimate, k))
        effects.append(("naive", "targeted", name, measure, 99.0, 4))
    effects.append(("randomised", "targeted", None, measure, 99.0, 4))
    (folder / "results").mkdir(parents=True)
    comparison.to_parquet(folder / "comparison.parquet")
    retrieval.to_parquet(folder / "retrieval.parquet")
    columns = "forget_set_id arm prompt_id draw k image_id"
    table = pd.DataFrame(sets, columns=columns.split()).assign(reason="rank")
    table.to_parquet(folder / "forget_sets.parquet")
    columns = "design arm prompt_id measure effect k"
    table = pd.DataFrame(effects, columns=columns.split())
    table.to_parquet(folder / "results" / "effects.parquet")
    texts = pd.DataFrame({"prompt_id": names, "prompt": [f"{seed} {n}" for n in names]})
    texts.assign(family=None, role="query").to_csv(folder / "prompts.csv", index=False)
    record: dict = {
        "name": folder.name,
        "stages": {},
        "fingerprints": {"catalog": "0123456789abcdef"},
    }
    record["generator"] = {"unit": "bits/token" if measure == "nll" else measure}
    (folder / "run.json").write_text(json.dumps(record))
    return folder
