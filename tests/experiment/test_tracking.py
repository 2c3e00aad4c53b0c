"""What a run tells TensorBoard, MLflow and Weights & Biases, all of them offline."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers.folders import record
from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.core.progress import console
from untrain.experiment import pipeline, tracking
from untrain.experiment.pipeline import NAMES, keys, run_stages
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.training.store import read_losses
from untrain.training.trackers import TRACKERS

Make = Callable[..., Config]
Copy = Callable[..., Path]


class Notes:
    """A tracker that remembers what it was told."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], **options: Any) -> None:
        self.options, self.told, self.failed = options, [], None
        latest.append(self)

    def numbers(self, values: dict[str, float], step: int | None = None) -> None:
        self.told += [(name, step, value) for name, value in values.items()]

    def picture(self, name: str, image: Image.Image, words: str) -> None:
        self.told.append((name, image, words))

    def text(self, name: str, markdown: str) -> None:
        self.told.append((name, markdown))

    def close(self, failed: bool) -> None:
        self.failed = failed

    def names(self) -> set[str]:
        return {told[0] for told in self.told}


class Away(Notes):
    """A tracker whose server went away."""

    def numbers(self, values: dict[str, float], step: int | None = None) -> None:
        self.told.append("tried")
        raise ConnectionError("no route to host")


latest: list[Notes] = []


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    latest.clear()
    for name in ("MLFLOW_ALLOW_FILE_STORE", "MLFLOW_DISABLE_TELEMETRY", "WANDB_SILENT"):
        monkeypatch.setenv(name, "true")
    with TRACKERS.temporary(notes=Notes, away=Away):
        yield


def tell_all(run: Run) -> None:
    """Tell the tracker of a finished run everything, as the pipeline would."""
    with tracking.tracked(run) as after:
        for stage in NAMES:
            after(stage)


@pytest.fixture
def finished(config: Make, micro_copy: Copy) -> Callable[..., Run]:
    """Return a function: the finished micro run with a setting ``tracking``."""

    def make(setting: str) -> Run:
        micro_copy()
        return Run(config(f"tracking={setting}"))

    return make


def test_the_hook_tells_losses_pictures_and_results(finished: Callable[..., Run]) -> None:
    run = finished("notes")
    tell_all(run)
    (notes,) = latest
    curve = [told[2] for told in notes.told if told[0] == "loss/A"]
    assert curve == read_losses(run.folder / run.table("models")["path"][0])
    redrawn = {f"redrawn/{p}": text for p, text in run.prompts[["prompt_id", "prompt"]].to_numpy()}
    pictures = {told[0]: told for told in notes.told if isinstance(told[1], Image.Image)}
    assert redrawn.keys() < pictures.keys()
    assert all(pictures[name][2] == text for name, text in redrawn.items())
    effects = pd.read_parquet(run.path("results", "effects.parquet"))
    overall = effects[effects["prompt_id"].isna()]
    wanted = "arm == 'targeted' and measure == 'nll' and design == 'randomised'"
    trial = overall.query(wanted).iloc[0]
    assert ("effect/nll/targeted-3", None, trial["effect"]) in notes.told
    assert ("p_value/nll/targeted-3", None, trial["p_value"]) in notes.told
    verdicts = read_json(run.path("results", "summary.json"))["verdicts"]
    told = {t[0]: t[2] for t in notes.told if t[0].startswith("verdicts/")}
    assert told == {f"verdicts/{name}": n for name, n in verdicts.items()}
    assert notes.failed is False


def test_a_sheet_has_a_row_for_each_model(finished: Callable[..., Run]) -> None:
    run = finished("notes")
    tell_all(run)
    sheets = {told[0]: told[1] for told in latest[0].told if isinstance(told[1], Image.Image)}
    one, all_models = sheets["drawn/p00"], sheets["redrawn/p00"]
    assert one.width == all_models.width
    assert (all_models.height - 4) == len(run.table("models")) * (one.height - 4)


def test_tracking_changes_no_key(config: Make) -> None:
    plain = Run(config())
    for setting in ("tensorboard", "{name: wandb, options: {mode: offline}}"):
        assert keys(Run(config(f"tracking={setting}"))) == keys(plain)


