"""The notebooks of `examples` run from their first cells to their last, and show what they say."""

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

NOTEBOOKS = ROOT / "examples" / "notebooks"
NAMES = ("tour", "own-data", "own-model", "attribution")
Execute = Callable[[str], NotebookNode]


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Execute:
    """Return what runs a notebook in the test's folder, by the Python that runs this test."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    # With no folder of kernels there is one: this interpreter.
    kernels = KernelSpecManager(kernel_dirs=[])
    manager = AsyncKernelManager(kernel_spec_manager=kernels, kernel_name="python3")

    def run(name: str) -> NotebookNode:
        book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        return NotebookClient(book, km=manager, timeout=600).execute(cwd=str(tmp_path))

    return run


def code_of(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pages_of(notebook: NotebookNode) -> list[str]:
    """What the cells of a notebook show in a browser."""
    shown = [out["data"] for cell in code_of(notebook) for out in cell.outputs if "data" in out]
    return [data["text/html"] for data in shown if "text/html" in data]


def check_tour(notebook: NotebookNode) -> None:
    code = code_of(notebook)
    assert all(cell.outputs for cell in code[1:])
    shown = [out["data"] for cell in code for out in cell.outputs if "data" in out]
    assert sum("image/png" in data for data in shown) == 3
    assert any("positive control was not seen" in page for page in pages_of(notebook))


def test_there_are_no_others() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_kept_without_outputs_and_are_explained(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.outputs or cell.execution_count for cell in code_of(notebook))
    page = (ROOT / "docs" / "how-to" / "notebooks.md").read_text(encoding="utf-8")
    assert f"{name}.ipynb" in page


@pytest.mark.slow
def test_the_tour_over_a_finished_run(
    execute: Execute, micro_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the finished run: threads decide its models
    shutil.copytree(micro_run, tmp_path / "runs" / "micro")
    before = (micro_run / "run.json").read_bytes()
    check_tour(execute("tour"))
    assert (tmp_path / "runs" / "micro" / "run.json").read_bytes() == before  # nothing was due


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_notebooks_from_nothing(execute: Execute, tmp_path: Path, name: str) -> None:
    notebook = execute(name)
    pages = pages_of(notebook)
    assert any('<img src="data:image/png;base64,' in page for page in pages)
    if name == "tour":
        check_tour(notebook)
        assert (tmp_path / "runs" / "micro" / "report.html").is_file()
    elif name == "own-data":
        assert any("Without the" in page or "Ranked by" in page for page in pages)
        assert (tmp_path / "influences.csv").is_file()
    elif name == "attribution":
        assert any("leverage" in page and "lds" in page for page in pages)
