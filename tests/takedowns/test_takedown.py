"""From a folder of pictures to an answer: what is found, taken out, checked and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import untrain
from tests.helpers.commands import command_line
from tests.helpers.experiments import one_thread, quiet  # noqa: F401 - fixtures
from tests.helpers.requests import pictures_of, stranger, write_request
from tests.helpers.settings import MICRO
from untrain.core.errors import InputError
from untrain.core.files import write_json
from untrain.runs.inputs import open_inputs
from untrain.runs.run import open_run
from untrain.settings.load import load_config
from untrain.takedowns import checking, removing
from untrain.takedowns.verify import verify


class Page(HTMLParser):
    """The parts of a report: text by the id of its section, and the pictures that were sent."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: dict[str, str] = {}
        self.pairs: dict[str, dict[str, list[str]]] = {}
        self._section = self._picture = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {key: value or "" for key, value in attrs}
        if tag == "section" or of.get("id") == "short":
            self._section = of["id"]
        if "data-picture" in of:
            self._picture = of["data-picture"]
            found = "is-found" in of["class"]
            self.pairs[self._picture] = {"copy": [], "other": [], "found": ["yes"] * found}
        if "data-image" in of:
            self.pairs[self._picture][of["class"]].append(of["data-image"])

    def handle_data(self, data: str) -> None:
        if self._section:
            before = self.text.get(self._section, "")
            self.text[self._section] = " ".join(f"{before} {data}".split())


@pytest.fixture
def run(micro_copy: Callable[..., Path]) -> Path:
    return micro_copy()


@pytest.fixture
def letter(run: Path, tmp_path: Path) -> Path:
    """Two training images, one that was held out, one of nobody's, and a file that is none."""
    opened = open_run(run)
    held = opened.held_out.ids[0]
    return write_request(
        tmp_path / "letter",
        {
            **pictures_of(opened.catalog, 2),
            "held.png": opened.held_out.read(held),
            "other.png": stranger(),
            "broken.jpg": b"x",
        },
    )


def test_the_whole_way_from_the_letter_to_a_verified_answer(run: Path, letter: Path) -> None:
    opened = open_run(run)
    found = untrain.takedown(letter, run, probes=1)
    record, ids = found.record, list(opened.catalog.ids[:2])
    assert found.folder == run / "takedowns" / "2026-17"
    assert found.ids == ids
    assert record["counts"] == {
        "pictures": 4,
        "unreadable": 1,
        "found": 3,
        "not_found": 1,
        "in_training": 2,
        "only_held_out": 1,
        "only_unused": 0,
        "training_images": 2,
        "to_decide": record["counts"]["to_decide"],
        "removed": 2,
        "undecided": 0,
        "said_theirs": 0,
        "said_not_theirs": 0,
    }
    assert (found.folder / "ids.txt").read_text().split() == ids
    # Taken out exactly: another model, whose own record leaves them out.
    assert record["removal"]["how"] == "exact"
    model = run / record["removal"]["path"]
    assert json.loads((model / "removed.json").read_text())["removed"] == ids
    assert {c["code"]: c["passed"] for c in record["checks"]} == {
        "record-lacks-them": True,
        "no-equal-content": True,
        "other-model": True,
        "no-near-copies": True,
        "forgets": None,
    }
    _check_page(found.report.read_text(encoding="utf-8"), opened.held_out.ids[0], ids)
    checked = found.verify(request=str(letter))
    assert checked.passed
    assert [c.code for c in checked.checks if c.passed is None] == ["data"]


def _check_page(html: str, held: str, ids: list[str]) -> None:
    page = Page(html)
    assert page.pairs["mine-0.png"]["copy"] == ids[:1]
    assert page.pairs["held.png"]["copy"] == [held]
    assert not page.pairs["other.png"]["found"] and page.pairs["other.png"]["other"]
    assert list(page.text) == [
        *("short", "asked", "found", "influence", "removed"),
        *("verified", "uncertain", "not-said", "check"),
    ]
    assert "broken.jpg (not a picture that can be read)" in page.text["asked"]
    assert "the model never saw it" in page.text["short"]
    assert "no copy was found" in page.text["short"]
    assert "trained again from the beginning" in page.text["removed"]
    assert "It is no proof that there is none" in page.text["uncertain"]
    assert "It does not say who owns a picture" in page.text["not-said"]


