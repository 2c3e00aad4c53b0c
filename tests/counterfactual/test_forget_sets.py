import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.forget_sets import build, build_all, catalog, ids, ranking
from untrain.core.errors import InputError
from untrain.counterfactual.arms import ARMS


def test_targeted_is_the_top_of_the_ranking():
    sets = build(ranking(p01=[5, 3, 8, 1, 0]), catalog(20))
    assert ids(sets, "targeted/p01/k3") == ["i5", "i3", "i8"]
    assert list(sets["reason"]) == ["rank 1", "rank 2", "rank 3"]
    assert list(sets["rank"]) == [1, 2, 3]


def test_a_contested_image_goes_to_who_ranks_it_higher_and_the_other_continues():
    sets = build(ranking(p01=[1, 2, 3, 4, 5], p02=[3, 9, 1, 10, 11]), catalog(20))
    assert ids(sets, "targeted/p01/k3") == ["i1", "i2", "i4"]
    assert ids(sets, "targeted/p02/k3") == ["i3", "i9", "i10"]
    assert "rank 4 (rank 3 went to p02)" in set(sets["reason"])


def test_ties_go_to_the_prompt_that_comes_first():
    sets = build(ranking(p02=[1, 2, 3, 4], p01=[1, 5, 6, 7]), catalog(20))
    assert "i1" in ids(sets, "targeted/p02/k3") and "i1" not in ids(sets, "targeted/p01/k3")


def test_copies_leave_together_and_controls_match_the_size():
    images = catalog(60, copies={40: 2})
    arms = ["targeted", "random_uniform", "random_candidate", "least_similar"]
    sets = build(ranking(p01=[0, 1, 2, *range(3, 30)]), images, arms)
    assert ids(sets, "targeted/p01/k3") == ["i0", "i1", "i2", "i40"]
    copy = sets[sets["image_id"] == "i40"].iloc[0]
    assert copy["reason"] == "copy of i2" and pd.isna(copy["rank"])
    assert set(sets["arm"].value_counts()) == {4}
    assert ids(sets, "least_similar/p01/k3") == ["i29", "i28", "i27", "i26"]


def near(*groups: str, chained: bool = False) -> pd.DataFrame:
    """Groups whose images are near copies of the first, or each of the one before."""
    rows = []
    for g, group in enumerate(groups):
        names = group.split()
        rows.append((g, names[0], "exact", "", 0, 1.0))
        for n, i in enumerate(names[1:], start=1):
            rows.append((g, i, "near", names[n - 1 if chained else 0], 2 * n, 1 - n / 100))
    columns = ["group", "image_id", "kind", "copy_of", "hash_distance", "cosine"]
    return pd.DataFrame(rows, columns=columns)


def test_near_copies_leave_together_and_say_why():
    images = catalog(60, copies={41: 40})  # 41 has the bytes of 40
    groups = near("i2 i40 i41 i50", "i30 i31")
    sets = build(ranking(p01=[0, 1, 40, 30, 4, 5]), images, copies=groups)
    assert ids(sets, "targeted/p01/k3") == ["i0", "i1", "i40", "i2", "i41", "i50"]
    reason = dict(zip(sets["image_id"], sets["reason"], strict=True))
    assert reason["i41"] == "copy of i40"
    assert reason["i2"] == "near copy of i40 (2 of 64 hash bits, cosine 0.990)"
    assert reason["i50"] == "near copy of i2 (6 of 64 hash bits, cosine 0.970), and so of i40"
    sets = build(ranking(p01=[30, 2, 1, 4]), images, copies=groups)
    reason = dict(zip(sets["image_id"], sets["reason"], strict=True))
    assert reason["i50"] == "near copy of i2 (6 of 64 hash bits, cosine 0.970)"
    assert list(reason) == ["i30", "i31", "i2", "i40", "i41", "i50"]


def test_copies_of_copies_leave_too_and_say_how_they_hang_together():
    groups = near("i2 i40 i50 i55", chained=True)
    for asked, reasons in (
        (2, {40: "i2 (2 of", 50: "i40 (4 of", 55: "i50 (6 of"}),
        (50, {2: "i50 (by way of i40)", 40: "i50 (4 of", 55: "i50 (6 of"}),
        (40, {2: "i40 (2 of", 50: "i40 (4 of", 55: "i50 (6 of"}),
    ):
        sets = build(ranking(p01=[asked, 7, 8]), catalog(60), ks=(1,), copies=groups)
        reason = dict(zip(sets["image_id"], sets["reason"], strict=True))
        assert set(reason) == {"i2", "i40", "i50", "i55"}
        for i, start in reasons.items():
            assert reason[f"i{i}"].startswith(f"near copy of {start}")
            assert reason[f"i{i}"].endswith(f", and so of i{asked}") == (f"i{asked}" not in start)


