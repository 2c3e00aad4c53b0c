"""Every attributor keeps one contract, on a catalogue of rendered families."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from untrain.attribution import whole_comparison
from untrain.attribution.base import Attributor, Evidence, Scores, dense
from untrain.attribution.ensemble import Ensemble
from untrain.attribution.registry import ATTRIBUTORS, every_attributor, make_attributor
from untrain.attribution.whole_comparison import WholeComparison, common_size, compare_all
from untrain.catalogs import Catalog, rendered
from untrain.catalogs.rendered.catalog import family_prompt
from untrain.core.errors import InputError
from untrain.encoders.layout import LayoutEncoder
from untrain.generators.queries import Queries
from untrain.search.rank.weights import Weights

PROMPTS, GENERATIONS = 3, 2


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Ten families of five."""
    return rendered(families=10, size_of_family=5, resolution=32)


def asked(catalog: Catalog) -> tuple[Queries, pd.DataFrame]:
    """Queries that are training images, two of a family for each prompt."""
    families = sorted(set(catalog.attributes["family"]))[:PROMPTS]
    keys, pictures = [], []
    for number, family in enumerate(families):
        members = np.flatnonzero(catalog.attributes["family"] == family)[:GENERATIONS]
        keys += [(f"p{number}", generation) for generation in range(GENERATIONS)]
        pictures += [np.asarray(catalog.image(catalog.ids[i])) for i in members]
    texts = {f"p{n}": family_prompt(catalog, family) for n, family in enumerate(families)}
    prompts = pd.DataFrame({"prompt_id": list(texts), "prompt": list(texts.values())})
    return Queries(tuple(keys), texts, pictures), prompts.assign(family=families, role="query")


@pytest.fixture(scope="module")
def evidence(catalog: Catalog) -> Evidence:
    queries, prompts = asked(catalog)

    def compare() -> WholeComparison:
        size = common_size(catalog, queries, 100)
        return compare_all(catalog, LayoutEncoder(), queries, 5000, size)

    return Evidence(catalog, queries, prompts, compare)


def usable(evidence: Evidence) -> list[Attributor]:
    found = every_attributor(encoders=["layout"])
    return [each for each in found if each.missing(evidence) is None]


def test_every_attributor_scores_each_image_for_each_prompt(evidence: Evidence) -> None:
    names = [attributor.name for attributor in usable(evidence)]
    assert len(names) == len(set(names)) >= 20
    assert {"text", "bm25", "fusion", "metric:pixel_mse", "encoder:layout", "family"} < set(names)
    for attributor in usable(evidence):
        scores = attributor.scores(evidence)
        assert scores.values.shape == (PROMPTS, len(evidence.catalog)), attributor.name
        assert scores.values.dtype == np.float32
        assert np.isfinite(scores.values).all(), attributor.name
        assert scores.seconds > 0 or np.isnan(scores.seconds)
        again = make(attributor).scores(evidence).values
        np.testing.assert_array_equal(scores.values, again, err_msg=attributor.name)


def make(attributor: Attributor) -> Attributor:
    return make_attributor(attributor.name)


def test_higher_is_more_influential_everywhere(evidence: Evidence) -> None:
    """Queries are training images: by whatever means, their own family is no worse than chance."""
    families = evidence.families
    assert families is not None
    for attributor in usable(evidence):
        if attributor.kind in ("chance", "oracle"):
            continue
        values = attributor.scores(evidence).values
        assert values[families].mean() > values[~families].mean(), attributor.name


def test_chance_has_many_draws_and_depends_on_the_seed(evidence: Evidence) -> None:
    chance = make_attributor("random")
    draws = [draw.scores(evidence).values for draw in chance.draws()]
    assert len({values.tobytes() for values in draws}) == len(draws) == 20
    assert abs(np.mean(draws) - 0.5) < 0.02
    other = Evidence(evidence.catalog, evidence.queries, evidence.prompts, seed=1)
    assert not np.array_equal(chance.scores(other).values, draws[0])


def test_what_is_missing_is_said(evidence: Evidence) -> None:
    bare = Evidence(evidence.catalog, evidence.queries, evidence.prompts.assign(family=""))
    reasons = {each.name: each.missing(bare) for each in every_attributor()}
    assert reasons["text"] is reasons["random"] is None
    assert reasons["fusion"] == "the queries are not compared with the catalogue"
    assert reasons["family"] == "the families of images or prompts are not known"
    assert not bare.has("model") and not bare.has("gradients")
    with pytest.raises(InputError, match="not compared"):
        make_attributor("fusion").scores(bare)
    assert make_attributor("metric:text_clip").missing(evidence) == "text_clip was not measured"


