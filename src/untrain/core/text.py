"""Text from anywhere, made fit for where it is shown: one function for each place that acts on it.

Ids, captions, paths and what letters say come from strangers. A terminal acts on escape sequences,
a spreadsheet on formulas, TeX, Markdown and HTML on their own marks, readers on what reverses or
hides letters, a file system on slashes and lengths. Data are kept as they are; what is shown of
them goes through here.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

_HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, those of 8 bits too; not tab and line feed
    "\u00ad\u180e\u200b\u2060-\u2065\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e007f"  # take no room: words that hide in words
    "\u202a-\u202e\u2066-\u206f"  # reverse what follows, or keep to themselves
    "\u2028\u2029"  # end a line
    "\ud800-\udfff"  # halves of a letter: no text has them
)
_LETTER = r"[^\x00-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
_JOINING = rf"(?<!{_LETTER})[\u061c\u200c-\u200f](?!{_LETTER})"
"""What joins or directs letters, where none but those of ASCII are beside it."""
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
MOST_MARKS = 8
"""Marks that may stand on one letter: further ones run over the lines above and below."""

_UNFIT = re.compile(
    f"(?P<hidden>[{_HIDDEN}]|{_JOINING})|(?<=[{_MARKS}]{{{MOST_MARKS}}})[{_MARKS}]+"
)
_BREAK = re.compile(r"[\n\t]")
_LONE = re.compile("[\ud800-\udfff]")
_ESCAPED_IN_JSON = re.compile(f"[{_HIDDEN}\u061c\u200c-\u200f]")


def visible(text: str) -> str:
    r"""Return text in which nothing acts on a terminal or hides: such characters as escapes.

    Line feeds and tabs stay, and what joins letters of other alphabets, or emoji.

    Examples
    --------
    >>> print(visible("\x1b[31mred, \u202egnp.exe"))
    \x1b[31mred, \u202egnp.exe
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNFIT.sub(_escape, text)


def one_line(text: str) -> str:
    r"""Return text as `visible` does, with line feeds and tabs as escapes, too.

    Examples
    --------
    >>> print(one_line("a shirt\nuntrain: all is well"))
    a shirt\nuntrain: all is well
    """
    return _BREAK.sub(_escape, visible(text))


def _escape(found: re.Match[str]) -> str:
    if "hidden" in found.re.groupindex and found["hidden"] is None:
        return "…"  # too many marks
    return "".join(c.encode("unicode_escape").decode() for c in found[0])


def is_text(value: str) -> bool:
    """Tell whether text can be written down: it has no lone surrogate, as cut emoji leave behind.

    Names of files that are not UTF-8 have them, too (`os.fsdecode`).
    """
    return value.isascii() or not _LONE.search(value)


def whole(text: str) -> str:
    """Return text whose lone surrogates are U+FFFD, the letter that stands for one that is lost."""
    return text if is_text(text) else _LONE.sub("\ufffd", text)


def readable(name: str) -> str:
    r"""Return a name with bytes that are no text as escapes, so that it can be written down.

    Examples
    --------
    >>> print(readable("latin-\udce9.png"))
    latin-\xe9.png
    """
    if is_text(name):
        return name
    known = name.encode("utf-8", "surrogateescape") if _is_bytes(name) else None
    if known is not None:
        return known.decode("utf-8", "backslashreplace")
    return name.encode("utf-8", "backslashreplace").decode()


def _is_bytes(name: str) -> bool:
    return all("\udc80" <= c <= "\udcff" for c in _LONE.findall(name))


def json_text(value: Any, indent: int | None = None) -> str:
    r"""Return JSON in letters, with what acts or hides as ``\u…``: the same values when read.

    Examples
    --------
    >>> print(json_text({"id": "é\x9b"}))
    {"id": "é\u009b"}
    """
    told = json.dumps(value, indent=indent, ensure_ascii=False)
    if told.isascii() and "\x7f" not in told:
        return told
    return _ESCAPED_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], told)


_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


def json_line(value: Any) -> str:
    r"""Return JSON in letters on one line, whatever its reader takes for the end of a line.

    Examples
    --------
    >>> print(json_line({"caption": "é\u2028!"}))
    {"caption": "é\u2028!"}
    """
    told = json.dumps(value, ensure_ascii=False)
    return _LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", told)


_FORMULA = re.compile(r"'*(\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])")
_MINUS = re.compile(r"(?<![\w-])-(?=[\d.])")


