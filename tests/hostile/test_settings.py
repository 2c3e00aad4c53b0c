"""Settings: every key of the schema with every type that it does not take, and impossible ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.helpers.commands import Untrain
from tests.helpers.hostile import Case, Meet, dumped, held, loaded, write_anew
from untrain.settings.config import Config

VALUES = {
    "true": "true",
    "text": "'no such thing'",
    "empty": "''",
    "number": "1.5",
    "minus": "-1",
    "large": "1000000",
    "nan": ".nan",
    "infinite": "-.inf",
    "long": "9" * 400,
    "longest": "0x" + "f" * 9000,
    "null": "null",
    "list": "[1, [2]]",
    "texts": "['a', 'a']",
    "mapping": "{a: {b: 1}}",
    "numbers": "{1: 2}",
    "date": "2001-01-01",
    "bytes": "!!binary AAEC",
    "set": "!!set {a, b}",
    "pairs": "!!omap [a: 1]",
    "nul": '"\\0"',
    "letter": '"a\\nb\\e[31m"',
    "surrogate": '"\\uD800"',
}
"""YAML of other types than most keys take."""
SELDOM = ("large", "infinite", "texts", "numbers", "pairs", "set")
"""What is tried only in the slow test."""


def keys(model: type[BaseModel] = Config, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key of the settings, such as ``data.plant.items``, and what it takes."""
    for name, field in model.model_fields.items():
        yield f"{above}{name}", field.annotation
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys(kind, f"{above}{name}.")


KEYS = dict(keys())
NUMBERS = [key for key, kind in KEYS.items() if "int" in str(kind) or "float" in str(kind)]


HERE = "@here"


def write(experiment: Path, key: str, text: str, whole: str = "") -> None:
    """Give a key of the experiment file a value, as YAML; ``whole`` is what it holds otherwise."""
    values = loaded(whole or experiment.read_text())
    *sections, last = key.split(".")
    place = values
    for section in sections:
        if not isinstance(place.get(section), dict):
            place[section] = {}
        place = place[section]
    place[last] = HERE
    write_anew(experiment, dumped(values).replace(f"'{HERE}'", text))


@pytest.mark.parametrize("key", KEYS)
def test_no_type_of_value_ends_in_a_traceback(untrain: Untrain, file: Path, key: str) -> None:
    whole = file.read_text()
    for kind, text in VALUES.items():
        if kind not in SELDOM:
            write(file, key, text, whole)
            held(untrain, ("status", "mine.yaml"), ("mine.yaml",))  # it reads settings, no data


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_no_type_of_value_ends_in_a_traceback_where_it_is_used(
    untrain: Untrain, experiment: Path, key: str
) -> None:
    for text in VALUES.values():
        held(untrain, ("plan", "mine.yaml", "--set", f"{key}={text}"), code=None)


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("text", ["true", ".nan", ".inf", "1" + "0" * 400])
def test_what_is_no_number_is_not_taken_for_one(
    untrain: Untrain, file: Path, key: str, text: str
) -> None:
    if key == "removal.k":
        text = f"[{text}]"
    write(file, key, text)
    said = held(untrain, ("status", "mine.yaml"), (f"{key.partition('.k')[0]}",))
    assert "has not been run" not in said.err


NAMES = {
    "slash": "a/b",
    "backslash": "a\\b",
    "above": "..",
    "here": ".",
    "dots": "...",
    "hidden": ".mine",
    "dot": "mine.",
    "dash": "-mine",
    "empty": "",
    "space": " ",
    "inside": "a b",
    "nul": "a\0b",
    "line": "a\nb",
    "escape": "a\33[31m",
    "right": "a\u202eb",
    "zero": "a\u200bb",
    "letters": "ä",
    "long": "a" * 300,
    "con": "con",
    "CON": "CON",
    "nul.txt": "nul.txt",
    "com1": "com1",
    "lpt9.x": "LPT9.x.y",
    "stream": "a:b",
    "star": "a*",
    "home": "~",
    "percent": "a%2fb",
}


@pytest.mark.parametrize("how", ["file", "--name", "--set"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_run_folder_may_have(settle: Meet, name: str, how: str) -> None:
    written = json.dumps(NAMES[name])

    def spoil(folder: Path) -> None:
        if how == "file":
            write(folder / "mine.yaml", "name", written)

    given = {"file": (), "--name": ("--name", NAMES[name]), "--set": ("--set", f"name={written}")}
    settle(Case(("plan", "mine.yaml", *given[how]), spoil, ("name",)))


CASES = {
    "equal prompts": Case(
        ("plan", "mine.yaml", "--set", "prompts={texts: [a red shirt, a  red shirt ]}"),
        says=("prompts.texts: prompt 2 is the same as prompt 1",),
    ),
    "equal lines": Case(
        ("plan", "mine.yaml"),
        lambda folder: (folder / "prompts.txt").write_text("a shirt\na bag\na shirt\n"),
        ("prompts.txt: prompt 3 is the same as prompt 1, 'a shirt'",),
    ),
    "no runs": Case(("plan", "mine.yaml", "--set", "runs=''"), says=("runs: is empty",)),
    "a file for runs": Case(
        ("run", "mine.yaml", "--set", "runs=prompts.txt"), says=("prompts.txt",)
    ),
    "runs below a file": Case(
        ("run", "mine.yaml", "--runs", "prompts.txt/runs"), says=("prompts.txt",)
    ),
    "a device for runs": Case(("run", "mine.yaml", "--runs", "/dev/null/x"), says=("/dev/null",)),
    "seed above": Case(("plan", "mine.yaml", "--seed", "9" * 30), says=("seed",)),
    "seed of a flag": Case(("plan", "mine.yaml", "--set", "seed=yes"), says=("found true",)),
    "workers": Case(("plan", "mine.yaml", "--set", "workers=1000000"), says=("4,096",)),
    "threads": Case(("plan", "mine.yaml", "--set", "threads=5000"), says=("4,096",)),
    "same seeds": Case(("plan", "mine.yaml", "--set", "seed_b=0"), says=("seed_b",)),
    "k not rising": Case(("plan", "mine.yaml", "--set", "removal.k=[2, 2]"), says=("rising",)),
    "k of everything": Case(("plan", "mine.yaml", "--set", "removal.k=[32]"), says=("removal.k",)),
    "all held out": Case(("plan", "mine.yaml", "--set", "data.holdout=0.999"), says=("prompt",)),
    "odd models": Case(("plan", "mine.yaml", "--set", "design.models=7"), says=("multiple of 2",)),
    "a key in a key": Case(
        ("plan", "mine.yaml", "--set", "prompts.file.name=x"), says=("'file' has no settings",)
    ),
    "a key of nothing": Case(("plan", "mine.yaml", "--set", "data..path=x"), says=("--set",)),
    "a deep key": Case(("plan", "mine.yaml", "--set", ".".join("a" * 999) + "=1"), says=("a",)),
    "a long key": Case(("plan", "mine.yaml", "--set", "a" * 9999 + "=1"), says=("unknown key",)),
}


@pytest.mark.parametrize("case", CASES)
def test_impossible_settings_are_refused(meet: Meet, case: str) -> None:
    meet(CASES[case])
