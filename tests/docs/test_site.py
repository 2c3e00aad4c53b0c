"""The documentation site: it builds strictly, asks for nothing from elsewhere, and is complete."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import untrain
from tests.helpers.places import ROOT
from tests.helpers.snippets import PAGES

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """The hooks by which the site is built; MkDocs has their folder on the path, too."""
    if str(DOCS) not in sys.path:
        sys.path.append(str(DOCS))
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_setting_is_explained(hooks: ModuleType) -> None:
    from from_code.settings import sections

    text = hooks.settings()
    for key, model in sections():
        heading = f"## {key}" if key else "## Top level"
        section = text.partition(f"{heading}\n")[2].partition("\n## ")[0]
        assert section, f"the section '{key}' is missing"
        for name in model.model_fields:
            row = re.search(rf"^\| `{name}` \|.*\|$", section, re.MULTILINE)
            assert row and row[0].count(" | ") >= 3, f"{key}.{name} is missing"


def test_every_table_and_column_is_explained(hooks: ModuleType) -> None:
    from untrain.core.tables import TABLES

    text = hooks.tables()
    for name, table in TABLES.items():
        section = text.partition(f"## {name}{table.suffix}\n")[2].partition("\n## ")[0]
        assert all(f"| `{column.name}` | " in section for column in table.columns), name


def test_every_command_is_explained(hooks: ModuleType) -> None:
    from from_code.commands import all_commands

    text = hooks.commands()
    for name, command in all_commands():
        assert f"## untrain {name}\n" in text
        for option in command.params:
            if option.param_type_name == "option" and not option.hidden:
                assert option.opts[0] in text
    assert "Example:" not in text  # they became code


def test_every_public_name_is_explained() -> None:
    page = (DOCS / "reference" / "python.md").read_text()
    named = {line.rpartition(".")[2] for line in re.findall(r"^::: (\S+)$", page, re.MULTILINE)}
    missing = set(untrain.__all__) - named - {"__version__"}
    assert not missing, f"docs/reference/python.md: add {', '.join(sorted(missing))}"


def test_reference_in_the_repository_is_what_the_code_says(hooks: ModuleType) -> None:
    assert {page.stem for page in hooks.pages()} >= {"commands", "settings", "tables", "python"}
    stale = [page.name for page in hooks.pages() if hooks.refreshed(page) != page.read_text()]
    assert not stale, f"{', '.join(stale)}: run `python docs/hooks.py`"


def test_every_preset_and_name_is_there(hooks: ModuleType) -> None:
    from untrain.counterfactual.arms import ARMS
    from untrain.generators.dalle.presets import PRESETS

    assert all(f"`{name}`" in hooks.presets() for name in PRESETS)
    assert all(f"`{arm}`" in hooks.names() for arm in ARMS)


def links(page: Path) -> Iterator[str]:
    """Yield what a page links to, but for the web and for places in itself."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"https?://|#", target):
            yield target.partition("#")[0]


@pytest.mark.parametrize("page_", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page_: Path) -> None:
    for target in links(page_):
        assert (page_.parent / target).exists(), f"{page_.name} links to {target}"


class Loaded(HTMLParser):
    """What a browser would load with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        loads = {"script": "src", "img": "src", "iframe": "src", "link": "href"}
        if tag in loads and given.get("rel") not in ("canonical", "prev", "next"):
            self.urls.append(given.get(loads[tag]) or "")


@pytest.mark.slow
def test_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the site needs: pip install -e '.[docs]'")
    pytest.importorskip("material", reason="the site needs: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-3000:]
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert not [url for url in loaded.urls if re.match("(https?:)?//", url)], page.name
        assert "<!-- generated:" not in page.read_text(), page.name
    assert (tmp_path / "search" / "search_index.js").exists()  # search without a server
    assert "iframe-worker" in (tmp_path / "index.html").read_text()
