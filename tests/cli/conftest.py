from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from untrain.catalogs import export_folder, rendered
from untrain.cli import main
from untrain.core.progress import console


@dataclass(frozen=True)
class Said:
    """What a call of the command line ended with and printed."""

    code: int
    out: str
    err: str


Untrain = Callable[..., Said]


@pytest.fixture
def untrain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Untrain]:
    """Return a function that calls the command line in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    quiet = console.quiet

    def call(*arguments: object) -> Said:
        monkeypatch.setattr("sys.argv", ["untrain", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    yield call
    console.quiet = quiet


@pytest.fixture(scope="session")
def _photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "photos"
    export_folder(rendered(families=8, size_of_family=4, resolution=16), [], folder)
    return folder


@pytest.fixture
def photos(_photos: Path, tmp_path: Path) -> Path:
    """A folder catalogue of 32 pictures, to be spoilt."""
    import shutil

    return Path(shutil.copytree(_photos, tmp_path / "photos"))


@pytest.fixture
def experiment(photos: Path, tmp_path: Path) -> Path:
    """An experiment on that folder, which would run if nothing were wrong."""
    (tmp_path / "prompts.txt").write_text("a red shirt\na blue bag\n")
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\n"
        "data: {format: folder, path: photos}\n"
        "prompts: {file: prompts.txt}\n"
        "generator: {preset: micro}\n"
        "generations: 1\n"
        "retrieval: {top: 10}\n"
        "removal: {arms: [targeted, random_uniform], k: [2], draws: 2}\n"
        "design: {models: 4}\n"
        "evaluation: {draws: 100}\n"
        "workers: 1\n"
    )
    return file