def test_run_again_it_does_nothing_twice(
    run: Path, letter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = untrain.takedown(letter, run, measure="none", probes=0)

    def never(*arguments: object) -> None:
        raise AssertionError("done before")

    monkeypatch.setattr(removing, "remove_exactly", never)
    again = untrain.takedown(letter, run, measure="none", probes=0)
    assert {**again.record, "written": ""} == {**first.record, "written": ""} | {
        "files": again.record["files"]
    }


def test_a_person_corrects_what_was_found(run: Path, letter: Path) -> None:
    ids = open_run(run).catalog.ids
    asked = {"measure": "none", "remove": "none", "probes": 0}
    found = untrain.takedown(letter, run, not_copies=[ids[0]], also=[ids[5]], **asked)
    assert found.ids == [ids[1], ids[5]]
    assert found.verify().passed
    with pytest.raises(InputError, match="no training image has this id — did you mean"):
        untrain.takedown(letter, run, also=[ids[5] + "x"], **asked)
    with pytest.raises(InputError, match="was not found as a copy"):
        untrain.takedown(letter, run, not_copies=[ids[7]], **asked)


def test_nothing_found_is_an_answer_too(run: Path, tmp_path: Path) -> None:
    letter = write_request(tmp_path / "letter", {"a.png": stranger()}, letter="")
    found = untrain.load_result(run).takedown(letter)
    assert found.ids == [] and found.record["removal"] is None
    page = Page(found.report.read_text(encoding="utf-8"))
    assert page.text["short"].startswith("No copy of the picture that was sent was found")
    assert "Nothing: no copy of the picture was found" in page.text["removed"]
    assert found.verify(request=letter).passed


@pytest.mark.slow
def test_a_request_for_everything_is_refused_before_training(run: Path, tmp_path: Path) -> None:
    catalog = open_run(run).catalog
    letter = write_request(tmp_path / "letter", pictures_of(catalog, len(catalog)))
    with pytest.raises(InputError, match="covers all"):
        untrain.takedown(letter, run, measure="none")
    found = untrain.takedown(letter, run, measure="none", remove="none", probes=0)
    assert found.record["counts"]["removed"] == len(catalog)


def test_another_request_of_the_same_reference_is_refused(
    run: Path, letter: Path, tmp_path: Path
) -> None:
    untrain.takedown(letter, run, measure="none", remove="none", probes=0)
    other = write_request(tmp_path / "other", {"a.png": stranger(7)})
    with pytest.raises(InputError, match="answers another request"):
        untrain.takedown(other, run)


def test_data_that_changed_are_refused(run: Path, letter: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["fingerprints"]["catalog"] = "0" * 16
    write_json(run / "run.json", record)
    with pytest.raises(InputError, match="are not what they were"):
        untrain.takedown(letter, run)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"measure": "guess"}, "expected estimate, trial, none"),
        ({"remove": "exakt"}, "unlearning method"),
        ({"budget": 0}, "above 0 and at most 1"),
        ({"budget": 1.5}, "above 0 and at most 1"),
        ({"probes": -1}, "0 or more"),
    ],
)
def test_options_that_cannot_be_are_refused_first(
    run: Path, letter: Path, option: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        untrain.takedown(letter, run, **option)
    assert not (run / "takedowns").exists()


def test_without_a_run_a_catalogue_is_searched(tmp_path: Path) -> None:
    catalog = untrain.load_catalog("rendered", families=4, size_of_family=3)
    letter = write_request(tmp_path / "letter", pictures_of(catalog, 1))
    found = untrain.takedown(letter, catalog=catalog, out=tmp_path / "out")
    assert found.folder == tmp_path / "out" / "2026-17"
    assert found.ids == [catalog.ids[0]]
    page = Page(found.report.read_text(encoding="utf-8"))
    assert "Nobody has removed anything yet" in page.text["removed"]
    assert "the new model" not in page.text["not-said"]
    assert "about these data only" in page.text["not-said"]
    kept = catalog.subset(set(catalog.ids) - set(found.ids))
    assert verify(found.folder, data=kept).passed
    still = verify(found.folder, data=catalog)
    assert still.passed  # nothing was removed by this answer
    (check,) = [check for check in still.checks if check.code == "to-remove"]
    assert "hold 1 of the 1 that ids.txt lists to be removed" in check.text


def test_a_method_of_unlearning_is_named_with_what_is_known_of_it(run: Path, letter: Path) -> None:
    found = untrain.takedown(letter, run, measure="none", remove="fine_tuning", budget=0.5)
    removal = found.record["removal"]
    assert (removal["how"], removal["budget"]) == ("fine_tuning", 0.5)
    assert 0 < removal["spent"] <= 0.5
    assert (run / removal["path"] / "unlearned.json").is_file()
    page = Page(found.report.read_text(encoding="utf-8"))
    assert "has not been measured here: it is unknown" in page.text["removed"]
    assert "can still hold traces" in page.text["uncertain"]
    assert found.verify(request=letter).passed


@pytest.mark.slow
def test_a_method_is_set_beside_the_exact_twin_where_there_is_one(run: Path, letter: Path) -> None:
    asked = {"measure": "none", "probes": 0}
    exact = untrain.takedown(letter, run, reference="exact", **asked)
    found = untrain.takedown(
        letter, run, reference="cheap", remove="fine_tuning", budget=0.5, **asked
    )
    means = found.record["after"]["surprise"]["means"]
    assert means["exact"] == pytest.approx(exact.record["after"]["surprise"]["means"]["after"])
    assert "trained without them" in Page(found.report.read_text(encoding="utf-8")).text["verified"]
    assert found.verify().passed


@pytest.mark.slow
def test_the_trial_gives_the_list_a_verdict_of_its_own(run: Path, letter: Path) -> None:
    found = untrain.takedown(letter, run, measure="trial", remove="none", probes=0)
    trial = found.record["trial"]
    assert trial["models"] == 4 and trial["images"] == 2
    assert trial["itself"]["verdict"] in ("attributable", "not attributable", "undecided")
    assert trial["itself"]["detectable"] is None  # with four models p is 1/6 at best
    assert [row["prompt_id"] for row in trial["prompts"]] == list(found_prompts(run))
    page = Page(found.report.read_text(encoding="utf-8"))
    assert "cannot be told" in page.text["trial"].casefold()
    assert found.verify().passed


def found_prompts(run: Path) -> list[str]:
    return list(pd.read_csv(run / "prompts.csv")["prompt_id"])


def test_an_experiment_is_run_with_the_requested_images_kept_in(tmp_path: Path) -> None:
    config = load_config(MICRO, ["workers=1"], runs=tmp_path / "runs", name="new")
    held = open_inputs(config).held_out
    letter = write_request(tmp_path / "letter", {"held.png": held.read(held.ids[0])})
    found = untrain.takedown(
        letter, untrain.Experiment(config), measure="none", remove="none", probes=0
    )
    assert found.ids == [held.ids[0]]
    opened = open_run(tmp_path / "runs" / "new")
    assert opened.config.data.keep_in == (held.ids[0],)
    assert set(opened.held_out.ids) == set(held.ids[1:])
    assert found.record["counts"]["only_held_out"] == 0


def test_a_takedown_that_was_stopped_goes_on(
    run: Path, letter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checking, "surprise", stopped)
        with pytest.raises(KeyboardInterrupt):
            untrain.takedown(letter, run, probes=0)
    assert not (run / "takedowns" / "2026-17" / "record.json").exists()
    monkeypatch.setattr(removing, "remove_exactly", stopped)  # done before
    assert untrain.takedown(letter, run, probes=0).verify().passed


def test_the_command_says_the_answer_in_short(
    run: Path, letter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = command_line(monkeypatch, capsys)
    said = call("takedown", letter, "--run", run, "--remove", "none", "--probes", 0)
    assert said.code == 0
    assert "2 of the 4 pictures that were sent, or copies of them, are among" in said.out
    assert "report.html" in said.out and "SHA-256 of record.json:" in said.out
    said = call("takedown", letter)
    assert said.code == 2 and "either --run or --catalog" in said.err
