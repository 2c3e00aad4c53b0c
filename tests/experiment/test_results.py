"""What a run's results hold beside its effects: Holm, seen and new prompts, side effects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.runs import run
from untrain.evaluation.verdicts import holm
from untrain.experiment.pipeline import run_stages
from untrain.report.page.rewrite import write_page
from untrain.runs.inputs import seen_in
from untrain.runs.run import Run
from untrain.settings.config import Config

Make = Callable[..., Config]
Copy = Callable[..., Path]


def test_prompts_say_whether_they_are_captions(config: Make) -> None:
    opened = Run(config())
    caption = opened.catalog.captions[0]
    other = f"  {caption.upper()}\n".replace(" ", "  ")
    assert seen_in(opened.catalog, [caption, other, caption + " x"]) == [True, True, False]
    assert opened.prompts["seen"].tolist() == [False] * 6  # family prompts are no captions
    planted = Run(config("data.plant={items: 2, copies: 3}")).prompts
    assert planted.set_index("prompt_id").loc[["c00", "c01"], "seen"].all()


def test_results_of_the_micro_run(micro_run: Path) -> None:
    prompts = pd.read_csv(micro_run / "prompts.csv")
    assert not prompts["seen"].any()
    judged = pd.read_parquet(micro_run / "results/verdicts.parquet")
    for own in (judged[judged["prompt_id"].str.startswith(p)] for p in "pc"):
        assert own["p_holm"].tolist() == pytest.approx(list(holm(own["p_value"])))
    assert len(pd.read_parquet(micro_run / "results/groups.parquet")) == 0  # all prompts are new
    effects = pd.read_parquet(micro_run / "results/effects.parquet")
    others = effects[effects["measure"] == "nll_other_prompts"]
    assert set(others["arm"]) == {"targeted", "family"}
    assert set(others["prompt_id"].dropna()) == set(prompts["prompt_id"])
    held = effects[effects["measure"] == "heldout_nll"]
    assert {"any_set", "targeted", "family"} <= set(held["arm"])
    summary = json.loads((micro_run / "results/summary.json").read_text())
    assert summary["doubts"] == ["control-failed"] and summary["withheld"]  # a model this small
    assert summary["attributable_after_holm"] is None and summary["verdicts"] == {"withheld": 4}
    assert set(judged.loc[judged["prompt_id"].str.startswith("p"), "reason"]) == {"control-failed"}
    assert len(summary["effects_on_other_prompts"]) == 4
    # 14 sets are the removed share twice over, so that a tenth of the data is this many sets
    sets = 0.1 * 14 / (2 * summary["removed_share"])
    expected = held.set_index("arm").loc["any_set", "effect"] * sets
    found = summary["heldout_nll_per_tenth_removed"]["effect"]
    assert found == pytest.approx(expected)


@pytest.mark.slow
def test_seen_and_new_prompts_have_effects_of_their_own(
    config: Make, micro_copy: Callable[..., Path]
) -> None:
    micro_copy()
    captions = sorted(set(Run(config("data.holdout=0")).catalog.captions))[:2]
    texts = [*captions, "red shirt", "blue bag"]
    prompts = f"prompts={{texts: {json.dumps(texts)}}}"
    done = run(config(prompts, "data.holdout=0"))
    assert done.prompts["seen"].tolist() == [True, True, False, False]
    groups = pd.read_parquet(done.path("results", "groups.parquet"))
    trial = groups[groups["design"] == "randomised"].set_index(["arm", "group"])
    assert set(trial.index.get_level_values("group")) == {"seen", "new"}
    effects = pd.read_parquet(done.path("results", "effects.parquet"))
    own = effects.query("design == 'randomised' and arm == 'targeted' and measure == 'nll'")
    of_seen = own.set_index("prompt_id")["effect"][["p00", "p01"]].mean()
    assert trial.loc[("targeted", "seen"), "effect"] == pytest.approx(of_seen)
    words = done.path("results", "summary.md").read_text()
    assert "targeted, on training captions" in words and "targeted, on new prompts" in words


@pytest.mark.slow
def test_a_redacted_page_stays_redacted(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    whole = (folder / "report.html").stat().st_size
    write_page(folder, training_images=False)
    redacted = (folder / "report.html").stat().st_size
    run_stages(Run(config()), again=True)
    again = (folder / "report.html").stat().st_size  # the seconds of stages are in it, too
    assert again == pytest.approx(redacted, abs=200) and redacted < whole - 1000
