"""How all commands look: help in paragraphs, and `ANYWHERE` wherever it is written."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperGroup

ANYWHERE = ("-q", "--quiet", "-v", "--verbose", "--trust")


class Group(TyperGroup):
    """A group of commands: their docstrings are paragraphs, which the terminal breaks as it can."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in self.commands.values():
            command.help = _paragraphs(command.help)


PANELS = {
    "Start": ("quickstart", "demo", "init", "plan", "run"),
    "Ask about pictures": ("trace", "serve", "attribute", "guard"),
    "Look at a run": ("status", "show", "report", "sheet", "compare", "sign"),
    "Your data": ("data", "index", "search", "export"),
    "Answer a takedown request": ("takedown", "verify"),
    "Unlearn": ("unlearn", "ladder"),
    "Compare attributors": ("bank", "leaderboard", "shares", "weights", "calibrate", "benchmark"),
    "This machine": ("doctor", "cache", "trust"),
}
"""The commands as help shows them, first what a newcomer needs; those that are not here follow."""


class Main(Group):
    """The program itself: takes `ANYWHERE` after a command as well as before it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for panel, names in PANELS.items():
            for name in names:
                if command := self.commands.get(name):
                    command.rich_help_panel = panel  # type: ignore[attr-defined]

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of `PANELS`."""
        first = [name for names in PANELS.values() for name in names if name in self.commands]
        return [*first, *(name for name in super().list_commands(ctx) if name not in first)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move what counts for every command to the front."""
        own = args[: args.index("--")] if "--" in args else args
        early = [argument for argument in own if argument in ANYWHERE]
        rest = [argument for argument in own if argument not in ANYWHERE] + args[len(own) :]
        return super().parse_args(ctx, [*early, *rest])


def _paragraphs(text: str | None) -> str | None:
    """Join the lines of each paragraph."""
    return text and re.sub(r"(?<!\n)\n[ \t]*(?!\n)", " ", text.strip()).replace("\n\n ", "\n\n")
