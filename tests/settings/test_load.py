"""The experiment file: what it means, and messages that name key and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from untrain.core.errors import InputError
from untrain.settings.config import Config
from untrain.settings.load import load_config, make_config

PROMPTS = "prompts:\n  families: 4\n"
PLAIN = {"resize": "pad"}
GOOD = "name: mine\ndata: {families: 20}\nprompts:\n  families: 4\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def load(file: Path, text: str, *settings: str, **changes: object) -> Config:
    file.write_text(text)
    return load_config(file, settings, **changes)


def test_defaults_and_settings(file: Path) -> None:
    config = load(file, GOOD, "removal.k=[3, 9]", "data.plant.items=2", seed=5, name=None)
    assert config.name == "mine"
    assert config.seed == 5
    assert config.b_seed != 5
    assert config.removal.k == (3, 9)
    assert config.data.plant is not None
    assert config.data.plant.items == 2
    assert config.folder == Path("runs/mine")


def test_paths_are_relative_to_the_file_or_where_set_to_the_working_directory(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "photos").mkdir(parents=True)
    monkeypatch.chdir(here)
    text = "data: {format: folder, path: photos}\nprompts: {file: prompts.txt}\n"
    config = load(file, text)
    assert config.data.path == tmp_path / "photos"
    assert config.prompts.file == tmp_path / "prompts.txt"
    assert load(file, text, "data.path=photos").data.path == here / "photos"
    text = text.replace("path: photos", "path: ~/photos")
    assert load(file, text).data.path == Path.home() / "photos"


def test_opt_out_lists_are_paths_one_or_several(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    (tmp_path.parent / "here.csv").touch()
    one = load(file, f"{PROMPTS}data: {{exclude: out.txt, respect: [xmp]}}\n")
    assert one.data.exclude == tmp_path / "out.txt"
    assert one.data.chosen() == {"exclude": tmp_path / "out.txt", "respect": ("xmp",), **PLAIN}
    several = load(file, f"{PROMPTS}data: {{exclude: [a.txt, b/c.csv]}}\n")
    assert several.data.exclude == (tmp_path / "a.txt", tmp_path / "b/c.csv")
    replaced = load(file, PROMPTS, "data.exclude=[here.csv, a.txt]")
    assert replaced.data.exclude == (tmp_path.parent / "here.csv", tmp_path / "a.txt")
    with pytest.raises(InputError, match="respect"):
        load(file, f"{PROMPTS}data: {{respect: [robots]}}\n")


def test_a_configuration_reads_back(file: Path) -> None:
    import yaml

    config = load(file, GOOD, "removal.k=[3, 9]")
    again = load(file, yaml.safe_dump(config.to_dict()))
    assert again == config


def test_an_encoder_may_be_given_by_its_name_alone(file: Path) -> None:
    assert load(file, GOOD + "encoder: layout\n").encoder.name == "layout"


WRONG = [
    # text, what the message says
    (GOOD + "sed: 3\n", "line 5: unknown key 'sed' — did you mean 'seed'"),
    (GOOD + "removal:\n  arm: [targeted]\n", "line 6: unknown key 'removal.arm' — did you mean"),
    (GOOD + "data2: 1\n", "line 5: unknown key 'data2' — did you mean 'data'"),
    (
        "data:\n  subset: {sise: 3}\nprompts: {families: 4}\n",
        "line 2: unknown key 'data.subset.s",
    ),
    (GOOD + "seed: three\n", "line 5: seed: Input should be a valid integer.*, found 'three'"),
    (GOOD + "generations: 0\n", "line 5: generations: .*greater than or equal to 1, found 0"),
    (GOOD + "removal:\n  k: 10\n", "line 6: removal.k: Input should be a list, found 10"),
    (GOOD + "removal:\n  k: [10, 5]\n", r"line 6: removal.k: must be rising .*, found \[10, 5\]"),
    (GOOD + "removal:\n  k: [0]\n", r"line 6: removal.k: .*, found \[0\]"),
    (GOOD + "removal:\n  k: [200]\n", "line 6: removal.k: 200 .* of the 100 candidates"),
    (GOOD + "removal:\n  arms: []\n", "line 6: removal.arms: .*at least 1 item"),
    (
        GOOD + "removal:\n  arms:\n    - targeted\n    - random_unifrom\n",
        "line 8: removal.arms.1: unknown arm 'random_unifrom' — did you mean 'random_uniform'",
    ),
    (GOOD + "removal:\n  arms: [random_uniform]\n", "line 6: removal.arms: .* needs .*'targeted'"),
    (
        GOOD + "removal:\n  arms: [targeted, ids]\n",
        "line 6: removal.arms: .*needs removal.ids",
    ),
    (GOOD + "design:\n  models: 5\n", "line 6: design.models: .*multiple of 2, found 5"),
    (GOOD + "design:\n  kind: before\n", "line 6: design.kind: .*'before-after', found 'before'"),
    (
        GOOD + "ranking:\n  method: fussion\n",
        "line 6: .*unknown ranking 'fussion' — did",
    ),
    (GOOD + "ranking:\n  also: [study, txet]\n", "line 6: ranking.also.1: unknown ranking 'txet'"),
    (GOOD + "retrieval:\n  method: tfdif\n", "line 6: .* unknown retriever 'tfdif' — .*'tfidf'"),
    (GOOD + "encoder:\n  name: transformer\n", "line 6: .*unknown encoder .*'transformers'"),
    (GOOD + "encoder: layuot\n", "line 5: .*unknown encoder 'layuot' — did you mean 'layout'"),
    (
        GOOD + "generator:\n  preset: tinny\n",
        "line 6: .*unknown preset 'tinny' — .*'tiny'",
    ),
    (
        GOOD + "generator:\n  settings:\n    epoch: 3\n",
        "line 6: generator.settings: .*'epoch' — did you mean 'epochs'",
    ),
    (
        GOOD + "generator:\n  settings: {epochs: many}\n",
        "line 6: .*epochs: .*found 'many'",
    ),
    (
        GOOD + "generator:\n  settings: {epochs: 0}\n",
        "line 6: .*epochs must be at least 1",
    ),
    (GOOD + "generator:\n  settings: {height: 20}\n", "line 6: .*multiples of 8"),
    (
        "data:\n  format: foldr\nprompts: {texts: [a]}\n",
        "line 2: .*'foldr' — .*'folder'",
    ),
    ("data:\n  format: folder\nprompts: {texts: [a]}\n", "line 1: data.path: is missing"),
    ("data:\n  format: folder\n  path: x\nprompts:\n  families: 3\n", "line 5: prompts.families: "),
    ("prompts:\n  texts: [a]\n  controls: 2\n", "line 3: prompts.controls: needs"),
    ("name: x\n", "mine.yaml: prompts: give exactly one of 'file', 'texts' and 'families'"),
    ("prompts:\n  texts: [a]\n  families: 2\n", "line 1: prompts: give exactly one"),
    (GOOD.replace("mine", "../mine"), "line 1: name: '../mine' cannot name a run folder"),
    (GOOD + "1: 2\n", "mine.yaml"),
    ("- name: x\n", "mine.yaml must hold settings such as 'name: demo', found a list"),
    ("just words\n", "found 'just words'"),
    ("", "found nothing"),
    ("name: [x\n", "mine.yaml, line 2: not valid YAML"),
    ("name: x\n\tseed: 1\n", "mine.yaml, line 2: not valid YAML: .*tab"),
    ("a: 1\n---\nb: 2\n", "not valid YAML"),
]


@pytest.mark.parametrize(("text", "says"), WRONG, ids=[w[1][:40] for w in WRONG])
def test_what_is_wrong_is_named_with_its_line(file: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as told:
        load(file, text)
    assert "Traceback" not in str(told.value)
    assert "pydantic" not in str(told.value)


def test_every_fault_is_named(file: Path) -> None:
    with pytest.raises(InputError) as told:
        load(file, GOOD + "sed: 1\nworkers: 0\n")
    first, second = sorted(line.partition("line ")[2] for line in str(told.value).split("\n"))
    assert first.startswith("5: unknown key 'sed'")
    assert second.startswith("6: workers: ")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("seed", "--set takes key=value .*, found 'seed'"),
        ("=3", "--set takes key=value"),
        ("seed=[", r"--set seed=\[: the value is not valid YAML"),
        ("seed.x=3", "--set seed.x=3: 'seed' has no settings of its own"),
        ("removal.k=7", "--set removal.k=7: removal.k: .*list, found 7"),
        ("removl.k=[7]", r"--set removl.k=\[7\]: unknown key 'removl' — did you mean 'removal'"),
        ("removal.arms=[targetted]", "--set .*unknown arm 'targetted' — did you mean 'targeted'"),
        ("generator.preset=mikro", "--set generator.preset=mikro: .*did you mean 'micro'"),
        ("name=a b", "--set name=a b: name: 'a b' cannot name a run folder"),
    ],
)
def test_what_is_wrong_in_a_setting_is_not_blamed_on_the_file(
    file: Path, setting: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        load(file, GOOD + "seed: 2\n", setting)


def test_a_changed_name_is_not_blamed_on_the_file(file: Path) -> None:
    with pytest.raises(InputError, match=r"^--name a/b: name: 'a/b' cannot name"):
        load(file, GOOD, name="a/b")


def test_files_that_cannot_be_read(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the experiment file .*: No such file"):
        load_config(file)
    with pytest.raises(InputError, match="it is a folder"):
        load_config(tmp_path)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not text"):
        load_config(file)


@pytest.mark.parametrize("given", ["float32", "bfloat16", "auto"])
def test_precision_is_a_setting_of_the_generator(given: str) -> None:
    texts = {"texts": ["red shirt"]}
    found = make_config({"prompts": texts, "generator": {"precision": given}})
    assert found.generator.precision == given
    assert make_config({"prompts": texts}).generator.precision is None
    with pytest.raises(InputError, match=r"generator.precision: .*'float16'"):
        make_config({"prompts": texts, "generator": {"precision": "float16"}})
