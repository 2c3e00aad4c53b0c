"""Forget sets of several rankings for the same prompts: shared images, nested sizes, conflicts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.forget_sets import build_all, catalog, ids, ranking
from untrain.counterfactual.design import forget_set_table

OTHER = "targeted:dtrak"
SHARED = f"targeted+{OTHER}"


def build(first: pd.DataFrame, second: pd.DataFrame, n: int = 60, **more: object) -> pd.DataFrame:
    arms = more.pop("arms", ["targeted", OTHER])
    images = more.pop("images", None) or catalog(n)
    return build_all(first, images, arms=arms, further={OTHER: second}, **more).table


def of_arm(sets: pd.DataFrame, arm: str, k: int) -> set[str]:
    return set(sets.loc[(sets["arm"] == arm) & (sets["k"] <= k), "image_id"])


def test_each_arm_has_the_top_of_its_ranking_and_shared_images_are_a_set_of_their_own() -> None:
    sets = build(ranking(p01=[1, 2, 3, 4]), ranking(p01=[3, 7, 1, 8]))
    assert of_arm(sets, "targeted", 3) == {"i1", "i2", "i3"}
    assert of_arm(sets, OTHER, 3) == {"i3", "i7", "i1"}
    assert ids(sets, "targeted/p01/k3") == ["i2"]
    assert ids(sets, f"{OTHER}/p01/k3") == ["i7"]
    shared = sets[sets["forget_set_id"] == f"{SHARED}/p01/k3"]
    assert shared["image_id"].tolist() == ["i1", "i3", "i3", "i1"]
    assert shared["arm"].tolist() == ["targeted"] * 2 + [OTHER] * 2
    assert shared["rank"].tolist() == [1, 3, 1, 3]


def test_the_smallest_size_decides_with_which_set_an_image_goes() -> None:
    """i3 is among the first two of one ranking and the first four of the other."""
    sets = build(ranking(p01=[1, 2, 3, 4]), ranking(p01=[3, 9, 1, 4]), ks=(2, 4))
    names = sets.groupby("forget_set_id", sort=False)["image_id"].agg(set).to_dict()
    assert names == {
        "targeted/p01/k2": {"i1", "i2"},
        f"{OTHER}/p01/k2": {"i3", "i9"},
        f"{SHARED}/p01/k4": {"i4"},
    }
    table = forget_set_table(sets).set_index(["forget_set_id", "arm", "k"])
    assert table.loc[("targeted/p01/k2", OTHER, 4), ["images", "size", "share"]].tolist() == [
        *(1, 2, 0.5)
    ]
    assert table.loc[("targeted/p01/k2", "targeted", 2), "share"] == 1
    assert table.loc[(f"{SHARED}/p01/k4", OTHER, 4), "share"] == 1


def test_prompts_give_way_to_each_other_across_rankings() -> None:
    """The second ranking of p02 has i1 higher than any ranking of p01."""
    first = ranking(p01=[9, 1, 2, 3], p02=[20, 21, 22])
    second = ranking(p01=[10, 11, 12], p02=[1, 31, 32])
    sets = build(first, second, ks=(2,))
    assert of_arm(sets[sets["prompt_id"] == "p02"], OTHER, 2) == {"i1", "i31"}
    own = sets[(sets["prompt_id"] == "p01") & (sets["arm"] == "targeted")]
    assert own["image_id"].tolist() == ["i9", "i2"]
    assert "rank 3 (rank 2 went to p02)" in set(own["reason"])


def test_copies_are_shared_whole() -> None:
    images = catalog(40, copies={30: 2})
    sets = build(ranking(p01=[2, 5, 6]), ranking(p01=[30, 7, 8]), images=images, ks=(2,))
    shared = sets[sets["forget_set_id"] == f"{SHARED}/p01/k2"]
    assert shared.groupby("arm")["image_id"].agg(set).to_dict() == {
        "targeted": {"i2", "i30"},
        OTHER: {"i2", "i30"},
    }


def test_random_sets_avoid_the_images_of_all_rankings() -> None:
    arms = ["targeted", OTHER, "random_uniform", "random_candidate"]
    sets = build(ranking(p01=[1, 2, 3, 4, 5, 6]), ranking(p01=[4, 5, 9]), n=20, arms=arms, ks=(2,))
    chosen = of_arm(sets, "targeted", 2) | of_arm(sets, OTHER, 2)
    for arm in ("random_uniform", "random_candidate"):
        assert len(of_arm(sets, arm, 2)) == 2
        assert not of_arm(sets, arm, 2) & chosen


def test_one_ranking_is_as_before() -> None:
    table = ranking(p01=list(range(20)), p02=list(range(5, 25)))
    arms = ["targeted", "random_uniform", "least_similar"]
    one = build_all(table, catalog(90), arms=arms, ks=(3, 6)).table
    two = build_all(table, catalog(90), arms=arms, ks=(3, 6), further={}).table
    pd.testing.assert_frame_equal(one, two)
    whole = forget_set_table(one)
    assert (whole["share"] == 1).all() and (whole["images"] == whole["size"]).all()


def test_sets_of_all_prompts_together_keep_their_shared_images_apart() -> None:
    first, second = ranking(p01=[1, 2], p02=[5, 6]), ranking(p01=[2, 3], p02=[7, 8])
    sets = build(first, second, ks=(2,), together=True)
    names = sets.groupby("forget_set_id", sort=False)["image_id"].agg(set).to_dict()
    assert names[f"{SHARED}/all/k2"] == {"i2"}
    assert names["targeted/all/k2"] == {"i1", "i5", "i6"}
    table = forget_set_table(sets)
    assert (table["share"] == 1).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([(2,), (2, 5), (1, 3, 6)]))
def test_forget_sets_stay_disjoint_and_arms_keep_their_sizes(
    seed: int, prompts: int, ks: tuple[int, ...]
) -> None:
    generator = np.random.default_rng(seed)
    n = 60
    tables = [
        ranking(**{f"p{i:02d}": generator.permutation(n).tolist() for i in range(prompts)})
        for _ in range(2)
    ]
    sets = build(*tables, n=n, ks=ks)
    units = sets[["forget_set_id", "image_id"]].drop_duplicates()
    assert not units["image_id"].duplicated().any()
    sizes = sets.groupby(["arm", "prompt_id"]).size()
    assert (sizes == ks[-1]).all() and len(sizes) == 2 * prompts
    table = forget_set_table(sets)
    at_first = table[table["k"] == ks[0]]
    assert (at_first["share"] == 1).all()
    assert (table["share"] <= 1).all()


def test_an_unknown_arm_is_still_refused() -> None:
    with pytest.raises(Exception, match="unknown arm"):
        build(ranking(p01=[1, 2, 3]), ranking(p01=[1, 2, 3]), arms=["targeted", "targetd:x"])
