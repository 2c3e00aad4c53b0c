"""Options of formats, models, encoders and attributors: wrong types, and names of the inside."""

from __future__ import annotations

from dataclasses import fields
from inspect import signature
from pathlib import Path

import pytest
import yaml

from tests.helpers.commands import Untrain
from tests.helpers.hostile import dumped, held, write_anew
from untrain.attribution.registry import ATTRIBUTORS, GRADIENTS, _options
from untrain.catalogs import CATALOGS, rendered
from untrain.catalogs.export import export
from untrain.catalogs.opening import OF_ROWS
from untrain.generators.dalle.presets import DALLE
from untrain.generators.diffusion.presets import DIFFUSION

VALUES = (
    "true",
    "3",
    "-1",
    "1.5",
    ".nan",
    "9" * 400,
    "''",
    "'{'",
    "'{}'",
    "'{a!r}'",
    "'{a.__class__}'",
    "text",
    '"a\\0b"',
    '"\\n"',
    "[a, 1]",
    "[]",
    "{a: {b: 1}}",
    "{}",
    "2001-01-01",
)
SELDOM = ("3", "-1", "''", "'{}'", "text", '"\\n"', "[]", "{}")
"""What is tried only in the slow tests: each has another beside it that is refused alike."""
OFTEN = tuple(text for text in VALUES if text not in SELDOM)
ALL = pytest.mark.parametrize(
    "values",
    [pytest.param(OFTEN, id="often"), pytest.param(SELDOM, id="seldom", marks=pytest.mark.slow)],
)
INSIDE = (
    "strict",
    "fresh",
    "format",
    "choice",
    "self",
    "options",
    "build",
    "kind",
    "__class__",
    "",
)
SAMPLES = {
    "folder": "folder",
    "csv": "csv/table.csv",
    "coco": "coco/captions.json",
    "parquet": "parquet",
    "webdataset": "webdataset",
}


ALWAYS = ("resize", "exclude", "respect")


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    for name in SAMPLES:
        export(rendered(families=1, size_of_family=3, resolution=16), [], folder / name, name)
    return folder


def options_of(format: str) -> list[str]:
    """Return the options that a format takes, and names of the inside."""
    known = [name for name in signature(CATALOGS[format]).parameters if name != "path"]
    return list(dict.fromkeys([*known, *OF_ROWS, *ALWAYS, *INSIDE]))


CASES = [(format, option) for format in SAMPLES for option in options_of(format)]


@ALL
@pytest.mark.parametrize(("format", "option"), CASES)
def test_no_option_of_a_format_ends_in_a_traceback(
    untrain: Untrain, samples: Path, format: str, option: str, values: tuple[str, ...]
) -> None:
    where = samples / SAMPLES[format]
    for text in values:
        value = yaml.safe_load(text)
        settings = {"data": {"format": format, "path": str(where), "options": {option: value}}}
        write_anew(Path("mine.yaml"), dumped({**settings, "prompts": {"texts": ["a"]}}))
        held(untrain, ("data", "summary", "mine.yaml"), code=None)


@pytest.mark.slow
@pytest.mark.parametrize(("format", "option"), CASES)
def test_no_option_on_the_command_line_ends_in_a_traceback(
    untrain: Untrain, samples: Path, format: str, option: str
) -> None:
    where = samples / SAMPLES[format]
    for text in ("true", "9" * 400, "", "[a, 1]", "{a: {b: 1}}", '"\\0"'):
        command = ("data", "show", str(where), "--format", format, "-o", f"{option}={text}")
        held(untrain, command, code=None)


@pytest.mark.parametrize("option", ["families", "size_of_family", "seed", "resolution", "size"])
def test_no_option_of_what_is_drawn_ends_in_a_traceback(untrain: Untrain, option: str) -> None:
    for text in ("true", "0", "-1", "1.5", ".nan", "9" * 400, "''", "[1]", "{a: 1}", "2001-01-01"):
        command = ("data", "show", "--rows", "1", "-o", "size_of_family=1", "-o", "families=1")
        held(untrain, (*command, "-o", f"{option}={text}"), code=None)


RECIPES = [
    (name, preset, field.name)
    for name, preset, made in (
        ("dalle", "micro", DALLE.make("micro")),
        ("diffusion", "diffusion-micro", DIFFUSION.make("diffusion-micro")),
    )
    for field in fields(made)
]


@ALL
@pytest.mark.parametrize(("name", "preset", "setting"), RECIPES)
def test_no_setting_of_a_model_ends_in_a_traceback(
    untrain: Untrain, file: Path, name: str, preset: str, setting: str, values: tuple[str, ...]
) -> None:
    kept = "".join(line for line in file.read_text().splitlines(True) if "generator" not in line)
    for text in values:
        value = "{" + f"name: {name}, preset: {preset}, settings: {{{setting}: {text}}}" + "}"
        write_anew(file, f"{kept}generator: {value}\n")
        held(untrain, ("status", "mine.yaml"))


ATTRIBUTED = [
    (name, option)
    for name in (*GRADIENTS, "nda", "bm25", "ensemble:trak", "sharp:trak")
    for option in (*(_options(ATTRIBUTORS[name.rpartition(":")[2]]) or ()), "name", "self")
] + [("sharp:trak", "sharpness")]


@pytest.mark.parametrize(("name", "option"), ATTRIBUTED)
def test_no_option_of_an_attributor_ends_in_a_traceback(
    untrain: Untrain, file: Path, name: str, option: str
) -> None:
    kept = file.read_text()
    for text in VALUES[:8]:
        given = f"ranking: {{also: ['{name}']}}\n"
        given += f"attribution: {{models: 2, options: {{'{name}': {{{option}: {text}}}}}}}\n"
        write_anew(file, kept + given)
        held(untrain, ("status", "mine.yaml"))