def test_random_sets_are_closed_under_near_copies_too():
    groups = near(*(f"i{n} i{n + 40}" for n in range(20)))
    arms = ["targeted", "random_uniform", "random_candidate", "least_similar"]
    sets = build(ranking(p01=[*range(30)]), catalog(80), arms, ks=(4,), copies=groups)
    set_of = dict(zip(sets["image_id"], sets["forget_set_id"], strict=True))
    for _, group in groups.groupby("group"):
        assert len({set_of.get(i) for i in group["image_id"]}) == 1
    assert set(sets["arm"].value_counts()) == {4}


def test_no_groups_and_none_are_the_same():
    table, images = ranking(p01=[0, 1, 2, 3]), catalog(20, copies={9: 1})
    pd.testing.assert_frame_equal(build(table, images), build(table, images, copies=near()))
    with pytest.raises(InputError, match="groups of copies hold image 'i99'"):
        build(table, images, copies=near("i1 i99"))


def test_nested_sizes_are_increments():
    sets = build(ranking(p01=list(range(8))), catalog(30, copies={20: 1}), ks=[2, 5])
    assert ids(sets, "targeted/p01/k2") == ["i0", "i1", "i20"]  # 20 is a copy of 1
    assert ids(sets, "targeted/p01/k5") == ["i2", "i3"]  # five in all


def test_family_prompts_have_the_family_arm_alone():
    sets = build(
        ranking(p01=[0, 1, 2, 3, 4], c01=[0, 1, 2, 3]),
        catalog(60, families=10),
        ["targeted", "random_uniform", "family"],
        families={"c01": "f000"},
    )
    control = sets[sets["prompt_id"] == "c01"]
    assert set(control["arm"]) == {"family"}
    assert set(control["image_id"]) == {f"i{i}" for i in range(0, 60, 10)}
    assert set(control["reason"]) == {"family f000"}
    assert ids(sets, "targeted/p01/k3") == ["i1", "i2", "i3"]  # the family took image 0 first
    assert "rank 4 (rank 1 went to c01)" in set(sets["reason"])


def test_a_users_list_is_one_set_with_its_copies():
    images = catalog(60, copies={30: 7})
    sets = build(ranking(p01=[7, 1, 2, 3]), images, ["ids", "targeted"], user_ids=["i7", "i9"])
    assert sets.loc[sets["arm"] == "ids", "image_id"].tolist() == ["i7", "i30", "i9"]
    assert set(sets.loc[sets["arm"] == "ids", "forget_set_id"]) == {"ids/k3"}
    assert ids(sets, "targeted/p01/k3") == ["i1", "i2", "i3"]


def test_a_list_needs_no_ranking():
    nothing = ranking().reindex(columns=["prompt_id", "image_id", "rank", "score"])
    sets = build(nothing, catalog(9), ["ids"], user_ids=["i4"])
    assert sets["image_id"].tolist() == ["i4"] and sets["reason"].tolist() == ["listed"]


def test_draws_are_disjoint_and_named():
    sets = build(ranking(p01=list(range(10))), catalog(60), ["random_uniform"], draws=3)
    assert set(sets["forget_set_id"]) == {f"random_uniform/p01/k3/d{d}" for d in range(3)}
    assert sets["image_id"].is_unique and set(sets["draw"]) == {0, 1, 2}


def test_short_candidates_are_taken_and_reported():
    sets = build_all(ranking(p01=[0, 1, 2, 3]), catalog(60), ["targeted", "random_candidate"])
    assert ids(sets.table, "random_candidate/p01/k3") == ["i3"]
    (note,) = sets.notes
    assert note.code == "forget-set-short" and note.about == ("random_candidate/p01/k3",)
    assert "holds 1 of 3" in note.text


def test_a_set_that_went_to_others_is_reported():
    sets = build_all(ranking(p01=[1, 2, 3, 4], p02=[1, 2, 7, 3, 5, 6]), catalog(60))
    (note,) = sets.notes
    assert note.code == "forget-set-displaced" and "targeted/p02/k3: 2 of its 3" in note.text


def test_many_sets_that_went_to_others_are_one_note():
    same = {f"p{n:02d}": list(range(40)) for n in range(6)}
    (note,) = build_all(ranking(**same), catalog(60)).notes
    assert note.code == "forget-set-displaced" and len(note.about) >= 4
    assert note.text.startswith(f"most images of {len(note.about)} of 6 sets (targeted/p0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ks": (30,)}, "30 images are to be removed.*has 20"),
        ({"ks": (0,)}, "at least 1"),
        ({"ks": ()}, "at least 1"),
        ({"arms": ("targetted",)}, "did you mean 'targeted'"),
        ({"arms": ("ids",), "user_ids": ["i2", "i99"]}, "'i99'.*not in toy"),
        ({"arms": ("ids",)}, "needs a list"),
        ({"arms": ("family",), "families": {"p01": "f01"}}, "did you mean 'f001'"),
        ({"arms": ("family",)}, "0 such prompts"),
    ],
)
def test_mistakes_are_explained(change, message):
    with pytest.raises(InputError, match=message):
        build(ranking(p01=[0, 1, 2, 3]), catalog(20, families=5), **change)


