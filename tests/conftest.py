"""What all tests share: no network, ever; a finished run of `micro`; the command line."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tests.helpers.settings import MICRO

if TYPE_CHECKING:
    from tests.helpers.commands import Untrain

os.environ["HF_HUB_OFFLINE"] = "1"

# Kills are tested, power failures are not: tests need not wait for the disk.
os.environ.setdefault("UNTRAIN_FSYNC", "0")

# A shell that starts the tests in the background has them ignore Ctrl-C, which some of them send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers side by side that each use every core slow each other down many times.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# The cache of the tests: never the user's own.
os.environ["UNTRAIN_CACHE"] = tempfile.mkdtemp(prefix="untrain-cache-")
os.environ["HF_DATASETS_CACHE"] = str(Path(os.environ["UNTRAIN_CACHE"], "datasets"))
atexit.register(shutil.rmtree, os.environ["UNTRAIN_CACHE"], ignore_errors=True)


TESTS = Path(__file__).parent
PIPELINE = ("banks", "benchmarks", "examples", "experiment", "generators", "gpu", "testing")
PIPELINE += ("training",)
"""Folders whose tests train models or run stages."""
TRAINED = {"micro_run", "micro_copy"}
"""Fixtures that do."""
EXTERNAL = ("browser", "docs")
"""Folders whose tests need another program, or run what the documents tell people to run."""
TIERS = ("unit", "pipeline", "external")


def pytest_configure(config: pytest.Config) -> None:
    """Hide the GPU from all tests but those marked ``gpu``: they say what a CPU does."""
    if not asks_for_gpu(config):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def asks_for_gpu(config: pytest.Config) -> bool:
    """Tell whether tests marked ``gpu`` were asked for: ``-m gpu``."""
    return "gpu" in (config.option.markexpr or "")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each test its tier, unless it names one itself: see CONTRIBUTING.md."""
    if not asks_for_gpu(config):
        config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker("gpu")])
        items[:] = [item for item in items if not item.get_closest_marker("gpu")]
    for item in items:
        if not any(item.get_closest_marker(tier) for tier in TIERS):
            item.add_marker(getattr(pytest.mark, tier_of(item)))


def tier_of(item: pytest.Item) -> str:
    """Return the tier of a test by its folder and by what it asks for."""
    folder = item.path.relative_to(TESTS).parts[0]
    if folder in EXTERNAL or "subprocess" in vars(getattr(item, "module", None) or item):
        return "external"
    if folder in PIPELINE or TRAINED & set(getattr(item, "fixturenames", ())):
        return "pipeline"
    return "unit"


@pytest.fixture(autouse=True, scope="session")
def quick_figures() -> Iterator[None]:
    """Draw figures as pages show them; `tests/report/figures` has them in all formats."""
    from tests.helpers.figures import blank_figures

    with blank_figures():
        yield


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; tests that change anything take a copy (`micro_copy`).

    It is trained once, whatever the number of workers: the others wait for the first.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return finished_micro(tmp_path_factory.mktemp("micro"))
    shared = tmp_path_factory.getbasetemp().parent / "micro"
    with FileLock(f"{shared}.lock"):
        if not (shared / "finished").exists():
            shared.mkdir(exist_ok=True)
            (shared / "finished").write_text(str(finished_micro(shared)))
    return Path((shared / "finished").read_text())


def finished_micro(place: Path) -> Path:
    """Run the `micro` preset on one thread; return the folder of the run."""
    import torch

    from tests.helpers.runs import run
    from untrain.core.progress import console
    from untrain.evaluation.quality import judge_pictures
    from untrain.experiment.stages import judge
    from untrain.report.figures import figures
    from untrain.report.page import write
    from untrain.settings.load import load_config

    threads, quiet = torch.get_num_threads(), console.quiet
    torch.set_num_threads(1)
    console.quiet = True
    try:
        with pytest.MonkeyPatch.context() as patch:  # the tests that come first may spare them
            patch.setattr(judge, "judge_pictures", judge_pictures)
            patch.setattr(write, "figures", figures)
            return run(load_config(MICRO, ["workers=1"], runs=place / "runs")).folder
    finally:
        console.quiet = quiet
        torch.set_num_threads(threads)


@pytest.fixture
def micro_copy(micro_run: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies the finished run to ``tmp_path/runs/<name>``."""

    def copy(name: str = "micro") -> Path:
        without = shutil.ignore_patterns("thumbnails")  # many files, which nothing reads again
        return Path(shutil.copytree(micro_run, tmp_path / "runs" / name, ignore=without))

    return copy


@pytest.fixture
def untrain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Untrain]:
    """Return a function that calls the command line in ``tmp_path``."""
    from tests.helpers.commands import command_line
    from untrain.core.progress import console

    monkeypatch.chdir(tmp_path)
    quiet = console.quiet
    yield command_line(monkeypatch, capsys)
    console.quiet = quiet


@pytest.fixture(scope="session")
def _photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from untrain.catalogs import export_folder, rendered

    folder = tmp_path_factory.mktemp("photos") / "photos"
    export_folder(rendered(families=8, size_of_family=4, resolution=16), [], folder)
    return folder


@pytest.fixture
def photos(_photos: Path, tmp_path: Path) -> Path:
    """A folder catalogue of 32 pictures, to be spoilt."""
    return Path(shutil.copytree(_photos, tmp_path / "photos"))


@pytest.fixture
def experiment(photos: Path, tmp_path: Path) -> Path:
    """An experiment on that folder, which would run if nothing were wrong."""
    from tests.helpers.commands import write_experiment

    return write_experiment(tmp_path)
