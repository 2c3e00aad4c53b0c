"""Benchmarks take too long to be run here; what they use of the library must be there."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

SCRIPTS = sorted((ROOT / "benchmarks").rglob("*.py"))


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
