"""Sets whose removal was measured, with the sums of their scores: of a trial and of a bank."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers.banks import FAMILY_EFFECT, make_bank, write_bank
from untrain.attribution.calibrating import fit_calibration
from untrain.banks.measured import measured_sets
from untrain.core.errors import InputError
from untrain.runs.run import Run, open_run


@pytest.fixture
def run(micro_copy: Callable[..., Path]) -> Run:
    return open_run(micro_copy())


def scores_of(run: Run, path: Path, score: Callable[[str, str], float]) -> str:
    """Write a score of every prompt and image, and return the name of the method."""
    rows = [
        (prompt, image, score(prompt, image))
        for prompt in run.prompts["prompt_id"]
        for image in run.catalog.ids
    ]
    pd.DataFrame(rows, columns=["prompt_id", "image_id", "score"]).to_parquet(path)
    return f"scores:{path}"


def test_the_sets_of_a_trial_have_their_own_effects(run: Run, tmp_path: Path) -> None:
    found = measured_sets(run, scores_of(run, tmp_path / "s.parquet", lambda p, i: 2.0))
    table = found.sets
    sizes = run.table("forget_sets").groupby(["arm", "prompt_id"]).size()
    effects = run.table("results/effects")
    own = effects[(effects["design"] == "randomised") & (effects["measure"] == "nll")]
    own = own.set_index(["arm", "prompt_id", "k"])
    assert {"targeted", "random_uniform", "family"} <= set(table["arm"])
    for row in table.itertuples():
        assert row.score == 2 * sizes[row.arm, row.prompt_id]
        of_set = own.loc[(row.arm, row.prompt_id, row.k)]
        assert row.effect == of_set["effect"] and row.noise == of_set["null_sd"]
    assert (found.unit, found.measure, found.run) == ("bits/token", "nll", "micro")


def test_a_set_without_all_scores_is_left_out(run: Run, tmp_path: Path) -> None:
    method = scores_of(run, tmp_path / "s.parquet", lambda p, i: 1.0)
    whole = measured_sets(run, method).sets
    first = run.table("forget_sets").query("arm == 'targeted' and prompt_id == 'p00'")
    table = pd.read_parquet(tmp_path / "s.parquet")
    gone = (table["prompt_id"] == "p00") & (table["image_id"] == first["image_id"].iloc[0])
    table[~gone].to_parquet(tmp_path / "s.parquet")
    left = measured_sets(run, method).sets
    lost = whole.merge(left, how="left", indicator=True).query("_merge == 'left_only'")
    assert ("targeted", "p00") in set(zip(lost["arm"], lost["prompt_id"], strict=True))


def test_a_bank_gives_the_effects_of_what_is_ranked_first(run: Run, tmp_path: Path) -> None:
    write_bank(run, make_bank(run))
    families = dict(zip(run.catalog.ids, run.catalog.attributes["family"], strict=True))
    asked = run.prompts.set_index("prompt_id")["family"]

    def member(prompt: str, image: str) -> float:
        return float(families[image] == asked[prompt])

    method = scores_of(run, tmp_path / "s.parquet", member)
    table = measured_sets(run, method, "bank").sets
    top = table[(table["arm"] == "top") & (table["k"] == 3)]
    assert (top["score"] > 2.7).all()  # three of the family, less three average images
    assert top["effect"].mean() == pytest.approx(3 * FAMILY_EFFECT, rel=0.3)
    chance = table[(table["arm"] == "random") & (table["k"] == 3)]
    assert abs(chance["score"].mean()) < 0.5 and (table["noise"] > 0).all()
    with pytest.raises(InputError, match="expected trial or bank"):
        measured_sets(run, method, "banks")


def test_without_a_bank_it_says_what_to_do(run: Run, tmp_path: Path) -> None:
    method = scores_of(run, tmp_path / "s.parquet", lambda p, i: 1.0)
    with pytest.raises(InputError, match="found no bank"):
        measured_sets(run, method, "bank")


def test_a_trial_can_be_calibrated_on(run: Run) -> None:
    found = fit_calibration([measured_sets(run, "fusion")])
    assert found.confidence == pytest.approx(6 / 7) and np.isfinite(found.reach)
