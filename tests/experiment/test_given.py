"""Finished pictures in place of a model: searched and reported, and no counterfactual claimed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.runs import run
from untrain.api import Result
from untrain.banks.bank import train_bank
from untrain.catalogs import export_folder, rendered
from untrain.core.errors import InputError
from untrain.experiment.pipeline import is_done, keys, stages_of
from untrain.experiment.plan import plan
from untrain.runs.run import Run, open_run
from untrain.runs.status import status
from untrain.settings.config import Config
from untrain.settings.load import load_config

Make = Callable[..., Config]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of no training image, five for three prompts, one of another size."""
    folder = tmp_path_factory.mktemp("given") / "pictures"
    drawn = rendered(families=3, size_of_family=2, seed=9, resolution=32)
    export_folder(drawn, drawn.ids[5:], folder)
    texts = sorted(folder.glob("*.txt"))
    for text, prompt in zip(
        texts, ["red shoes"] * 2 + ["a blue bag"] * 2 + ["grey watches"], strict=True
    ):
        text.write_text(prompt)
    return folder


@pytest.fixture
def given(config: Make, pictures: Path) -> Callable[..., Config]:
    return lambda *settings: config(
        "prompts={}", f"generations={{path: {pictures}}}", "data.plant=null", *settings
    )


@pytest.fixture(scope="module")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    from tests.helpers.settings import MICRO

    settings = ["workers=1", "prompts={}", f"generations={{path: {pictures}}}"]
    return run(load_config(MICRO, settings, runs=tmp_path_factory.mktemp("done"))).folder


def test_what_a_run_without_a_model_finds(finished: Path) -> None:
    folder, stages = finished, json.loads((finished / "run.json").read_text())["stages"]
    assert list(stages) == ["generate", "judge", "retrieve", "compare", "rank", "report"]
    assert not (folder / "models").exists() and not (folder / "shared").exists()
    prompts = pd.read_csv(folder / "prompts.csv")
    assert list(prompts["prompt"]) == ["red shoes", "a blue bag", "grey watches"]
    assert len(list(folder.glob("queries/*/*.png"))) == 5
    copies = pd.read_parquet(folder / "copies.parquet")
    assert copies.groupby("prompt_id")["generation"].apply(list).tolist() == [[0, 1], [0, 1], [0]]
    ranking = pd.read_parquet(folder / "ranking.parquet")
    assert set(ranking["prompt_id"]) == set(prompts["prompt_id"])


def test_every_image_is_searched(given: Make) -> None:
    """A model that somebody else trained may have seen any of them: none is held out."""
    opened = Run(given("data.holdout=0.5"))
    assert len(opened.catalog) == 24 * 6 and len(opened.held_out) == 0


def test_the_report_says_that_there_was_no_counterfactual(finished: Path) -> None:
    folder = finished
    page = (folder / "report.html").read_text()
    body = page[page.index("<header>") :]
    start = body[: body.index('id="facts"')]
    assert start.count("No counterfactual was made") == 2  # a warning, and the answer
    for word in ('id="verdicts"', 'id="overall"', "bits", "Attributable", "model A"):
        assert word not in page.replace('id="verdict"', ""), word
    assert "highest-ranked first" in page
    result = Result(folder)
    assert result.answer.startswith("No counterfactual was made")
    assert "No counterfactual" in result.warnings[0]
    summary = (folder / "results/summary.md").read_text()
    assert "No counterfactual was made" in summary and "Nearest training images" in summary
    assert "Effect" not in summary
    assert not list(folder.glob("results/tables/effects*"))


def test_it_is_done_and_done_once(finished: Path) -> None:
    found = status(finished)
    assert found.state == "done" and found.models == 0
    opened = open_run(finished)
    names = keys(opened)
    assert all(is_done(opened, stage, names[stage.name]) for stage in stages_of(opened.config))


def test_other_pictures_are_taken_anew(given: Make, pictures: Path, tmp_path: Path) -> None:
    known = keys(Run(given()))
    other = Path(shutil.copytree(pictures, tmp_path / "other"))
    assert keys(Run(given(f"generations={{path: {other}}}"))) == known  # the content counts
    sorted(other.glob("*.txt"))[0].write_text("green gloves")
    changed = keys(Run(given(f"generations={{path: {other}}}")))
    assert not set(changed.items()) & set(known.items())


def test_what_needs_a_model_is_refused(given: Make) -> None:
    with pytest.raises(InputError, match="no stage 'retrain' where pictures are given"):
        run(given(), "retrain")
    with pytest.raises(InputError, match="no model to train a bank of"):
        train_bank(Run(given()), 2)
    with pytest.raises(InputError, match="there is no model to"):
        Run(given()).generator.fit(Run(given()).catalog, [], 0, lambda n: None)
    planned = plan(given())
    assert planned.models == 0 and "no counterfactual" in dict(planned.lines())["trainings"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["generations={path: x}"], "bring their own prompts"),
        (["prompts={}", "generations={pth: x}"], "unknown key 'pth' — did you mean 'path'"),
        (["generations=0"], "or greater than or equal to 1, found 0"),
        (["generations=many"], "or greater than or equal to 1, found 'many'"),
    ],
)
def test_settings_are_checked(config: Make, settings: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        config(*settings)


def test_no_such_folder(given: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        run(given(f"generations={{path: {tmp_path}/nowhere}}"))
