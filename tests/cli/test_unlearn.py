"""``untrain unlearn``: what it says, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain
from untrain.training.index import read_index


def test_a_list_of_images_is_forgotten(
    untrain: Untrain, micro_copy: Callable[..., Path], tmp_path: Path
) -> None:
    folder = micro_copy()
    ids = read_index(folder).ids[:2]
    Path("takedown.txt").write_text("\n".join(ids))
    options = ("--ids", "takedown.txt", "--method", "npo:rate=0.3", "--budget", 0.5)
    said = untrain("-q", "unlearn", folder, *options, "--out", "forgotten")
    assert said.code == 0, said.err
    assert "2 images by npo" in said.out and "to forget" in said.out
    said = untrain("-q", "unlearn", folder, *options, "--json")
    record = json.loads(said.out)
    assert record["method"] == "npo" and record["spent"]["share"] <= 0.5
    said = untrain("-q", "attribute", folder, "--prompt", "p00", "-m", "grad_dot", "--json",
                   "--model", "forgotten")  # fmt: skip
    assert said.code == 0, said.err


def test_methods_are_listed(untrain: Untrain) -> None:
    said = untrain("unlearn", "--list")
    assert said.code == 0, said.err
    assert "nothing" in said.out and "fine_tuning" in said.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--ids", "none.txt"], "cannot read the image id file"),
        (["--ids", "wrong.txt"], "is no training image of the run"),
        (["--ids", "wrong.txt", "--budget", "2"], "above 0 and at most 1, found 2"),
        (["--ids", "wrong.txt", "--method", "np"], "did you mean 'npo'"),
        ([], "Missing option '--ids'"),
    ],
)
def test_what_cannot_be_is_refused(
    untrain: Untrain, micro_copy: Callable[..., Path], options: list[str], says: str
) -> None:
    folder = micro_copy()
    Path("wrong.txt").write_text("nowhere\n")
    said = untrain("unlearn", folder, *options)
    assert said.code == 2 and says in said.err
    assert not (folder / "unlearned").exists()
