"""The script for a machine with a GPU, in miniature and on the CPU: all of it, end to end."""

from __future__ import annotations

import json
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gpu import main
from gpu.experiment import CANDIDATES, _experiment, chosen
from gpu.pace import operations, pace, tokens
from gpu.pack import pack, unpacked
from gpu.results import Item, Results, Setting, Stage, page, run_stage
from untrain.core.files import write_json
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.training import pair_losses, train_transformer
from untrain.generators.dalle.transformer import Transformer
from untrain.settings.load import load_config


@pytest.fixture
def at(tmp_path: Path) -> Setting:
    return Setting(tmp_path / "out", tmp_path / "work", time.monotonic() + 1200, miniature=True)


@pytest.mark.slow
def test_all_stages_work_in_miniature(at: Setting) -> None:
    """Every stage of the usual call but the first, in this process."""
    pytest.importorskip("peft", reason="the stage lora needs untrain[diffusion]")
    threads, stages = torch.get_num_threads(), main.USUAL[1:]
    torch.set_num_threads(1)
    try:
        well = main.run_stages(stages, at, again=False, arguments=None)
        assert well, page(Results(at.out).stages)
    finally:
        torch.set_num_threads(threads)
    found = json.loads((at.out / "results.json").read_text())
    assert list(found) == stages
    rows = found["experiment"]["rows"]
    assert rows["plan"]["epochs"] >= 1
    assert (at.out / rows["pictures after evaluate"]["file"]).exists()
    assert (at.out / "photos-summary.json").exists()
    assert found["stacks"]["rows"]["micro, 2 at once, eager"]["times one by one"] > 0
    assert "| micro, 4 a step: float32 |" in (at.out / "results.md").read_text()
    assert main.run_stages(stages, at, again=False, arguments=None)  # nothing is left to do
    again = json.loads((at.out / "results.json").read_text())
    assert [stage["rows"] for stage in again.values()] == [s["rows"] for s in found.values()]


def items_of(*works: tuple[str, object]) -> Stage:
    def items(at: Setting) -> Iterator[Item]:
        yield from works  # type: ignore[misc]

    return Stage("some", "what it is", 1.0, items)


def test_a_row_that_fails_stops_no_other_and_is_tried_again(at: Setting) -> None:
    at.out.mkdir()
    results, calls = Results(at.out), []

    def fails() -> dict[str, int]:
        calls.append("fails")
        if len(calls) < 2:
            raise RuntimeError("out of memory")
        return {"n": 2}

    stage = items_of(("one", fails), ("other", lambda: {"n": 1}))
    run_stage(stage, at, results)
    assert "out of memory" in results.stages["some"]["rows"]["one"]["error"]
    assert results.stages["some"]["rows"]["other"]["n"] == 1
    assert results.failed(["some"])
    again = Results(at.out)  # as another process reads it
    run_stage(stage, at, again)
    assert again.stages["some"]["rows"]["one"]["n"] == 2
    assert not again.failed(["some"])


def test_what_there_is_no_time_for_is_said(at: Setting) -> None:
    at.out.mkdir()
    results = Results(at.out)
    run_stage(items_of(("one", dict)), replace(at, until=0.0), results)
    assert results.stages["some"]["error"] == "its time was over before: one"


def test_a_stage_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "__main__.py"
    script.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(main, "__file__", str(tmp_path / "main.py"))
    monkeypatch.setattr(main, "GRACE", 0.2)
    begun = time.monotonic()
    assert "killed after" in main._in_a_process([], 0.1)
    assert time.monotonic() - begun < 10
    script.write_text("import os\nos._exit(7)\n")
    assert main._in_a_process([], 30) == "its process ended with 7"


def test_photos_are_packed_without_loss(tmp_path: Path) -> None:
    source, target = tmp_path / "photos.zip", tmp_path / "photos.zip.xz"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as file:
        for i in range(20):
            file.writestr(f"images/{i}.jpg", b"the same tables" * 40 + bytes([i]))
    pack(source, target)
    back = unpacked(target, tmp_path / "there")
    assert back.name == "photos.zip"
    with zipfile.ZipFile(source) as one, zipfile.ZipFile(back) as other:
        assert one.namelist() == other.namelist()
        assert all(one.read(name) == other.read(name) for name in one.namelist())
    assert unpacked(source, tmp_path / "there") == source


def test_a_pace_is_that_of_steps_under_way() -> None:
    def train(told: object) -> None:
        for step in range(100):
            time.sleep(0.1 if step < 3 else 0.002)
            told(8)  # type: ignore[operator]

    found = pace(train, 0.05, warm=3)
    assert 100 < found["pairs/s"] <= 4000
    with pytest.raises(RuntimeError, match="too few"):
        pace(lambda told: told(1), 1.0)


@pytest.mark.parametrize("parts", [1, 2])
def test_operations_are_those_that_torch_counts(parts: int) -> None:
    """Against `torch.utils.flop_counter`, with attention as plain products."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    preset, text = preset_of("micro", depth=3, parts=parts), 6
    model = Transformer(preset, preset.vocabulary)
    data = tokens(preset, 4, text)
    batch = torch.from_numpy(data.text), torch.from_numpy(data.image)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        pair_losses(model, *batch, preset).mean().backward()
    assert counter.get_total_flops() == pytest.approx(4 * operations(preset, text), rel=1e-6)


def test_the_largest_model_that_has_time_is_chosen() -> None:
    paces = {"big": {"alone, graph": 10.0, "stacked, graph": 20.0, "stack": 4},
             "small": {"alone, graph": 90.0, "stacked, graph": 400.0, "stack": 8}}  # fmt: skip
    assert chosen(paces, "graph", 1e6, 1000, 8) == ("big", 12)
    assert chosen(paces, "graph", 200, 1000, 8)[0] == "small"
    assert chosen(paces, "graph", 1, 1000, 8)[1] == 1


def test_the_experiment_is_one_that_can_be_read(at: Setting, tmp_path: Path) -> None:
    photos = tmp_path / "photos.zip"
    photos.touch()
    whole = replace(at, miniature=False, photos=photos)
    for name in CANDIDATES:
        write_json(tmp_path / "photos.yaml", _experiment(name, 4, whole))
        config = load_config(tmp_path / "photos.yaml", [], runs=tmp_path)
        assert config.generator.settings["dim"] == CANDIDATES[name]["dim"]


def test_its_loop_is_the_products(at: Setting) -> None:
    """A training that is broken off has begun as any other."""
    preset = preset_of("micro", epochs=10**6)
    data = tokens(preset, 32, 6)
    assert pace(lambda told: train_transformer(data, preset, 0, told), 0.01, 3)["pairs/s"] > 0


@pytest.mark.slow
def test_each_stage_is_a_process(at: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command as it is called, with the first stage: a test that a CPU runs, too."""
    given = ["--out", str(at.out), "--miniature", "--stages", "tests", "--minutes", "9"]
    monkeypatch.setattr(sys, "argv", ["gpu", *given])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0
    rows = json.loads((at.out / "results.json").read_text())["tests"]["rows"]
    assert rows["machine"]["cores"] >= 1
    assert rows["test_attention"]["passed"] == 2
    assert rows["test_attention"]["failed"] == []
