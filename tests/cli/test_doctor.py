"""``untrain doctor``: what works, what is missing, and an exit code for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain
from untrain import doctor


def find(said: str, name: str) -> dict[str, str]:
    findings = json.loads(said)["findings"]
    return next(finding for finding in findings if finding["name"] == name)


def test_here_everything_works(untrain: Untrain) -> None:
    said = untrain("doctor")
    assert said.code == 0
    assert "all works" in said.out
    for words in ("torch", "cores", "threads", "memory", "cache", "layout", "ray"):
        assert words in said.out


def test_each_package_is_named_once(untrain: Untrain) -> None:
    findings = json.loads(untrain("doctor", "--json").out)["findings"]
    names = [finding["name"] for finding in findings]
    assert len(names) == len(set(names))


def test_a_version_that_is_too_old_is_broken(
    untrain: Untrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = ["numpy>=99", "no-such-package>=1", "pandas>=1", 'ray>=2; extra == "ray"']
    monkeypatch.setattr(doctor, "requires", lambda name: needs)
    said = untrain("doctor", "--json")
    assert said.code == 1
    assert not json.loads(said.out)["ok"]
    assert find(said.out, "numpy")["state"] == "broken"
    assert "needs >=99" in find(said.out, "numpy")["found"]
    assert find(said.out, "no-such-package")["remedy"] == "pip install 'no-such-package>=1'"
    assert find(said.out, "pandas")["state"] == "ok"
    assert "broken" in untrain("doctor").out


def test_a_folder_that_cannot_be_written(untrain: Untrain, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = untrain("doctor", "--runs", tmp_path / "file" / "runs", "--json")
    assert said.code == 1
    assert find(said.out, "runs")["state"] == "broken"


def test_an_encoder_is_tried(untrain: Untrain) -> None:
    assert find(untrain("doctor", "--encoder", "layout", "--json").out, "layout")["state"] == "ok"
    said = untrain("doctor", "--encoder", "nobody/nothing", "--json")
    assert said.code == 1
    assert "hf download nobody/nothing" in find(said.out, "nobody/nothing")["remedy"]


def test_whole_models_in_the_hubs_cache_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name, files in {
        "models--google--whole": (*doctor.WHOLE, "model.safetensors"),
        "models--google--partial": doctor.WHOLE,
    }.items():
        folder = tmp_path / name / "snapshots" / "abc"
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).write_text("")
    assert doctor._in_hub_cache() == ["google/whole"]


def test_the_memory_of_this_machine_is_known() -> None:
    assert doctor._memory() > 1e8
