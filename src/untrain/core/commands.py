"""The commands that make what is no result of a stage: noted with it, told where it is damaged.

A bank, a ladder or an unlearned model is made again by the command that made it, with the options
that it had. Those stand in the ``checksums.txt`` of the folder, which may be anybody's: only
commands and options of these lists are taken from there, and no value that names code.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from untrain.core.marks import MARKER
from untrain.core.text import one_line

_OPTIONS = {
    "bank": "models share by least leave-one-out",
    "shares": "by least from-scores calibration baseline",
    "leaderboard": "k ranking encoder candidates",
    "ladder": "methods m budgets b seeds dear targeted random family sets",
    "unlearn": "ids method m budget b model seed out o",
    "takedown": "catalog format out o reference copies measure remove budget minutes method m "
    "calibration models probes not-a-copy also",
}
OPTIONS = {
    name: {f"-{o}" if len(o) == 1 and o != "k" else f"--{o}" for o in options.split()}
    for name, options in _OPTIONS.items()
}
"""Of each command those that decide what it makes; each has a value."""
PLACES = {"takedown": ("--run", "--out", "-o")}
"""Options that name where the folder is, where the first argument does not."""
PATHS = {"--ids", "--sets", "--calibration", "--catalog", "--model", "--out", "-o"}
IDLE = {"--json", "--no-pictures"}
MAKERS = (
    ("bank/", "bank"),
    ("groups/", "bank --by ATTRIBUTE"),
    ("results/shares-", "shares --by ATTRIBUTE"),
    ("results/leaderboard", "leaderboard"),
    ("results/equivalent", "bank"),
    ("ladder/", "ladder"),
    ("results/fidelity", "ladder"),
    ("results/membership", "ladder"),
    ("results/distances", "ladder"),
    ("unlearned/", "unlearn --ids FILE"),
    ("takedowns/", "takedown LETTER"),
)
"""What makes things of which no command was noted, as of Python, by where they are put."""
Words = tuple[str, ...]

VARIABLE = "UNTRAIN_COMMAND"
"""How the processes that train models for a command know it."""


def typed(arguments: Sequence[str]) -> None:
    """Say which command this process carries out; none to forget it."""
    os.environ.pop(VARIABLE, None)
    if words := _known(arguments):
        os.environ[VARIABLE] = json.dumps(words)


def noted() -> list[str]:
    """Return what is noted of the command, no words if it is none of those that are."""
    found: list[str] = json.loads(os.environ.get(VARIABLE) or "[]")
    return found


def remembered(known: Sequence[Words], words: Any) -> list[Words]:
    """Return the commands that made something, in order, with one that a record names.

    One that is the same but for the number of models takes the place of an earlier one: it makes
    more of the same.
    """
    words = tuple(words) if isinstance(words, list) and all(map(_is_text, words)) else ()
    if not words or _known(_spelled(words, Path("folder"))) != words:
        return list(known)
    return [each for each in known if _kind(each) != _kind(words)] + [words]


def of_file(made: Mapping[str, list[Words]], name: str, folder: Path, run: bool) -> str:
    """Return what makes a file again, for people; ``made`` has the commands of files by name."""
    known: list[Words] = []
    if not run or name.startswith(("models/", *(start for start, _ in MAKERS))):
        folders = list(Path(name).parents)[:-1]
        places = (name, *(f"{each.as_posix()}/{MARKER}" for each in folders))
        known = next((made[place] for place in places if made.get(place)), [])
    if run and not (folder / "takedowns").is_dir():  # the trial of one is a run like others
        known = [words for words in known if words[0] != "takedown"]
    return told(known, name, folder, run)


def told(known: Iterable[Words], name: str, folder: Path, run: bool) -> str:
    """Return the commands that make a file again, for people.

    Parameters
    ----------
    known : iterable of tuple of str
        As `remembered` has them.
    name : str
        Of the file in its folder.
    folder : Path
    run : bool
        Whether the folder is that of a run.
    """
    found = [_line(words, folder) for words in known]
    if not found and not run:
        return "the command that wrote the folder"
    if not found:
        maker = next((made for start, made in MAKERS if name.startswith(start)), "run")
        command, *options = maker.split()
        found = [" ".join(["untrain", command, _quoted(folder), *options])]
        if command == "takedown":
            found = [f"untrain takedown LETTER --run {_quoted(folder)}"]
    return " and then ".join(f"`{line}`" for line in found)


def _known(arguments: Sequence[str]) -> Words:
    """Return a command without what names its folder; no words if there is anything unknown."""
    words = list(arguments)
    while words and words[0].startswith("-"):  # of untrain itself
        words.pop(0)
    if not words or words[0] not in OPTIONS:
        return ()
    command, given, options = words[0], list[str](), list[str]()
    rest = iter(words[1:])
    for word in rest:
        if not word.startswith("-"):
            given.append(word)
            continue
        option, equals, value = word.partition("=")
        if option in IDLE:
            continue
        value = value if equals else next(rest, "")
        if option in PLACES.get(command, ()):
            continue
        if option not in OPTIONS[command] or _names_code(value):
            return ()
        options += [option, _whole(value) if option in PATHS else value]
    first = given[:1] if command in PLACES else []
    return (command, *map(_whole, first), *options)


def _spelled(words: Words, folder: Path) -> list[str]:
    """Return a command as one types it."""
    command, *rest = words
    if command not in PLACES:
        return [command, str(folder), *rest]
    if "--catalog" in rest:  # the folder has the name of the request
        return [command, *rest, "--out", str(folder.parent)]
    return [command, *rest, PLACES[command][0], str(folder)]


def _line(words: Words, folder: Path) -> str:
    return one_line(shlex.join(["untrain", *_spelled(words, folder)]))


def _quoted(folder: Path) -> str:
    return shlex.quote(str(folder))


def _kind(words: Words) -> Words:
    at = words.index("--models") + 1 if "--models" in words else len(words)
    return (*words[:at], *words[at + 1 :])


def _is_text(word: object) -> bool:
    return isinstance(word, str)


def _whole(value: str) -> str:
    """Return a value; of a file or folder that is there, its path from the root."""
    with suppress(OSError, ValueError):
        if value and Path(value).exists():
            return str(Path(value).absolute())
    return value


def _names_code(value: str) -> bool:
    module, colon, attribute = value.rpartition(":")
    return bool(colon) and (module.endswith(".py") or attribute.isidentifier())
