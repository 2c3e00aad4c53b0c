"""The page is whole in one file, safe with any text, and survives what a run may lack."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers.reports import CAPTION, PROMPTS, Page, add_comparison
from untrain.core.files import write_json
from untrain.report.page.embedded import EmbeddedPictures, data_uri
from untrain.report.page.rewrite import CHOICE, shows_training_images
from untrain.report.page.write import render, write_report
from untrain.runs.results import read_results

pytestmark = pytest.mark.pipeline  # whole reports


@pytest.fixture
def text(run: Path) -> str:
    return page_of(run)


def page_of(run: Path, training_images: bool = True) -> str:
    """Return the page without its figures, which have tests of their own and take seconds."""
    return render(read_results(run), [], training_images)


def test_writes_tables_figures_and_a_well_formed_page_whose_links_arrive(run: Path) -> None:
    assert write_report(run) == run / "report.html"
    assert (run / "results" / "summary.md").read_text(encoding="utf-8").startswith("# invented")
    names = {path.name for path in (run / "results" / "figures").iterdir()}
    assert {"effects-by-arm.svg", "effects-by-arm.png", "effects-by-prompt.pdf"} <= names
    page = Page((run / "report.html").read_text(encoding="utf-8"))
    assert page.stack == []
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        target = link["href"] or ""
        assert target[1:] in ids if target.startswith("#") else (run / target).is_file()
    assert {f"prompt-{p}" for p in PROMPTS} <= set(ids)


def test_prompts_have_the_ids_that_people_guess(text: str) -> None:
    ids = {attributes.get("id") for _, attributes in Page(text).found}
    assert {"prompt-p02", "p02", "prompt-2", "c00"} <= ids


def test_the_page_needs_no_network(text: str) -> None:
    page = Page(text)
    assert not page.all("link") and not page.all("img")
    assert not any("src" in script for script in page.all("script"))
    assert not re.search(r'url\((?!#|"data:image/)|@import', text)


def test_every_picture_is_described(text: str) -> None:
    pictures = [b for b in Page(text).all("button") if "data-key" in b]
    assert all(picture["aria-label"] for picture in pictures)
    assert "Picture 0 redrawn by B01" in {picture["aria-label"] for picture in pictures}


def test_the_policy_allows_exactly_the_one_script_and_the_two_styles(text: str) -> None:
    page = Page(text)
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m) or ""
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    styles = re.findall(r"<style.*?>(.*?)</style>", text, flags=re.DOTALL)
    assert len(scripts) == 1 and len(styles) == 2
    assert allowed["script-src"] == digest(scripts[0])
    assert allowed["style-src-elem"] == " ".join(map(digest, styles))
    assert allowed["default-src"] == "'none'"


def digest(code: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def test_a_script_in_a_caption_stays_text(text: str) -> None:
    assert CAPTION not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<b>gold</b>" not in text


def test_what_is_known_of_a_picture_survives_hostile_captions(run: Path) -> None:
    captions = pd.read_parquet(run / "captions.parquet")
    hostile = "</script><script>alert(1)</script><!-- '\" & \u2028"
    captions.loc[captions["image_id"] == "p01-0000", "caption"] = hostile
    captions.to_parquet(run / "captions.parquet")
    text = page_of(run)
    assert len(re.findall("</script", text)) == 2
    assert known(text)["t/p01-0000"]["title"] == hostile


def known(text: str) -> dict:
    """Return the data of the large view."""
    island = re.search(r'<script type="application/json" id="known">(.*?)</script>', text)
    assert island
    return json.loads(island[1])


def card(text: str, prompt_id: str) -> str:
    start = text.index(f'<article id="prompt-{prompt_id}"')
    return text[start : text.index("</article>", start)]


def test_each_card_shows_its_pictures_and_its_effects(text: str) -> None:
    buttons = [b for b in Page(card(text, "p00")).all("button") if "data-key" in b]
    # Five drawn and a reference, five again by each of two models, all twelve candidates.
    assert len(buttons) == 6 + 10 + 10 + 2
    assert [b["data-key"] for b in buttons[6:7]] == ["g/B00/p00/0"]
    assert [b["data-key"] for b in buttons[11:12]] == ["g/B01/p00/0"]
    shown = card(text, "p00")
    assert "Attributable" in shown and "after Holm" in shown and "less likely" in shown
    assert "1.200" in shown
    assert "The next 2 candidates" in shown


def test_equal_pictures_are_embedded_once(run: Path) -> None:
    for n in range(5):
        shutil.copy(run / "queries" / "p00" / "0.png", run / "queries" / "p01" / f"{n}.png")
    text = page_of(run)
    shown = Page(card(text, "p01")).all("button")[:5]
    assert len({button["class"] for button in shown}) == 1
    uris = re.findall(r'url\("(data:[^"]*)"\)', text)
    assert len(uris) == len(set(uris))


def test_images_of_the_family_are_marked(text: str) -> None:
    assert card(text, "c00").count('class="kin"') == 8


def test_bars_say_which_metrics_made_a_score(run: Path) -> None:
    add_comparison(run)
    shown = card(page_of(run), "p01")
    assert shown.count('<ul class="bars">') == 10
    assert "squared error" in shown and "caption" in shown
    widths = [float(w) for w in re.findall(r'<rect width="([\d.]+)" height="4"/>', shown)]
    assert len(widths) == 50 and all(0 <= width <= 100 for width in widths)


def test_the_large_view_knows_where_else_an_image_is_influential(run: Path) -> None:
    add_comparison(run)
    ranking = pd.read_parquet(run / "ranking.parquet")
    other = ranking[(ranking["image_id"] == "p00-0003") & (ranking["method"] == "fusion")]
    more = pd.concat([ranking, other.assign(prompt_id="p02", rank=7)])
    more.to_parquet(run / "ranking.parquet")
    entry = known(page_of(run))["t/p00-0003"]
    assert [use["href"] for use in entry["uses"]] == ["#prompt-p00", "#prompt-p02"]
    facts = dict(entry["facts"])
    assert facts["Removed in"] == "targeted, 10, of p00"
    assert facts["Absent from"].startswith("1 of 4") and "B01" in facts["Absent from"]
    assert entry["table"]["heads"] == ["Metric", "p00"]


def test_the_large_view_knows_how_hard_a_picture_is_for_each_model(text: str) -> None:
    entry = known(text)["g/A/p00/2"]
    assert entry["table"]["rows"][1] == ["B01", "4.10", "targeted, 10; 2 sets of other prompts"]


# Without training images --------------------------------------------------------------------------


def test_a_redacted_page_holds_no_training_image(run: Path) -> None:
    add_comparison(run)
    uris = [data_uri(path) for path in (run / "thumbnails").iterdir()]
    assert all(uri in page_of(run) for uri in uris[:3])
    text = page_of(run, training_images=False)
    assert not any(uri in text for uri in uris)
    entries = known(text)
    assert not any(entry["picture"] for key, entry in entries.items() if key.startswith("t/"))
    assert "p00-0003" in text and "item 3 like" in text
    assert "Neither training images nor generated pictures that look like copies" in text
    assert "thumbnails of training images are not in the run folder" not in text


def test_a_redacted_page_withholds_near_copies_by_every_model_and_the_reference(run: Path) -> None:
    add_comparison(run)
    text = page_of(run, training_images=False)
    entries = known(text)
    for model in ("A", "B00", "B01"):
        assert [bool(entries[f"g/{model}/p00/{n}"]["picture"]) for n in range(3)] == [0, 0, 1]
    assert "g/A/p00/reference" not in entries
    assert 'data-key="g/A/p01/0"' in text


def test_a_redacted_page_of_a_run_without_a_copy_test_says_so(run: Path) -> None:
    text = page_of(run, training_images=False)
    assert "made no copy test" in text


# The folder may lack things -----------------------------------------------------------------------


@pytest.mark.parametrize("choice", [False, True])
@pytest.mark.parametrize("damage", [None, b"", b'{"training_images": 1}'])
def test_what_the_page_may_show_survives_damage(
    tmp_path: Path, choice: bool, damage: bytes | None
) -> None:
    write_json(tmp_path / "run.json", {})
    choosing = tmp_path.joinpath(*CHOICE)
    write_json(choosing, {"training_images": choice})
    choosing.unlink()
    if damage is not None:
        choosing.write_bytes(damage)
    assert shows_training_images(tmp_path) is choice


def test_the_same_run_gives_the_same_bytes(run: Path) -> None:
    paths = [write_report(run), *sorted((run / "results" / "figures").iterdir())]
    first = [path.read_bytes() for path in paths]
    write_report(run)
    assert [path.read_bytes() for path in paths] == first


OPTIONAL = [
    *("config.yaml", "ranking.parquet", "forget_sets.parquet", "models.parquet", "queries"),
    *("removals.parquet", "captions.parquet", "generations", "thumbnails"),
    *("results/measures.parquet", "results/verdicts.parquet", "results/similarity_results.csv"),
]


@pytest.mark.parametrize("name", OPTIONAL)
def test_any_optional_file_may_be_absent(run: Path, name: str) -> None:
    path = run / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert Page(page_of(run)).stack == []


def test_with_nothing_but_effects_there_is_a_page(run: Path) -> None:
    for name in OPTIONAL:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run / "run.json").write_text('{"stages": {}}')
    assert "each token of its pictures is" in page_of(run)


@pytest.mark.parametrize("ends", [(np.nan, np.nan), (-np.inf, np.inf), (0.1, np.inf), (np.nan, 1)])
def test_open_intervals_and_absent_estimates_are_drawn(run: Path, ends: tuple) -> None:
    path = run / "results" / "effects.parquet"
    table = pd.read_parquet(path)
    table["low"], table["high"] = ends
    table.loc[table["prompt_id"] == "p01", "effect"] = np.nan
    table.to_parquet(path)
    text = page_of(run)
    assert not re.search(r"\bnan\b|\binf\b", re.sub(r"base64,[^\"]*", "", text))


def test_without_effects_the_page_says_that_there_is_no_answer(run: Path) -> None:
    path = run / "results" / "effects.parquet"
    pd.read_parquet(path).iloc[:0].to_parquet(path)
    assert "it has no answer" in page_of(run)


def test_absent_thumbnails_leave_ids_and_captions_and_a_warning(run: Path) -> None:
    shutil.rmtree(run / "thumbnails")
    text = page_of(run)
    assert "40 of 40 thumbnails" in text
    assert "p00-0003" in text and "item 3 like" in text


def test_pictures_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (tmp_path / "thumbnails").mkdir()
    assert EmbeddedPictures().add(tmp_path / "thumbnails", "../secret.png") == ""


def test_what_is_no_picture_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"<svg onload='alert(1)'/>")
    assert EmbeddedPictures().add(tmp_path, "a.png") == ""


def test_large_pictures_shrink_and_the_budget_holds(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in "abc":
        noise = random.integers(0, 256, (600, 400, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    size = max(len(data_uri(tmp_path / f"{name}.png")) for name in "abc")
    assert size < 60_000
    pictures = EmbeddedPictures(budget=2 * size)
    assert [pictures.add(tmp_path, f"{name}.png") for name in "aabc"] == ["i0", "i0", "i1", ""]
    assert pictures.dropped == 1
    assert pictures.sheet.count("data:image/webp;base64,") == 2


# The pictures at the top --------------------------------------------------------------------------


def examples(text: str) -> str:
    start = text.index('<section class="examples"')
    return text[start : text.index('<section class="finding"', start)]


def places(text: str) -> list[str]:
    return re.findall(r'class="which"><b>(.*?)</b>', text)


def test_the_page_opens_with_its_answer_and_a_typical_prompt(run: Path) -> None:
    path = run / "results" / "effects.parquet"
    table = pd.read_parquet(path)
    for prompt_id, p in {"p00": 0.3, "p01": 0.01, "p02": 0.04}.items():
        table.loc[table["prompt_id"] == prompt_id, "p_value"] = p
    table.to_parquet(path)
    text = page_of(run)
    headline = re.search(r'<h1 class="answer">(.*?)</h1>', text)
    assert headline and headline[1].startswith("For models trained without the 10 images found")
    assert headline.end() < text.index("data-key")  # pictures follow it immediately
    assert text.index("data-key") < text.index("<table")
    text = examples(text)
    assert re.findall('href="#prompt-(.*?)"', text) == ["p02", "p01", "p00"]
    assert places(text) == [
        "A typical prompt: the middle one of 3",
        "The clearest prompt",
        "The least clear prompt",
    ]
    keys = [button["data-key"] for button in Page(text).all("button")]
    pictures = ["g/A/p02/0", "g/B00/p02/0", "g/B01/p02/0"]
    assert keys[:13] == [*pictures, *(f"t/p02-000{n}" for n in range(10))]
    assert "The 10 training images found for it" in text


def test_every_prompt_is_seen_at_a_glance(run: Path) -> None:
    text = page_of(run)
    wall = text[text.index('<ol class="wall">') : text.index('<section id="prompts"')]
    assert set(re.findall('href="#prompt-(.*?)"', wall)) == set(PROMPTS)
    assert wall.count('class="still') == 2 * len(PROMPTS)
    assert "less likely" in wall


def test_what_would_puzzle_is_explained_where_it_stands(run: Path) -> None:
    effects = pd.read_parquet(run / "results" / "effects.parquet")
    own = (effects["prompt_id"] == "c00") & (effects["arm"] == "family")
    effects.loc[own, "k"] = 12  # its set holds eight
    more = effects[effects["prompt_id"] == "p00"].head(1).assign(arm="random_candidate")
    more[["effect", "low", "high", "p_value"]] = np.nan
    pd.concat([effects, more]).to_parquet(run / "results" / "effects.parquet")
    sets = pd.read_parquet(run / "forget_sets.parquet")
    sets.loc[sets["prompt_id"] == "c00", "k"] = 12
    sets.to_parquet(run / "forget_sets.parquet")
    text = page_of(run)
    assert "all 8 images of this family" in card(text, "c00") and "family, 8" in card(text, "c00")
    assert "cannot be told apart" in card(text, "p00")
    assert "if anything better without them" in card(text, "p00")


def test_with_two_prompts_none_is_typical_and_without_any_there_is_no_opening(run: Path) -> None:
    shutil.rmtree(run / "queries" / "p01")
    text = examples(page_of(run))
    assert places(text) == ["The clearer of two prompts", "The less clear one"]
    shutil.rmtree(run / "queries")
    assert 'class="examples"' not in page_of(run)


def test_without_training_images_the_opening_names_them_and_shows_no_near_copy(run: Path) -> None:
    add_comparison(run)  # p00/0 and p00/1 are near copies
    text = examples(page_of(run, training_images=False))
    keys = [str(button["data-key"]) for button in Page(text).all("button")]
    assert "g/A/p00/2" in keys and "g/A/p01/0" in keys
    assert not any(key.startswith("t/") for key in keys)
    assert "<b>p00-0003</b> item 3 like" in text
