"""Letters and lists: what somebody sends who wants pictures removed, or to be left out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.catalogs import picture
from untrain.catalogs.opt_out import read_opt_out
from untrain.core.errors import InputError
from untrain.takedowns.request import read_letter, read_request

HASH = "ab" * 32
LETTERS: dict[str, tuple[str | bytes, bool | None]] = {
    "good": ("from: Jane Doe\nreceived: 2026-11-20\nasks: Please.\n", True),
    "numbers": ("from: 1\nreference: 17\n", True),
    "a date": ("received: 2026-11-20T10:00:00Z\n", True),
    "nothing said": ("from:\nasks: ~\n", True),
    "letters of others": ("from: \u202eeoD enaJ\u200b\n", True),
    "escape": ('from: "\\e]0;a\\a"\n', True),
    "formula": ('from: "=cmd()"\n', True),
    "markup": ("from: '[red]<script>alert(1)</script>'\n", True),
    "a list": ("from: [a, b]\n", None),
    "a mapping": ("from: {a: b}\n", None),
    "true": ("from: true\n", None),
    "long": (f"asks: {'a' * 50_000}\n", True),
    "empty": ("", False),
    "only a comment": ("# nothing\n", False),
    "text": ("Please remove my pictures.\n", False),
    "list of letters": ("- from: a\n", False),
    "unknown key": ("form: Jane\n", False),
    "key twice": ("from: a\nfrom: b\n", False),
    "key of a list": ("? [a]\n: b\n", False),
    "number as key": ("1: a\n", False),
    "no value": ("from\n", False),
    "two letters": ("from: a\n---\nfrom: b\n", False),
    "half a letter": ('from: "\\ud800"\n', False),
    "nul": ("from: a\0b\n", False),
    "not utf-8": (b"from: \xff\n", False),
    "utf-16": ("from: a\n".encode("utf-16"), False),
    "brackets": ("[" * 3_000, False),
    "alias in itself": ("from: &a [*a]\n", False),
    "laughs": ("a: &a [1,1,1]\n" + "".join(f"b{n}: [*a,*a]\n" for n in range(9)), False),
    "tag": ("from: !!python/object/apply:os.system [ls]\n", False),
    "binary": ("from: !!binary aGVsbG8=\n", False),
    "no such date": ("received: 2026-02-31\n", False),
    "5,000 digits": (f"reference: {'9' * 5000}\n", False),
    "tabs": ("from:\ta\n\tasks: b\n", False),
    "64 MiB": (b"", False),
}
"""A letter in YAML, and whether it is read; None: whichever."""


@pytest.mark.parametrize("kind", LETTERS)
def test_a_letter(tmp_path: Path, kind: str) -> None:
    path, (words, good) = tmp_path / "request.yaml", LETTERS[kind]
    path.write_bytes(words.encode() if isinstance(words, str) else words)
    if kind == "64 MiB":
        os.truncate(path, (64 << 20) + 1)
    try:
        found = read_letter(path)
        assert good is not False
        assert all(isinstance(value, str) for value in found.values())
    except InputError as error:
        assert not good and len(str(error).split()) > 3 and len(str(error)) < 9_000


@pytest.mark.parametrize("words", [b"\xff", b"a" * ((1 << 20) + 1)], ids=["no text", "large"])
def test_a_letter_in_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: bytes) -> None:
    monkeypatch.setenv("UNTRAIN_MAX_TEXT", "1")
    path = tmp_path / "request.txt"
    path.write_bytes(words)
    with pytest.raises(InputError, match=r"request\.txt"):
        read_letter(path)


REFERENCES = ("../../etc", "/etc/passwd", "a/b", "..", ".", "", "con", "a" * 300, "\u202e", "a\nb")


@pytest.mark.parametrize("reference", REFERENCES)
def test_what_a_letter_calls_itself_leads_to_no_other_folder(
    tmp_path: Path, reference: str
) -> None:
    folder = tmp_path / "sent"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture(1))
    (folder / "request.yaml").write_text(f"reference: {reference!r}\n" if reference else "")
    try:
        name = read_request(folder).reference
    except InputError:
        return
    assert name not in ("", ".", "..") and "/" not in name and "\n" not in name
    assert name.isascii() and len(name) <= 80


def _pipe(path: Path) -> None:
    os.mkfifo(path)


SENT: dict[str, Callable[[Path], object]] = {
    "pipe": _pipe,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path),
    "broken link": lambda path: path.symlink_to("nowhere"),
    "link to a folder": lambda path: path.symlink_to(path.parent),
    "link outside": lambda path: path.symlink_to("/etc/passwd"),
    "text": lambda path: path.write_text("a"),
    "empty": lambda path: path.touch(),
    "large": lambda path: (path.touch(), os.truncate(path, 2**41)),
    "letter that is none": lambda path: path.with_name("request.yaml").mkdir(),
    "letter that is a link": lambda path: path.with_name("request.txt").symlink_to(path.name),
}


@pytest.mark.parametrize("kind", SENT)
def test_a_folder_that_was_sent(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    SENT[kind](tmp_path / "b.png")
    try:
        assert [each.name for each in read_request(tmp_path).pictures] == ["a.png"]
    except InputError as error:
        assert len(str(error).split()) > 3 and "root:" not in str(error)


LISTS: dict[str, tuple[str, str | bytes, bool | None]] = {
    "ids": ("x.txt", "1\n2\n", True),
    "hash": ("x.txt", f"{HASH}\nsha256:{HASH}\n", True),
    "marked": ("x.txt", "\ufeff1\n", True),
    "returns": ("x.txt", "1\r\n2\r\n", True),
    "escape": ("x.txt", "\x1b]0;a\x07\n", True),
    "markup": ("x.txt", "[red]<script>\n", True),
    "kind without a value": ("x.txt", "sha256:\n", None),
    "only comments": ("x.txt", "# a\n\n", False),
    "empty": ("x.txt", "", False),
    "short hash": ("x.txt", "sha256:ab\n", False),
    "no hash": ("x.txt", f"sha256:{'g' * 64}\n", False),
    "sha-512": ("x.txt", f"sha256:{'ab' * 64}\n", False),
    "long line": ("x.txt", "a" * 1_000_000, True),
    "long hash": ("x.txt", f"md5:{'a' * 100_000}\n", False),
    "not utf-8": ("x.txt", b"\xff\xfe1\n", False),
    "table": ("x.csv", "id,url\n1,https://a.org\n", True),
    "semicolons": ("x.csv", "id;url\n1;https://a.org\n", True),
    "only a heading": ("x.csv", "id\n", False),
    "no column": ("x.csv", "a,b\n1,2\n", False),
    "column twice": ("x.csv", "id,id\n1,2\n", None),
    "more fields": ("x.csv", "id\n1,2\n", False),
    "fewer fields": ("x.csv", "id,url\n1\n", True),
    "row of nothing": ("x.csv", "id,note\n,a\n", False),
    "open quote": ("x.csv", 'id\n"1\n', False),
    "quote inside": ("x.csv", 'id\n1"2\n', None),
    "nul": ("x.csv", "id\n1\0\n", None),
    "long field": ("x.csv", f"id\n{'a' * 200_000}\n", None),
    "hash in a table": ("x.csv", "sha256\nab\n", False),
    "no table": ("x.parquet", "id\n1\n", False),
    "picture": ("x.parquet", picture(1), False),
    "tabs": ("x.tsv", "id\turl\n1\thttps://a.org\n", True),
    "commas": ("x.tsv", "id,url\n1,https://a.org\n", None),
}
"""Name of a list, what is in it, and whether it is read; None: whichever."""


@pytest.mark.parametrize("kind", LISTS)
def test_an_opt_out_list(tmp_path: Path, kind: str) -> None:
    name, words, good = LISTS[kind]
    path = tmp_path / name
    path.write_bytes(words.encode() if isinstance(words, str) else words)
    try:
        assert read_opt_out(path).entries
        assert good is not False
    except InputError as error:
        assert not good and len(str(error).split()) > 3 and len(str(error)) < 9_000


COLUMNS: dict[str, dict[str, list[object]]] = {
    "numbers": {"id": [1, 2]},
    "bytes": {"sha256": [bytes(32), None], "id": [None, "a"]},
    "lists": {"id": [["a"], ["b"]]},
    "mappings": {"url": [{"a": 1}, {"a": 2}]},
    "dates": {"id": list(pd.to_datetime(["2026-11-20", "2026-11-21"]))},
    "nothing": {"id": [None, None]},
    "no rows": {"id": []},
    "no column": {"a": [1]},
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_an_opt_out_list_in_parquet(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.parquet"
    pd.DataFrame(COLUMNS[kind]).to_parquet(path)
    try:
        assert read_opt_out(path).entries
    except InputError as error:
        assert len(str(error).split()) > 3
