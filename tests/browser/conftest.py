"""One headless browser for all tests, the system's own, and pages to open in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.browser import Open
from tests.helpers.reports import add_comparison, make_run
from untrain.report.page.write import render, write_report
from untrain.runs.results import read_results

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser; tests that need it are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        found = [*map(shutil.which, NAMES), started.chromium.executable_path]
        path = next((path for path in found if path and Path(path).exists()), None)
        if path is None:
            pytest.skip(f"no browser is installed (looked for {', '.join(NAMES)}): make browser")
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = started.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An invented run with its page, ``report.html``, and one without images, ``redacted.html``."""
    made = make_run(tmp_path_factory.mktemp("browser") / "run")
    add_comparison(made)
    write_report(made)
    (made / "redacted.html").write_text(render(read_results(made), [], False), encoding="utf-8")
    return made


class Tabs:
    """Tabs of the browser, one for each way of looking at a page: a new one takes longer."""

    def __init__(self, chromium: Any) -> None:
        self._chromium, self._tabs = chromium, {}
        self.wrong: list[str] = []
        self._address = ""

    def open(self, address: str, link: str, width: int, options: dict[str, Any]) -> Any:
        """Open a page in a tab that looks at pages in this way, from its top."""
        ways = tuple(sorted(options.items()))
        if ways not in self._tabs:
            self._tabs[ways] = self._chromium.new_context(**options).new_page()
            self._listen(self._tabs[ways])
        tab = self._tabs[ways]
        self._address = ""
        tab.goto("about:blank")  # else a link within the page that is open would not load it anew
        self._address = address
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(media="screen")
        tab.mouse.move(0, 0)
        tab.goto(address + link)
        return tab

    def _listen(self, tab: Any) -> None:
        tab.on("console", lambda said: self.wrong.append(said.text))
        tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        tab.on("request", lambda asked: self._note(asked.url))

    def _note(self, url: str) -> None:
        if not url.startswith(("data:", "about:", self._address or "about:")):
            self.wrong.append(url)


@pytest.fixture(scope="session")
def tabs(chromium: Any) -> Tabs:
    """The tabs in which reports are opened, test after test."""
    return Tabs(chromium)


@pytest.fixture
def open_page(tabs: Tabs, folder: Path) -> Iterator[Open]:
    """Return a function that opens a page; afterwards nothing was asked for, and nothing failed."""
    tabs.wrong.clear()

    def opened(path: Path | None = None, link: str = "", width: int = 1280, **options: Any) -> Any:
        return tabs.open((path or folder / "report.html").as_uri(), link, width, options)

    yield opened
    assert tabs.wrong == []
