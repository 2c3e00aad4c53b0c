"""What is printed acts on no terminal, whatever text is in it."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from untrain.core.printing import Printer, escape, say, say_json

HOSTILE = "\x1b[2J\x9b31m\u202e[bold]x[/] \\[a] :bomb: \\"


def printed(*what: object, colours: bool = False, **options: object) -> str:
    file = io.StringIO()
    more = {"force_terminal": True, "color_system": "truecolor"} if colours else {}
    Printer(file=file, width=200, **more).print(*what, **options)
    return file.getvalue()


def table(cell: object) -> Table:
    shown = Table(title=escape(HOSTILE))
    shown.add_column(escape(HOSTILE))
    shown.add_row(cell)
    return shown


@pytest.mark.parametrize(
    "what", [escape(HOSTILE), Text(HOSTILE), table(escape(HOSTILE)), table(Text(HOSTILE))]
)
def test_nothing_acts_on_the_terminal(what: object) -> None:
    told = printed(what)
    assert r"\x1b[2J\x9b31m\u202e[bold]x[/] \[a] :bomb: \ ".rstrip() in told
    assert not set(told) & set("\x1b\x9b\u202e")


def test_its_own_colours_stay() -> None:
    assert printed(f"[red]{escape(HOSTILE)}[/]", colours=True).startswith("\x1b[31m\\x1b[2J")


def test_a_value_stays_on_its_line() -> None:
    assert printed(f"id: {escape('a' + chr(10) + 'untrain: all is well')}").count("\n") == 1


def test_plain_words_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    say_json({"a": HOSTILE}, None)
    say("wrong \x1b", err=True)
    out, err = capsys.readouterr()
    assert not set(out + err) & set("\x1b\x9b\u202e")
    assert err == "wrong \\x1b\n"
