"""The report's page as people meet it: in a browser, with mouse, keyboard and a narrow screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.browser import Open
from untrain.report.page.write import render
from untrain.runs.results import read_results

FITS = "document.documentElement.scrollWidth <= innerWidth"

# Contrast of every text that can be seen with what lies behind it (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
      if (a > 0) return [r, g, b];
    }
    return parse(getComputedStyle(document.body).backgroundColor);
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const drawn = element.closest("svg");
    const ink = parse(drawn ? style.fill : style.color).slice(0, 3);
    const [high, low] = [light(ink), light(behind(element))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const big = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < (big ? 3 : 4.5)) found.push(`${texts.currentNode.data.trim()}: ${ratio}`);
  }
  return found;
}"""


def order(page: Any) -> list[str]:
    """Return the prompts whose cards can be seen, from the top."""
    return page.locator("#cards > article:visible").evaluate_all("c => c.map((e) => e.id)")


@pytest.mark.parametrize("width", [1280, 800, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(open_page: Open, width: int, scheme: str) -> None:
    page = open_page(width=width, color_scheme=scheme)
    assert page.evaluate(FITS)
    for details in page.locator("details").all():
        details.evaluate("e => e.open = true")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(FITS)


def test_the_dark_page_is_dark(open_page: Open) -> None:
    page = open_page(color_scheme="dark")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in colour[4:-1].split(",")) < 60


def test_pictures_are_drawn(open_page: Open) -> None:
    pictures = open_page().locator(".pic:visible").all()
    styles = [p.evaluate("e => getComputedStyle(e).backgroundImage") for p in pictures[:30]]
    assert all(style.startswith('url("data:image/') for style in styles)


def test_everything_is_there_without_a_script(open_page: Open) -> None:
    page = open_page(java_script_enabled=False)
    card = page.locator("#prompt-p00")
    assert card.locator(".pic:visible").count() == 6 + 10 + 10
    assert not page.locator(".tools").is_visible()
    assert not card.locator(".modes").is_visible()


def test_prompts_are_sorted(open_page: Open) -> None:
    page = open_page()
    by_effect = order(page)
    assert by_effect[-1] == "prompt-c00"
    page.locator("#sort").select_option("order")
    assert order(page) == ["prompt-p00", "prompt-p01", "prompt-p02", "prompt-c00"]
    page.locator("#sort").select_option("prompt")
    assert order(page) == ["prompt-p01", "prompt-p02", "prompt-p00", "prompt-c00"]
    page.locator("#sort").select_option("verdict")
    assert order(page) == ["prompt-p00", "prompt-p02", "prompt-p01", "prompt-c00"]
    page.locator("#sort").select_option("effect")
    assert order(page) == by_effect


def test_prompts_are_filtered(open_page: Open) -> None:
    page = open_page()
    page.locator("#verdict").select_option("undecided")
    assert order(page) == ["prompt-p01"]
    assert page.locator("#count").inner_text() == "1 of 4 prompts"
    page.locator("#verdict").select_option("control")
    assert order(page) == ["prompt-c00"]
    page.locator("#verdict").select_option("")
    page.locator("#words").fill("Handbag")
    assert order(page) == ["prompt-p01"]
    page.locator("#words").fill("")
    page.locator("#least").fill("0.35")
    strong = page.locator("article").evaluate_all(
        "c => c.filter((e) => Number(e.dataset.effect) >= 0.35).map((e) => e.id)"
    )
    assert order(page) == strong
    assert 0 < len(strong) < 4


@pytest.mark.parametrize("link", ["#prompt-p02", "#prompt-2", "#p02"])
def test_a_link_arrives_at_its_prompt(open_page: Open, link: str) -> None:
    page = open_page(link=link)
    top = page.locator("#prompt-p02").evaluate("e => e.getBoundingClientRect().top")
    assert 0 <= top < 200


def test_a_link_brings_back_what_a_filter_hid(open_page: Open) -> None:
    page = open_page()
    page.locator("#verdict").select_option("undecided")
    page.locator('.wall a[href="#prompt-p02"]').click()
    assert page.locator("#prompt-p02").is_visible()
    assert len(order(page)) == 4


def test_the_slider_uncovers_what_models_draw_without_the_images(open_page: Open) -> None:
    page = open_page()
    card = page.locator("#prompt-p00")
    clip = "e => getComputedStyle(e).clipPath"
    over, under = card.locator(".lacking .pic").first, card.locator(".having .pic").first
    assert over.evaluate(clip) == "none"
    assert over.bounding_box()["y"] > under.bounding_box()["y"]
    card.locator('button[data-mode="slide"]').click()
    assert over.bounding_box() == under.bounding_box()
    assert "50%" in over.evaluate(clip)
    slider = card.locator(".slider input")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert "60%" in over.evaluate(clip)
    assert slider.is_visible()


def test_flicker_changes_the_picture_and_stops(open_page: Open) -> None:
    page = open_page()
    card = page.locator("#prompt-p00")
    card.locator('button[data-mode="flicker"]').click()
    for cut in ("100%", " 0%", "100%"):
        card.locator(f'.arm[style*="{cut}"]').wait_for()
    card.locator('button[data-mode="rows"]').click()
    clip = "e => getComputedStyle(e).clipPath"
    assert card.locator(".lacking .pic").first.evaluate(clip) == "none"


def test_a_picture_opens_large_and_the_keyboard_leads_on_and_back(open_page: Open) -> None:
    page = open_page()
    first = page.locator("#prompt-p00 .tiles .pic").first
    first.focus()
    page.keyboard.press("Enter")
    large = page.locator("#large")
    assert large.is_visible()
    assert large.locator("#large-kind").inner_text() == "Training image p00-0000"
    assert large.locator("#large-title").inner_text() == "a shirt <script>alert(1)</script> in red"
    assert "Absent from" in large.inner_text() and "Candidate for" in large.inner_text()
    shown = "getComputedStyle(document.getElementById('large-picture')).backgroundImage"
    assert page.evaluate(shown).startswith('url("data:image/')
    page.keyboard.press("ArrowRight")
    assert large.locator("#large-kind").inner_text() == "Training image p00-0001"
    page.keyboard.press("Escape")
    assert not large.is_visible()
    assert page.evaluate("document.activeElement.dataset.key") == "t/p00-0000"


def test_a_near_copy_opens_beside_its_original(open_page: Open) -> None:
    page = open_page()
    page.locator('#cards [data-key="g/A/p00/0"]').click()
    large = page.locator("#large")
    assert "looks like a copy of training image p00-0001" in large.inner_text()
    large.locator(".see button").click()
    assert large.locator("#large-kind").inner_text() == "Training image p00-0001"
    large.locator("#large-words a").first.click()
    assert not large.is_visible()
    assert page.url.endswith("#prompt-p00")


def test_the_large_view_fits_a_narrow_screen(open_page: Open) -> None:
    page = open_page(width=400)
    page.locator('#cards [data-key="g/A/p00/0"]').click()
    box = page.locator("#large").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 400
    assert page.locator("#large").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_the_keyboard_reaches_parts_tools_and_pictures(open_page: Open) -> None:
    page = open_page()
    seen = set()
    for _ in range(130):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"skip", "sort", "verdict", "least", "words"} <= seen
    assert any("pic" in name for name in seen)


