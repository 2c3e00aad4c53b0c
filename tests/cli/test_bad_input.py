"""Bad input: a message that names the thing, exit code 2, and nothing left behind."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.commands import Said, Untrain
from untrain.catalogs.formats.fashion import COLUMNS
from untrain.training.models import Trainer

Change = Callable[[Path], None]


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong must be found before the first training."""

    def prepare(run: object) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr(Trainer, "prepare", prepare)


def refused(said: Said, *words: str) -> None:
    assert said.code == 2, said
    assert said.out == ""
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err, said.err


def blank(folder: Path) -> None:
    (folder / "prompts.txt").write_text("a red shirt\n\na blue bag\n")


def empty_prompts(folder: Path) -> None:
    (folder / "prompts.txt").write_text(" \n\n")


def twice(folder: Path) -> None:
    Image.new("RGB", (9, 9)).save(folder / "photos/000001.jpg")


def unusable(folder: Path) -> None:
    for path in (folder / "photos").glob("*.txt"):
        path.unlink()


def empty_folder(folder: Path) -> None:
    for path in (folder / "photos").iterdir():
        path.unlink()


def no_zip(folder: Path) -> None:
    (folder / "fashion.zip").write_bytes(b"PK but no zip")


def empty_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "fashion.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing of use")


def twice_in_the_table(folder: Path) -> None:
    row = ",".join(["1", *["x"] * (len(COLUMNS) - 1)])
    with zipfile.ZipFile(folder / "fashion.zip", "w") as archive:
        archive.writestr("styles.csv", "\n".join([",".join(COLUMNS), row, row]))


def ids(folder: Path) -> None:
    (folder / "ids.txt").write_text("000001\n00000x\n")


def nothing(folder: Path) -> None:
    """Leave everything as it is."""