def test_fitted_weights_and_scores_of_a_file_are_attributors(
    evidence: Evidence, tmp_path: Path
) -> None:
    weights = Weights({"pixel_mse": 1.0}, 0.0, {})
    weights.save(tmp_path / "w.json")
    fitted = make_attributor(f"fitted:{tmp_path / 'w.json'}")
    ranked = weights.rank(evidence.comparison.table).table
    np.testing.assert_array_equal(fitted.scores(evidence).values, dense(ranked, evidence))
    assert fitted.kind == "fitted"
    own = [(p, i, 1.5) for p in evidence.prompt_ids for i in evidence.catalog.ids[:7]]
    table = pd.DataFrame(own, columns=["prompt_id", "image_id", "score"])
    table.to_parquet(tmp_path / "s.parquet")
    scores = make_attributor(f"scores:{tmp_path / 's.parquet'}").scores(evidence)
    assert np.isnan(scores.values[:, 7:]).all() and (scores.values[:, :7] == 1.5).all()
    assert np.isnan(scores.seconds)


def test_an_unknown_name_is_refused(evidence: Evidence) -> None:
    with pytest.raises(InputError, match="did you mean 'fusion'"):
        make_attributor("fusoin")
    with pytest.raises(InputError, match="did you mean 'pixel_mse'"):
        make_attributor("metric:pixel_msee")


def test_a_method_of_ones_own_is_a_class_and_a_line(evidence: Evidence) -> None:
    class First(Attributor):
        name, kind = "first", "mine"

        def scores(self, evidence: Evidence) -> Scores:
            table = [(p, evidence.catalog.ids[0], 1.0) for p in evidence.prompt_ids]
            found = pd.DataFrame(table, columns=["prompt_id", "image_id", "score"])
            return Scores(dense(found, evidence))

    with ATTRIBUTORS.temporary(first=lambda name: First()):
        assert "first" in [each.name for each in every_attributor()]
        values = make_attributor("first").scores(evidence).values
    assert (values[:, 0] == 1).all() and np.isnan(values[:, 1:]).all()


def test_the_comparison_is_made_once_and_is_that_of_the_arguments(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    queries, _ = asked(catalog)
    encoder, size = LayoutEncoder(), common_size(catalog, queries, 10)
    first = compare_all(catalog, encoder, queries, 20, size)
    assert len(first.table) == 20 * len(queries)
    assert first.cost(["pixel_mse", "pixel_mae"]) == first.cost(["pixel_mse"])
    assert first.cost(["pixel_mse", "feature_kl"]) > first.cost(["pixel_mse"])
    with monkeypatch.context() as patch:
        patch.setattr(whole_comparison, "compare", None)  # cannot be called
        again = compare_all(catalog, encoder, queries, 20, size)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert first.seconds == again.seconds
    other = compare_all(catalog, encoder, queries.of("p1"), 20, size)
    assert set(other.table["prompt_id"]) == {"p1"}


def test_sharpened_scores_keep_the_order_and_weigh_the_first(evidence: Evidence) -> None:
    plain = make_attributor("fusion").scores(evidence).values
    sharp = make_attributor("sharp:fusion").scores(evidence).values
    np.testing.assert_array_equal(
        np.argsort(plain, kind="stable"), np.argsort(sharp, kind="stable")
    )
    centred = (plain - plain.mean(1, keepdims=True)) / plain.std(1, keepdims=True)
    np.testing.assert_allclose(sharp, np.exp(2 * centred), rtol=1e-4)
    flat = make_attributor("sharp:fusion", sharpness=0.1).scores(evidence).values
    assert (flat.max(1) / flat.mean(1) < sharp.max(1) / sharp.mean(1)).all()
    with pytest.raises(InputError, match="above 0"):
        make_attributor("sharp:fusion", sharpness=0.0)
    assert (
        make_attributor("sharp:dtrak").missing(evidence)
        == "there is no fitted model that gives gradients"
    )


def test_an_ensemble_averages_standardised_scores(evidence: Evidence) -> None:
    class Given(Attributor):
        name, kind = "given", "metric"

        def scores(self, evidence: Evidence) -> Scores:
            return Scores(evidence.model, seconds=1.0, once=2.0)  # type: ignore[arg-type]

    each = [np.array([[0.0, 1.0, 5.0]]), np.array([[30.0, -10.0, 10.0]])]
    models = Evidence(
        evidence.catalog, evidence.queries, evidence.prompts, model=each[0], models=each[1:]
    )  # type: ignore[arg-type]
    found = Ensemble("ensemble:given", lambda name: Given()).scores(models)
    expected = np.mean([(v - v.mean()) / v.std() for v in each], axis=0)
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)
    assert (found.seconds, found.once) == (2.0, 4.0)
