"""The template of a generator keeps the contract as it stands, gradients included."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.commands import command_line
from untrain.generators.registry import make_generator
from untrain.generators.template import MyModel
from untrain.testing import check_generator


@pytest.mark.slow
def test_the_template_passes_every_check() -> None:
    report = check_generator(MyModel)
    assert report.names("skipped") == ["fit_needs_no_pictures"]


def test_init_writes_it_once_under_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    untrain = command_line(monkeypatch, capsys)
    said = untrain("init", "--generator", "mine.py")
    assert said.code == 0 and "python mine.py" in said.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.py"]
    assert '"mine.py:MyModel"' in (tmp_path / "mine.py").read_text()
    assert make_generator(f"{tmp_path}/mine.py:MyModel", epochs=1).image_size == (32, 32)
    again = untrain("init", "--generator", "mine.py")
    assert again.code == 2 and "mine.py exists" in again.err
    assert untrain("init", "--generator", "mine.txt").code == 2
