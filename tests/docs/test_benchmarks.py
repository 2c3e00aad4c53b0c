"""Benchmarks take too long to be run here; what they use of the library must be there."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))


def imported(source: str) -> list[tuple[str, str]]:
    """Return (module, name) of all that a script takes from the library by name."""
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "untrain"
        for alias in node.names
        if node.module
    ]


def is_there(module: str, name: str) -> bool:
    """Tell whether a module has a name, or a module of that name in it."""
    found = import_module(module)
    if hasattr(found, name):
        return True
    return hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_a_benchmark_imports_is_there(script: Path) -> None:
    missing = [each for each in imported(script.read_text()) if not is_there(*each)]
    assert not missing


def test_what_is_not_there_is_noticed() -> None:
    wrong = imported("from untrain.core.files import rng, no_such_thing")
    assert [is_there(*each) for each in wrong] == [True, False]


def test_the_script_for_a_gpu_works_without_one(tmp_path: Path) -> None:
    steps = ("machine", "same_bits", "training", "drawing")
    script = ROOT / "benchmarks" / "gpu.py"
    command = [sys.executable, str(script), "--tiny", "--out", str(tmp_path), "--only", *steps]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert tuple(found) == steps
    assert all(row["same"] == row["promised"] for row in found["same_bits"]["rows"])
    assert all(row["pairs/s"] > 0 for row in found["training"]["rows"])
    assert "| micro |" in (tmp_path / "results.md").read_text()
