"""A run survives being stopped: by a kill at any stage, a full disk, or another run."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from safetensors import SafetensorError

from tests.helpers.folders import assert_same_results, record, rewind
from tests.helpers.processes import children, gone, needs_proc
from tests.helpers.runs import run
from untrain.core import atomic
from untrain.core.errors import InputError, UntrainError, is_disk_full
from untrain.experiment.pipeline import NAMES
from untrain.generators.dalle import generator as dalle
from untrain.runs.run import Run
from untrain.settings.config import Config

Make = Callable[..., Config]
Copy = Callable[..., Path]

# Stage, a part of the path that is about to appear when the run is killed; of a stage that takes
# long, one moment is fast, the others are slow, as are the random ones of `kills.py`.
MOMENTS = [
    ("fit", "shared"),
    ("fit", "models/"),
    pytest.param("fit", "model_a.parquet", marks=pytest.mark.slow),
    ("generate", "queries.safetensors"),
    ("generate", "queries"),
    ("generate", "prompts.csv"),
    ("retrieve", "retrieval.parquet"),
    ("compare", "comparison.parquet"),
    pytest.param("compare", "copies.parquet", marks=pytest.mark.slow),
    ("rank", "ranking.parquet"),
    ("remove", "forget_sets.parquet"),
    ("retrain", "models/"),
    pytest.param("retrain", "removals.parquet", marks=pytest.mark.slow),
    ("regenerate", "generations/B02"),
    ("evaluate", "results/measures.parquet"),
    pytest.param("evaluate", "results/summary.json", marks=pytest.mark.slow),
    pytest.param("report", "thumbnails", marks=pytest.mark.slow),
    pytest.param("report", "report.html", marks=pytest.mark.slow),
]


@contextmanager
def failing(part: str, error: BaseException) -> Iterator[None]:
    """Fail where ``part`` of the run folder is about to be renamed into place."""
    with pytest.MonkeyPatch.context() as patch:
        rename = Path.replace

        def replace(self: Path, target: Path) -> Path:
            if part in str(target):
                raise error
            return rename(self, target)

        patch.setattr(Path, "replace", replace)
        yield


@contextmanager
def killed(part: str) -> Iterator[None]:
    """Fail as a kill does: nothing is tidied up."""
    with pytest.MonkeyPatch.context() as patch, failing(f"micro/{part}", KeyboardInterrupt()):
        patch.setattr(atomic, "_tidy", lambda temporary: None)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.parametrize(("stage", "part"), MOMENTS)
def test_a_kill_is_survived(
    config: Make, micro_run: Path, micro_copy: Copy, stage: str, part: str
) -> None:
    folder = micro_copy()
    rewind(folder, stage)
    with killed(part):
        run(config(), until=stage)
    assert record(folder)["stages"][stage]["state"] == "running"
    assert list(folder.rglob("*.untrain-tmp"))
    run(config(), until=stage)
    assert record(folder)["stages"][stage]["state"] == "done"
    assert not list(folder.rglob("*.untrain-tmp"))
    assert_same_results(folder, micro_run)


@pytest.mark.parametrize("stage", ["generate", "retrain"])
def test_a_kill_between_the_results_and_the_record_is_survived(
    config: Make, micro_run: Path, micro_copy: Copy, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    folder = micro_copy()
    rewind(folder, stage)
    save = Run.save_record

    def killed(self: Run) -> None:
        if self.record["stages"].get(stage, {}).get("state") == "done":
            raise KeyboardInterrupt
        save(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "save_record", killed)
        run(config(), until=stage)
    assert record(folder)["stages"][stage]["state"] == "running"
    run(config(), until=stage)
    assert_same_results(folder, micro_run)


def test_models_that_were_done_before_a_kill_are_kept(
    config: Make, micro_copy: Copy, trained: list[str]
) -> None:
    folder = micro_copy()
    third = pd.read_parquet(folder / "models.parquet")["fingerprint"].iloc[3]
    rewind(folder, "retrain")
    with killed(f"models/{third}"):
        run(config())
    assert trained.pop() == third
    before = list(trained)
    run(config(), until="retrain")
    assert len(before) == 2
    assert len(trained) == 4
    assert trained[2] == third


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize(
    ("stage", "part", "error"),
    [
        ("generate", "queries.safetensors", FULL[1]),
        ("rank", "ranking.parquet", FULL[0]),
        ("retrain", "models/", FULL[0]),
    ],
)
def test_a_full_disk_loses_nothing(
    config: Make, micro_run: Path, micro_copy: Copy, stage: str, part: str, error: Exception
) -> None:
    assert is_disk_full(error)
    folder = micro_copy()
    rewind(folder, stage)
    with failing(f"micro/{part}", error), pytest.raises(UntrainError, match="disk is full") as told:
        run(config(), until=stage)
    assert told.value.exit_code == 1
    assert not list(folder.rglob("*.untrain-tmp"))
    assert list(record(folder)["stages"])[-1] == stage
    run(config(), until=stage)
    assert_same_results(folder, micro_run)


def test_a_full_disk_while_weights_are_written(
    config: Make, micro_copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = micro_copy()
    rewind(folder, "retrain")

    def full(*arguments: object) -> None:
        raise FULL[1]

    with monkeypatch.context() as patch, pytest.raises(UntrainError, match="disk is full"):
        patch.setattr(dalle, "write_torch", full)
        run(config())
    assert len(list((folder / "models").iterdir())) == 1
    assert not list(folder.rglob("*.untrain-tmp"))


def test_two_runs_in_one_folder_are_refused(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    with Run(config()).lock(), pytest.raises(InputError, match="another process is running") as e:
        run(config())
    assert str(folder) in str(e.value)
    assert e.value.exit_code == 2
    run(config())


def test_wrong_input_leaves_no_folder(config: Make, tmp_path: Path) -> None:
    wrong = config("data.format=folder", "data.path=nowhere", "prompts={texts: [a shirt]}")
    with pytest.raises(InputError, match="nowhere does not exist"):
        run(wrong)
    assert not (tmp_path / "runs" / "micro").exists()


def test_wrong_input_leaves_a_finished_run_as_it_was(
    config: Make, micro_run: Path, micro_copy: Copy
) -> None:
    folder = micro_copy()
    with pytest.raises(InputError, match="nowhere does not exist"):
        run(config("data.format=folder", "data.path=nowhere", "prompts={texts: [a shirt]}"))
    assert_same_results(folder, micro_run)
    assert (folder / "config.yaml").read_bytes() == (micro_run / "config.yaml").read_bytes()


def test_a_place_that_cannot_be_written(config: Make, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write to the run folder .*--runs"):
        run(config())


def start(folder: Path) -> subprocess.Popen:
    code = "from untrain.cli import main; main()"
    arguments = ["demo", "--preset", "micro", "--runs", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for(process: subprocess.Popen, folder: Path, stage: str) -> None:
    """Return when the run is in a stage or past it, or has ended."""
    while process.poll() is None:
        try:
            if stage in json.loads((folder / "run.json").read_text())["stages"]:
                return
        except FileNotFoundError:
            pass
        time.sleep(0.005)


@pytest.mark.slow
def test_killed_in_every_stage_for_real(tmp_path: Path, micro_run: Path) -> None:
    folder = tmp_path / "runs" / "micro"
    for stage in NAMES:
        process = start(folder.parent)
        wait_for(process, folder, stage)
        time.sleep(0.2)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    last = start(folder.parent)
    _, told = last.communicate()
    assert last.returncode == 0, told
    assert not list(folder.rglob("*.untrain-tmp"))
    assert_same_results(folder, micro_run)


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("stage", ["fit", "retrain"])
def test_ctrl_c_ends_cleanly(tmp_path: Path, stage: str) -> None:
    folder = tmp_path / "runs" / "micro"
    process = start(folder.parent)
    wait_for(process, folder, stage)
    workers = children(process.pid)
    while stage == "retrain" and len(workers) < 3:  # two, and the tracker of their resources
        workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in told
    assert "Traceback" not in told
    assert gone(workers, 10)


@pytest.mark.slow
@needs_proc
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "micro"
    process = start(folder.parent)
    wait_for(process, folder, "retrain")
    workers: set[int] = set()
    while len(workers) < 2 and process.poll() is None:
        workers = children(process.pid)
    process.kill()
    process.communicate()
    assert gone(workers, 15)
