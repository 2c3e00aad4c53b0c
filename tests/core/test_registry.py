from __future__ import annotations

import sys

import pytest

from untrain.core.errors import InputError
from untrain.core.registry import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry("number", {"root": "math:sqrt", "broken": "no_such_module:thing", "one": 1})


def test_names_are_imported_when_asked_for(registry: Registry) -> None:
    assert registry["root"](9.0) == 3.0
    assert registry["one"] == 1
    assert list(registry) == ["root", "broken", "one"]
    with pytest.raises(ModuleNotFoundError):
        registry["broken"]


def test_an_unknown_name_is_refused_with_a_suggestion(registry: Registry) -> None:
    for ask in (registry.__getitem__, registry.check):
        with pytest.raises(InputError, match="unknown number 'rot' — did you mean 'root'"):
            ask("rot")
    with pytest.raises(InputError, match="known: broken, one, root"):
        registry["zzz"]


def test_checking_a_name_imports_nothing(registry: Registry) -> None:
    registry.check("broken")
    assert "broken" in registry
    assert "no_such_module" not in sys.modules


def test_what_is_registered_is_found(registry: Registry) -> None:
    registry.register("two", 2)
    registry.register("power", "math:pow")
    assert registry["two"] == 2
    assert registry["power"](2, 3) == 8
    registry.register("one", 11)
    assert registry["one"] == 11


def test_what_is_registered_for_a_while_is_gone_again(registry: Registry) -> None:
    with pytest.raises(RuntimeError), registry.temporary(one=11, two=2):
        assert registry["one"] == 11 and registry["two"] == 2
        raise RuntimeError
    assert registry["one"] == 1
    assert "two" not in registry
