"""The served page in a real browser: dropping, pasting, filters, the way back, links."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.pages import png
from untrain.catalogs import load_catalog

pytestmark = pytest.mark.external


@contextmanager
def served(runs: Path, token: str | None = None) -> Iterator[str]:
    """Where a page over a small rendered catalogue answers, on loopback."""
    pytest.importorskip("uvicorn", reason="needs untrain[serve]")
    from untrain.serve.app import make_app
    from untrain.serve.listening import listen
    from untrain.serve.server import make_server, names_of
    from untrain.serve.shelf import Shelf

    photos = load_catalog("rendered", families=6, size_of_family=4, resolution=32)
    with listen("127.0.0.1", 0) as listening:
        address, port = listening.getsockname()[:2]
        shelf = Shelf(lambda: (photos, None), None, runs)
        server = make_server(make_app(shelf, names_of(address, address, port), token))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not shelf.ready:
            time.sleep(0.05)
        try:
            yield f"http://{address}:{port}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("runs")) as at:
        yield at


def is_wrong(said: Any) -> bool:
    """A refused picture (422) is told on the page; browsers log it, too."""
    return said.type == "error" and "422" not in said.text


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    """A tab; afterwards nothing failed and nothing was asked of another site."""
    context, wrong = chromium.new_context(viewport={"width": 1280, "height": 900}), []
    tab = context.new_page()
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda said: wrong.append(said.text) if is_wrong(said) else None)
    tab.on(
        "request",
        lambda asked: None if asked.url.startswith((address, "blob:")) else wrong.append(asked.url),
    )
    tab.goto(address)
    yield tab
    context.close()
    assert wrong == []


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    photos = load_catalog("rendered", families=6, size_of_family=4, resolution=32)
    path = tmp_path_factory.mktemp("own") / "my picture.png"
    path.write_bytes(png(np.asarray(photos.image(photos.ids[9]))))
    return path


def choose(page: Any, file: Path) -> None:
    page.set_input_files("#files", str(file))
    page.wait_for_selector("#ask:not([disabled])")


def test_from_a_picture_to_its_images_and_back(page: Any, file: Path) -> None:
    assert page.is_disabled("#ask")
    choose(page, file)
    page.fill("#prompt", "red boots")
    page.click("#ask")
    page.wait_for_selector(".hits li")
    assert page.inner_text(".hits .refine summary >> nth=0") == "000009"
    assert "my picture" in page.inner_text(".asked h2")
    link = page.url
    page.click(".refine summary >> nth=0")
    page.click("text=leave it out >> nth=0")
    page.wait_for_selector(".filter")
    assert page.inner_text(".hits .refine summary >> nth=0") != "000009"
    page.go_back()
    page.wait_for_selector(".hits li")
    assert page.url == link
    page.goto(link)  # an answer has a link
    assert page.inner_text(".hits .refine summary >> nth=0") == "000009"


def test_a_picture_is_pasted(page: Any, file: Path) -> None:
    content = list(file.read_bytes())
    page.evaluate(
        """content => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(content)], "p.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
        }""",
        content,
    )
    page.wait_for_selector("#chosen input[name=p]", state="attached")
    assert not page.is_disabled("#ask")
    page.click("#chosen button")
    assert page.is_disabled("#ask")


def test_what_is_no_picture_is_told(page: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "text.png"
    wrong.write_text("no picture")
    with page.expect_response("**/pictures*") as answered:
        page.set_input_files("#files", str(wrong))
    assert answered.value.status == 422
    page.wait_for_selector("#problem:has-text('no picture')")


def test_images_are_kept_by_the_browser(page: Any, address: str) -> None:
    page.goto(f"{address}/browse")
    page.click(".keep >> nth=2")
    page.click("#kept-link")
    page.wait_for_selector(".hits li")
    assert page.locator(".hits li").count() == 1


@pytest.mark.parametrize("width", [400, 2000])
def test_nothing_is_wider_than_the_window(page: Any, address: str, file: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    choose(page, file)
    page.click("#ask")
    page.wait_for_selector(".hits li")
    for path in ("", "/browse", "/images/3", "/runs"):
        if path:
            page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_two_people_see_their_own_answers(chromium: Any, address: str, file: Path) -> None:
    pages = [chromium.new_context().new_page() for _ in range(2)]
    for page in pages:
        page.goto(address)
        choose(page, file)
    pages[0].fill("#prompt", "first")
    pages[1].fill("#prompt", "second")
    for page in pages:
        page.click("#ask")
    for page, word in zip(pages, ("first", "second"), strict=True):
        page.wait_for_selector(".hits li")
        assert word in page.inner_text(".asked .prompt")
        page.context.close()


def test_a_page_of_another_site_can_do_nothing(chromium: Any, address: str) -> None:
    evil = f"""<img src="{address}/thumbnails/320/0"><img src="{address}/runs">
      <script src="{address}/static/page.js"></script><iframe src="{address}/"></iframe>
      <iframe name="into"></iframe>
      <form method="post" action="{address}/takedowns" target="into"><input name="ids" value="1">
      </form><script>
        document.forms[0].submit();
        fetch("{address}/pictures", {{method: "POST", mode: "no-cors", body: "x"}});
        fetch("{address}/state").then((a) => a.text()).then((t) => (window.stolen = t));
      </script>"""
    context, answers = chromium.new_context(), []
    tab = context.new_page()
    tab.route(
        "http://evil.example/**", lambda asked: asked.fulfill(body=evil, content_type="text/html")
    )
    tab.on(
        "response",
        lambda got: answers.append(got) if got.url.startswith(address) else None,
    )
    tab.goto("http://evil.example/")
    tab.wait_for_timeout(300)
    assert [(got.url, got.status) for got in answers if got.status != 403] == []
    assert tab.evaluate("window.stolen") is None
    assert tab.evaluate("document.images[0].naturalWidth") == 0
    context.close()


def test_a_token_is_given_once_and_stands_in_no_address(chromium: Any, tmp_path: Path) -> None:
    with served(tmp_path, "a long enough token") as address:
        context, asked = chromium.new_context(), []
        tab = context.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(address)
        tab.fill("#token", "a wrong token")
        tab.click("button[type=submit]")
        assert "not the token" in tab.inner_text("main")
        tab.goto(f"{address}/#token=a%20long%20enough%20token")
        tab.wait_for_selector("#drop")
        assert tab.url == f"{address}/"
        tab.goto(f"{address}/browse")
        assert tab.locator(".hits li").count() == 24
        assert not [url for url in asked if "token" in url.partition("#")[0]]
        (cookie,) = context.cookies()
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
        context.close()
