"""Unlearned models of a run: what is written, found again, and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from untrain.api import Result
from untrain.core.errors import InputError
from untrain.runs.evidence import fitted_model
from untrain.runs.run import Run, open_run
from untrain.runs.unlearned import RECORD, SHEET, Asked, model_digest, unlearn_in_run

FAST = "ascent_retain:rate=0.3,forget=2"


@pytest.fixture
def run(micro_copy: Callable[..., Path]) -> Run:
    return open_run(micro_copy())


def asked(run: Run, method: str = FAST, budget: float = 0.5, **other: object) -> Asked:
    return Asked(run.catalog.ids[:3], method, budget, **other)  # type: ignore[arg-type]


def test_a_model_is_written_with_what_was_done_and_serves_as_a_model(run: Run) -> None:
    folder = unlearn_in_run(run, asked(run))
    record = json.loads((folder / RECORD).read_text())
    assert record["method"] == "ascent_retain" and record["options"]["rate"] == 0.3
    assert [each["image_id"] for each in record["forget"]] == list(run.catalog.ids[:3])
    assert record["forget"][0]["content"] == run.catalog.hashes[0]
    assert 0 < record["spent"]["share"] <= 0.5
    prints = record["fingerprints"]
    assert prints["model_after"] == model_digest(folder) != prints["model_before"]
    assert prints["catalog"] == run.catalog.fingerprint
    losses = record["losses"]["forget"]
    assert losses["after"] > losses["before"]
    assert (folder / SHEET).is_file()
    found = Result(run.folder)
    assert found.images("p00")  # the run is still one
    model = fitted_model(run, str(folder))
    noise = np.zeros((1, *model.noise.shape), np.float32)
    assert model.generate(["a red circle"], noise).images.dtype == np.uint8


def test_the_same_is_not_done_twice_and_the_bits_are_the_same_elsewhere(
    run: Run, tmp_path: Path
) -> None:
    first = unlearn_in_run(run, asked(run))
    stamp = (first / RECORD).stat().st_mtime_ns
    assert unlearn_in_run(run, asked(run)) == first
    assert (first / RECORD).stat().st_mtime_ns == stamp
    other = unlearn_in_run(run, asked(run, out=tmp_path / "mine"))
    assert other == tmp_path / "mine"
    assert model_digest(other) == model_digest(first)
    assert unlearn_in_run(run, asked(run, out=tmp_path / "mine")) == other
    with pytest.raises(InputError, match="not an empty folder"):
        unlearn_in_run(run, asked(run, budget=0.4, out=tmp_path / "mine"))


def test_what_was_forgotten_stays_forgotten(run: Run) -> None:
    folder = unlearn_in_run(run, asked(run))
    with pytest.raises(InputError, match="has forgotten it"):
        unlearn_in_run(run, asked(run, named=str(folder)))
    more = Asked(run.catalog.ids[3:5], FAST, 0.5, named=str(folder))
    record = json.loads((unlearn_in_run(run, more) / RECORD).read_text())
    assert record["absent"] == sorted(run.catalog.ids[:3])
    assert record["model"]["folder"] == folder.relative_to(run.folder).as_posix()


def test_nothing_changes_nothing(run: Run) -> None:
    record = json.loads((unlearn_in_run(run, asked(run, "nothing")) / RECORD).read_text())
    prints = record["fingerprints"]
    assert prints["model_after"] == prints["model_before"]
    assert record["spent"]["pairs"] == 0


@pytest.mark.parametrize(
    ("ids", "wrong", "words"),
    [
        (["00000x"], {}, r"'00000x' is no training image of the run — did you mean '000"),
        (["zz", "yy"], {}, r"'zz' \(and 1 more of the 2\).*ids look like"),
        ([], {}, "forget set is empty"),
        (None, {}, "leave some to be retained"),
        (["one"], {"budget": 0.0}, "above 0 and at most 1"),
        (["one"], {"budget": 0.01}, "give a budget of at least"),
        (["one"], {"method": "npoo"}, "did you mean 'npo'"),
        (["one"], {"named": "A9"}, "neither the folder of a saved model"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(
    run: Run, ids: list[str] | None, wrong: dict[str, object], words: str
) -> None:
    given = list(run.catalog.ids) if ids is None else ids
    given = [run.catalog.ids[0]] if given == ["one"] else given
    options = {"method": FAST, "budget": 0.5} | wrong
    with pytest.raises(InputError, match=words):
        unlearn_in_run(run, Asked(given, **options))  # type: ignore[arg-type]
    assert not run.path("unlearned").exists()


def test_images_that_were_held_out_are_named_so(run: Run) -> None:
    if not len(run.held_out):
        pytest.skip("the micro run holds nothing out")
    with pytest.raises(InputError, match="is held out: no model has seen it"):
        unlearn_in_run(run, Asked(run.held_out.ids[:1], FAST, 0.5))


def test_data_that_changed_since_are_refused(run: Run) -> None:
    changed = run.config.model_copy(
        update={"data": run.config.data.model_copy(update={"families": 7})}
    )
    with pytest.raises(InputError, match="are not what its models were fitted on"):
        unlearn_in_run(Run(changed), Asked(run.catalog.ids[:1], FAST, 0.5))


def test_python_asks_a_result(run: Run) -> None:
    found = Result(run.folder).unlearn(
        run.catalog.ids[:3], "ascent_retain", budget=0.5, rate=0.3, forget=2
    )
    assert found.losses["group"].tolist()[:2] == ["forget", "retained"]
    assert found.sheet().size[0] > 100
    assert found.generator is not None and "3 images by ascent_retain" in repr(found)
