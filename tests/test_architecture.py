"""The house keeps its order: imports run one way, without circles; no code reads a sentence.

Imports inside functions, those for type checkers and registry strings (``"module:attribute"``)
count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import untrain

TESTS = Path(__file__).parent
SOURCE = Path(untrain.__file__).parent
ROOMS = (
    "core",
    "catalogs",
    "encoders",
    "generators",
    "training",
    "search",
    "attribution",
    "counterfactual",
    "unlearning",
    "evaluation",
    "settings",
    "runs",
    "report",
    "experiment",
    "banks",
    "takedowns",
    "exchange",
    "quickstart",
    "testing",
    "doctor",
    "api",
    "serve",
    "cli",
)
"""A room may import from those before it."""

TARGET = re.compile(r"^(untrain(?:\.\w+)+):\w+(?:\.\w+)*$")


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name; a package is its ``__init__``."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """Yield what a module imports of untrain, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else node.module
        elif match := isinstance(node, ast.Constant) and TARGET.match(str(node.value)):
            yield match[1]


def graph() -> dict[str, set[str]]:
    """Return, for each module, those of untrain that it imports.

    The face of a package, an ``__init__`` that only hands names on, is looked through by its users:
    who imports a name from it depends on it, and it on its parts.
    """
    paths = modules()
    known = set(paths)
    edges = {}
    for name, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        edges[name] = {each for each in imported(tree, known) if each in known} - {name}
    return edges


def room(module: str) -> str:
    """Return the room of a module; the package itself is its public face."""
    return module.split(".")[1] if "." in module else ""


def test_there_is_no_circle() -> None:
    edges = graph()
    edges.pop("untrain")  # the public names, imported when first asked for
    for targets in edges.values():
        targets.discard("untrain")
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " → ".join(reversed(error.args[1])))


def test_imports_run_one_way_between_rooms() -> None:
    back = [
        f"{module} → {target}"
        for module, targets in graph().items()
        if module != "untrain"
        for target in sorted(targets)
        if target != "untrain" and ROOMS.index(room(target)) > ROOMS.index(room(module))
    ]
    assert not back, "\n".join(back)


def test_every_room_is_in_the_order() -> None:
    found = {room(name) for name in modules()} - {""}
    assert found <= set(ROOMS)


PROSE = re.compile(r"[A-Za-z]{2,}[ ,:]+[A-Za-z]{2,}|: | - ")
"""Two words beside each other, or a separator that only sentences have."""
READERS = {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition"}
READERS |= {"split", "rsplit", "find", "index", "search", "match", "fullmatch", "replace"}


def test_no_code_reads_a_message() -> None:
    """No string method or comparison takes a sentence apart: notes and warnings are records.

    Errors of other libraries may be recognised by their words, where they have no code.
    """
    found = []
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            texts: list[ast.expr] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                texts = node.args[:1] if node.func.attr in READERS else []
            elif isinstance(node, ast.Compare):
                texts = [node.left, *node.comparators]
            for text in texts:
                value = text.value if isinstance(text, ast.Constant) else None
                if isinstance(value, str) and PROSE.search(value) and value not in ALLOWED:
                    found.append(f"{name}, line {node.lineno}: {value!r}")
    assert not found, "\n".join(found)


ALLOWED = {
    "No space left on device",  # of whichever library reports it
    r"code: (\d+)",  # safetensors' errno, of which it makes no OSError
    "Value error, ",  # pydantic's own prefix
    "valid tuple",  # pydantic's word for a list
}


PRINTS = {
    "untrain.core.printing",
    "untrain.generators.dalle.distributed",  # to the process that started it
    "untrain.generators.template",  # what a user copies
}
"""The modules that print."""


def test_all_that_is_printed_goes_through_one_module() -> None:
    """There nothing in a text acts on the terminal: see `untrain.core.printing`."""
    found = []
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                said = ast.unparse(node.func)
                prints = said in ("print", "typer.echo", "click.echo", "typer.secho")
            else:
                module = node.module if isinstance(node, ast.ImportFrom) else ""
                prints = module in ("rich.console", "rich.markup") and "core.terminal" not in name
            if prints and name not in PRINTS:
                found.append(f"{name}, line {node.lineno}")
    assert not found, "\n".join(found)


def test_no_test_imports_another() -> None:
    """What tests share is in ``tests/helpers``."""
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = ["tests." * bool(node.level) + (node.module or "")]
            else:
                continue
            where = path.relative_to(TESTS)
            for name in names:
                shared = name == "tests.helpers" or name.startswith("tests.helpers.")
                if name.split(".")[0] == "tests" and not shared:
                    found.append(f"{where}, line {node.lineno}: {name}")
    assert not found, "\n".join(found)