def test_print_shows_both_rows_and_no_tools(open_page: Open) -> None:
    page = open_page()
    card = page.locator("#prompt-p00")
    card.locator('button[data-mode="slide"]').click()
    page.emulate_media(media="print")
    assert not page.locator(".toc").is_visible() and not page.locator(".tools").is_visible()
    rows = [
        card.locator(f".row.{side}").first.bounding_box()["y"] for side in ("having", "lacking")
    ]
    assert rows[1] > rows[0]


def test_the_redacted_page_works_and_shows_no_training_image(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "redacted.html", width=400)
    assert page.evaluate(FITS)
    drawn = "c => c.filter((e) => getComputedStyle(e).backgroundImage !== 'none').length"
    assert page.locator('[data-key^="t/"]').evaluate_all(drawn) == 0
    assert page.locator('[data-key^="g/"]').evaluate_all(drawn) > 0
    page.locator('#cards [data-key="t/p00-0000"]').click()
    assert page.locator("#large-picture").inner_text() == "p00-0000"


def test_the_page_of_a_real_run_opens(open_page: Open, micro_run: Path) -> None:
    for width in (1280, 400):
        page = open_page(micro_run / "report.html", width=width)
        assert page.evaluate(FITS)
        assert page.locator("#cards > article").count() > 0


def test_the_pictures_at_the_top_open_large(open_page: Open) -> None:
    page = open_page()
    page.locator(".examples .pic").first.click()
    assert page.locator("#large").is_visible()
    page.keyboard.press("ArrowRight")
    assert "redrawn by B00" in page.locator("#large-kind").inner_text()


@pytest.mark.parametrize("width", [1280, 760, 400])
def test_the_page_of_given_pictures_has_no_filters_of_effects(
    open_page: Open, folder: Path, tmp_path: Path, width: int
) -> None:
    data = read_results(folder)
    data = replace(data, effects=data.effects.iloc[:0], verdicts=data.verdicts.iloc[:0])
    data.meta["given"] = 20
    (tmp_path / "given.html").write_text(render(data, [], True), encoding="utf-8")
    page = open_page(tmp_path / "given.html", width=width)
    assert page.evaluate(FITS)
    assert page.locator("#least").count() == page.locator("#verdict").count() == 0
    page.locator("#words").fill("Handbag")
    assert order(page) == ["prompt-p01"]
    assert page.locator(".examples .which b").first.inner_text() == "Near copy"


@pytest.mark.parametrize("width", [1280, 400])
def test_the_answer_and_large_pictures_are_on_the_first_screen(open_page: Open, width: int) -> None:
    page = open_page(width=width)
    answer = page.locator("h1").bounding_box()
    assert answer["y"] + answer["height"] < 420
    for picture in page.locator(".trio").first.locator(".pic").all():
        box = picture.bounding_box()
        assert box["y"] + box["height"] < 1000 and box["width"] > 150


def test_no_part_of_navigation_or_tables_is_cut_off(open_page: Open) -> None:
    cut = """() => [...document.querySelectorAll('nav a, .lines li > *, .arms th, .arms td')]
      .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1)
      .map((e) => e.textContent)"""
    for width in (1280, 400):
        page = open_page(width=width)
        page.locator("details.effects").evaluate_all("all => all.forEach((e) => (e.open = true))")
        assert page.evaluate(cut) == []
