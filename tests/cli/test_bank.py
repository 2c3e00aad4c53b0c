"""``untrain bank``: what it says, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain


def test_a_bank_is_planned_trained_and_extended(untrain: Untrain, experiment: Path) -> None:
    said = untrain("bank", experiment, "--models", 2, "--share", 0.5, "--share", 0.25, "--plan")
    assert said.code == 0, said.err
    assert "to be trained" in said.out
    assert not Path("runs").exists()
    said = untrain("-q", "bank", experiment, "--models", 2)
    assert said.code == 0, said.err
    assert "bank: 2 models (2 without 0.5 of the data), in runs/mine/bank" in said.out
    said = untrain("-q", "bank", experiment, "--models", 2, "--share", 0.25)
    assert "(2 without 0.5 of the data, 2 without 0.25 of the data, 1 on all data)" in said.out
    assert "Equivalent" not in said.out  # the run has no effects yet


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--models", 1], "at least 2 models"),
        (["--share", 1.5], "between 0 and 1"),
        (["--share", 0.0001], "removes 0 of the"),
        (["--share", "half"], "Invalid value for '--share'"),
        (["--set", "generator.preset=nano"], "nano"),
        (["--address", "auto", "--engine", "local"], "engine.address"),
    ],
)
def test_what_cannot_be_is_refused(
    untrain: Untrain, experiment: Path, options: list[object], says: str
) -> None:
    said = untrain("bank", experiment, *options)
    assert said.code == 2
    assert says in said.err
    assert not Path("runs").exists()


def test_help_names_an_example(untrain: Untrain) -> None:
    assert "--models 64" in untrain("bank", "--help").out


def test_groups_leave_by_a_file_and_have_shares(untrain: Untrain, experiment: Path) -> None:
    ids = sorted(path.stem for path in Path("photos").glob("*.png"))
    rows = [f"{image_id},{'ABC'[i % 3]}" for i, image_id in enumerate(ids)]
    Path("makers.csv").write_text("\n".join(["image_id,maker", *rows]) + "\n")
    asked = ["bank", experiment, "--by", "makers.csv", "--models", 2]
    said = untrain(*asked, "--plan")
    assert said.code == 0, said.err
    assert "groups by makers.csv" in said.out and "3, of" in said.out
    assert not Path("runs").exists()
    said = untrain("-q", *asked, "--leave-one-out", 1)
    assert said.code == 0, said.err
    assert "bank: 9 models, in runs/mine/groups/makers" in said.out
    assert "By" not in said.out.split("\n")[2]
    said = untrain("-q", "shares", "runs/mine", "--from-scores", "text", "--json")
    assert said.code == 0, said.err
    means = [row for row in json.loads(said.out) if row["scope"] == "these_prompts"]
    assert [row["group"] for row in means] == ["A", "B", "C"]
    assert sum(row["share_from_scores"] for row in means) == pytest.approx(1)
    said = untrain("-q", "shares", "runs/mine", "--prompt", "p9")
    assert said.code == 2 and "there is no prompt 'p9'" in said.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--by", "brand"], "the catalogue has no attribute 'brand'"),
        (["--by", "folder"], "have the same folder"),
        (["--by", "makers.csv"], "makers.csv does not exist"),
        (["--least", 3], "name what makes them with --by"),
        (["--leave-one-out", 3], "name what makes them with --by"),
    ],
)
def test_groups_that_cannot_be_are_refused(
    untrain: Untrain, experiment: Path, options: list[object], says: str
) -> None:
    said = untrain("bank", experiment, *options)
    assert said.code == 2
    assert says in said.err
    assert not Path("runs").exists()
