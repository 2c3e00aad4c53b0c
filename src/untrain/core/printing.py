"""All that is printed goes through here, so that no text in it acts on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape as _escape
from rich.segment import Segment
from rich.text import Text

from untrain.core.text import json_text, one_line, visible


class Printer(Console):
    """A console of `rich` that shows what would act on the terminal, and acts on none of it.

    Its own colours and movements are added after that. Text with markup of `rich` is ours: what
    comes from elsewhere is put into it by `escape`.
    """

    def __init__(self, highlight: bool = False, **options: Any) -> None:
        super().__init__(highlight=highlight, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return text for printing, made visible while its width is not yet reckoned with."""
        return super().render_str(visible(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield pieces of what is printed, all text in them visible."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(visible(piece.text), piece.style)


def escape(text: str) -> str:
    r"""Return text for use among markup, on one line: nothing in it is taken for markup.

    Examples
    --------
    >>> print(escape("[bold]\x1b[2J"))
    \[bold]\x1b\[2J
    """
    return _escape(one_line(text))


def say(text: str = "", err: bool = False, end: str = "\n") -> None:
    """Print text as it is, without colours, on standard output or standard error."""
    print(visible(text), file=sys.stderr if err else sys.stdout, end=end, flush=True)


def say_json(value: Any, indent: int | None = 2) -> None:
    """Print JSON on standard output."""
    print(json_text(value, indent), flush=True)
