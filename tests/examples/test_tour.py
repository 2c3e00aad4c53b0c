"""The notebook of `examples` runs from its first cell to its last, and shows what it says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

from tests.helpers.places import ROOT

TOUR = ROOT / "examples" / "tour.ipynb"
Execute = Callable[[], NotebookNode]


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], NotebookNode]:
    """Return what runs the notebook in the test's folder, by the Python that runs this test."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    # With no folder of kernels there is one: this interpreter.
    kernels = KernelSpecManager(kernel_dirs=[])
    manager = AsyncKernelManager(kernel_spec_manager=kernels, kernel_name="python3")

    def run() -> NotebookNode:
        client = NotebookClient(nbformat.read(TOUR, as_version=4), km=manager, timeout=600)
        return client.execute(cwd=str(tmp_path))

    return run


def check(notebook: NotebookNode) -> None:
    """Every code cell but the import shows something, and the answer is one."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in code[1:])
    shown = [out["data"] for cell in code for out in cell.outputs if "data" in out]
    assert sum("image/png" in data for data in shown) == 2
    pages = [data["text/html"] for data in shown if "text/html" in data]
    assert any("models trained without the 3 images" in page for page in pages)
    assert any("models trained without" in cell.outputs[0].get("text", "") for cell in code[1:])


def test_the_tour_is_kept_without_outputs() -> None:
    notebook = nbformat.read(TOUR, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code[1:])


def test_the_tour_over_a_finished_run(
    execute: Callable[[], NotebookNode],
    micro_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the finished run: threads decide its models
    shutil.copytree(micro_run, tmp_path / "runs" / "micro")
    before = (micro_run / "run.json").read_bytes()
    check(execute())
    assert (tmp_path / "runs" / "micro" / "run.json").read_bytes() == before  # nothing was due


@pytest.mark.slow
def test_the_tour_from_nothing(execute: Execute, tmp_path: Path) -> None:
    check(execute())
    assert (tmp_path / "runs" / "micro" / "report.html").is_file()
