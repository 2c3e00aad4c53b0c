"""The page of a trace is whole in one file, safe with any text, and says what was found."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.reports import Page
from untrain.catalogs import Catalog, rendered
from untrain.report.page.trace import answer, trace_page
from untrain.search.trace import trace

HOSTILE = "<script>alert(1)</script> & \"quotes\" <img src='http://example.org/x'>"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Twelve pictures with hostile captions, of which the last is a copy of the first."""
    made = rendered(families=4, size_of_family=3, resolution=24)
    first = made.ids[0]
    return Catalog(
        name="made & <b>mine</b>",
        ids=(*made.ids, "copy<i>"),
        captions=(*(f"{HOSTILE} {caption}" for caption in made.captions), "again"),
        hashes=(*made.hashes, made.hashes[0]),
        read=lambda image_id: made.read(first if image_id == "copy<i>" else image_id),
        attributes=pd.DataFrame(index=range(13)),
    )


@pytest.fixture(scope="module")
def text(catalog: Catalog) -> str:
    images = {
        "first <u>": np.asarray(catalog.image(catalog.ids[0])),
        "black": np.zeros((300, 900, 3), np.uint8),
    }
    return trace_page(trace(images, catalog, f"shirt {HOSTILE}", top=4), images, catalog)


def test_it_is_well_formed_and_needs_no_network(text: str) -> None:
    page = Page(text)
    assert page.stack == []
    assert not page.all("script") and not page.all("link")
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m) or ""
    assert "default-src 'none'" in policy and "script-src" not in policy
    assert not re.search(r"url\((?!#)|@import", text)


def test_every_picture_is_in_it_and_described(text: str) -> None:
    images = Page(text).all("img")
    overview = 2 * (1 + 4)
    assert len(images) == overview + 2 * (1 + 4) + 3  # two are copies of the first; near black, one
    for image in images:
        assert (image["src"] or "").startswith("data:image/") and image["alt"]


def test_text_stays_text(text: str) -> None:
    for hostile in ("<script>", "<b>mine", "<i>", "<u>", "<img src='http"):
        assert hostile not in re.sub(r"<i style=", "", text)
    assert "&lt;script&gt;alert(1)" in text


def test_it_says_what_was_found(text: str) -> None:
    assert "1 of these 2 pictures is a copy of one of 13 training images" in text
    assert "the same file as 000000" in text
    assert text.count('class="flag"') == 1 + 2  # in the overview, and at the hits
    assert "pixel_cosine" in text and "goes without" in text  # of the black picture
    assert not re.search(r"\bnan\b|\binf\b", re.sub(r"base64,[^\"]*", "", text))


def test_a_trace_of_one_picture_speaks_of_one(catalog: Catalog) -> None:
    images = {"grey": np.full((20, 20, 3), 120, np.uint8)}
    page = trace_page(trace(images, catalog), images, catalog)
    assert "No copy, unaltered or edited, of it was found among 13 training images." in page
    assert "No unaltered copy among those nearest: " in page
    assert "No copy found, unaltered or edited; by its edges, " in page


def test_where_edited_copies_were_not_looked_for_only_unaltered_ones_are_denied(
    catalog: Catalog,
) -> None:
    images = {"grey": np.full((20, 20, 3), 120, np.uint8)}
    page = trace_page(trace(images, catalog, edited="none"), images, catalog)
    assert "No unaltered copy of it was found among 13 training images." in page
    assert "or edited" not in page


def test_a_mirrored_copy_is_named_and_shown(catalog: Catalog) -> None:
    images = {"mine": np.ascontiguousarray(np.asarray(catalog.image(catalog.ids[4]))[:, ::-1])}
    page = trace_page(trace(images, catalog), images, catalog)
    assert re.search(rf"[Cc]opy of {catalog.ids[4]}\b.*mirrored", page)
    assert any("of which it is a copy" in (i["alt"] or "") for i in Page(page).all("img"))


def test_the_page_of_one_speaks_of_one(catalog: Catalog) -> None:
    images = {"grey": np.full((20, 20, 3), 120, np.uint8)}
    page = trace_page(trace(images, catalog), images, catalog)
    assert "is this picture made of?" in page


def test_what_may_be_only_alike_is_no_copy(catalog: Catalog) -> None:
    """The copy test flags another photo of the same product; the copy detector cannot tell."""
    images = {name: np.full((20, 20, 3), 120, np.uint8) for name in ("one", "two")}
    found = trace(images, catalog, top=3)
    copies, edited = found.copies.copy(), found.edited.copy()
    copies.loc[0, ["near_copy", "agreement", "difference"]] = True, 0.99, 9.0
    for verdict in ("copy_or_variant", "similar"):
        edited.loc[0, "verdict"] = verdict
        unsure = replace(found, copies=copies, edited=edited)
        assert unsure.summary["verdict"].tolist() == ["copy or variant", "none"]
        said = answer(unsure)
        assert said.startswith("No copy, unaltered or edited, of these 2 pictures was found among ")
        assert "; 1 of them may be a copy or only alike: look at both." in said
        assert answer(unsure.of("one")).startswith("It may be a copy of one of 13 training ")
        assert "Near copy of" not in trace_page(unsure, images, catalog)
    copies["difference"] = 1.0  # the same picture saved again
    sure = replace(found, copies=copies, edited=edited)
    assert sure.summary["verdict"].tolist() == ["near copy", "none"]
    assert answer(sure).startswith("1 of these 2 pictures is a copy of one of 13 training images. ")
