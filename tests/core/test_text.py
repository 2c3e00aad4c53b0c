"""Text from anywhere acts on nothing where it is shown, and is what it was where it is kept."""

from __future__ import annotations

import json

import pytest
from markupsafe import Markup

from untrain.core import text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a red shirt", "a red shirt"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("a\r\nb\tc", "a\\r\nb\tc"),
        ("photo \u202egnp.exe", r"photo \u202egnp.exe"),
        ("ad\u200bmin \ufeff", r"ad\u200bmin \ufeff"),
        ("x\u200dy", r"x\u200dy"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("e" + 500 * "\u0301", "e" + 8 * "\u0301" + "…"),
    ],
)
def test_what_acts_or_hides_is_shown(given: str, shown: str) -> None:
    assert text.visible(given) == shown
    assert text.visible(shown) == shown


@pytest.mark.parametrize(
    "given",
    [
        "👩‍👩‍👧 ❤️",
        "نی‌خواهم",
        "שלום\u200f A",
        "ไทย हिन्दी 東京",
        "naïve – 10\N{NO-BREAK SPACE}%",
        "\\x1b",
    ],
)
def test_all_alphabets_stay(given: str) -> None:
    assert text.one_line(given) == given


def test_a_line_stays_one() -> None:
    assert text.one_line("a\nb\tc\u2028d") == r"a\nb\tc\u2028d"


@pytest.mark.parametrize("name", ["a.png", "é.png", "latin-\udce9.png", "\ud800", "\udce9\ud800"])
def test_a_name_can_be_written_down(name: str) -> None:
    text.readable(name).encode()
    assert (text.readable(name) == name) == text.is_text(name)


def test_json_is_the_same_when_it_is_read() -> None:
    value = {"\x9b": ["\u202e", "é", "\x7f", "\ud800", "\u2028", "\U000e0041", "a\\nb"]}
    told = text.json_text(value)
    assert json.loads(told) == value
    assert text.visible(told) == told
    assert "é" in told


@pytest.mark.parametrize(
    "given",
    [
        *("=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r", "\n=1", " =1", "\uff1d1", "'=1", "''=1"),
        *("'tis", "a=1", "", "'", "''", "1", "−1", " a"),
    ],
)
def test_no_cell_is_a_formula_and_all_come_back(given: str) -> None:
    kept = text.cell(given)
    assert not kept.lstrip(" \t\r\n").startswith(("=", "+", "-", "@", "\uff1d"))
    assert text.from_cell(kept) == given
    assert text.from_cell(text.cell(kept)) == kept


def test_markdown_finds_nothing_to_act_on() -> None:
    assert text.markdown("[x](y) <b>|`*_\\\n\x1b") == r"\[x\](y) &lt;b&gt;\|\`\*\_\\ \\x1b"
    assert text.markdown_code("a`b|c\nd") == r"`a'b\|c d`"


def test_tex_sets_what_it_is_given() -> None:
    assert text.tex("50 % & $x_1$ \\input{y}\x1b") == (
        r"50 \% \& \$x\_1\$ \textbackslash{}input\{y\} "
    )
    assert text.tex("[x]").startswith("{}")


def test_pages_show_what_hides() -> None:
    assert text.html_text("<b> \u202e\x00") == r"&lt;b&gt; \u202e\x00"
    assert text.for_page(Markup("<b>\x1b</b>")) == Markup(r"<b>\x1b</b>")
    assert isinstance(text.for_page(Markup("<b>")), Markup)
    assert text.for_page(3) == 3


@pytest.mark.parametrize(
    "given",
    [
        *("../../etc/passwd", "", ".", "..", ".hidden", "-rf", "a/b", "a\\b", "a\0b", "a:b", "con"),
        *(
            "NUL.txt",
            "a.",
            "a ",
            " a",
            "\ud800",
            "photo\u202egnp",
            500 * "w",
            90 * "東",
            "\n",
            "***",
        ),
    ],
)
def test_any_text_names_a_file(given: str) -> None:
    name = text.file_name(given)
    assert text.is_file_name(name) and name != given
    assert name == text.file_name(given)


def test_names_of_files_stay_and_differ() -> None:
    assert text.file_name("blue-shirt 7") == "blue-shirt 7"
    assert text.file_name("東京 #3") == "東京 #3"
    assert len({text.file_name(each) for each in ("a/b", "a\\b", "a:b", "a-b")}) == 4


def test_lists_have_a_line_each_and_lost_letters_a_mark() -> None:
    assert text.lines(["a\nb", "c"]) == "a b\nc\n"
    assert text.whole("a\ud83d") == "a\ufffd"
    assert text.markdown_prose("run `a|b` <now>, [x] ") == r"run `a\|b` &lt;now&gt;, \[x\] "
