"""``untrain calibrate`` fits a scale, checks it on fresh runs, and `untrain attribute` uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from tests.helpers.commands import Untrain
from tests.helpers.folders import without_checksums


@pytest.fixture
def other(micro_copy: Callable[..., Path]) -> Path:
    """The same run with other queries, so that it counts as a fresh one."""
    folder = micro_copy("other")
    without_checksums(folder)
    samples = load_file(folder / "queries.safetensors")
    changed = {name: sample[::-1].copy() for name, sample in samples.items()}
    save_file(changed, folder / "queries.safetensors")
    return folder


def test_it_is_fitted_checked_and_used(untrain: Untrain, micro_run: Path, other: Path) -> None:
    said = untrain("calibrate", micro_run, "-m", "fusion", "-o", "c.json", "--check", other)
    assert said.code == 0, said.err
    assert "fusion, fitted on" in said.out and "6 prompts in 1 runs (trial): micro" in said.out
    assert "intervals (86%)" in said.out and "checked on other" in said.out
    again = untrain("calibrate", "-o", "c.json", "--check", other, "--json")
    told = json.loads(again.out)
    assert told["method"] == "fusion" and 0 <= told["coverage"]["inside"] <= 1
    asked = ("attribute", other, "-m", "fusion", "-p", "p00", "--calibration", "c.json")
    said = untrain(*asked)
    assert "Removing these 10 images from training would cost" in said.out
    assert "bits/token (" in said.out and "uncalibrated" not in said.out
    notes = json.loads(untrain("attribute", micro_run, *asked[2:], "--json").out)["notes"]
    assert [note["code"] for note in notes] == ["calibration-of-this-run"]


def test_what_it_has_seen_is_no_check(untrain: Untrain, micro_run: Path) -> None:
    said = untrain("calibrate", micro_run, "-m", "fusion", "--check", micro_run)
    assert said.code == 2 and "was fitted on micro" in said.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name runs to fit"),
        (("--check", "nowhere"), "nowhere is neither a run folder"),
        (("--source", "banks"), "name runs to fit"),
    ],
)
def test_wrong_options_say_so(untrain: Untrain, options: tuple[str, ...], message: str) -> None:
    said = untrain("calibrate", *options)
    assert said.code == 2 and message in " ".join(said.err.split())
