"""Shares on a finished micro run, and banks of groups whose outcomes we made ourselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import untrain
from tests.helpers.banks import make_group_bank
from untrain.attribution.calibration import Calibration
from untrain.banks.groups.bank import GroupBank
from untrain.banks.groups.results import find_shares, keep_shares
from untrain.banks.groups.scores import with_scores
from untrain.banks.groups.shares import shares_of
from untrain.core.bank_tables import GROUP_OF_IMAGE
from untrain.core.errors import InputError
from untrain.report.figures import FIGURES
from untrain.report.page.write import render
from untrain.report.tables.shares import facts, shares_markdown, shares_texts, text_rows
from untrain.runs.results import read_results
from untrain.runs.run import Run, open_run
from untrain.runs.shares import Shares, read_shares


@pytest.fixture
def run(micro_copy: Callable[..., Path]) -> Run:
    return open_run(micro_copy())


@pytest.fixture
def brands(run: Run) -> list[str]:
    return sorted(run.catalog.attributes["brand"].unique())


@pytest.fixture
def bank(run: Run, brands: list[str]) -> GroupBank:
    return make_group_bank(run, "brand", {brands[0]: 2.0, brands[1]: 1.0, brands[2]: -0.5})


@pytest.fixture
def shares(run: Run, bank: GroupBank) -> Shares:
    return shares_of(run, bank)


def test_what_groups_bring_is_found(shares: Shares, brands: list[str]) -> None:
    overall = shares.overall.set_index("group")
    assert list(overall.index[:2]) == brands[:2]
    assert overall["shapley"][brands[0]] == pytest.approx(2, abs=0.1)
    assert overall["share"][brands[0]] == pytest.approx(2 / 2.5, abs=0.04)
    assert overall["banzhaf"][brands[2]] == pytest.approx(-0.5, abs=0.1)
    assert (overall["status"][brands[:3]] == "separable").all()
    assert (overall["status"][brands[3:]] == "not-separable").all()
    assert overall["share"].sum() == pytest.approx(1)
    assert (overall["shapley_low"] < overall["shapley"]).all()
    held = shares.of("held_out").set_index("group")
    assert held["shapley"].sum() == pytest.approx(1.25)
    assert shares.total()["learnt"] == pytest.approx(2.5)
    assert abs(shares.total()["banzhaf_remainder"]) < 0.3
    assert overall["leave_one_out"].notna().sum() == 2


def test_rows_are_of_every_prompt_and_picture(shares: Shares, run: Run) -> None:
    counts = shares.table["scope"].value_counts()
    prompts, pictures = len(run.prompts), len(run.prompts) * run.config.generations
    assert counts["overall"] == counts["these_prompts"] == counts["held_out"] == 8
    assert (counts["prompt"], counts["picture"]) == (8 * prompts, 8 * pictures)
    assert len(shares.of("prompt", "p00")) == 8


def test_intervals_for_other_prompts_are_the_wider_ones(shares: Shares) -> None:
    such, these = (shares.of(scope).set_index("group") for scope in ("overall", "these_prompts"))
    np.testing.assert_allclose(such["shapley"], these["shapley"][such.index])
    reach = such["shapley_high"] - such["shapley"]
    assert (reach >= (these["shapley_high"] - these["shapley"])[such.index] - 1e-9).all()


def test_all_codes_alike_are_another_nothing(run: Run, bank: GroupBank) -> None:
    uniform = shares_of(run, bank, "uniform")
    assert uniform.total()["empty"] == pytest.approx(np.log2(1000))
    assert uniform.total()["learnt"] == pytest.approx(np.log2(1000) - 6.5)
    with pytest.raises(InputError, match="expected untrained or uniform"):
        shares_of(run, bank, "nought")


def test_nothing_learnt_is_nothing_to_share_out(run: Run) -> None:
    found = shares_of(run, make_group_bank(run, "brand", {}))
    assert set(found.table["status"]) == {"nothing-learnt"}
    assert found.table["share"].isna().all()
    assert "nothing-learnt" in {note.code for note in found.notes}


def test_an_interrupted_bank_says_how_many_models_it_lacks(run: Run, bank: GroupBank) -> None:
    part = replace(bank, models=bank.models[:12], kept=bank.kept[:12])
    with pytest.raises(InputError, match="10 models say too little about 8 groups: at least 24"):
        shares_of(run, part)


def test_shares_are_kept_and_shown(run: Run, shares: Shares, brands: list[str]) -> None:
    keep_shares(run, shares)
    again = read_shares(run.folder)
    pd.testing.assert_frame_equal(again.table, shares.table)
    pd.testing.assert_frame_equal(again.totals, shares.totals, check_dtype=False)
    assert shares_markdown(again) == run.path("results", "shares-brand.md").read_text()
    for ending in ("csv", "json", "parquet"):
        assert run.path("results", f"shares-brand.{ending}").is_file()
    assert "<svg" in run.path("results", "figures", "shares-brand.svg").read_text()
    assert untrain.Result(run.folder).shares("brand").equals(shares.table)
    cells = {row[0]: row for row in text_rows(again)}
    assert cells[brands[0]][2].endswith("%")
    assert cells[brands[5]][2] == "not separable"
    assert any("remainder" in line for line in facts(again))
    with pytest.raises(InputError, match="did you mean 'brand'"):
        read_shares(run.folder, "brnd")
    results = read_results(run.folder)
    figure = FIGURES["groups"](results)
    assert [plot.name for plot in figure] == ["shares-brand"]
    assert brands[0] in figure[0].alt
    assert shares_texts(results)[0]["by"] == "brand"
    page = render(results, list(figure))
    assert 'id="figure-shares-brand"' in page and "Groups and their shares" in page


def test_the_page_shows_images_of_each_group_if_it_may(run: Run, shares: Shares) -> None:
    keep_shares(run, shares)
    of = run.catalog.attributes["brand"].to_numpy(str)
    table = pd.DataFrame({"image_id": run.catalog.ids, "group": of})
    GROUP_OF_IMAGE.write(run.path("groups", "brand"), table)
    run.path("thumbnails").mkdir()
    for image_id in run.catalog.ids[:12]:
        run.catalog.image(image_id).save(run.path("thumbnails", f"{image_id}.png"))
    results = read_results(run.folder)
    page = render(results, [])
    assert 'class="strips"' in page
    assert all(f"<dt>{name}</dt>" in page for name in set(of[:12]))
    assert 'class="strips"' not in render(results, [], training_images=False)


def test_no_shares_are_an_error_that_says_how_to_make_them(run: Run) -> None:
    with pytest.raises(InputError, match="untrain bank FILE --by brand"):
        untrain.Result(run.folder).shares("brand")
    with pytest.raises(InputError, match="say by what to group"):
        find_shares(run)
    with pytest.raises(InputError, match="untrain bank FILE --by brand"):
        find_shares(run, "brand")


def perfect(run: Run, brands: list[str], file: Path) -> str:
    """Write scores that are right: each image has its part of what its brand brings."""
    brings = {brands[0]: 2.0, brands[1]: 1.0, brands[2]: -0.5}
    of = run.catalog.attributes["brand"]
    single = of.map(brings).fillna(0.0) / of.map(of.value_counts())
    rows = pd.DataFrame({"image_id": run.catalog.ids, "score": 10 * single.to_numpy()})
    rows.merge(run.prompts[["prompt_id"]], how="cross").to_csv(file, index=False)
    return f"scores:{file}"


def test_scores_estimate_shares_and_the_bank_says_how_well(
    run: Run, bank: GroupBank, shares: Shares, brands: list[str], tmp_path: Path
) -> None:
    method = perfect(run, brands, tmp_path / "scores.csv")
    found = with_scores(run, bank.groups, method, None, shares)
    overall = found.overall.set_index("group")
    assert overall["share_from_scores"][brands[0]] == pytest.approx(0.8, abs=1e-5)
    assert overall["from_scores"][brands[0]] == pytest.approx(2.0, abs=1e-4)
    check = found.checks["from_scores-shapley"]["overall"]
    assert check["n"] == 8
    assert check["pearson"] > 0.99
    assert check["slope"] == pytest.approx(1, abs=0.1)
    assert check["rmse"] < 0.1
    assert found.scores == {"method": method, "scale": "proportion"}


def test_calibrated_scores_are_in_the_unit_without_any_bank(
    run: Run, bank: GroupBank, brands: list[str], tmp_path: Path
) -> None:
    method = perfect(run, brands, tmp_path / "scores.csv")
    about = {"runs": [{"key": "other", "recipe": "other", "catalog": "other"}]}
    knots = ((0.0, 0.0), (10.0, 1.0))
    tenth = Calibration(method, "nll", "bits/token", "linear", knots, 0.1, 0.1, 2.0, 0.95, about)
    found = with_scores(run, bank.groups, method, tenth)
    overall = found.overall.set_index("group")
    assert overall["from_scores"][brands[0]] == pytest.approx(2.0, abs=1e-4)
    assert set(overall["status"]) == {"unknown"} and overall["shapley"].isna().all()
    assert not found.checks
    assert "calibration-of-other-recipe" in {note.code for note in found.notes}
    with pytest.raises(InputError, match="the calibration is of"):
        with_scores(run, bank.groups, "fusion", tenth)
    keep_shares(run, found)
    assert text_rows(read_shares(run.folder))[0][-1] == "80.0 %"