FASHION = ("data.format=fashion", "data.path=fashion.zip")
ENCODER = "encoder={{name: transformers, options: {{path: {}}}}}"
CASES: dict[str, tuple[Change, tuple[str, ...], tuple[str, ...]]] = {
    "data path": (nothing, ("data.path=nowhere",), ("nowhere does not exist; expected a folder",)),
    "brackets": (nothing, ("data.path='no[where]/[red]x'",), ("/no[where]/[red]x does not exist",)),
    "empty folder": (empty_folder, (), ("photos has no <id>.jpg, .jpeg or .png with <id>.txt",)),
    "no captions": (unusable, (), ("no usable image–caption pair", "× image without caption")),
    "duplicate id": (twice, (), ("id '000001' occurs twice, as 000001.jpg and 000001.png",)),
    "no such zip": (nothing, FASHION, ("fashion.zip does not exist", "Kaggle")),
    "no zip": (no_zip, FASHION, ("fashion.zip is not a readable zip file",)),
    "other zip": (empty_zip, FASHION, ("fashion.zip has no styles.csv",)),
    "duplicate row": (twice_in_the_table, FASHION, ("styles.csv has id '1' twice",)),
    "blank line": (blank, (), ("prompt file", "prompts.txt: line 2 is blank")),
    "no prompts": (empty_prompts, (), ("prompts.txt is empty: write one prompt per line",)),
    "no prompt file": (nothing, ("prompts.file=x.txt",), ("cannot read the prompt file", "x.txt")),
    "unknown words": (nothing, ("prompts={texts: [zzyx]}",), ("no word of the prompt 'zzyx'",)),
    "too many": (nothing, ("removal.k=[9]",), ("54 images are to be removed", "has 31: lower")),
    "k above top": (nothing, ("removal.k=[11]",), ("removal.k: 11 images", "10 candidates")),
    "unknown id": (ids, ("removal.ids=ids.txt",), ("ids.txt: '00000x' is not one of the 31",)),
    "ranking": (nothing, ("ranking.method=studi",), ("unknown ranking 'studi'", "mean 'study'?")),
    "arm": (nothing, ("removal.arms=[targetd]",), ("unknown arm 'targetd'", "mean 'targeted'?")),
    "family": (nothing, ("removal.arms=[targeted, family]",), ("set prompts.controls",)),
    "retriever": (nothing, ("retrieval.method=tf-idf",), ("'tf-idf'", "mean 'tfidf'?")),
    "format": (nothing, ("data.format=foldr",), ("format 'foldr'", "mean 'folder'?")),
    "preset": (nothing, ("generator.preset=smal",), ("unknown preset 'smal'", "mean 'small'?")),
    "encoder": (nothing, ("encoder=layuot",), ("unknown encoder 'layuot'", "mean 'layout'?")),
    "encoder option": (nothing, ("encoder.options.size=3",), ("encoder 'layout'", "'size'")),
    "no encoder here": (
        nothing,
        (ENCODER.format("nobody/nothing"),),
        ("'nobody/nothing' is neither", "`hf download nobody/nothing`", "`encoder: layout`"),
    ),
    "empty encoder": (
        nothing,
        (ENCODER.format("."),),
        ("holds no usable model (it lacks config.json", "`encoder: layout`"),
    ),
    "too many models": (nothing, ("design.models=30",), ("of 30 models would differ",)),
    "subset": (nothing, ("data.subset={size: 99}",), ("a subset of 99 of the 32 images",)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_refused(untrain: Untrain, experiment: Path, case: str) -> None:
    spoil, settings, words = CASES[case]
    spoil(experiment.parent)
    given = [part for setting in settings for part in ("--set", setting)]
    refused(untrain("run", experiment, *given), *words)
    assert not Path("runs/mine").exists()


@pytest.mark.parametrize("case", ["data path", "too many", "no encoder here", "unknown words"])
def test_a_plan_is_refused_alike(untrain: Untrain, experiment: Path, case: str) -> None:
    spoil, settings, words = CASES[case]
    spoil(experiment.parent)
    given = [part for setting in settings for part in ("--set", setting)]
    refused(untrain("plan", experiment, *given), *words)
    assert not Path("runs").exists()


FILES = {
    "key": ("generator:\n  presett: micro\n", "line 11: unknown key 'generator.presett'"),
    "type": ("seed: many\n", "line 10: seed: Input should be a valid integer"),
    "yaml": ("seed: [1\n", "not valid YAML"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_experiment_file_is_named_with_its_line(
    untrain: Untrain, experiment: Path, case: str
) -> None:
    text, words = FILES[case]
    kept = "".join(
        line for line in experiment.read_text().splitlines(True) if "generator" not in line
    )
    experiment.write_text(kept + text)
    refused(untrain("run", experiment), f"{experiment}, line 1", words)


def test_a_list_for_an_experiment(untrain: Untrain, experiment: Path) -> None:
    experiment.write_text("- 1\n")
    refused(untrain("run", experiment), "must hold settings such as 'name: demo', found a list")


def test_a_missing_experiment(untrain: Untrain, photos: Path) -> None:
    refused(untrain("run", "nothing.yaml"), "cannot read the experiment file nothing.yaml")
    refused(untrain("run", "photos"), "`untrain init mine.yaml --data photos` writes a file")


@pytest.mark.parametrize("setting", ["seed", "=3", "seed=["])
def test_a_setting_that_is_none(untrain: Untrain, experiment: Path, setting: str) -> None:
    refused(untrain("run", experiment, "--set", setting), "--set")


def without_caption(photos: Path) -> None:
    (photos / "000003.txt").unlink()


def without_image(photos: Path) -> None:
    (photos / "000003.png").unlink()


def no_image(photos: Path) -> None:
    (photos / "000003.png").write_bytes(b"these are words")


def truncated(photos: Path) -> None:
    path = photos / "000003.png"
    path.write_bytes(path.read_bytes()[:150])


def bomb(photos: Path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")  # 6 kB that unpack to 1.2 GB
    (photos / "000003.png").write_bytes(buffer.getvalue())


def empty_caption(photos: Path) -> None:
    (photos / "000003.txt").write_text(" \n")


BAD_PAIRS: list[tuple[Change, str]] = [
    (without_caption, "image without caption"),
    (without_image, "caption without image"),
    (no_image, "image is not in an image format that Pillow can read"),
    (truncated, "image cannot be decoded"),
    (bomb, "image is too large to be decoded safely"),
    (empty_caption, "empty caption"),
]


@pytest.mark.parametrize(("spoil", "reason"), BAD_PAIRS, ids=[r for _, r in BAD_PAIRS])
def test_one_bad_pair_is_skipped_and_reported_or_fatal_if_strict(
    untrain: Untrain, photos: Path, spoil: Change, reason: str
) -> None:
    spoil(photos)
    said = untrain("data", "inspect", photos, "--json")
    assert said.code == 0
    summary = json.loads(said.out)
    assert summary["images"] == 31
    assert summary["skipped"][reason]["count"] == 1
    assert summary["skipped"][reason]["examples"][0].startswith("000003")
    refused(
        untrain("data", "inspect", photos, "--strict"),
        f"1 entry cannot be used: 1 × {reason} (e.g. 000003",
    )


def test_a_strict_run_is_refused(untrain: Untrain, experiment: Path, photos: Path) -> None:
    truncated(photos)
    refused(untrain("run", experiment, "--strict"), "1 × image cannot be decoded (e.g. 000003)")
    assert not Path("runs/mine").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("data", "inspect", "nowhere"), "nowhere does not exist"),
        (("data", "inspect", "photos", "--format", "foldr"), "did you mean 'folder'?"),
        (("data", "inspect", "photos", "--format", "rendered"), "takes no path"),
        (("data", "inspect", "--format", "folder"), "needs a path"),
        (("data", "inspect", "mine.yaml"), "is not a folder"),
        (("demo", "--preset", "mikro"), "unknown demo preset 'mikro' — did you mean 'micro'?"),
        (("demo", "--name", "a/b"), "--name a/b: name: 'a/b' cannot name a run folder"),
        (("export", "photos", "out"), "photos is not a run folder: it has no run.json"),
        (("fitt", "mine.yaml"), "No such command 'fitt'"),
        (("run",), "Missing argument"),
        (("run", "mine.yaml", "--seed", "x"), "Invalid value for '--seed'"),
    ],
)
def test_commands_are_refused(
    untrain: Untrain, experiment: Path, arguments: tuple[str, ...], words: str
) -> None:
    refused(untrain(*arguments), words)
