"""One data set in many files: a folder of them, or a pattern such as ``train-{000..127}.tar``."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from untrain.catalogs.reading import natural_key
from untrain.core.errors import InputError
from untrain.core.outside import require_regular, resolved

RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST = 10**6  # names that one pattern may stand for


def expand(path: Path | str | Sequence[Path | str], suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files that a path stands for, whole paths in natural order.

    Parameters
    ----------
    path : Path, str or sequence of them
        A file; a folder, whose files of these suffixes count, or those in folders below it if it
        has none; or a pattern with ``{000..127}``, ``{a,b}``, ``*``, ``?``, ``[…]``. All files
        that braces spell out must be there.
    suffixes : tuple of str
        Such as ``(".tar",)``.

    Raises
    ------
    InputError
        Nothing is there, or something that braces spell out is not.
    """
    several = [path] if isinstance(path, Path | str) else list(path)
    found = [file for one in several for file in _files(Path(one).expanduser(), suffixes)]
    whole = dict.fromkeys(map(resolved, found))
    for file in whole:
        try:
            require_regular(file)
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror})") from None
    return sorted(whole, key=lambda file: natural_key(str(file)))


def _files(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    wanted = " or ".join(suffixes)
    if path.is_dir():
        for pattern in ("*", "**/*"):
            inside = [file for file in path.glob(pattern) if _counts(file, suffixes)]
            if inside:
                return inside
        raise InputError(f"{path} has no {wanted} file in it")
    if path.is_file():
        return [path]
    named = [Path(name) for name in braces(str(path))]
    files = []
    for name in named:
        matches = [name] if name.is_file() else [Path(m) for m in glob.glob(str(name))]  # noqa: PTH207 - of any root
        if not matches:
            what = "matches no file" if glob.has_magic(str(name)) else "does not exist"
            raise InputError(f"{name} {what}; expected {wanted} files, or a folder of them")
        files += matches
    return files


def _counts(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.suffix.lower() in suffixes and not file.name.startswith(".") and file.is_file()


def braces(pattern: str) -> list[str]:
    """Return what a pattern with braces stands for, as a shell would; braces in braces do not.

    Examples
    --------
    >>> braces("a-{08..10}.{tar,TAR}")[:3]
    ['a-08.tar', 'a-08.TAR', 'a-09.tar']
    """
    pieces = re.split(r"\{([^{}]*)\}", pattern)
    options, count = [], 1
    for number, piece in enumerate(pieces):
        options.append(_alternatives(piece) if number % 2 else [piece])
        count *= len(options[-1])
        if count > MOST:
            raise InputError(f"the pattern {pattern} stands for more than {MOST:,} files")
    return ["".join(parts) for parts in product(*options)]


def _alternatives(inside: str) -> list[str]:
    spans = RANGE.fullmatch(inside)
    if spans is None:
        return inside.split(",") if "," in inside else [f"{{{inside}}}"]
    first, last = spans.groups()
    if int(last) - int(first) >= MOST:
        raise InputError(f"{{{inside}}} stands for more than {MOST:,} files")
    width = len(first) if first.startswith("0") or len(first) == len(last) else 0
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1)]