def cell(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: an apostrophe stands before one.

    `from_cell` takes it off again. Other text is as it was.

    Examples
    --------
    >>> cell("=1+1"), cell("a red shirt"), cell("'tis")
    ("'=1+1", 'a red shirt', "'tis")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(text: str) -> str:
    """Return what `cell` was given.

    Examples
    --------
    >>> [from_cell(cell(text)) for text in ("=1+1", "'=1+1", "'tis")]
    ['=1+1', "'=1+1", "'tis"]
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text, 1) else text


def lines(texts: Iterable[str]) -> str:
    """Return texts as a file with one a line; line breaks within one become blanks."""
    return "".join(f"{' '.join(text.splitlines())}\n" for text in texts)


def markdown(text: Any) -> str:
    r"""Return text on one line in which Markdown and HTML find nothing to act on.

    Examples
    --------
    >>> print(markdown("[x](y) | <b>"))
    \[x\](y) \| &lt;b&gt;
    """
    flat = " ".join(visible(str(text)).split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|\[\]~$])", r"\\\1", flat)


def markdown_prose(text: Any) -> str:
    """Return a sentence as Markdown: what stands between backticks as code, all else as it is."""
    parts = re.split(r"`([^`]+)`", str(text))
    return "".join((markdown_code if n % 2 else _padded)(part) for n, part in enumerate(parts))


def _padded(text: str) -> str:
    """Return a part of a sentence with the blanks at its ends."""
    first, last = text[:1].isspace(), text[-1:].isspace()
    return f"{' ' * first}{markdown(text)}{' ' * last}" if text.strip() else " " * bool(text)


def markdown_code(text: Any) -> str:
    """Return text as code in a line of Markdown, whatever is in it."""
    flat = " ".join(visible(str(text)).split()).replace("|", "\\|")
    return f"`{flat.replace('`', chr(39))}`"


def markdown_table(rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already: heads, alignment, rows."""
    return "\n".join(f"| {' | '.join(line)} |" for line in rows)


# What TeX acts on, and what its usual fonts lack.
_TEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': "''",
        "−": "$-$",
        "∞": r"$\infty$",
        "\N{NO-BREAK SPACE}": "~",
        "…": r"\dots{}",
    }
)


def tex(text: str) -> str:
    """Return text on one line that TeX sets as it is."""
    line = "".join(c if c.isprintable() or c == "\N{NO-BREAK SPACE}" else " " for c in text)
    line = _MINUS.sub("−", line)  # a sign, not a hyphen
    line = line.translate(_TEX).replace("--", "-{}-")
    return "{}" + line if line.startswith(("[", "*")) else line  # no option of the row's end


def html_text(text: str) -> str:
    """Return text for HTML and XML, within attributes too."""
    return html.escape(visible(text))


def for_page(value: Any) -> Any:
    """Return what a template is to print, `visible`; the template escapes it for HTML."""
    if isinstance(value, Markup):
        return Markup(visible(value))
    return visible(value) if isinstance(value, str) else value


RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Names that Windows gives to devices."""
LONGEST = 120
"""Bytes of a name of a file that is made of text: there is room for an ending, and for copies."""


def is_file_name(text: str) -> bool:
    """Tell whether text can name a file anywhere: it stays in its folder, and shows itself."""
    return (
        0 < len(text.encode("utf-8", "surrogatepass")) <= LONGEST
        and is_text(text)
        and text == one_line(text)
        and not re.search(r'[/\\:*?"<>|]', text)
        and not text.startswith((".", "-", " "))
        and not text.endswith((".", " "))
        and not RESERVED.fullmatch(text)
    )


def is_part(text: str) -> bool:
    r"""Tell whether text is one part of a path, which leads nowhere else.

    Examples
    --------
    >>> is_part("p00"), is_part(".."), is_part("a/b"), is_part("a\\b"), is_part("")
    (True, False, False, False, False)
    """
    return text not in ("", ".", "..") and not set(text) & set("/\\\0")


def file_name(text: str) -> str:
    """Return a name for a file: the text if it can be one, else what can, and a digest of it.

    Examples
    --------
    >>> file_name("blue-shirt 7")
    'blue-shirt 7'
    >>> file_name("../../etc/passwd")
    'etc-passwd-3754d6cb'
    """
    if is_file_name(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    words = re.sub(r"\W+", "-", text.encode("utf-8", "ignore").decode())
    words = words.encode()[: LONGEST // 2].decode("utf-8", "ignore").strip("-_")
    return f"{words}-{digest}" if words else digest
