"""Run folders of others: files of another run, of later versions, and links that lead outside."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.helpers.commands import Untrain
from tests.helpers.folders import without_checksums
from tests.helpers.hostile import held

Copy = Callable[..., Path]


@pytest.fixture(scope="module")
def _foreign(micro_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a command reads of a run, copied once: cases put back what they change."""
    without = shutil.ignore_patterns("thumbnails", "models", "figures", "tables")
    folder = tmp_path_factory.mktemp("foreign") / "micro"
    shutil.copytree(micro_run, folder, ignore=without)
    without_checksums(folder)
    return folder


def changed(key: str, value: Any) -> Callable[[Path], None]:
    """Return what sets a value in the record; ``a.b`` is b in a."""

    def change(run: Path) -> None:
        record = json.loads((run / "run.json").read_text())
        *above, last = key.split(".")
        inside = record
        for name in above:
            inside = inside.setdefault(name, {})
        inside[last] = value
        (run / "run.json").write_text(json.dumps(record))

    return change


def other(name: str, source: str) -> Callable[[Path], None]:
    """Return what puts one file of the run in the place of another."""
    return lambda run: shutil.copy(run / source, run / name)


def instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def put(run: Path) -> None:
        (run / name).unlink()
        make(run / name)

    return put


def edited(name: str, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    return lambda run: edit(pd.read_parquet(run / name)).to_parquet(run / name)


EFFECTS, RANKING = "results/effects.parquet", "ranking.parquet"
CASES: dict[str, Callable[[Path], object]] = {
    "later version": changed("schema_version", 2),
    "version of text": changed("schema_version", "1"),
    "version without end": changed("schema_version", 10**400),
    "name a list": changed("name", ["a"]),
    "name of escapes": changed("name", "\x1b]0;a\x07[red]"),
    "stages a list": changed("stages", []),
    "stage of text": changed("stages.fit", "done"),
    "seconds of text": changed("stages.fit.seconds", "1"),
    "stage unknown": changed("stages.evil", {"state": "done"}),
    "warnings of text": changed("warnings", "a"),
    "warning without text": changed("warnings", [{"code": "a"}]),
    "warning of markup": changed("warnings", [{"code": "a", "text": "[red]\x1b[31m<b>"}]),
    "quality of text": changed("quality", "passed"),
    "verdict unknown": changed("quality.verdict", "evil"),
    "copies a list": changed("copies", [1]),
    "generator a list": changed("generator", ["dalle"]),
    "unit a number": changed("generator.unit", 1),
    "catalogue of text": changed("catalog", "a"),
    "settings of text": changed("config", "a"),
    "record a list": lambda run: (run / "run.json").write_text("[]"),
    "record deep": lambda run: (run / "run.json").write_text("[" * 100_000),
    "record of digits": lambda run: (run / "run.json").write_text("9" * 5_000),
    "settings a list": lambda run: (run / "config.yaml").write_text("[a]"),
    "settings deep": lambda run: (run / "config.yaml").write_text("[" * 30_000),
    "level of text": lambda run: (run / "config.yaml").write_text("evaluation: {alpha: a}"),
    "section of text": lambda run: (run / "config.yaml").write_text("evaluation: a"),
    "settings that run code": lambda run: (run / "config.yaml").write_text(
        "generator: {name: 'evil.py:Evil'}"
    ),
    "ranking as effects": other(EFFECTS, RANKING),
    "effects as ranking": other(RANKING, EFFECTS),
    "record as a table": other(EFFECTS, "run.json"),
    "table as the record": other("run.json", EFFECTS),
    "prompts of nothing": lambda run: (run / "prompts.csv").write_text("prompt_id,prompt\n"),
    "prompts of one twice": lambda run: (run / "prompts.csv").write_text(
        "prompt_id,prompt,family,role,seen\np00,a,,query,\np00,b,,query,\n"
    ),
    "effects of nobody": edited(EFFECTS, lambda table: table.assign(prompt_id="p99")),
    "effects without rows": edited(EFFECTS, lambda table: table.iloc[:0]),
    "effects of text": edited(EFFECTS, lambda table: table.assign(effect="a")),
    "effects without end": edited(EFFECTS, lambda table: table.assign(effect=float("inf"))),
    "effects twice": edited(EFFECTS, lambda table: pd.concat([table, table])),
    "effects without a column": edited(EFFECTS, lambda table: table.drop(columns="arm")),
    "ranks below zero": edited(RANKING, lambda table: table.assign(rank=-1)),
    "ranking of nobody": edited(RANKING, lambda table: table.assign(image_id="../../a")),
    "pipe": instead(EFFECTS, lambda path: os.mkfifo(path)),
    "pipe as the record": instead("run.json", lambda path: os.mkfifo(path)),
    "pipe as settings": instead("config.yaml", lambda path: os.mkfifo(path)),
    "device": instead(EFFECTS, lambda path: path.symlink_to("/dev/zero")),
    "device as the record": instead("run.json", lambda path: path.symlink_to("/dev/zero")),
    "link outside": instead("prompts.csv", lambda path: path.symlink_to("/etc/passwd")),
    "record outside": instead("run.json", lambda path: path.symlink_to("/etc/passwd")),
    "loop": instead(EFFECTS, lambda path: path.symlink_to(path)),
    "folder": instead(EFFECTS, lambda path: path.mkdir()),
    "checksums of others": lambda run: (run / "checksums.txt").write_text(
        '0c1bb0d3 ["=", "' + "a" * 64 + '", "prompts.csv"]\n'
    ),
    "checksums of no text": lambda run: (run / "checksums.txt").write_bytes(bytes(range(256))),
    "checksums a pipe": lambda run: os.mkfifo(run / "checksums.txt"),
    "checksums a device": lambda run: (run / "checksums.txt").symlink_to("/dev/zero"),
    "marker of others": lambda run: (run / ".untrain").write_text('{"files": 1}'),
}
COMMANDS = (("show", "{run}", "--json"), ("status", "{run}"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_a_run_of_others(untrain: Untrain, _foreign: Path, tmp_path: Path, kind: str) -> None:
    run = Path(shutil.copytree(_foreign, tmp_path / "micro"))
    CASES[kind](run)
    for words in COMMANDS:
        said = held(untrain, tuple(word.format(run=run) for word in words), code=None)
        assert "root:" not in said.out + said.err  # of the passwords
        assert "\x1b]0;" not in said.out + said.err
