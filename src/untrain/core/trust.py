"""Code of the user's own, and whether it may run: a run folder is data, and may be anybody's.

An experiment file names a generator or an encoder of the user's own (``file.py:Class``,
``package.module:function``), and a Ray cluster, which can send anything back. What a user's own
experiment file or command line names runs. What a *run folder* names is doubted: it runs only if
the same code, at the same place, ran here before because its user named it, or if the user says so
(``untrain trust RUN`` for good, ``--trust`` for one command, `untrain.trust` in Python).

What ran is remembered below the cache's folder, by a hash of its name, its place and its content;
`untrain cache` does not touch it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from untrain.core.cache import cache_folder
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, write_json

FOLDER = "trusted"
MOST = 16 << 20
"""Bytes of a Python file that are looked at; what is larger is never remembered."""

_doubted: dict[str, Path] = {}
_vouched: set[str] = set()
_all: list[bool] = [False]


def trust_all(trusting: bool = True) -> None:
    """Run whatever a run folder names, in this process, or no longer."""
    _all[0] = trusting


def vouch(names: Iterable[str]) -> None:
    """Say that the user gave these names: in an experiment file of their own, or themselves."""
    for name in names:
        _vouched.add(name)
        _doubted.pop(name, None)


def doubt(names: Iterable[str], folder: Path) -> None:
    """Say that these names come from a run folder, unless the user gave the same ones."""
    _doubted.update({name: folder.resolve() for name in names if name not in _vouched})


def check(what: str, name: str) -> None:
    """Raise `InputError` if ``name`` comes from a run folder and is not trusted.

    Whatever passes is remembered, so that the user's own runs open without a question.

    Parameters
    ----------
    what : str
        For the message: ``"generator"``, ``"encoder"``, ``"Ray cluster"``.
    name : str
        ``file.py:attribute``, ``package.module:attribute``, or the address of a cluster.
    """
    folder = _doubted.get(name)
    if folder is None:
        if name in _vouched:
            remember(name)
        return
    if _all[0] or is_remembered(name):
        return
    place = place_of(name)
    where = f"It is in {place}. Read it first; then" if place else "If you trust it,"
    raise InputError(
        f"{what} '{name}' is named by the run folder {folder}, and has not run here as it is now. "
        f"A run folder may be anybody's, so that nothing it names runs unasked. {where} "
        f"`untrain trust {folder}` lets it run from now on, `--trust` for one command"
    )


def doubted_by(folder: Path) -> list[str]:
    """Return the names that a run folder was the first to give, in order."""
    return [name for name, by in _doubted.items() if by == folder.resolve()]


def remember(name: str) -> None:
    """Let a name run from now on, as long as what it stands for stays the same."""
    with suppress(OSError, InputError):  # without a cache one is asked again, nothing else
        file = _record(name)
        if not file.exists():
            write_json(file, {"name": name, "place": str(place_of(name) or "")})


def is_remembered(name: str) -> bool:
    """Tell whether what a name stands for has run here, at the same place with the same bytes."""
    with suppress(OSError):
        return _record(name).is_file()
    return False


def _record(name: str) -> Path:
    place = place_of(name)
    content = b""
    if place is not None:
        with place.open("rb") as file:
            content = file.read(MOST + 1)
        if len(content) > MOST:
            raise OSError(f"{place} is too large")
    return cache_folder(FOLDER, f"{fingerprint(name, str(place or ''), content)}.json")


def place_of(name: str) -> Path | None:
    """Return the file of ``file.py:attribute`` or ``module:attribute``, without importing anything.

    None if it is not to be found as a file, as of what is built into Python.
    """
    module, colon, _ = name.rpartition(":")
    if not colon:
        return None
    if module.endswith(".py"):
        path = Path(module).expanduser().resolve()
        return path if path.is_file() else None
    inside = Path(*module.split("."))
    for root in (str(Path.cwd()), *sys.path):
        for path in (Path(root, inside, "__init__.py"), Path(root, inside).with_suffix(".py")):
            if path.is_file():
                return path.resolve()
    return None
