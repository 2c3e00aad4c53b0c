"""YAML: tags, aliases, dates, depths and sizes, in experiment files, ``--set`` and letters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.commands import Untrain
from tests.helpers.hostile import Case, Meet, held

BROKEN = {
    "nothing": "",
    "a comment": "# nothing\n",
    "null": "~\n",
    "a list": "- 1\n",
    "words": "just words\n",
    "a number": "3\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "a bracket": "a: [1\n",
    "brackets": "a: " + "[" * 30_000,
    "closed brackets": "a: " + "[" * 3_000 + "]" * 3_000,
    "braces": "a: " + "{b: " * 3_000 + "}" * 3_000,
    "dashes": "a:\n" + "- " * 3_000 + "1\n",
    "indents": "".join(f"{' ' * n}a:\n" for n in range(999)),
    "quote": "a: 'b\n",
    "tab": "a:\n\tb: 1\n",
    "control": "a: \x01\n",
    "nul": "a: \0\n",
    "twice": "seed: 1\nseed: 2\n",
    "twice inside": "data: {path: a, path: b}\n",
    "date": "name: 2001-02-30\n",
    "time": "name: 2001-02-03 25:61:61\n",
    "int of text": "seed: !!int text\n",
    "float of text": "seed: !!float text\n",
    "bool of text": "seed: !!bool text\n",
    "timestamp of text": "seed: !!timestamp text\n",
    "binary": "seed: !!binary '%%%'\n",
    "map of a list": "data: !!map [1]\n",
    "list of a map": "data: !!seq {a: 1}\n",
    "set": "data: !!set {a, b}\n",
    "pairs": "data: !!pairs [a: 1]\n",
    "python": "seed: !!python/object/apply:os.system [touch here]\n",
    "python name": "seed: !!python/name:os.system\n",
    "tag": "seed: !mine 3\n",
    "tag of a tag": "%TAG ! tag:yaml.org,2002:python/\n---\nseed: !name:os.system\n",
    "alias of nothing": "seed: *nothing\n",
    "alias of itself": "data: &a {b: *a}\n",
    "alias of a list": "data: &a [*a]\n",
    "merge of itself": "data: &a {<<: *a}\n",
    "merge of text": "data: {<<: text}\n",
    "laughs": "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)
    ),
    "key of a list": "? [a, b]\n: 1\n",
    "key of a mapping": "? {a: b}\n: 1\n",
    "key of null": "~: 1\n",
    "key of a flag": "true: 1\n",
    "long number": f"seed: {'9' * 5_000}\n",
    "long hexadecimal": f"seed: 0x{'f' * 5_000}\n",
    "base 60": f"seed: {'1:' * 999}1\n",
    "half a letter": 'name: "\\uD800"\n',
    "half a key": '"\\uDFFF": 1\n',
    "large letter": 'name: "\\U00110000"\n',
    "version": "%YAML 9.9\n---\nseed: 1\n",
    "bom": "\ufeff\ufeffseed: 1\n",
}
ENCODED = {
    "latin": "name: ä\n".encode("latin-1"),
    "utf-16": "seed: 1\n".encode("utf-16"),
    "utf-32": "seed: 1\n".encode("utf-32"),
    "picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "zip": b"PK\3\4" + bytes(99),
    "zeros": bytes(4096),
}
ALL = {name: text.encode("utf-8", "surrogatepass") for name, text in BROKEN.items()} | ENCODED


@pytest.mark.parametrize("kind", ALL)
def test_an_experiment_of_broken_yaml_is_refused(settle: Meet, kind: str) -> None:
    said = settle(
        Case(("plan", "mine.yaml"), lambda folder: (folder / "mine.yaml").write_bytes(ALL[kind]))
    )
    assert "mine.yaml" in said.err
    assert len(said.err) < 4_000
    assert not Path("here").exists()


LINES = {kind: text for kind, text in BROKEN.items() if "\n" not in text.rstrip("\n")}


@pytest.mark.parametrize("kind", [k for k, text in LINES.items() if "\0" not in text])
def test_a_setting_of_broken_yaml_is_refused(settle: Meet, kind: str) -> None:
    value = LINES[kind].rstrip("\n").partition(": ")[2] or LINES[kind]
    said = settle(Case(("plan", "mine.yaml", "--set", f"seed={value}"), code=None))
    if said.code:
        assert len(said.err) < 4_000 + 3 * len(value)


@pytest.mark.parametrize("kind", ALL)
def test_a_letter_of_broken_yaml_is_refused(untrain: Untrain, photos: Path, kind: str) -> None:
    Path("sent").mkdir()
    next(photos.glob("*.png")).rename("sent/mine.png")
    Path("sent/request.yaml").write_bytes(ALL[kind])
    held(untrain, ("takedown", "sent", "--catalog", "photos"), ("sent/request.yaml",))
    assert not Path("takedowns").exists()
