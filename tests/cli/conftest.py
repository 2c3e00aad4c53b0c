from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain, command_line, write_experiment
from untrain.catalogs import export_folder, rendered
from untrain.core.progress import console


@pytest.fixture
def untrain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Untrain]:
    """Return a function that calls the command line in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    quiet = console.quiet

    yield command_line(monkeypatch, capsys)
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
    return write_experiment(tmp_path)
