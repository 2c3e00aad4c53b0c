"""The house keeps its order: imports run one way, without circles; no code reads a sentence.

Imports inside functions, those for type checkers and registry strings (``"module:attribute"``)
count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
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


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return everything in a module: reading them all takes longer than any of the tests."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.fixture(autouse=True, scope="module")
def _nodes_go_with_this_module() -> Iterator[None]:
    """Free the hundreds of megabytes before other tests run."""
    yield
    nodes.cache_clear()


def imported(path: Path, known: set[str]) -> Iterator[str]:
    """Yield what a module imports of untrain, wherever it does."""
    for node in nodes(path):
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
        edges[name] = {each for each in imported(path, known) if each in known} - {name}
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
        for node in nodes(path):
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
    r"(?:code: |os error )(\d+)",  # safetensors' errno, of which it makes no OSError
    r"(?:os error|[Ee]rrno) (\d+)\b",  # likewise: a number of the system in a library's message
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
        for node in nodes(path):
            if isinstance(node, ast.Call):
                said = ast.unparse(node.func)
                prints = said in ("print", "typer.echo", "click.echo", "typer.secho")
            else:
                module = node.module if isinstance(node, ast.ImportFrom) else ""
                prints = module in ("rich.console", "rich.markup") and "core.terminal" not in name
            if prints and name not in PRINTS:
                found.append(f"{name}, line {node.lineno}")
    assert not found, "\n".join(found)


BORDER = {
    *("core.outside", "core.given", "core.images"),  # what comes from elsewhere
    *("core.disk", "core.files", "core.tensors"),  # what is untrain's own
}
"""The modules that open, write, rename and delete."""
METHODS = {
    *("read_text", "read_bytes", "write_text", "write_bytes", "unlink", "rmdir", "mkdir", "touch"),
    *("symlink_to", "hardlink_to", "tofile", "to_parquet", "to_pickle", "to_feather", "to_excel"),
    *("save_to_disk", "load_from_disk", "from_pretrained", "save_pretrained", "from_file"),
}
"""Methods that read or change a disk, whatever they are of."""
FUNCTIONS = {
    "np": "load save savez savez_compressed memmap fromfile loadtxt genfromtxt savetxt",
    "pd": "read_csv read_parquet read_json read_table read_pickle read_excel read_feather",
    "pq": "ParquetFile ParquetWriter read_table write_table read_metadata read_schema",
    "pa": "memory_map OSFile ipc.open_file ipc.open_stream ipc.new_file",
    "torch": "load save",
    "Image": "open",
    "json": "load dump",
    "yaml": "load safe_load",
    "zipfile": "ZipFile",
    "tarfile": "open",
    "sqlite3": "connect",
    "mmap": "mmap",
    "datasets": "load_dataset",
    "os": "open replace rename renames unlink remove rmdir removedirs mkdir makedirs link symlink "
    "truncate fsync utime fdopen mkfifo",
    "shutil": "rmtree copy copy2 copyfile copytree move unpack_archive",
}
"""Functions that do, by the name that their module goes by."""
BARE = {"open", "load_file", "save_file", "safe_open", "open_memmap", "ZipFile"}
"""Functions that do, called by their own names."""

ELSEWHERE = {
    "catalogs.export_tables": {
        "tarfile.open": "writes into a file that `disk` opened",
        "pq.ParquetWriter": "writes into a file that `disk` opened",
        ".save_to_disk": "Hugging Face datasets writes its own folder, inside one of `atomic`'s",
    },
    "catalogs.formats.huggingface": {
        ".load_from_disk": "Hugging Face datasets reads its own folders; its errors are told there",
        "datasets.load_dataset": "as above; it runs no script of a data set",
    },
    "catalogs.intake": {
        "mmap.mmap": "a nameless temporary file of this process",
        "pa.ipc.new_file": "a nameless temporary file of this process",
        "pa.ipc.open_file": "a nameless temporary file of this process",
    },
    "encoders.transformers_loading": {
        ".from_pretrained": "transformers reads its own folders: safetensors, no code of theirs"
    },
    "generators.diffusion.latents": {
        ".from_pretrained": "diffusers reads its own folders: safetensors"
    },
    "generators.diffusion.lora": {
        ".from_pretrained": "diffusers reads its own folders: safetensors"
    },
    "exchange.libraries": {
        "torch.save": "what quanda and dattri read is named after its file, which torch must open"
    },
    "generators.template": {
        "save_file": "an example of a user's own code",
        "load_file": "an example of a user's own code",
    },
    "serve.decoding": {"Image.open": "in a process that may die, with limits of its own"},
    "serve.takedowns": {"zipfile.ZipFile": "packs into memory"},
    "serve.asking": {".to_parquet": "writes into memory"},
    "serve.requested": {"os.open": "standard output of a process, which needs a descriptor"},
    "cli": {"os.open": "/dev/null in place of a standard output that is gone"},
    "cli.init": {".read_text": "a file of the package"},
    "report.page.templates": {".read_text": "a file of the package"},
    "search.copy_detector.measured": {".read_text": "a file of the package"},
    "serve.pages": {".read_text": "a file of the package"},
    "catalogs.rendered.drawing": {".read_bytes": "a file of the package"},
    "core.load": {".read_text": "/proc"},
    "core.threads": {".read_text": "/proc and /sys"},
    "core.progress": {".open": "the log of a run, which grows line by line"},
    "core.trust": {".open": "code of the user's own, up to a limit, to be hashed"},
}
"""What other modules open, and why it cannot go through `BORDER`."""


def reaches_disk(call: ast.Call) -> str | None:
    """Return the name of a call that opens, writes, renames or deletes; None of any other.

    A method ``open`` is a path's if it is told how; ``replace`` and ``rename`` are if they get one
    thing that is not a text.
    """
    name = ast.unparse(call.func)
    if not isinstance(call.func, ast.Attribute):
        return name if name in BARE else None
    of, _, method = name.rpartition(".")
    if any(name == f"{m}.{function}" for m, all_ in FUNCTIONS.items() for function in all_.split()):
        return name
    if of in ("disk", "given"):
        return None
    first = call.args[0] if call.args else None
    said = first.value if isinstance(first, ast.Constant) else ""
    how = next((k.value for k in call.keywords if k.arg == "mode"), None) is not None
    paths = {
        "open": how or bool(re.fullmatch(r"[rwxabt+]{1,3}", str(said))),
        "to_csv": first is not None,
        "replace": len(call.args) == 1 and not call.keywords and not said,
        "rename": len(call.args) == 1 and not call.keywords and not said,
    }
    return f".{method}" if method in METHODS or paths.get(method, False) else None


def test_files_are_opened_and_written_at_the_border() -> None:
    """One place opens what comes from elsewhere, one writes: `BORDER`, and what is excused."""
    found, unused = [], {(n, call) for n, calls in ELSEWHERE.items() for call in calls}
    for whole, path in modules().items():
        name = whole.removeprefix("untrain.")
        for node in nodes(path):
            call = reaches_disk(node) if isinstance(node, ast.Call) else None
            if call is None or name in BORDER:
                continue
            if call not in ELSEWHERE.get(name, {}):
                found.append(f"{whole}, line {node.lineno}: {call}")
            unused.discard((name, call))
    assert not found, "\n".join(["not through the border, untrain.core:", *found])
    assert not unused, f"excused and not there: {sorted(unused)}"


@pytest.mark.parametrize(
    "code",
    [
        *("open('a')", "path.open('rb')", "path.open(mode='w')", "path.read_bytes()"),
        *("path.replace(other)", "path.rename(other)", "np.load(path)", "table.to_csv(path)"),
        *("os.replace(a, b)", "shutil.rmtree(path)", "Image.open(path)", "pq.read_table(path)"),
    ],
)
def test_the_border_is_seen(code: str) -> None:
    (call,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    assert reaches_disk(call)


@pytest.mark.parametrize(
    "code",
    ["data.open(path, strict)", "text.replace('a', 'b')", "replace(a, b=1)", "table.to_csv()"],
)
def test_what_opens_nothing_is_not_taken_for_the_border(code: str) -> None:
    (call,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    assert not reaches_disk(call)


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
