"""Attributors as rankings of a run: order, scope, options, models, and what is refused early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers.runs import run
from untrain.attribution.base import Attributor, Evidence, Need, Scores
from untrain.attribution.registry import ATTRIBUTORS
from untrain.core.errors import InputError
from untrain.report.answer import answer
from untrain.runs.results import read_results
from untrain.settings.config import Config

Make = Callable[..., Config]
Copy = Callable[..., Path]


class Reversed(Attributor):
    """Scores images by their place in the catalogue, the last highest, for every prompt."""

    kind = "fake"
    needs: tuple[Need, ...] = ("model",)

    def __init__(self, name: str, sign: float = 1.0) -> None:
        self.name, self.sign = name, sign

    def scores(self, evidence: Evidence) -> Scores:
        assert evidence.model is not None
        assert evidence.queries.samples is not None
        values = np.arange(evidence.shape[1], dtype=float) * self.sign
        return Scores(np.tile(values + len(evidence.models) / 2, (evidence.shape[0], 1)))


class Gradients(Reversed):
    needs: tuple[Need, ...] = ("gradients",)

    def missing(self, evidence: Evidence) -> str | None:
        return "there is no fitted model that gives gradients"


@pytest.fixture(autouse=True)
def fakes() -> Iterator[None]:
    with ATTRIBUTORS.temporary(reversed=Reversed, gradients=Gradients, ensemble=Reversed):
        yield


def ranking(folder: Path, method: str) -> pd.DataFrame:
    table = pd.read_parquet(folder / "ranking.parquet")
    return table[table["method"] == method].reset_index(drop=True)


def test_an_attributor_chooses_what_is_removed(config: Make, micro_copy: Copy) -> None:
    """Of the whole catalogue: the top of its ranking need not be candidates of the search."""
    folder = micro_copy()
    done = run(config("ranking.method=reversed", "ranking.also=[fusion, bm25]"), until="remove")
    found = ranking(folder, "reversed")
    assert found["rank"][0] == 1 and found["image_id"][0] == done.catalog.ids[-1]
    assert (found.groupby("prompt_id").size() == len(done.catalog)).all()
    assert len(ranking(folder, "bm25")) == len(found)
    assert (ranking(folder, "fusion").groupby("prompt_id").size() == 20).all()
    sets = pd.read_parquet(folder / "forget_sets.parquet")
    targeted = set(sets[sets["arm"] == "targeted"]["image_id"])
    family = set(sets[sets["arm"] == "family"]["image_id"])
    free = [image_id for image_id in done.catalog.ids if image_id not in family]
    assert targeted == set(free[-len(targeted) :])


def test_the_search_may_come_first(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    run(config("ranking.method=reversed", "ranking.scope=candidates"), until="rank")
    found = ranking(folder, "reversed")
    candidates = pd.read_parquet(folder / "retrieval.parquet")
    pairs = ["prompt_id", "image_id"]
    assert set(map(tuple, found[pairs].to_numpy())) == set(map(tuple, candidates[pairs].to_numpy()))


def test_options_and_scope_make_another_ranking(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    options = "attribution.options.reversed.sign=-1"
    done = run(config("ranking.method=reversed", options), until="rank")
    assert ranking(folder, "reversed")["image_id"][0] == done.catalog.ids[0]
    run(config("ranking.method=reversed"), until="rank")
    assert ranking(folder, "reversed")["image_id"][0] == done.catalog.ids[-1]


def test_a_run_without_attributors_keeps_its_stages(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    stamp = (folder / "ranking.parquet").stat().st_mtime_ns
    run(config("ranking.scope=candidates", "attribution.models=3"), until="rank")
    assert (folder / "ranking.parquet").stat().st_mtime_ns == stamp


def test_an_ensemble_gets_models_of_further_seeds(
    config: Make, micro_copy: Copy, trained: list[str]
) -> None:
    folder = micro_copy()
    settings = "ranking.method=ensemble:reversed", "attribution.models=3"
    run(config(*settings), until="rank")
    assert len(set(trained)) == 2
    found = ranking(folder, "ensemble:reversed")
    assert found["score"].max() % 1 == 0  # two further models: a whole number
    run(config(*settings, "seed_b=2000"), until="rank")
    assert not set(config(*settings, "seed_b=2000").further_seeds) & {0, 2000}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["ranking.method=reversd"], "unknown ranking 'reversd' — did you mean 'reversed'"),
        (["ranking.method=encoder"], "'encoder' needs an argument"),
        (
            ["ranking.method=reversed", "attribution.options.reversed.sing=2"],
            "attribution.options.reversed: .*no option 'sing' — did you mean 'sign'",
        ),
        (["attribution.options.reversed.sign=2"], "no attributor that ranking asks for"),
        (["ranking.method=ensemble:reversed"], "attribution.models is 1: set it to 2 or more"),
    ],
)
def test_wrong_settings_are_refused(config: Make, settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config(*settings)


def test_missing_gradients_are_told_before_anything_is_trained(
    config: Make, trained: list[str]
) -> None:
    with pytest.raises(
        InputError, match=r"'gradients' cannot be had: .*what is left: fusion,.*bm25"
    ):
        run(config("ranking.also=[gradients]"))
    assert not trained


TWO = (
    "ranking.method=reversed",
    "ranking.also=[fusion]",
    "removal.rankings=[reversed, fusion]",
    "removal.arms=[targeted, random_uniform]",
    "removal.k=[2, 5]",
    "design.models=6",
)


@pytest.mark.slow
def test_two_rankings_are_removed_and_compared_in_one_trial(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    run(config(*TWO))
    sets = pd.read_parquet(folder / "forget_sets.parquet")
    other = "targeted:fusion"
    for arm in ("targeted", other, "random_uniform"):
        own = sets[(sets["arm"] == arm) & (sets["k"] <= 5)]
        assert (own.groupby("prompt_id").size() == 5).all() and len(own) == 20, arm
    effects = pd.read_parquet(folder / "results" / "effects.parquet")
    compared = effects[(effects["arm"] == "targeted") & (effects["control"] == other)]
    compared = compared[compared["measure"] == "nll"]
    assert compared["k"].tolist() == [2, 5]
    assert compared["two_sided_p"].between(0, 1).all()
    verdicts = pd.read_parquet(folder / "results" / "verdicts.parquet")
    assert verdicts["arm"].value_counts().to_dict() == {"targeted": 4, other: 4, "family": 2}
    results = read_results(folder)
    assert len(results.verdicts) == 6 and set(results.further_verdicts["arm"]) == {other}
    page = (folder / "report.html").read_text()
    assert "targeted by fusion" in page
    assert "by <em>reversed</em>" in page and "by <em>fusion</em>" in page
    assert "not among the candidates" in page
    told = answer(results)
    assert "The positive control was not seen" in told
    tables = list((folder / "results" / "tables").glob("*.csv"))
    assert any(other in table.read_text() for table in tables)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["removal.rankings=[study, fusion]"], "first must be the ranking that decides"),
        (["removal.rankings=[fusion, bm25]"], "'bm25' is not one of the run's rankings"),
        (
            ["removal.rankings=[fusion, study]", "design.kind=before-after"],
            "several need the design 'randomised'",
        ),
        (["ranking.method=reversed", "removal.k=[30]", "ranking.scope=candidates"], "lower k"),
        (
            [*TWO[:3], "removal.k=[30]"],
            "30 images are to be removed of the 20 candidates",
        ),
    ],
)
def test_wrong_rankings_to_remove_are_refused(
    config: Make, settings: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        config(*settings)
