"""Tables of forget sets, as `untrain.counterfactual.design.forget_set_table` returns them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


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
