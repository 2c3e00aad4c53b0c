"""What all tests share: no network, ever, and one finished run of the `micro` preset."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.settings import MICRO

os.environ["HF_HUB_OFFLINE"] = "1"

# Workers side by side that each use every core slow each other down many times.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# The cache of the tests: never the user's own.
os.environ["UNTRAIN_CACHE"] = tempfile.mkdtemp(prefix="untrain-cache-")
os.environ["HF_DATASETS_CACHE"] = str(Path(os.environ["UNTRAIN_CACHE"], "datasets"))
atexit.register(shutil.rmtree, os.environ["UNTRAIN_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a finished run; tests that change anything take a copy (`micro_copy`)."""
    import torch

    from tests.helpers.runs import run
    from untrain.core.progress import console
    from untrain.settings.load import load_config

    threads, quiet = torch.get_num_threads(), console.quiet
    torch.set_num_threads(1)
    console.quiet = True
    folder = tmp_path_factory.mktemp("micro") / "runs"
    done = run(load_config(MICRO, ["workers=1"], runs=folder))
    console.quiet = quiet
    yield done.folder
    torch.set_num_threads(threads)


@pytest.fixture
def micro_copy(micro_run: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies the finished run to ``tmp_path/runs/<name>``."""

    def copy(name: str = "micro") -> Path:
        without = shutil.ignore_patterns("thumbnails")  # many files, which nothing reads again
        return Path(shutil.copytree(micro_run, tmp_path / "runs" / name, ignore=without))

    return copy
