"""Runs on the page: verdicts, further results, two of them side by side; groups and copies."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from tests.helpers.pages import HOST
from tests.helpers.reports import add_comparison, make_run
from untrain.catalogs.base import Catalog
from untrain.core.files import write_text
from untrain.runs.leaderboard import COLUMNS, Leaderboard
from untrain.serve.runs import run_named

pytestmark = pytest.mark.external


@pytest.fixture(scope="module")
def page(photos: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page beside two invented runs, one of which has a leaderboard."""
    testing = pytest.importorskip("starlette.testclient", reason="needs untrain[serve] and httpx")
    from untrain.serve.app import make_app
    from untrain.serve.shelf import Shelf

    runs = tmp_path_factory.mktemp("place") / "runs"
    first = make_run(runs / "first")
    add_comparison(first)
    shutil.copytree(first, runs / "second")
    values = {name: [0.5] for name in COLUMNS} | {"name": ["fusion"], "kind": ["ranking"]}
    board = Leaderboard(pd.DataFrame(values), "first", 5, 8, 3, 100, 50, "fusion", "bits/token")
    board.save(first)
    (runs / "second" / "results" / "fidelity.parquet").write_bytes(b"of another version")
    shutil.copytree(first, runs.parent / "quickstart" / "trial")
    (runs.parent / "quickstart" / "quickstart.json").write_text("{}")
    shelf = Shelf(lambda: (photos, None), None, runs)
    with testing.TestClient(make_app(shelf, [HOST]), f"http://{HOST}") as client:
        while not client.get("/state").json()["ready"]:
            time.sleep(0.05)
        client.runs = runs
        yield client


def test_a_run_shows_its_verdicts_and_its_leaderboard(page: Any) -> None:
    shown = page.get("/runs/first").text
    assert 'id="verdicts"' in shown
    assert "linear datamodeling score" in shown
    assert "fusion" in shown
    assert page.get("/runs/first/figures/nothing.svg").status_code == 404


def test_what_cannot_be_read_is_left_out(page: Any) -> None:
    assert page.get("/runs/second").status_code == 200
    assert "Leaderboard" in page.get("/runs").text


def test_the_trial_of_a_quickstart_is_listed(page: Any) -> None:
    assert "/runs/quickstart%3Atrial" in page.get("/runs").text
    assert page.get("/runs/quickstart:trial").status_code == 200
    assert page.get("/runs/quickstart:other").status_code == 404


def test_two_runs_stand_side_by_side(page: Any) -> None:
    shown = page.get("/compare", params={"a": "first", "b": "second"}).text
    assert "No prompt that both have is judged differently" in shown
    assert "first and second" in shown
    assert page.get("/compare?a=first&b=first").status_code == 422
    assert page.get("/compare?a=first&b=../first").status_code == 404


def test_images_are_grouped_by_what_is_known(page: Any, photos: Catalog) -> None:
    brands = photos.attributes["brand"].astype(str)
    shown = page.get("/browse/groups?by=brand").text
    assert all(brand in shown for brand in brands)
    some = brands.iloc[0]
    of_it = page.get("/browse", params={"only": f"brand:{some}"}).text
    ids = re.findall(r'class="id">(.*?)<', of_it)
    assert ids == [i for i, brand in zip(photos.ids, brands, strict=True) if brand == some][:60]
    assert page.get("/browse/groups?by=nothing").status_code == 422


def test_copies_are_found(page: Any) -> None:
    assert "No two images are the same file" in page.get("/browse/copies").text
    page.get("/browse/copies?near=1")
    for _ in range(200):
        state = page.get("/browse/copies/state").json()
        if state["ready"] or state["error"]:
            break
        time.sleep(0.05)
    assert state["error"] == ""
    shown = page.get("/browse/copies?near=1").text
    assert "another way" in shown
    assert "Edited copies were not looked for" in shown
    assert "untrain data duplicates PATH --edited --sheet copies.png" in shown


def test_many_runs_stand_on_several_pages(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from untrain.serve import running

    assert "Further runs" not in page.get("/runs").text
    monkeypatch.setattr(running, "PAGE", 2)
    first, second = page.get("/runs").text, page.get("/runs?page=2").text
    assert "3 runs" in first
    assert "/runs/second" in first
    assert "/runs/second" not in second
    assert "quickstart%3Atrial" in second
    assert page.get("/runs?page=99").text == second


def test_an_answer_is_read_once_until_a_file_of_the_run_is_written(
    page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from untrain.serve import runs as parts

    read = []
    answered = parts._answered
    monkeypatch.setattr(parts, "_answered", lambda folder: read.append(folder) or answered(folder))
    told = parts.Told(10)
    folder = page.runs / "first"
    before = told("first", folder)
    assert told("first", folder) == before
    assert len(read) == 1
    write_text(folder / "results" / "note.txt", "new")
    told("first", folder)
    assert len(read) == 2


def test_no_name_leads_to_another_folder(page: Any) -> None:
    runs = page.runs
    for name in ("..", ".", "", "quickstart", "a/../first", "x" * 300, "quickstart:..", ":trial"):
        with pytest.raises(KeyError):
            run_named(runs, None, name)
    assert run_named(runs, None, "quickstart:trial") == runs.parent / "quickstart" / "trial"
