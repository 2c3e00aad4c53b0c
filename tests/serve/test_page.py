"""What the page answers: pictures in, training images out, and a link to every answer."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.helpers.pages import HOST, png
from untrain.catalogs.base import Catalog
from untrain.serve.decoding import BYTES

pytestmark = pytest.mark.external


def sent(site: Any, content: bytes, name: str = "mine.png") -> str:
    answer = site.post("/pictures", params={"name": name}, content=content)
    assert answer.status_code == 200, answer.text
    return answer.json()["key"]


def ids_on(page: str) -> list[str]:
    return re.findall(r"<summary>(.*?)</summary>\n    <ul>", page)


def test_the_image_behind_a_picture_comes_first(site: Any, photos: Catalog, picture: bytes) -> None:
    page = site.get("/answer", params={"p": sent(site, picture)}).text
    assert ids_on(page)[0] == photos.ids[3]
    assert "near copy" in page
    assert "mine" in page


def test_an_answer_is_that_of_trace(site: Any, photos: Catalog, picture: bytes) -> None:
    from untrain.search.trace import trace

    key = sent(site, picture)
    table = pd.read_csv(
        io.StringIO(site.get(f"/answer.csv?p={key}&prompt=red+boots").text), dtype={"image_id": str}
    )
    pixels = np.asarray(photos.image(photos.ids[3]))
    own = trace({"mine": pixels}, photos, "red boots", top=12).table
    assert table["image_id"].tolist() == own["image_id"].tolist()
    assert np.allclose(table["score"], own["score"])


def test_an_answer_can_be_taken_along(site: Any, picture: bytes) -> None:
    key = sent(site, picture)
    table = pd.read_parquet(io.BytesIO(site.get(f"/answer.parquet?p={key}&top=5").content))
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    page = site.get(f"/answer.html?p={key}")
    assert "attachment" in page.headers["content-disposition"]
    assert "data:image/" in page.text
    assert site.get(f"/answer.json?p={key}").json()["queries"][0]["query"] == "mine"
    assert site.get(f"/answer.exe?p={key}").status_code == 422


def test_images_can_be_left_out_and_asked_for_by_what_is_known(
    site: Any, photos: Catalog, picture: bytes
) -> None:
    key = sent(site, picture)
    without = ids_on(site.get("/answer", params={"p": key, "without": photos.ids[3]}).text)
    assert photos.ids[3] not in without
    colour = str(photos.attributes["colour"].iloc[3])
    only = ids_on(site.get("/answer", params={"p": key, "only": f"colour:{colour}"}).text)
    of_only = [str(photos.attributes["colour"].iloc[photos.index[each]]) for each in only]
    assert set(of_only) == {colour}


def test_a_training_image_can_be_asked_about(site: Any, photos: Catalog) -> None:
    page = site.get("/answer", params={"p": f"image:{photos.ids[7]}"}).text
    assert len(ids_on(page)) == 12
    assert photos.ids[7] not in ids_on(page)  # it is no copy of itself
    assert f"of {photos.ids[7]}:" not in page
    assert f"the {len(photos) - 1} other training images" in page


def test_several_pictures_at_once(site: Any, photos: Catalog) -> None:
    keys = [sent(site, png(np.asarray(photos.image(i))), "same.png") for i in photos.ids[:2]]
    page = site.get("/answer", params={"p": keys}).text
    assert 'aria-label="same"' in page
    assert 'aria-label="same (2)"' in page


def test_of_several_pictures_copies_come_first_and_each_has_one_verdict(
    site: Any, photos: Catalog
) -> None:
    mirrored = np.ascontiguousarray(np.asarray(photos.image(photos.ids[4]))[:, ::-1])
    given = {
        "grey.png": np.full((32, 32, 3), 120, np.uint8),
        "turned.png": mirrored,
        "same.png": np.asarray(photos.image(photos.ids[1])),
    }
    keys = [sent(site, png(pixels), name) for name, pixels in given.items()]
    page = site.get("/answer", params={"p": keys}).text
    glance = page[page.index('class="glance"') : page.index("</nav>", page.index("glance"))]
    assert re.findall(r'href="(#.*?)"', glance) == [f"#picture-{n}" for n in (1, 2, 3)]
    names = re.findall(r"<b>(.*?)</b>", glance)
    assert (names[0], names[-1]) == ("same", "grey")
    assert "unaltered copy" in glance and "no copy found" in glance
    assert page.count(f"A copy of {photos.ids[1]}: the same picture") == 1
    assert '"/takedowns?i=1' in page
    said = re.sub(r'<details class="sure">.*?</details>', "", page, flags=re.DOTALL)
    assert "p = " not in said and "p &lt;" not in said and "distance" not in said


def test_a_picture_that_is_gone_can_be_dropped_again(site: Any) -> None:
    found = site.get("/answer", params={"p": "0123456789"})
    assert found.status_code == 410
    assert "Drop the same file again" in found.text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "names no picture"),
        ("p=a&top=0", "from 1 to"),
        ("p=a&top=9999999999999999999999", "from 1 to"),
        ("p=a&by=luck", "expected likeness or influence"),
        ("&".join(f"p={i}" for i in range(99)), "expected at most"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(site: Any, query: str, said: str) -> None:
    found = site.get(f"/answer?{query}")
    assert found.status_code == 422
    assert said in found.text


def test_influence_needs_a_model(site: Any, picture: bytes) -> None:
    found = site.get("/answer", params={"p": sent(site, picture), "by": "influence"})
    assert found.status_code == 422
    assert "untrain serve RUN" in found.text


def test_the_catalogue_can_be_browsed_and_searched(site: Any, photos: Catalog) -> None:
    assert photos.ids[0] in site.get("/browse").text
    assert photos.ids[-1] in site.get("/browse?page=999").text  # the last page
    words = photos.captions[5]
    found = site.get("/browse", params={"q": words}).text
    words_of = [set(caption.lower().split()) for caption in photos.captions]
    sharing = sum(bool(set(words.lower().split()) & each) for each in words_of)
    assert f"{sharing} of {len(photos)} images have" in found
    assert len(re.findall(r'class="id">', found)) == min(sharing, 60)
    assert re.findall(r'class="id">(.*?)<', found)[0] in photos.ids
    assert words in found
    assert photos.captions[5] in site.get("/images/5").text
    assert site.get(f"/images/{len(photos)}").status_code == 404
    assert site.get("/thumbnails/320/5").headers["content-type"].startswith("image/")
    assert site.get("/thumbnails/99999/5").status_code == 404


def test_pages_are_counted_and_end(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from untrain.serve import browsing

    monkeypatch.setattr(browsing, "PAGE", 10)
    first, last = site.get("/browse").text, site.get("/browse?page=9").text
    assert "Page 1 of 3" in first and 'rel="next"' in first and 'rel="prev"' not in first
    assert "Page 3 of 3" in last and 'rel="prev"' in last and 'rel="next"' not in last


def test_kept_images_are_a_table(site: Any, photos: Catalog) -> None:
    assert photos.ids[2] in site.get("/kept?i=2&i=x&i=99999").text
    table = pd.read_csv(io.StringIO(site.get("/kept.csv?i=2&i=4").text), dtype={"id": str})
    assert table["id"].tolist() == [photos.ids[2], photos.ids[4]]


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", 422), (b"GIF89a", 422), (b"<svg/>", 422), (b"\x89PNG\r\n\x1a\n" + b"0" * 99, 422)],
)
def test_what_is_no_picture_is_refused(site: Any, content: bytes, code: int) -> None:
    found = site.post("/pictures", content=content)
    assert found.status_code == code
    assert found.json()["error"]


def test_what_is_too_large_is_refused(site: Any) -> None:
    assert site.post("/pictures", content=b"0" * (BYTES + 1)).status_code == 413


def test_a_bomb_is_refused_before_it_is_decoded(site: Any) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0"))
    found = site.post("/pictures", content=bomb)
    assert found.status_code == 422
    assert "60000" in found.json()["error"]


def test_other_sites_and_other_names_are_refused(site: Any) -> None:
    assert site.get("/", headers={"host": "evil.example"}).status_code == 421
    evil = {"origin": "http://evil.example"}
    assert site.post("/pictures", content=b"", headers=evil).status_code == 403
    embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert site.get("/thumbnails/320/0", headers=embedded).status_code == 403
    followed = {**embedded, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert site.get("/", headers=followed).status_code == 200


def test_pages_may_load_nothing_from_elsewhere(site: Any) -> None:
    headers = site.get("/").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    for path in ("/", "/browse", "/runs"):
        assert not re.search(r'(?:src|href)="(?:https?:)?//', site.get(path).text)


def test_no_path_leads_out(site: Any) -> None:
    for path in (
        "/runs/..%2f..", "/runs/x/pictures/A/..%2f..%2f/0", "/static/..%2fapp.py", "/static/app.py",
        "/runs/../../etc/passwd", "/pictures/..%2f..%2fetc%2fpasswd",
    ):  # fmt: skip
        assert site.get(path).status_code in (403, 404, 421), path


def guarded(photos: Catalog, folder: Any) -> Any:
    """A client of a page that has a token."""
    from starlette.testclient import TestClient

    from untrain.serve.app import make_app
    from untrain.serve.shelf import Shelf

    app = make_app(Shelf(lambda: (photos, None), None, folder), [HOST], token="s3cret")
    return TestClient(app, f"http://{HOST}")


def test_another_address_needs_the_token(photos: Catalog, tmp_path: Any) -> None:
    client = guarded(photos, tmp_path)
    assert client.get("/?token=s3cret").status_code == 403  # addresses stand in histories and logs
    assert client.get("/static/style.css").status_code == 200
    for wrong in ("", "s3cre", "s3cret2", "é"):
        assert client.post("/enter", data={"token": wrong}).status_code == 403
    for cookie in ("untrain-8808=s3cret", 'untrain-8808="\\351"', "a=b; untrain-8808=", "=;,"):
        assert client.get("/runs", headers={"cookie": cookie}).status_code == 403
    assert client.get("/runs", headers={"authorization": "Bearer s3cret"}).status_code == 200
    entered = client.post("/enter", data={"token": "s3cret"}, follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower() and "s3cret" not in cookie
    assert client.get("/runs").status_code == 200


def test_the_page_that_asks_for_the_token_leads_nowhere_else(
    photos: Catalog, tmp_path: Any
) -> None:
    client = guarded(photos, tmp_path)
    for path in ("//evil.example/", "/\\evil.example", '/"><script>alert(1)</script>'):
        shown = client.get(f"http://{HOST}{path}").text
        safe = ('href="/"', "%3Cscript", 'href="/%5Cevil')  # clients send these differently
        assert any(each in shown for each in safe), path
        assert "//evil" not in shown and "\\evil" not in shown and "<script>" not in shown
