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


@pytest.fixture
def open_page(chromium: Any, folder: Path) -> Iterator[Open]:
    """Return a function that opens a page; afterwards nothing was asked for, and nothing failed."""
    contexts, wrong = [], []

    def opened(path: Path | None = None, link: str = "", width: int = 1280, **options: Any) -> Any:
        view = {"width": width, "height": 900}
        contexts.append(chromium.new_context(viewport=view, **options))
        page = contexts[-1].new_page()
        address = (path or folder / "report.html").as_uri()
        page.on("console", lambda said: wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if foreign(asked.url) else None)

        def foreign(url: str) -> bool:
            return not url.startswith(("data:", address))

        page.goto(address + link)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
