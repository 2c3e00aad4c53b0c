"""The designs, arms and data sets that an experiment can have, each from end to end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.folders import record
from tests.helpers.runs import run
from untrain.catalogs import export_folder
from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.experiment.pipeline import keys
from untrain.experiment.plan_power import expected_power
from untrain.generators.dalle.generator import DalleGenerator
from untrain.report.answer import answer
from untrain.report.page.facts import trial_facts
from untrain.runs.results import read_results
from untrain.runs.run import Run
from untrain.runs.trial import read_trial
from untrain.settings.config import Config

Make = Callable[..., Config]
Copy = Callable[..., Path]
FEW = "evaluation.draws=100"
BEFORE_AFTER = ("design.kind=before-after", "removal.arms=[targeted, random_uniform]")


@pytest.fixture
def folder(config: Make, tmp_path: Path) -> Path:
    """A folder catalogue: 40 rendered pictures."""
    catalog = Run(config("data.families=10", "data.family_size=4", "data.holdout=0")).catalog
    export_folder(catalog, [], tmp_path / "photos")
    return tmp_path / "photos"


@pytest.mark.slow
def test_before_and_after(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    run(config(*BEFORE_AFTER, FEW))
    models = pd.read_parquet(folder / "models.parquet").set_index("model_id")
    assert list(models.index) == ["A", "full", "targeted", "random", "reseed"]
    assert list(models["seed"]) == [0, 1000, 1000, 1000, 1001]
    removals = pd.read_parquet(folder / "removals.parquet")
    arms = removals["forget_set_id"].str.partition("/")[0]
    assert set(zip(removals["model_id"], arms, strict=True)) == {
        ("targeted", "targeted"),
        ("random", "random_uniform"),
    }
    effects = pd.read_parquet(folder / "results/effects.parquet")
    overall = effects[effects["prompt_id"].isna() & (effects["measure"] == "nll")]
    by_design = overall.groupby("design")["arm"].agg(set)
    assert set(by_design.index) == {"before-after", "before-after-naive"}
    assert len(by_design["before-after"]) == 3
    assert len(by_design["before-after-naive"]) == 4  # `full` is another model than A, too
    study = pd.read_csv(folder / "results/similarity_results.csv")
    assert len(study) >= 4  # one row a prompt
    assert study.iloc[:4].notna().all(axis=None)
    assert (folder / "report.html").exists()


def test_before_and_after_needs_its_control(config: Make) -> None:
    with pytest.raises(InputError, match=r"removal\.arms: .*'before-after' needs .*random_uniform"):
        config("design.kind=before-after", "removal.arms=[targeted]")


def test_nested_sizes(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    arms = "removal.arms=[targeted, random_uniform]"
    run(config("removal.k=[2, 4]", arms, FEW), until="evaluate")
    sets = pd.read_parquet(folder / "forget_sets.parquet")
    targeted = sets[sets["arm"] == "targeted"]
    assert targeted.groupby(["prompt_id", "k"]).size().eq(2).all()
    effects = pd.read_parquet(folder / "results/effects.parquet")
    overall = effects[effects["prompt_id"].isna() & (effects["measure"] == "nll")]
    trial = overall[(overall["design"] == "randomised") & (overall["arm"] == "targeted")]
    assert {2, 4} <= set(trial["k"])


@pytest.mark.slow
def test_every_arm(config: Make, micro_copy: Copy, tmp_path: Path) -> None:
    folder = micro_copy()
    listed = Run(config()).catalog.ids[:2]
    (tmp_path / "ids.txt").write_text("\n".join(listed) + "\n")
    arms = "removal.arms=[targeted, random_uniform, random_candidate, least_similar, family]"
    run(config(arms, f"removal.ids={tmp_path / 'ids.txt'}", "removal.k=[2]", FEW))
    sets = pd.read_parquet(folder / "forget_sets.parquet")
    assert set(sets["arm"]) == {
        *("targeted", "random_uniform", "random_candidate", "least_similar", "family", "ids"),
    }
    assert set(sets[sets["arm"] == "ids"]["image_id"]) == set(listed)
    assert not sets["image_id"].duplicated().any()
    assert (folder / "report.html").exists()


def test_several_draws_of_the_random_arms(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    run(config("removal.draws=2", "removal.arms=[targeted, random_uniform]"), until="remove")
    sets = pd.read_parquet(folder / "forget_sets.parquet")
    assert set(sets[sets["arm"] == "random_uniform"]["draw"]) == {0, 1}


def test_one_set_for_all_prompts_together(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    run(config("removal.together=true", "removal.draws=2", FEW), until="evaluate")
    sets = pd.read_parquet(folder / "forget_sets.parquet")
    targeted = sets[sets["forget_set_id"] == "targeted/all/k3"]
    assert targeted["prompt_id"].value_counts().to_dict() == {f"p0{i}": 3 for i in range(4)}
    assert sets["forget_set_id"].nunique() == 1 + 2 + 2 + 2  # targeted, random ones, families
    effects = pd.read_parquet(folder / "results/effects.parquet")
    own = effects[(effects["design"] == "randomised") & (effects["measure"] == "nll")]
    own = own[own["arm"] == "targeted"].set_index("prompt_id")
    of_prompts = own[own.index.notna()]
    assert set(of_prompts.index) == {"p00", "p01", "p02", "p03"}  # and of no control
    assert (own["n_sets"] == 1).all()
    (overall,) = own.loc[own.index.isna(), "effect"]
    assert of_prompts["effect"].mean() == pytest.approx(overall)
    others = effects[effects["measure"] == "nll_other_prompts"]
    assert {"targeted", "family"} <= set(others["arm"])
    assert len(pd.read_parquet(folder / "results/verdicts.parquet")) == 6
    assert read_json(folder / "results/summary.json")["together"]
    assert any(
        "The sets of all prompts are removed together" in w["text"]
        for w in record(folder)["warnings"]
    )
    assert "The positive control was not seen" in answer(read_results(folder))
    assert read_trial(folder).assignment.out.shape == (7, 4)


def test_too_few_sets_together_are_refused_beforehand(config: Make) -> None:
    few = ("removal.together=true", "removal.arms=[targeted]", "prompts.controls=0")
    with pytest.raises(InputError, match=r"with 1 forget sets only 2 of 4 .*removal\.draws"):
        run(config(*few))


def test_models_that_are_not_paired(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    before = pd.read_parquet(folder / "removals.parquet")
    run(config("design.paired=false", FEW), until="evaluate")
    models = pd.read_parquet(folder / "models.parquet")
    assert list(models["seed"]) == [0, 1000, 1001, 1002, 1003]
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "removals.parquet"), before)
    assert read_json(folder / "results/summary.json")["paired"] is False
    assert "unpaired" in [w["code"] for w in record(folder)["warnings"]]
    assert "4 unpaired models" in dict(trial_facts(read_results(folder)))["Models"]
    assert read_trial(folder).assignment.seed_offsets == (0, 1, 2, 3)
    # Their noise is no guide to that of paired models.
    paired = expected_power(config(name="next"), 4)
    assert paired and paired.noise.source == "demo"
    unpaired = expected_power(config("design.paired=false", name="next"), 4, paired=False)
    assert unpaired and (unpaired.noise.source, unpaired.noise.runs) == ("finished-runs", 1)


def test_before_and_after_without_pairs(config: Make) -> None:
    opened = Run(config(*BEFORE_AFTER, "design.paired=false"))
    assert list(opened.config.b_seeds) == [1000, 1001, 1002, 1003]


def test_a_generator_can_say_that_it_is_not_paired(
    config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    paired = Run(config())
    known = keys(paired)
    monkeypatch.setattr(DalleGenerator, "paired", False)
    assert not paired.paired
    changed = {name for name, key in keys(paired).items() if key != known[name]}
    assert changed == {"retrain", "regenerate", "evaluate", "report"}


@pytest.mark.parametrize("kind", ["randomised", "before-after"])
def test_no_model_of_the_trial_has_the_seed_of_a(config: Make, kind: str) -> None:
    settings = (f"design.kind={kind}", "removal.arms=[targeted, random_uniform]", "seed=3")
    config(*settings, "seed_b=0")
    with pytest.raises(InputError, match="seed_b: 0 trains a model of the trial with the seed of"):
        config(*settings, "seed_b=0", "design.paired=false")


@pytest.mark.slow
def test_planted_control_on_a_folder(config: Make, folder: Path) -> None:
    planted = "data.plant={items: 2, copies: 3}"
    prompts = "prompts={texts: [a red shirt, blue shoes, green bag]}"
    arms = "removal={k: [2], arms: [targeted, random_uniform]}"
    done = run(config("data.format=folder", f"data.path={folder}", planted, prompts, arms, FEW))
    sets = done.table("forget_sets")
    family = sets[sets["arm"] == "family"]
    assert family.groupby("prompt_id")["image_id"].agg(list).to_dict() == {
        f"c{i:02d}": [f"planted-{i:02d}-{copy:02d}" for copy in range(3)] for i in range(2)
    }
    effects = pd.read_parquet(done.path("results", "effects.parquet"))
    assert {"family", "targeted"} <= set(effects["arm"])
    assert "planted-00" not in " ".join(p.name for p in folder.iterdir())


def test_planted_items_and_families_do_not_share_prompt_ids(config: Make) -> None:
    opened = Run(config("data.plant={items: 2, copies: 3}"))
    assert list(opened.prompts["prompt_id"]) == ["p00", "p01", "p02", "p03", "c00", "c01"]
    assert list(opened.prompts["family"][4:]) == ["planted-00", "planted-01"]


def test_a_subset_keeps_the_neighbours_of_the_prompts(config: Make) -> None:
    settings = ("data.subset={size: 60, neighbours: 5}", "data.holdout=0")
    opened = Run(config(*settings))
    assert len(opened.catalog) == 60
    assert len(opened.held_out) == 0


def test_runs_over_other_prompts_can_share_a_subset(config: Make, tmp_path: Path) -> None:
    file = tmp_path / "all.txt"
    file.write_text("A red shoe\nA striped cup\n", encoding="utf-8")
    subset = f"data.subset={{size: 60, neighbours: 5, neighbours_of: {file}}}"
    runs = [
        Run(config(subset, "prompts.families=0", "prompts.controls=0", f"prompts.texts=['{text}']"))
        for text in ("A red shoe", "A striped cup", "A green lamp")
    ]
    assert len({run.catalog.fingerprint for run in runs}) == 1


def test_nothing_held_out(config: Make, micro_copy: Copy) -> None:
    shutil.rmtree(micro_copy())
    done = run(config("data.holdout=0", "data.families=12", "data.family_size=4"), until="evaluate")
    measures = pd.read_parquet(done.path("results", "measures.parquet"))
    assert "heldout_nll" not in set(measures["measure"])


def test_what_was_skipped_is_said(config: Make, folder: Path) -> None:
    next(folder.glob("*.txt")).unlink()
    prompts = "prompts.texts=[a red shirt]"
    settings = ("data.format=folder", f"data.path={folder}", "prompts.families=0", prompts)
    opened = run(config(*settings, "prompts.controls=0"), until="retrieve")
    (warning,) = record(opened.folder)["warnings"]
    assert "was skipped: 1 × image without caption (e.g. 0" in warning["text"]
    assert warning["code"] == "data-skipped"