def test_a_ranking_of_another_catalogue_is_refused():
    with pytest.raises(InputError, match="'i25'"):
        build(ranking(p01=[0, 25, 2]), catalog(20))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_sets_are_disjoint_whole_and_depend_on_the_seed_alone(data):
    n = 80
    copies = data.draw(st.dictionaries(st.integers(40, 79), st.integers(0, 39), max_size=10))
    prompts = {
        f"p{i}": data.draw(st.permutations(range(25)))[:18]
        for i in range(data.draw(st.integers(1, 3)))
    }
    arms = [arm for arm in ARMS if arm not in ("ids", "family")]
    images, table = catalog(n, copies), ranking(**prompts)
    sets = build(table, images, arms, ks=[2, 4], seed=5)
    assert sets["image_id"].is_unique
    set_of = dict(zip(sets["image_id"], sets["forget_set_id"], strict=True))
    for group in images.duplicates():
        assert len({set_of.get(image_id) for image_id in group}) == 1
    pd.testing.assert_frame_equal(sets, build(table, images, arms[::-1], ks=[4, 2], seed=5))
    sizes = sets.groupby(["prompt_id", "k", "arm"]).size().unstack()
    assert (sizes.fillna(0).le(sizes["targeted"].fillna(0), axis=0)).all().all()


def test_the_outcome_is_a_stable_matching():
    generator = np.random.default_rng(0)
    prompts = {f"p{i}": list(generator.permutation(40)[:30]) for i in range(8)}
    table = ranking(**prompts)
    sets = build(table, catalog(100), ks=[4])
    rank = {(r.prompt_id, r.image_id): r.rank for r in table.itertuples()}
    holder = dict(zip(sets["image_id"], sets["prompt_id"], strict=True))
    for p in prompts:
        worst = max(rank[p, i] for i, q in holder.items() if q == p)
        for image in (f"i{i}" for i in prompts[p] if rank[p, f"i{i}"] < worst):
            assert rank[holder[image], image] <= rank[p, image]


def test_the_small_fashion_size_takes_seconds():
    generator = np.random.default_rng(0)
    n = 44_000
    prompts = {f"p{i:03d}": generator.integers(0, n - 400) + np.arange(400) for i in range(150)}
    table = ranking(**{p: list(images) for p, images in prompts.items()})
    arms = ["targeted", "random_uniform", "random_candidate", "least_similar"]
    start = time.perf_counter()
    sets = build(
        table, catalog(n, copies={i: i - 22_000 for i in range(22_000, 22_600)}), arms, [10]
    )
    assert time.perf_counter() - start < 10
    assert sets["image_id"].is_unique and len(sets) >= 5900


def test_sets_of_all_prompts_can_leave_together():
    table = ranking(p01=[1, 2, 3, 4, 5], p02=[2, 3, 1, 4, 9])
    images = catalog(40, families=8)
    more = {
        "arms": ("targeted", "random_uniform", "family", "ids"),
        "ks": (1, 3),
        "draws": 2,
        "families": {"c00": "f007"},
        "user_ids": ["i39"],
    }
    table = pd.concat([table, ranking(c00=[7])])
    alone, sets = (build(table, images, together=joint, **more) for joint in (False, True))
    pd.testing.assert_frame_equal(  # the same images, for the same prompts and reasons
        alone.drop(columns="forget_set_id"), sets.drop(columns="forget_set_id")
    )
    assert list(sets["forget_set_id"].unique()) == [
        *("ids/k1", "family/c00/k5", "targeted/all/k1", "targeted/all/k3"),
        *(f"random_uniform/all/k{k}/d{d}" for d in (0, 1) for k in (1, 3)),
    ]
    assert set(ids(sets, "targeted/all/k1")) == {"i1", "i2"}
    assert len(ids(sets, "targeted/all/k3")) == 4


def test_images_that_leave_with_another_prompt_are_not_missed():
    """Both want the same three: removed together, nothing of either top is left."""
    table = ranking(p01=[1, 2, 3, 4, 5, 6], p02=[1, 2, 3, 7, 8, 9])
    assert build_all(table, catalog(20)).notes
    assert not build_all(table, catalog(20), together=True).notes
    sets = build(table, catalog(20), together=True)
    assert {"i1", "i2", "i3"} <= set(ids(sets, "targeted/all/k3"))


def test_a_seed_draws_the_random_sets_that_it_always_drew():
    """Published results rest on these: never draw them in another order or by another key."""
    table = ranking(p01=list(range(12)), p02=list(range(12, 24)))
    sets = build(table, catalog(60), ["random_candidate", "random_uniform"], seed=5)
    assert {name: ids(sets, name) for name in sets["forget_set_id"].unique()} == {
        "random_candidate/p01/k3": ["i5", "i11", "i9"],
        "random_candidate/p02/k3": ["i18", "i23", "i20"],
        "random_uniform/p01/k3": ["i35", "i34", "i48"],
        "random_uniform/p02/k3": ["i28", "i4", "i43"],
    }
