"""The Python API: an experiment, its run and its result."""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import untrain
from tests.helpers.settings import MICRO
from untrain.api import asking, experiment, loading, plots, result_pictures, result_tables
from untrain.api import result as results
from untrain.core.files import read_json, write_json
from untrain.core.progress import console

Copy = Callable[..., Path]

DOCTESTED = (asking, experiment, loading, plots, results, result_pictures, result_tables, untrain)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before, console.quiet = console.quiet, True
    yield
    console.quiet = before


@pytest.fixture
def result(micro_run: Path) -> untrain.Result:
    return untrain.load_result(micro_run)


def test_the_examples_of_the_docstrings(micro_copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = micro_copy()
    monkeypatch.chdir(folder.parent.parent)
    shutil.copy(MICRO, "experiment.yaml")
    Path("experiment.yaml").write_text(MICRO.read_text() + "workers: 1\n")
    for module in DOCTESTED:
        found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
        assert found.attempted and not found.failed


def test_every_public_name_is_there() -> None:
    for name in untrain.__all__:
        assert getattr(untrain, name) is not None


def test_tables_are_those_of_the_folder(result: untrain.Result, micro_run: Path) -> None:
    for name, file in {
        "catalog": "catalog",
        "retrieval": "retrieval",
        "comparison": "comparison",
        "ranking": "ranking",
        "forget_sets": "forget_sets",
        "measures": "results/measures",
        "effects": "results/effects",
        "verdicts": "results/verdicts",
    }.items():
        table = getattr(result, name)
        stored = pd.read_parquet(micro_run / f"{file}.parquet")
        pd.testing.assert_frame_equal(table, stored, check_dtype=False)  # text has two in pandas 2
    assert set(result.prompts["role"]) == {"query", "control"}
    assert result.overall["arm"].tolist()[0] == "targeted"


def test_a_table_is_the_callers_to_change(result: untrain.Result) -> None:
    table = result.ranking
    table["score"] = 0.0
    assert (result.ranking["score"] != 0).any()


def test_the_answer_is_that_of_the_report(result: untrain.Result, micro_run: Path) -> None:
    assert result.answer in (micro_run / "results" / "summary.md").read_text(encoding="utf-8")
    assert result.summary["name"] == "micro"
    assert result.report == micro_run / "report.html"
    assert any("generator" in warning for warning in result.warnings)


def test_the_effect_on_a_prompt_is_the_row_of_its_own_set(result: untrain.Result) -> None:
    effect = result.effect("p01")
    own = "design == 'randomised' and arm == 'targeted' and measure == 'nll' and prompt_id == 'p01'"
    row = result.effects.query(own).iloc[0]
    assert (effect.arm, effect.k, effect.unit) == ("targeted", 3, "bits/token")
    assert (effect.effect, effect.p_value) == (row["effect"], row["p_value"])
    assert result.effect("c00").arm == "family"
    assert result.effect("p01", "random_uniform").arm == "random_uniform"
    for wrong, words in ((("p99",), "no prompt 'p99'"), (("p01", "family"), "of the arm 'family'")):
        with pytest.raises(untrain.InputError, match=words):
            result.effect(*wrong)
    with pytest.raises(untrain.InputError, match="of size '7'"):
        result.effect("p01", k=7)


@pytest.mark.slow
def test_a_bank_has_a_leaderboard(micro_copy: Copy) -> None:
    folder = micro_copy()
    experiment = untrain.Experiment.demo("micro", runs=folder.parent, workers=1)
    bank = experiment.bank(4)
    assert len(bank) == 4 and bank.kept.shape == (4, len(experiment.catalog))
    table = bank.leaderboard(k=3).table
    assert {"fusion", "text"} <= set(table["name"])
    assert (folder / "results" / "leaderboard.parquet").is_file()


def test_images_are_those_of_the_folder(result: untrain.Result, micro_run: Path) -> None:
    drawn = result.images("p00")
    assert len(drawn) == 2 and all(picture.mode == "RGB" for picture in drawn)  # no reference
    with_them, without_them = result.with_and_without("p00")
    again = result.images("p00", without_them)
    path = micro_run / "generations" / without_them / "p00" / "1.png"
    assert np.array_equal(np.asarray(again[1]), np.asarray(Image.open(path)))
    assert with_them != without_them
    best = result.ranking.query("prompt_id == 'p00' and rank == 1")["image_id"].iloc[0]
    assert max(result.thumbnail(best).size) <= 96
    assert result.sheet(2).height < result.sheet().height


def test_names_that_are_not_there_are_answered(result: untrain.Result, tmp_path: Path) -> None:
    with pytest.raises(untrain.InputError, match=r"no prompt 'q00'.*did you mean 'p00'"):
        result.images("q00")
    with pytest.raises(untrain.InputError, match=r"no model '../queries'"):
        result.images("p00", "../queries")
    with pytest.raises(untrain.InputError, match=r"keeps no picture"):
        result.thumbnail("../queries/p00/0")
    with pytest.raises(untrain.InputError, match=r"neither a run folder"):
        untrain.load_result(tmp_path / "nothing")
    with pytest.raises(untrain.InputError, match=r"unknown demo preset 'dmo'.*did you mean 'demo'"):
        untrain.Experiment.demo("dmo")
    with pytest.raises(untrain.InputError, match=r"settings: unknown key 'promts'"):
        untrain.Experiment.from_dict({"promts": {}})


def test_a_run_that_is_not_done_says_so(micro_copy: Copy) -> None:
    folder = micro_copy()
    record = read_json(folder / "run.json")
    for stage in ("evaluate", "report"):
        del record["stages"][stage]
    write_json(folder / "run.json", record)
    (folder / "report.html").unlink()
    shutil.rmtree(folder / "results")
    result = untrain.load_result(folder)
    assert len(result.ranking)
    assert "next: evaluate" in repr(result) and "next: evaluate" in result._repr_html_()
    with pytest.raises(untrain.InputError, match=r"no results/verdicts.parquet yet"):
        _ = result.verdicts
    with pytest.raises(untrain.InputError, match=r"results/effects.parquet"):
        _ = result.answer


def test_an_effect_is_of_the_design_that_was_measured(micro_copy: Copy) -> None:
    folder = micro_copy()
    effect = untrain.load_result(folder).effect("p00")
    record = read_json(folder / "run.json")  # as a run with other settings would begin
    write_json(folder / "run.json", {**record, "design": "before-after"})
    again = untrain.load_result(folder).effect("p00")
    assert (again.arm, again.k, again.effect) == (effect.arm, effect.k, effect.effect)


def test_a_notebook_shows_warnings_answer_table_and_pictures(micro_copy: Copy) -> None:
    folder = micro_copy()
    record = read_json(folder / "run.json")
    write_json(
        folder / "run.json", {**record, "warnings": [{"code": "markup", "text": "<script>"}]}
    )
    html = untrain.load_result(folder)._repr_html_()
    assert "<script" not in html and html.count("&lt;script&gt;") == 1
    assert "positive control was not seen" in html  # the micro run is too small to be trusted
    assert "random uniform" in html
    assert re.search(r'<img [^>]*alt="[^"]+"[^>]* src="data:image/png;base64,', html)


def test_a_terminal_shows_answer_and_table(
    result: untrain.Result, capsys: pytest.CaptureFixture[str]
) -> None:
    result.show()
    shown = capsys.readouterr().out
    assert "positive control was not seen" in shown and "random uniform" in shown


def test_a_run_goes_as_far_as_asked(tmp_path: Path) -> None:
    small = "generator.settings={epochs: 1, epochs_ae: 1}"
    experiment = untrain.Experiment.demo("micro", small, runs=tmp_path, workers=1)
    result = experiment.run(until="generate")
    assert len(result.images("p00")) == 2
    assert "next: judge" in repr(result)
    plan = experiment.plan(noise=0.3)
    assert (plan.queries, plan.controls) == (4, 2) and plan.power.noise.sd == 0.3
    assert set(result.catalog["image_id"]) == set(experiment.catalog.ids)


@pytest.mark.slow
def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    """Models are trained in processes that would otherwise run the script once more, each."""
    script = tmp_path / "script.py"
    script.write_text(
        "import math\nfrom untrain.training.worker import run_jobs\nprint('once')\n"
        "run_jobs(math.sqrt, [(4.0,), (9.0,)], 2, 1, 'roots', 0)\nprint('done')\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["once", "done"]


def test_prompts_are_known_by_their_texts_and_tables_show_pictures(result: untrain.Result) -> None:
    text = result.prompts["prompt"].iloc[1]
    drawn, found = result.pictures(text), result.influences(text, top=4)
    assert set(drawn["prompt_id"]) == {"p01"} == set(found["prompt_id"])
    assert drawn[["picture", "picture_with", "picture_without"]].notna().all(axis=None)
    assert np.array_equal(np.asarray(drawn["picture"].iloc[1]), np.asarray(result.images("p01")[1]))
    sets = result.forget_sets.query("arm == 'targeted' and prompt_id == 'p01'")
    assert set(found.loc[found["removed"], "image_id"]) == set(sets["image_id"])
    assert found._repr_html_().count("<img") == 4
    assert "no proof of influence" in found.attrs["caption"]
    assert "control was not seen" in found.attrs["caption"]  # and so no effect is told
    assert len(result.pictures()) == 12
    assert result.effect(text).effect == result.effect("p01").effect


def test_plots_return_axes_and_say_what_cannot_be_trusted(result: untrain.Result) -> None:
    from matplotlib import pyplot

    axes = [result.plot.effects(), result.plot.effects(by="prompt"), result.plot.verdicts()]
    for each in axes:
        told = each.get_xlabel(), each.figure.get_supxlabel()
        assert "control was not seen" in " ".join(" ".join(told).split())
    assert result.plot.pictures("p00").shape == (3, 2)
    assert result.plot.influences("p00", top=5).shape == (1, 5)
    own = pyplot.figure().subplots()
    assert result.plot.effects(axes=own) is own
    pyplot.close("all")
    with pytest.raises(untrain.InputError, match="expected arm or prompt"):
        result.plot.effects(by="colour")  # type: ignore[arg-type]


def test_every_object_shows_itself_in_a_notebook(result: untrain.Result) -> None:
    again = untrain.Experiment(result.config)
    shown = [result, result.effect("p00"), again, again.plan(noise=0.3), again.catalog]
    shown += [result.trace(result.images("p00")[0], top=2)]
    shown += [result.attribute(method="fusion", prompts="p00", top=2)]
    for each in shown:
        page = each._repr_html_()  # type: ignore[attr-defined]
        assert page.startswith("<") and "<script" not in page and " object at 0x" not in page


def test_what_is_not_there_yet_says_how_to_make_it(result: untrain.Result) -> None:
    picture = result.images("p00")[0]
    for ask, words in (
        (result.bank, "no bank"),
        (result.leaderboard, "no leaderboard"),
        (result.ladder, "no results/fidelity"),
        (lambda: result.attribute(42), "expected a picture"),
        (lambda: untrain.attribute(42), "expected a run.*found int"),  # type: ignore[arg-type]
        (lambda: untrain.trace(picture, 42), "expected training images"),  # type: ignore[arg-type]
    ):
        with pytest.raises(untrain.InputError, match=words):
            ask()
