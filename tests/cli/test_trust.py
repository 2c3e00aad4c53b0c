"""A run folder is data: what it names runs only where its user said so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.helpers.commands import Untrain
from untrain.core import trust
from untrain.core.cluster import connected
from untrain.core.errors import InputError
from untrain.core.files import write_text

Copy = Callable[..., Path]

CODE = """
from pathlib import Path
Path(__file__).with_name("ran").write_text("it ran")

def embed(images):
    return [[float(image.mean()), 1.0] for image in images]

class Drawn:
    pass
"""


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trust, "_doubted", {})
    monkeypatch.setattr(trust, "_vouched", set())
    yield
    trust.trust_all(False)


def from_elsewhere(folder: Path, **changes: object) -> Path:
    """Let a run folder name code that it brings along."""
    (folder / "evil.py").write_text(CODE)
    file = folder / "config.yaml"
    write_text(file, yaml.safe_dump(yaml.safe_load(file.read_text()) | changes))
    return folder


@pytest.mark.parametrize("section", ["generator", "encoder"])
@pytest.mark.parametrize(
    "command",
    [
        ("plan", "{run}/config.yaml"),
        ("run", "{run}/config.yaml"),
        ("export", "{run}", "out"),
        ("trace", "picture.png", "--run", "{run}"),
        ("attribute", "{run}", "--prompt", "p00"),
        ("show", "{run}"),
        ("status", "{run}"),
    ],
    ids=lambda command: command[0],
)
def test_nothing_that_a_run_folder_names_runs(
    untrain: Untrain, micro_copy: Copy, command: tuple[str, ...], section: str
) -> None:
    run = from_elsewhere(micro_copy(), **{section: "evil.py:Drawn"})
    next(run.glob("queries/*/*.png")).rename("picture.png")
    said = untrain(*(word.format(run=run) for word in command))
    assert not (run / "ran").exists()
    assert said.code in (0, 2), said
    assert "should not have happened" not in said.err


def test_it_says_what_would_run_and_what_lets_it(untrain: Untrain, micro_copy: Copy) -> None:
    run = from_elsewhere(micro_copy(), encoder="evil.py:embed")
    refused = untrain("plan", run / "config.yaml")
    assert refused.code == 2
    assert f"{run / 'evil.py'}:embed" in refused.err
    assert f"untrain trust {run}" in refused.err
    assert "--trust" in refused.err

    assert untrain("plan", run / "config.yaml", "--trust").code == 0
    assert (run / "ran").exists()


def test_what_was_trusted_is_trusted_until_it_changes(untrain: Untrain, micro_copy: Copy) -> None:
    run = from_elsewhere(micro_copy(), encoder="evil.py:embed")
    said = untrain("trust", run, "--yes")
    assert said.code == 0, said
    assert f"{run / 'evil.py'}:embed" in said.out
    assert not (run / "ran").exists()
    assert untrain("plan", run / "config.yaml").code == 0
    assert "Nothing to trust" in untrain("trust", run).out

    (run / "evil.py").write_text(CODE + "# changed\n")
    assert untrain("plan", run / "config.yaml").code == 2


def test_what_its_user_named_ran_here_before(
    untrain: Untrain, micro_copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = micro_copy()
    settings = yaml.safe_load((run / "config.yaml").read_text())
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump(settings | {"name": "mine", "encoder": "mine.py:embed"})
    )
    assert untrain("plan", "mine.yaml").code == 0

    # Another process: only what is on disk is known.
    monkeypatch.setattr(trust, "_vouched", set())
    file = run / "config.yaml"
    write_text(file, yaml.safe_dump(settings | {"encoder": str(tmp_path / "mine.py:embed")}))
    assert untrain("plan", file).code == 0
    (tmp_path / "mine.py").write_text(CODE + "# changed\n")
    monkeypatch.setattr(trust, "_vouched", set())
    assert untrain("plan", file).code == 2


def test_a_module_of_python_is_code_too(untrain: Untrain, micro_copy: Copy) -> None:
    run = from_elsewhere(
        micro_copy(), generator={"name": "os:system", "options": {"command": "touch ran"}}
    )
    said = untrain("plan", run / "config.yaml")
    assert said.code == 2
    assert "os:system" in said.err
    assert not Path("ran").exists()


def test_a_cluster_that_a_run_folder_names_is_not_reached(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    address = "ray://192.0.2.1:10001"
    trust.doubt([address], tmp_path)
    with pytest.raises(InputError, match="Ray cluster"), connected(address, threads=1):
        pass
