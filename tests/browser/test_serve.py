"""The served page in a real browser: dropping, pasting, filters, the way back, links."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.pages import png
from untrain.catalogs import load_catalog

pytestmark = pytest.mark.external


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a page over a small rendered catalogue answers, on loopback."""
    uvicorn = pytest.importorskip("uvicorn", reason="needs untrain[serve]")
    import socket

    from untrain.serve.app import make_app
    from untrain.serve.shelf import Shelf

    photos = load_catalog("rendered", families=6, size_of_family=4, resolution=32)
    listening = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{listening.getsockname()[1]}"
    shelf = Shelf(lambda: (photos, None), None, tmp_path_factory.mktemp("runs"))
    server = uvicorn.Server(uvicorn.Config(make_app(shelf, [host]), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not shelf.ready:
        time.sleep(0.05)
    yield f"http://{host}"
    server.should_exit = True
    thread.join()
    listening.close()


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
