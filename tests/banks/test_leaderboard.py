"""The leaderboard on a finished micro run and a bank whose outcomes we made ourselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers.banks import FAMILY_EFFECT, make_bank
from untrain.attribution import whole_comparison as compared
from untrain.attribution.base import Evidence
from untrain.attribution.registry import GRADIENTS, ON_REQUEST
from untrain.banks import leaderboard
from untrain.banks.bank import Bank
from untrain.banks.leaderboard import keep_leaderboard
from untrain.core.errors import InputError
from untrain.core.files import write_text
from untrain.core.notes import Note
from untrain.runs.examples import read_examples
from untrain.runs.leaderboard import COLUMNS, read_leaderboard
from untrain.runs.run import Run, open_run
from untrain.search.compare.metrics import METRICS
from untrain.search.rank.weights import Weights

ALWAYS = {name for name in METRICS if METRICS[name].needs in ("pixels", "features")}


@pytest.fixture
def run(micro_copy: Callable[..., Path]) -> Run:
    return open_run(micro_copy())


@pytest.fixture
def bank(run: Run) -> Bank:
    return make_bank(run)


def test_every_attributor_has_a_row_and_the_truth_wins(run: Run, bank: Bank) -> None:
    table = leaderboard.leaderboard(run, bank, k=3, encoders=["layout"]).table
    assert list(table.columns) == COLUMNS
    assert table["lds"].is_monotonic_decreasing
    assert table["name"].is_unique
    rows = table.set_index("name")
    wanted = {"text", "bm25", "study", "fusion", "zscore", "rrf", "pixel_cosine", "random"}
    wanted |= {"family", "encoder:layout", "nda"} | set(GRADIENTS)
    wanted -= {"tracin", *ON_REQUEST}  # no checkpoints
    wanted |= {f"metric:{m}" for m in ALWAYS if m != "pixel_cosine"}
    assert set(rows.index) == wanted
    assert table.loc[0, "name"] == "family"
    assert rows.loc["family", "lds"] > 0.9
    assert rows.loc["family", "family_precision"] == 1
    assert rows.loc["family", "effect"] == pytest.approx(3 * FAMILY_EFFECT, rel=0.3)
    assert rows.loc["text", "lds"] > 0.5  # captions name the family
    assert rows.loc["random", "lds_low"] < 0.1 < rows.loc["text", "lds_low"]
    assert abs(rows.loc["random", "effect"]) < 0.1
    assert rows.loc["random", "family_precision"] < 0.2
    measured = table[~table["kind"].isin(["oracle", "chance"])]
    assert (measured["seconds_per_query"] > 0).all()
    assert (table["filled"] == 0).all()
    assert rows.loc["fusion", "lead"] == rows.loc["fusion", "lead_high"] == 0
    assert rows.loc["family", "lead"] == pytest.approx(
        rows.loc["family", "lds"] - rows.loc["fusion", "lds"]
    )
    assert (table["lds_low"] <= table["lds"]).all()
    assert (table["lds_high"] <= 1).all()


def test_the_comparison_is_made_once(run: Run, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    first = leaderboard.leaderboard(run, bank, k=3).table
    monkeypatch.setattr(compared, "compare", None)  # cannot be called
    again = leaderboard.leaderboard(open_run(run.folder), bank, k=3).table
    timed = ["seconds_per_query", "seconds_once"]
    pd.testing.assert_frame_equal(first.drop(columns=timed), again.drop(columns=timed))
    assert not set(again.columns) ^ set(first.columns)


def test_the_comparison_is_that_of_the_run(run: Run) -> None:
    asked = run.prompts[run.prompts["role"] == "query"]
    keys = ["prompt_id", "generation", "image_id"]
    found = leaderboard.evidence_of(run, list(asked["prompt_id"])).comparison.table
    assert len(found) == len(asked) * run.config.generations * len(run.catalog)
    own = run.table("comparison")
    own = own[own["prompt_id"].isin(asked["prompt_id"])]
    both = own[keys].merge(found, on=keys, how="left")
    for metric in ALWAYS - {"pixel_phash"}:  # which the run takes of pictures as they are
        np.testing.assert_allclose(both[metric], own[metric], rtol=1e-6, atol=1e-9, err_msg=metric)


def test_beyond_the_candidates_scores_are_filled(
    run: Run, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compared, "CHUNK", 16)
    board = leaderboard.leaderboard(run, bank, k=3, candidates=30)
    rows = board.table.set_index("name")
    share = 1 - 30 / len(run.catalog)
    assert rows.loc["fusion", "filled"] == pytest.approx(share)
    assert rows.loc["metric:pixel_mse", "filled"] == pytest.approx(share)
    assert rows.loc["text", "filled"] == rows.loc["random", "filled"] == 0
    assert board.candidates == 30


def test_scores_of_the_users_own(run: Run, bank: Bank, tmp_path: Path) -> None:
    asked = run.prompts[run.prompts["role"] == "query"]
    members = leaderboard.evidence_of(run, list(asked["prompt_id"])).families
    assert members is not None
    scores = pd.DataFrame(
        [
            (prompt, image, float(member))
            for prompt, row in zip(asked["prompt_id"], members, strict=True)
            for image, member in zip(run.catalog.ids, row, strict=True)
        ],
        columns=["prompt_id", "image_id", "score"],
    )
    scores.to_csv(tmp_path / "mine.csv", index=False)
    method = f"scores:{tmp_path / 'mine.csv'}"
    rows = leaderboard.leaderboard(run, bank, 3, [method]).table.set_index("name")
    assert rows.loc[method, "kind"] == "scores"
    assert rows.loc[method, "lds"] == rows.loc["family", "lds"]
    assert np.isnan(rows.loc[method, "seconds_per_query"])
    with pytest.raises(InputError, match="not a file"):
        leaderboard.leaderboard(run, bank, 3, ["scores:absent.csv"])


def test_weights_must_not_have_seen_the_run(run: Run, bank: Bank, tmp_path: Path) -> None:
    def ranking(**about: str) -> str:
        path = tmp_path / "weights.json"
        Weights({"pixel_mse": 1.0}, 0.0, {"runs": [about]} if about else {}).save(path)
        return f"fitted:{path}"

    with pytest.raises(InputError, match=r"was fitted on this run \(micro\)"):
        name = ranking(name="micro", catalog=run.catalog.fingerprint)
        leaderboard.leaderboard(run, bank, 3, [name])
    name = ranking(name="other", catalog=run.catalog.fingerprint)
    board = leaderboard.leaderboard(run, bank, 3, [name])
    assert board.table.set_index("name").loc[name, "kind"] == "fitted"
    assert any("other runs of the same catalogue" in note.text for note in board.notes)
    board = leaderboard.leaderboard(run, bank, 3, [ranking()])
    assert any("does not say" in note.text for note in board.notes)


def test_renamed_or_not_a_run_that_weights_were_fitted_on_is_known(
    run: Run, tmp_path: Path
) -> None:
    about = read_examples(run.folder).describe() | {"name": "before it was renamed"}
    Weights({"pixel_mse": 1.0}, 0.0, {"runs": [about]}).save(tmp_path / "weights.json")
    with pytest.raises(InputError, match="fitted on this run"):
        leaderboard._check_method(run, f"fitted:{tmp_path / 'weights.json'}")


def test_results_are_kept(run: Run, bank: Bank) -> None:
    board = leaderboard.leaderboard(run, bank, k=3)
    board = replace(board, notes=(Note("a-note", "What to know.", ("text",)),))
    keep_leaderboard(run, board)
    kept = read_leaderboard(run.folder)
    pd.testing.assert_frame_equal(kept.table, board.table)
    about = (
        {name: value for name, value in vars(each).items() if name != "table"}
        for each in (kept, board)
    )
    assert next(about) == next(about)
    assert len(pd.read_csv(run.path("results", "leaderboard.csv"))) == len(board.table)
    text = run.path("results", "leaderboard.md").read_text()
    assert "`metric:feature_cosine`" in text
    assert run.path("results", "figures", "leaderboard.svg").read_text().count("<svg") == 1


def test_what_cannot_be(run: Run, bank: Bank) -> None:
    some = bank.models["model_id"].isin(bank.models["model_id"][:3])
    few = Bank(bank.models[some], bank.kept[some], bank.outcomes)
    with pytest.raises(InputError, match="3 models of random halves"):
        leaderboard.leaderboard(run, few)
    other = Bank(bank.models, bank.kept[:, 1:], bank.outcomes)
    with pytest.raises(InputError, match="make it again"):
        leaderboard.leaderboard(run, other)
    lacking = Bank(bank.models, bank.kept, bank.outcomes.iloc[1:])
    with pytest.raises(InputError, match="not all pictures of prompt p00"):
        leaderboard.leaderboard(run, lacking)
    with pytest.raises(InputError, match="k is 0"):
        leaderboard.leaderboard(run, bank, k=0)
    write_text(run.path("prompts.csv"), "prompt_id,prompt,role\np00,something else,query\n")
    with pytest.raises(InputError, match="other data or prompts"):
        leaderboard.leaderboard(run, bank)
    run.path("prompts.csv").unlink()
    with pytest.raises(InputError, match="no generated pictures"):
        leaderboard.leaderboard(run, bank)


def test_other_shares_of_the_bank_are_left_aside(run: Run, bank: Bank) -> None:
    full = bank.models.iloc[:1].assign(model_id="full", share=0.0)
    more = Bank(
        pd.concat([full, bank.models], ignore_index=True),
        np.concatenate([np.ones((1, bank.kept.shape[1]), bool), bank.kept]),
        pd.concat([bank.outcomes.iloc[:12].assign(model_id="full", value=0.0), bank.outcomes]),
    )
    board = leaderboard.leaderboard(run, more, k=3)
    expected = leaderboard.leaderboard(run, bank, k=3)
    assert board.models == 40
    np.testing.assert_array_equal(board.table["lds"], expected.table["lds"])


def test_families_that_are_not_known(run: Run) -> None:
    known = leaderboard.evidence_of(run, list(run.prompts["prompt_id"]))
    unknown = run.prompts.assign(family="")
    assert known.families is not None
    assert Evidence(run.catalog, known.queries, unknown).families is None
