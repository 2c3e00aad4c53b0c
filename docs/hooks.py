"""What the documentation takes from the code: settings, commands, tables, names, whole files.

A page asks for it with ``<!-- generated: settings -->`` on a line of its own; what follows, up to
``<!-- /generated -->``, is written there by ``python docs/hooks.py`` so that the page can be read
without the site. The site is always built with what the code says at that moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from from_code.commands import commands
from from_code.names import checks, diffusion_presets, names, presets
from from_code.python import python
from from_code.settings import settings
from from_code.tables import tables

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
END = "<!-- /generated -->"
MARK = re.compile(
    rf"^(?P<mark><!-- generated: (?P<what>\S+) -->)\n(?P<text>.*?)^{END}$",
    re.MULTILINE | re.DOTALL,
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what is generated in the place of its marks; MkDocs calls this for each page."""
    return MARK.sub(lambda match: generated(match["what"]), markdown)


def generated(what: str) -> str:
    """Return the Markdown that a mark stands for: a name below, or a file of the repository."""
    made = makers()
    return made[what]() if what in made else document(ROOT / what)


def makers() -> dict[str, Callable[[], str]]:
    """Return what makes each generated part of the pages."""
    return {
        "settings": settings,
        "presets": presets,
        "diffusion-presets": diffusion_presets,
        "checks": checks,
        "names": names,
        "commands": commands,
        "tables": tables,
        "python": python,
    }


def refreshed(page: Path) -> str:
    """Return a page's text with its generated parts as the code has them now.

    Marks that stand for a file of the repository keep what they have: a link to it.
    """

    def renew(match: re.Match[str]) -> str:
        if match["what"] not in makers():
            return match[0]
        return f"{match['mark']}\n\n{generated(match['what'])}\n\n{END}"

    return MARK.sub(renew, page.read_text(encoding="utf-8"))


def pages() -> list[Path]:
    """Return the pages with generated parts."""
    return sorted(page for page in DOCS.rglob("*.md") if MARK.search(page.read_text("utf-8")))


def refresh() -> None:
    """Write the generated parts into the pages, and name those that changed."""
    for page in pages():
        text = refreshed(page)
        if text != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
            print(page.relative_to(ROOT))


def document(path: Path) -> str:
    """Return a document from outside ``docs`` with its links as seen from there, or a program."""
    if path.suffix == ".py":
        return f'```python title="{path.name}"\n{path.read_text(encoding="utf-8")}```'
    text = path.read_text(encoding="utf-8").replace("](docs/", "](")
    here = {"ARCHITECTURE.md": "architecture.md", "CHANGELOG.md": "changelog.md"}
    for name, page in here.items():
        text = text.replace(f"]({name})", f"]({page})")
    return text


if __name__ == "__main__":
    refresh()