def test_a_resumed_run_is_tracked_whole_and_a_finished_one_not_again(
    finished: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    due: list[str] = []
    monkeypatch.setattr(pipeline, "_run_stage", lambda run, stage, key: due.append(stage.name))
    run = finished("notes")
    run_stages(run)
    assert not due and not latest
    run.path("report.html").unlink()
    run_stages(run)
    assert due == ["report"]
    assert {"loss/A", "drawn/p00", "effect/nll/targeted-3", "summary"} <= latest[0].names()


def test_the_options_reach_the_tool(finished: Callable[..., Run]) -> None:
    tell_all(finished("{name: notes, options: {mode: offline}}"))
    assert latest[0].options == {"mode": "offline"}


def test_a_tracker_that_fails_costs_nothing(
    finished: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(console, "print", lambda text, **options: said.append(text))
    tell_all(finished("away"))
    assert said == ["tracking stopped: no route to host"]
    assert latest[0].told == ["tried"]


def test_a_stage_that_fails_marks_the_tracked_run(finished: Callable[..., Run]) -> None:
    with pytest.raises(RuntimeError), tracking.tracked(finished("notes")):
        raise RuntimeError
    assert latest[0].failed is True


def test_a_missing_package_is_found_before_anything_is_done(
    config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without_wandb(name: str, *rest: Any) -> Any:
        if name == "wandb":
            raise ModuleNotFoundError("No module named 'wandb'", name="wandb")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_wandb)
    settings = config("tracking=wandb")
    with pytest.raises(InputError, match=r"'wandb' needs the package 'wandb'.*pip install wandb"):
        run_stages(Run(settings))
    assert not settings.folder.exists()


def test_options_that_the_tool_refuses_are_named(config: Make) -> None:
    pytest.importorskip("tensorboard")
    settings = config("tracking={name: tensorboard, options: {no_such: 1}}")
    with pytest.raises(InputError, match=r"cannot start 'tensorboard'.*no_such"):
        run_stages(Run(settings))
    assert not settings.folder.exists()


def test_an_unknown_tool_is_answered_with_the_nearest(config: Make) -> None:
    with pytest.raises(InputError, match=r"tracking.name: .*did you mean 'wandb'"):
        config("tracking=wandd")


def test_tensorboard_reads_it_back(finished: Callable[..., Run]) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = finished("tensorboard")
    tell_all(run)
    found = EventAccumulator(str(run.path("tensorboard"))).Reload()
    curve = read_losses(run.folder / run.table("models")["path"][1])
    read = [(point.step, point.value) for point in found.Scalars("loss/B00")]
    np.testing.assert_allclose([value for _, value in read], curve, rtol=1e-6)
    assert [step for step, _ in read] == list(range(len(curve)))
    assert "redrawn/c00" in found.Tags()["images"]
    summary = found.Tensors("summary/text_summary")[0].tensor_proto.string_val[0].decode()
    assert summary == run.path("results", "summary.md").read_text(encoding="utf-8")


def test_mlflow_reads_it_back(finished: Callable[..., Run], tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    store = (tmp_path / "store").as_uri()
    run = finished(f"{{name: mlflow, options: {{tracking_uri: '{store}', experiment: mine}}}}")
    tell_all(run)
    client = mlflow.MlflowClient(store)
    (found,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert found.info.run_name == "micro" and found.info.status == "FINISHED"
    assert found.data.params["data.family_size"] == "6"
    history = client.get_metric_history(found.info.run_id, "loss/B00")
    curve = read_losses(run.folder / run.table("models")["path"][1])
    assert sorted((m.step, m.value) for m in history) == list(enumerate(curve))
    assert "effect/nll/targeted-3" in found.data.metrics
    assert {a.path for a in client.list_artifacts(found.info.run_id)} >= {"summary.md", "redrawn"}


@pytest.mark.slow
def test_wandb_keeps_it_offline(finished: Callable[..., Run]) -> None:
    wandb = pytest.importorskip("wandb")
    run = finished("{name: wandb, options: {mode: offline}}")
    tell_all(run)
    wandb.teardown()  # as at the end of a process: only then is its file whole
    (path,) = run.path("wandb").glob("offline-run-*/*.wandb")
    kept = whole(path.read_bytes())
    # Steps start anew after each stage: W&B would drop a point whose step had been before.
    for name in ("A", "B00"):
        model = run.table("models").set_index("model_id").loc[name, "path"]
        assert all(str(loss).encode() in kept for loss in read_losses(run.folder / model))
    assert b"effect/nll/targeted-3" in kept
    pictures = run.path("wandb").glob("offline-run-*/files/media/images/redrawn/*.png")
    assert len(list(pictures)) == len(run.prompts)


def whole(data: bytes) -> bytes:
    """Put the records of W&B's file together: a log of LevelDB's, in blocks of 32 KiB."""
    found, position = b"", 7
    while position < len(data):
        left = 32768 - position % 32768
        length = int.from_bytes(data[position + 4 : position + 6], "little")
        if left >= 7:
            found += data[position + 7 : position + 7 + length]
        position += left if left < 7 else 7 + length
    return found


def test_the_pipeline_tells_each_stage_as_it_is_done(config: Make) -> None:
    settings = config("tracking=notes", "generator.settings={epochs: 1, epochs_ae: 1}")
    run_stages(Run(settings), "generate")
    assert latest[0].names() >= {"loss/A", "drawn/p00"}
    assert record(settings.folder)["stages"].keys() == {"fit", "generate"}
