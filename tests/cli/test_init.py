"""``untrain init``: the file loads, tells every setting, and its schema takes it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from tests.helpers.commands import Untrain
from tests.helpers.places import ROOT
from untrain.cli import init
from untrain.quickstart import budget
from untrain.settings.config import Config
from untrain.settings.load import load_config
from untrain.settings.template import STARTS, keys, schema, template


def test_the_file_loads_with_the_defaults(untrain: Untrain) -> None:
    said = untrain("init")
    assert said.code == 0
    assert "untrain plan experiment.yaml" in said.out
    config = load_config(Path("experiment.yaml"))
    defaults = Config(prompts={"families": 16, "controls": 4}).to_dict()
    changed = {k for k, v in config.to_dict().items() if v != defaults[k]}
    assert changed <= {"removal"}  # duplicates: exact, for rendered pictures


@pytest.mark.parametrize("format", STARTS)
def test_every_setting_is_told(format: str) -> None:
    text = template(format)
    for key in keys():
        assert f"{key.rsplit('.', 1)[-1]}:" in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_is_off_can_be_switched_on(tmp_path: Path) -> None:
    text = template().replace("  # subset:", "  subset:").replace("  #   size:", "    size:")
    (tmp_path / "x.yaml").write_text(text)
    assert load_config(tmp_path / "x.yaml").data.subset.size == 5000  # type: ignore[union-attr]


def test_plan_takes_the_file(untrain: Untrain, monkeypatch: pytest.MonkeyPatch) -> None:
    from untrain.generators.base import Cost
    from untrain.generators.dalle.generator import DalleGenerator

    monkeypatch.setattr(DalleGenerator, "cost", lambda self, catalog: Cost(1.0, 10, "small"))
    untrain("init", "small.yaml", "--name", "mine")
    small = ("--set", "data.families=24", "--set", "removal.k=[3]", "--set", "prompts.families=4")
    said = untrain("plan", "small.yaml", "--json", *small)
    assert said.code == 0, said.err
    assert json.loads(said.out)["folder"] == "runs/mine"


def test_own_data_are_named_as_the_file_has_to(untrain: Untrain, photos: Path) -> None:
    Path("there").mkdir()
    said = untrain("init", "there", "--data", photos.name)
    assert "there/prompts.txt" in said.out and "set data.path" not in said.out
    config = load_config(Path("there/experiment.yaml"))
    assert (config.data.format, config.data.path) == ("folder", Path.cwd() / "there/../photos")
    assert config.data.path is not None and config.data.path.is_dir()
    assert config.prompts.file == Path.cwd() / "there/prompts.txt"
    captions = {path.read_text().strip() for path in photos.glob("*.txt")}
    assert set(config.prompts.file.read_text().splitlines()) <= captions
    Path("there/experiment.yaml").unlink()
    config.prompts.file.write_text("my own")
    untrain("init", "there", "--data", photos.name)
    assert config.prompts.file.read_text() == "my own"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ("\n\n1\n", "untrain run experiment.yaml"),
        ("nowhere\nphotos\n2\n1\n", "write the ids of those images into remove.txt"),
        ("photos\n3\n1\n", "untrain bank experiment.yaml --by COLUMN"),
        ("photos\n4\n", "untrain trace picture.png --catalog photos"),
    ],
)
def test_three_questions(
    untrain: Untrain,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: str,
    words: str,
) -> None:
    monkeypatch.setattr(init, "_at_a_terminal", lambda: True)
    monkeypatch.setattr(budget, "time_steps", lambda catalog, preset: budget.Timed(1e-3, 1e-3))
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    said = untrain("init")
    assert said.code == 0, said.err
    assert words in said.out
    if "trace" in words:
        assert not Path("experiment.yaml").exists()
        return
    config = load_config(Path("experiment.yaml"))
    assert config.design.models % 2 == 0
    assert ("ids" in config.removal.arms) == ("remove.txt" in words)


def test_a_question_can_be_an_option(untrain: Untrain) -> None:
    assert "did you mean 'removal'" in untrain("init", "--know", "remvoal").err
    assert not Path("experiment.yaml").exists()


def test_nothing_is_overwritten(untrain: Untrain) -> None:
    Path("experiment.yaml").write_text("mine")
    said = untrain("init")
    assert said.code == 2
    assert "experiment.yaml already exists" in said.err
    assert Path("experiment.yaml").read_text() == "mine"
    Path("a.schema.json").write_text("{}")
    assert "a.schema.json already exists" in untrain("init", "a.yaml").err
    assert not Path("a.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "foldr"), "unknown format 'foldr' — did you mean 'folder'?"),
        (("mine.txt",), "ending in .yaml"),
        (("--data", "nowhere"), "nowhere does not exist"),
    ],
)
def test_what_cannot_be(untrain: Untrain, arguments: tuple[str, ...], words: str) -> None:
    said = untrain("init", *arguments)
    assert said.code == 2
    assert words in said.err
    assert not list(Path().glob("*.yaml"))


def test_the_schema_is_named_and_written(untrain: Untrain) -> None:
    untrain("init", "mine.yaml")
    first = Path("mine.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./mine.schema.json"
    assert json.loads(Path("mine.schema.json").read_text()) == schema()
    assert json.loads(untrain("init", "--schema").out) == schema()


def test_the_schema_takes_what_the_program_takes() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    check = jsonschema.Draft202012Validator(schema())
    files = [*ROOT.glob("examples/*.yaml")]
    values = [yaml.safe_load(file.read_text()) for file in files]
    values += [yaml.safe_load(template(format)) for format in STARTS]
    for value in values:
        assert not list(check.iter_errors(value))
    for wrong in ({"seed": "many"}, {"generator": {"presett": "tiny"}}, {"design": {"models": 5}}):
        assert list(check.iter_errors(wrong))
    assert not list(check.iter_errors({"encoder": "layout", "engine": "ray"}))


def test_the_schema_offers_registered_names() -> None:
    definitions = schema()["$defs"]
    arms = definitions["Removal"]["properties"]["arms"]["items"]["anyOf"][0]["enum"]
    assert {"targeted", "random_uniform"} <= set(arms)
    assert "fashion" in definitions["Data"]["properties"]["format"]["anyOf"][0]["enum"]
