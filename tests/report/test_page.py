"""The page is whole in one file, safe with any text, and survives what a run may lack."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from untrain.report import write_report
from untrain.report.cards import Pictures

from .conftest import CAPTION, PROMPTS

VOID = {"meta", "img", "br", "input", "link"}


class Page(HTMLParser):
    """Collects tags, attributes and what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack and self.stack[-1] == tag, f"</{tag}> closes <{self.stack[-1]}>"
        self.stack.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def text(run: Path) -> str:
    return write_report(run).read_text(encoding="utf-8")


def test_writes_the_page_the_tables_and_the_figures(run: Path) -> None:
    assert write_report(run) == run / "report.html"
    assert (run / "results" / "summary.md").read_text(encoding="utf-8").startswith("# invented")
    names = {path.name for path in (run / "results" / "figures").iterdir()}
    assert names == {"effects-by-arm.svg", "effects-by-prompt.svg", "reference-similarity.svg"}


def test_the_page_is_well_formed_with_unique_ids_and_links_that_arrive(text: str) -> None:
    page = Page(text)
    assert page.stack == []
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        target = link["href"] or ""
        assert target.startswith("#") and target[1:] in ids
    assert {f"prompt-{p}" for p in PROMPTS} <= set(ids)


def test_the_page_needs_no_network(text: str) -> None:
    page = Page(text)
    assert not page.all("link")
    for image in page.all("img"):
        assert (image["src"] or "").startswith("data:image/")
        assert image["alt"]
    assert not any("src" in script for script in page.all("script"))
    assert not re.search(r"url\((?!#)|@import", text)


def test_the_policy_allows_exactly_the_one_script(text: str) -> None:
    page = Page(text)
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m) or ""
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_a_script_in_a_caption_stays_text(text: str) -> None:
    assert CAPTION not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<b>gold</b>" not in text


def test_each_card_shows_its_pictures(text: str) -> None:
    alts = [image["alt"] or "" for image in Page(text).all("img")]
    # Five drawn and a reference, ten training images, five again by each of two models.
    assert len(alts) == len(PROMPTS) * (6 + 10 + 10)
    card = text[text.index('id="prompt-p00"') :]
    card = card[: card.index("</article>")]
    assert "trained without them" in card and "(B01)" in card and "(B00)" in card
    assert "Attributable" in card and "after Holm" in card
    assert "1.200" in card


def test_images_of_the_family_are_marked(text: str) -> None:
    control = text[text.index('id="prompt-c00"') :]
    assert control[: control.index("</article>")].count('class="kin"') == 8


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
    Page(write_report(run).read_text(encoding="utf-8"))


def test_with_nothing_but_effects_there_is_a_page(run: Path) -> None:
    for name in OPTIONAL:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run / "run.json").write_text("{}")
    assert "bits/token worse" in write_report(run).read_text(encoding="utf-8").replace("\xa0", " ")


@pytest.mark.parametrize("ends", [(np.nan, np.nan), (-np.inf, np.inf), (0.1, np.inf), (np.nan, 1)])
def test_open_intervals_and_absent_estimates_are_drawn(run: Path, ends: tuple) -> None:
    path = run / "results" / "effects.parquet"
    table = pd.read_parquet(path)
    table["low"], table["high"] = ends
    table.loc[table["prompt_id"] == "p01", "estimate"] = np.nan
    table.to_parquet(path)
    text = write_report(run).read_text(encoding="utf-8")
    assert not re.search(r"\bnan\b|\binf\b", re.sub(r"base64,[^\"]*", "", text))


def test_without_effects_the_page_says_that_there_is_no_answer(run: Path) -> None:
    path = run / "results" / "effects.parquet"
    pd.read_parquet(path).iloc[:0].to_parquet(path)
    assert "it has no answer" in write_report(run).read_text(encoding="utf-8")


def test_absent_thumbnails_leave_ids_and_captions_and_a_warning(run: Path) -> None:
    shutil.rmtree(run / "thumbnails")
    text = write_report(run).read_text(encoding="utf-8")
    assert "40 of 40 thumbnails" in text
    assert "p00-0003" in text and "item 3 like" in text


def test_pictures_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (tmp_path / "thumbnails").mkdir()
    assert Pictures().uri(tmp_path / "thumbnails", "../secret.png") == ""


def test_what_is_no_picture_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"<svg onload='alert(1)'/>")
    assert Pictures().uri(tmp_path, "a.png") == ""


def test_large_pictures_shrink_and_the_budget_holds(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    size = len(Pictures().uri(tmp_path, "a.png"))
    assert size < 60_000
    pictures = Pictures(budget=2 * size)
    shown = [pictures.uri(tmp_path, "a.png") for _ in range(3)]
    assert [bool(uri) for uri in shown] == [True, True, False]
    assert shown[0].startswith("data:image/jpeg;base64,")
    assert pictures.dropped == 1
