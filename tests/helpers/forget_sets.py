"""Forget sets of toy catalogues, and tables as `forget_set_table` returns them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.counterfactual.forget_sets import ForgetSets, build_forget_sets


def targeted_sets(n: int) -> pd.DataFrame:
    """One set for each of n prompts."""
    ids, prompts = [f"u{i}" for i in range(n)], [f"p{i}" for i in range(n)]
    return pd.DataFrame({"forget_set_id": ids, "arm": "targeted", "prompt_id": prompts, "k": 10})


def sets_of(
    n_prompts: int,
    ks: Sequence[int] = (10,),
    arms: Sequence[str] = ("targeted", "random_uniform"),
    draws: int = 1,
) -> pd.DataFrame:
    """Every arm of every prompt, in every size and draw."""
    rows = [
        (f"{arm}/p{i}/k{k}/d{d}", arm, f"p{i}", d, k)
        for arm in arms
        for i in range(n_prompts)
        for k in ks
        for d in range(draws)
    ]
    return pd.DataFrame(rows, columns=["forget_set_id", "arm", "prompt_id", "draw", "k"])


def catalog(n: int, copies: dict[int, int] | None = None, families: int = 0) -> Catalog:
    hashes = [f"h{(copies or {}).get(i, i)}" for i in range(n)]
    attributes = pd.DataFrame(index=range(n))
    if families:
        attributes["family"] = [f"f{i % families:03d}" for i in range(n)]
    return Catalog(
        "toy",
        tuple(f"i{i}" for i in range(n)),
        ("caption",) * n,
        tuple(hashes),
        lambda image_id: b"",
        attributes,
    )


def ranking(**prompts: list[int]) -> pd.DataFrame:
    rows = [
        (p, f"i{image}", rank)
        for p, images in prompts.items()
        for rank, image in enumerate(images, 1)
    ]
    table = pd.DataFrame(rows, columns=["prompt_id", "image_id", "rank"])
    return table.assign(score=-table["rank"].astype(float))


def ids(sets: pd.DataFrame, name: str) -> list[str]:
    return list(sets.loc[sets["forget_set_id"] == name, "image_id"])


def build(table, images, arms=("targeted",), ks=(3,), seed=0, **more):
    return build_all(table, images, arms, ks, seed, **more).table


def build_all(table, images, arms=("targeted",), ks=(3,), seed=0, **more) -> ForgetSets:
    return build_forget_sets(table, table, images, arms, ks, seed, **more)
