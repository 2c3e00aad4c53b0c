"""The figures hold what the tables hold."""

from __future__ import annotations

import json
import math
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from tests.helpers.figures import FONTS, real_figures
from tests.helpers.reports import PROMPTS, make_run
from untrain.report.figures import FIGURES, INLINE, Plot, drawn, figures
from untrain.report.figures.effects import effects_by_arm, prompt_effects
from untrain.report.figures.embedding import Projection, projection, unpack
from untrain.report.figures.search import agreement, score_table
from untrain.report.figures.style import styled
from untrain.report.figures.training import losses
from untrain.report.model_pairs import chosen_sets
from untrain.report.page.cards import strip
from untrain.runs.results import read_results

pytestmark = pytest.mark.pipeline  # whole reports

LEVELS = [8, 5, 5, 5]


@pytest.fixture(autouse=True, scope="module")
def all_formats() -> Iterator[None]:
    """Everywhere else PNG and PDF are blank."""
    with real_figures():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that figures are drawn from, but a bank."""
    run = make_run(tmp_path_factory.mktemp("figures") / "run")
    random = np.random.default_rng(1)
    ranking = pd.read_parquet(run / "ranking.parquet")
    ids = sorted(ranking["image_id"].unique())
    catalog = pd.DataFrame({"image_id": ids, "caption": "a thing", "content": ids})
    catalog.to_parquet(run / "catalog.parquet", index=False)
    pairs = (
        ranking[["prompt_id", "image_id"]]
        .drop_duplicates()
        .merge(pd.DataFrame({"generation": range(5)}), how="cross")
    )
    for metric in ("pixel_mse", "pixel_cosine", "feature_cosine"):
        pairs[metric] = random.random(len(pairs))
    pairs.to_parquet(run / "comparison.parquet", index=False)
    _keep_tokens(run, len(ids), random)
    for name, removed in (("aa", []), ("b00", ids[:12]), ("b01", ids[:24])):
        folder = run / "models" / name
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({"losses": [4.0, 2.0], "preset": {}}))
        (folder / "removed.json").write_text(json.dumps({"seed": 7, "removed": removed}))
    return run


@pytest.fixture(scope="module")
def plots(whole: Path) -> list[Plot]:
    return figures(read_results(whole))


def draw(run: Path, name: str) -> Plot:
    with styled():
        plot = FIGURES[name](read_results(run))
    assert isinstance(plot, Plot)
    return plot


def _keep_tokens(run: Path, images: int, random: np.random.Generator) -> None:
    shared = run / "shared" / "0123"
    shared.mkdir(parents=True)
    save_file({"image": random.integers(0, 1000, (images, 6))}, shared / "tokens.safetensors")
    described = {"catalog": "0123456789abcdef", "recipe": {"levels": LEVELS}}
    (shared / "shared.json").write_text(json.dumps(described))
    names = [f"{p}/{n}" for p in PROMPTS for n in (*range(5), "reference")]
    queries = {name: random.integers(0, 1000, 6) for name in names}
    save_file(queries, run / "queries.safetensors")


def test_every_figure_is_drawn_or_says_why_not(whole: Path, plots: list[Plot]) -> None:
    again, reasons = drawn(read_results(whole))
    assert again == plots  # to the byte, in all formats
    assert [plot.name for plot in plots] == [name for name in FIGURES if name not in reasons]
    assert set(reasons) == {"k-sweep", "equivalent", "leaderboard", "groups", "unlearning"}
    assert reasons["k-sweep"] == "every arm removed a single number of images"


def test_a_figure_is_saved_in_three_formats(plots: list[Plot], tmp_path: Path) -> None:
    plots[0].save(tmp_path)
    starts = {path.name: path.read_bytes()[:4] for path in tmp_path.iterdir()}
    name = "effects-by-arm"
    assert starts == {f"{name}.svg": b"<?xm", f"{name}.png": b"\x89PNG", f"{name}.pdf": b"%PDF"}


def test_letters_of_a_pdf_stay_letters(whole: Path) -> None:
    with styled({"pdf.fonttype": FONTS}):
        found = effects_by_arm(read_results(whole))
    assert isinstance(found, Plot)
    assert b"/FontFile2" in found.pdf and b"/Type3" not in found.pdf


def test_figures_are_valid_svg_with_text_as_text(plots: list[Plot]) -> None:
    for plot in plots:
        ET.fromstring(plot.svg)
        inline = plot.inline.replace("xlink:href", "href")
        ET.fromstring(plot.inline)
        assert inline.startswith("<svg")
        assert "<text" in inline
        assert not any(colour in inline for colour in INLINE)
        assert not re.search(r"<(style|title|desc|metadata)|aria-labelledby", inline)
        assert not re.search(r'\bid="(?!' + plot.name + ")", inline)
        assert plot.title and plot.caption and plot.alt


def test_files_ask_for_no_other_and_say_what_they_show(plots: list[Plot]) -> None:
    for plot in plots:
        assert "<!DOCTYPE" not in plot.svg and "<metadata" not in plot.svg
        assert not re.search(r'(href="|url\()(?!#)', plot.svg)
        names = {element.tag.rpartition("}")[2]: element for element in ET.fromstring(plot.svg)}
        assert names["title"].text == plot.title
        assert names["desc"].text == plot.alt


def test_prompts_with_dollars_and_underscores_are_no_mathematics(run: Path) -> None:
    table = pd.read_csv(run / "prompts.csv")
    table["prompt"] = [r"$x^$ \frac{", "a_b $5 and $6", "100 % <i>\x00\x1b\n", "&amp; é 漢"]
    table.to_csv(run / "prompts.csv", index=False)
    svg = draw(run, "scores").svg
    ET.fromstring(svg)
    assert "$5 and $6" in svg
    assert "100 % &lt;i&gt;  p02" in svg


def test_many_prompts_are_drawn_without_labels(run: Path) -> None:
    path = run / "results" / "similarity_results.csv"
    row = "a_{0},0.5,0.4,0.6,0.{1},0.4,0.6\n"
    lines = [row.format(i, 40 + i % 10) for i in range(150)]
    path.write_text("Folder,Mean_1,Min_1,Max_1,Mean_2,Min_2,Max_2\n" + "".join(lines))
    plot = draw(run, "reference-similarity")
    assert "a 17" not in plot.svg
    assert plot.alt == "Similarity falls for 150 of 150 prompts; the mean change is −0.055."


def test_points_are_the_effects_on_single_prompts(run: Path) -> None:
    data = read_results(run)
    points = prompt_effects(data)
    own = points[points["arm"] == "targeted"]
    assert list(own["prompt_id"]) == ["p00", "p01", "p02"]
    effects = data.effects
    one = effects.query("prompt_id == 'p01' and arm == 'targeted' and design == 'randomised'")
    assert own["effect"].iloc[1] == one["effect"].item()


def test_the_sweep_has_a_panel_for_each_arm_of_several_sizes(run: Path) -> None:
    path = run / "results" / "effects.parquet"
    table = pd.read_parquet(path)
    more = table[table["arm"].isin(["targeted", "random_uniform"])].copy()
    more["k"], more["effect"] = 100, more["effect"] + 0.5
    pd.concat([table, more]).to_parquet(path, index=False)
    plot = draw(run, "k-sweep")
    assert "targeted: 0.27 for 10, 0.77 for 100" in plot.alt
    assert "random uniform: 0.020 for 10, 0.52 for 100" in plot.alt
    assert "family" not in plot.alt
    texts = [element.text for element in ET.fromstring(plot.svg).iter() if element.text]
    assert {"10", "100", "targeted", "random uniform"} <= set(texts)


def test_scores_of_chosen_images_are_set_against_the_others(run: Path) -> None:
    table = score_table(read_results(run)).set_index("prompt_id")
    assert list(table.index)[-1] == "c00"
    line = table.loc["p00"]
    np.testing.assert_allclose(line["chosen"], 1.2 - 0.07 * np.arange(10))
    ends = line[["least", "low", "middle", "high", "most"]].to_numpy(float)
    np.testing.assert_allclose(ends, [0.43, 0.4475, 0.465, 0.4825, 0.5])
    assert [len(scores) for scores in table["chosen"]] == [10, 10, 10, 8]


def test_of_several_sizes_the_smallest_counts_as_chosen(run: Path) -> None:
    path = run / "forget_sets.parquet"
    sets = pd.read_parquet(path)
    larger = sets[sets["arm"] == "targeted"].assign(k=100, forget_set_id="targeted/large")
    random = sets[sets["prompt_id"] == "p00"].assign(arm="random_uniform", forget_set_id="r")
    pd.concat([larger, random, sets]).to_parquet(path, index=False)
    found = chosen_sets(read_results(run))
    assert {p: len(ids) for p, ids in found.items()} == {"c00": 8, "p00": 10, "p01": 10, "p02": 10}


def test_agreement_is_the_mean_rank_correlation_over_prompts(whole: Path) -> None:
    data = read_results(whole)
    table = agreement(data)
    assert table.loc["ranking fusion", "ranking pixels"] == pytest.approx(-1)
    compared = data.comparison.copy()
    grouped = compared.groupby(["prompt_id", "generation"])
    expected = []
    metrics = ["pixel_mse", "feature_cosine"]
    compared[metrics] = grouped[metrics].transform(lambda own: (own - own.mean()) / own.std(ddof=0))
    for _, own in compared.groupby("prompt_id"):
        means = own.groupby("image_id")[metrics].mean()
        expected.append(-spearmanr(means["pixel_mse"], means["feature_cosine"]).statistic)
    assert table.loc["pixel mse", "feature cosine"] == pytest.approx(np.mean(expected))


def test_tokens_are_digits_from_minus_one_to_one() -> None:
    tokens = np.array([[0, 7, 8 + 7, 8 * 5 * 5 * 4]])
    expected = [-1, -1, -1, -1, 1, -1, -1, -1, 1, -0.5, -1, -1, -1, -1, -1, 1]
    np.testing.assert_allclose(unpack(tokens, LEVELS), [expected])


def test_the_map_is_the_plane_of_the_first_principal_components(whole: Path) -> None:
    from safetensors.numpy import load_file

    found = projection(read_results(whole))
    assert isinstance(found, Projection)
    counts = found.points.groupby("kind").size()
    assert dict(counts) == {"candidate": 4 * 12 - 38, "chosen": 38, "generated": 20}
    tokens = load_file(whole / "shared" / "0123" / "tokens.safetensors")["image"]
    pca = PCA(2).fit(unpack(tokens, LEVELS))
    assert found.share == pytest.approx(pca.explained_variance_ratio_.sum())
    drawn_tokens = load_file(whole / "queries.safetensors")["p01/3"]
    expected = np.abs(pca.transform(unpack(drawn_tokens[None], LEVELS))[0])
    one = found.points.query("prompt_id == 'p01' and name == '3'")[["x", "y"]].to_numpy()[0]
    np.testing.assert_allclose(np.abs(one), expected)


def test_there_is_no_map_without_codes_of_the_same_catalogue(whole: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    path = run / "shared" / "0123" / "shared.json"
    path.write_text(json.dumps({"catalog": "another", "recipe": {"levels": LEVELS}}))
    assert projection(read_results(run)) == "this run has no codes of its pictures"


def test_losses_are_the_mean_over_the_pairs_that_a_model_kept(whole: Path) -> None:
    table = losses(read_results(whole))
    found = table.set_index(["model_id", "epoch"])["loss"]
    # Of 48 images, 12 and 24 were removed; B02 and B03 keep no model.
    assert found.to_dict() == {
        ("A", 1): 4.0,
        ("A", 2): 2.0,
        ("B00", 1): pytest.approx(4 * 48 / 36),
        ("B00", 2): pytest.approx(2 * 48 / 36),
        ("B01", 1): pytest.approx(8.0),
        ("B01", 2): pytest.approx(4.0),
    }
    assert set(table["kind"]) == {"sampler", "paired"}


def test_words_tell_what_a_figure_shows(plots: list[Plot]) -> None:
    by_name = {plot.name: plot for plot in plots}
    assert by_name["effects-by-arm"].alt.startswith(
        "Effects in bits per image token by what was removed. targeted, 10: 0.27 (95\xa0% "
        "interval 0.20–0.35), naive 1.31; "
    )
    assert "3 prompts" in by_name["effects-by-prompt"].alt


def test_bars_of_all_cards_share_one_scale() -> None:
    table = pd.DataFrame(
        {
            "effect": [0.5, -0.5, math.nan, 4],
            "low": [0.0, -1.0, 0, 3],
            "high": [1.0, math.nan, 0, 5],
        }
    )
    zero, bars = strip(table, pd.Series([True, True, True, False]))
    assert zero == 50
    assert bars[0] == {"at": 75, "start": 50, "stop": 100, "beyond": False}
    assert bars[1] == {"at": 25, "start": 0, "stop": 100, "beyond": False}
    assert bars[2]["at"] is None
    assert bars[3] == {"at": 100, "start": 100, "stop": 100, "beyond": True}


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_bars_without_numbers(values: list[float]) -> None:
    table = pd.DataFrame({"effect": values, "low": values, "high": values})
    zero, bars = strip(table, pd.Series([True] * len(values), dtype=bool))
    assert zero == 0
    assert all(bar["at"] is None for bar in bars)
