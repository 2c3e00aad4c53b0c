"""Docstrings and help texts as Markdown."""

from __future__ import annotations

import re


def prose(text: str) -> str:
    """Turn a docstring or a description into Markdown of one table's cell or paragraph."""
    joined = re.sub(r"\s*\n(?!\n)\s*", " ", text.strip())
    return joined.replace("``", "`").replace("|", "\\|")


def plain(text: str) -> str:
    """Take rich's marks out of a text."""
    from rich.text import Text

    return Text.from_markup(text).plain
