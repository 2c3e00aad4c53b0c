"""Small versions of what `benchmarks/reliability/endurance.py` does often and long."""

from __future__ import annotations

from pathlib import Path

import pytest

import endurance
from tests.helpers.processes import needs_proc
from untrain.core.files import read_json
from watching import Outcome

pytestmark = [pytest.mark.pipeline, needs_proc]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))


def figures(found: Outcome) -> dict[str, object]:
    assert found.faults == []
    return dict(found.rows)


@pytest.mark.slow
def test_four_processes_that_are_killed_lose_no_row(tmp_path: Path) -> None:
    found = figures(endurance.step("rows")(tmp_path, 1000, kills=3))
    assert found["rows with the bytes that one process writes"] == "4,000 of 4,000"
    assert found["rows that are there twice"] == 0


@pytest.mark.slow
def test_a_bank_that_was_killed_in_each_step_is_that_made_at_once(tmp_path: Path) -> None:
    found = figures(endurance.step("bank")(tmp_path, 2))
    assert found["half-made files at the end"] == 0


@pytest.mark.slow
def test_traces_leave_nothing_open(tmp_path: Path) -> None:
    figures(endurance.step("traces")(tmp_path, 9))


@pytest.mark.slow
def test_requests_leave_nothing_open(tmp_path: Path) -> None:
    pytest.importorskip("starlette.testclient", reason="needs untrain[serve] and httpx")
    figures(endurance.step("serve")(tmp_path, 48))


@pytest.mark.slow
def test_what_lists_runs_lists_all(tmp_path: Path) -> None:
    pytest.importorskip("starlette.testclient", reason="needs untrain[serve] and httpx")
    assert figures(endurance.step("runs")(tmp_path, 12))["runs"] == "10 and 12"


def test_the_cache_lists_every_entry(tmp_path: Path) -> None:
    assert "100 of 100" in figures(endurance.step("cache")(tmp_path, 300)).values()


def test_what_is_lost_is_a_fault_and_steps_are_stored_beside_each_other(tmp_path: Path) -> None:
    first, second = Outcome(), Outcome()
    first.count("rows", 9, 10)
    second.zero("doubled", 0)
    assert first.faults == ["rows: 9 of 10"] and second.faults == []
    endurance.keep("cache", first, tmp_path)
    endurance.keep("runs", second, tmp_path)
    kept = read_json(tmp_path / "endurance.json")
    assert kept["rows"] == [
        ["Runs in one folder: doubled", 0],
        ["Files in the cache: rows", "9 of 10"],
    ]
