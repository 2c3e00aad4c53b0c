"""Takedown requests that came through the page: their folders, and the work on them, aside.

The work is that of `untrain.takedown`, in a process of its own: it may train models, change how
many threads there are, and be stopped. A request is a folder that the command line takes, too;
what was chosen in the form and what the work says lie in a folder beside it, so that a request that
was stopped, with the server or by somebody, goes on where it was.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from re import fullmatch, sub
from typing import Any

from untrain.core import disk
from untrain.core.errors import InputError, UntrainError
from untrain.core.files import read_json, write_bytes, write_json, write_text
from untrain.core.marks import JUNK
from untrain.core.outside import read_bytes
from untrain.serve.apart import end_with_parent
from untrain.serve.working import Line
from untrain.takedowns.request import LETTERS, as_folder, files_of, read_letter

FORM, LOG, STATE, HOW = "form.json", "log.txt", "state.json", ".work"
RUNNING, DONE, FAILED, STOPPED = "running", "done", "failed", "stopped"
STEPS = {
    "found": "look for the pictures and their copies",
    "plan": "see how long one training takes",
    "influence": "estimate which prompts stand on them",
    "trial": "train models with and without them",
    "removal": "make a model without them",
    "after": "compare the models before and after",
}
"""The steps that a takedown can have, in order; see `untrain.takedowns.answer`."""
KEPT = 1000
"""Requests that may be there."""
LARGEST, SPARE = 256 * 2**20, 2**30
"""Bytes of the pictures of a request, and of the disk that stay free."""
LINES = 6
"""Of the log that are shown."""


@dataclass(frozen=True)
class Place:
    """Where the pictures of a request are looked for: a run, or a catalogue.

    Attributes
    ----------
    run : str
        Its folder; empty of a catalogue.
    catalog : str
        A path, or ``rendered``.
    format : str
        Guessed if empty.
    options : dict
        Further ones of `untrain.catalogs.load_catalog`, as JSON holds them.
    """

    run: str = ""
    catalog: str = ""
    format: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """What is to be done about a request.

    Attributes
    ----------
    place : Place
    measure, remove : str
        As `untrain.takedown` takes them.
    not_copies, also : tuple of str
        Ids that somebody corrected.
    """

    place: Place
    measure: str = "estimate"
    remove: str = "none"
    not_copies: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @classmethod
    def of(cls, known: dict[str, Any]) -> Order:
        """Return an order as JSON held it."""
        ids = {name: tuple(known[name]) for name in ("not_copies", "also")}
        return cls(**{**known, "place": Place(**known["place"]), **ids})


@dataclass(frozen=True)
class Sent:
    """A file of a request."""

    name: str
    content: bytes = field(repr=False)


class Requests:
    """The requests in a folder, and what is being worked on; one after another.

    Parameters
    ----------
    folder : Path
        Holds a folder a request; made when the first comes.
    out : Path
        For the answers of requests that a catalogue was searched for.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self.folder, self.out = folder, out
        self._line = Line(answer)

    def names(self) -> list[str]:
        """Return the requests, the latest first."""
        forms = self.folder.glob(f"*/{HOW}/{FORM}")
        latest = sorted(forms, key=lambda path: path.stat().st_mtime, reverse=True)
        return [path.parent.parent.name for path in latest]

    def take(self, files: Sequence[Sent], letter: dict[str, str], order: Order) -> str:
        """Write a request down and begin to work on it; return what it is called.

        Raises
        ------
        InputError
            It has no picture or too much of them, its reference names no folder, another request
            has it, or too many are there.
        """
        if not files:
            raise InputError("a request needs a picture: drop the files that were sent")
        size = sum(len(sent.content) for sent in files)
        if size > LARGEST:
            raise InputError(
                f"the pictures have {size >> 20} MiB together; expected at most {LARGEST >> 20}: "
                "send them as two requests"
            )
        self._check_room(size)
        name = as_folder(letter.get("reference") or "request")
        folder = self.folder / name
        disk.make_folder(self.folder)
        try:
            disk.make_new_folder(folder)
        except FileExistsError:
            raise InputError(
                f"there is a request called {name} already: give another reference"
            ) from None
        taken: set[str] = set()
        for number, sent in enumerate(files):
            write_bytes(folder / _file_name(sent.name, number, taken), sent.content)
        words = {"reference": name} | {key: text for key, text in letter.items() if text}
        write_text(folder / LETTERS[0], _yaml(words))
        self.work(name, order)
        return name

    def _check_room(self, size: int) -> None:
        """Refuse a request that would fill the disk, or wait behind too many others."""
        if self._line.full:
            raise InputError("too many requests are being worked on: send it when some are done")
        if len(self.names()) >= KEPT:
            raise InputError(
                f"{self.folder} holds {KEPT} requests, the most there may be: move old ones away"
            )
        there = next(each for each in (self.folder, *self.folder.parents) if each.exists())
        if shutil.disk_usage(there).free < size + SPARE:
            raise InputError(f"the disk of {self.folder} is nearly full: make room first")

    def work(self, name: str, order: Order | None = None) -> None:
        """Work on a request, anew or on, when those before it are done.

        With another order, that one counts from now on.

        Raises
        ------
        InputError
            It is being worked on, or too many are.
        KeyError
            There is none of this name.
        """
        how = self._how(name)
        if (how / STATE).is_file() and read_json(how / STATE)["state"] != RUNNING:
            self._line.settle(name)  # it is done, and about to end

        def prepare() -> None:
            disk.make_folder(how)
            if order is not None:
                write_json(how / FORM, asdict(order))
            write_json(how / STATE, {"state": RUNNING})

        self._line.add(name, (str(self.folder / name), str(self.out)), prepare)

    def stop(self, name: str) -> None:
        """Stop working on a request; what was found stays, and it can go on."""
        self._how(name)
        self._line.stop(name)

    def close(self) -> None:
        """Stop all work: it goes on when somebody asks for it after the next start."""
        self._line.close()

    def order(self, name: str) -> Order:
        """Return what is to be done about a request."""
        return Order.of(read_json(self._how(name) / FORM))

    def title(self, name: str) -> str:
        """Return the reference of a request as it was given, which its folder may not have."""
        self._how(name)
        try:
            return read_letter(self.folder / name / LETTERS[0]).get("reference") or name
        except InputError:  # somebody edited it
            return name

    def state(self, name: str) -> dict[str, Any]:
        """Return how far a request is: ``state``, ``error``, ``steps``, ``lines``."""
        how = self._how(name)
        known = read_json(how / STATE) if (how / STATE).is_file() else {"state": STOPPED}
        before = self._line.before(name)
        if known["state"] == RUNNING and before is None:
            known = {"state": STOPPED}
        target = self.target(name)
        done = {path.stem for path in (target / "steps").glob("*.json")}
        log = how / LOG
        said = read_bytes(log, "TEXT").decode(errors="replace") if log.is_file() else ""
        if before:
            said = f"waiting for {before} {'request' if before == 1 else 'requests'} before it"
        return {
            "state": known["state"],
            "error": known.get("error", ""),
            "steps": [
                {"name": step, "words": words, "state": DONE if step in done else "waiting"}
                for step, words in self._steps(name).items()
            ],
            "lines": [line for line in said.splitlines() if line.strip()][-LINES:],
        }

    def target(self, name: str) -> Path:
        """Return the folder of the answer."""
        place = self.order(name).place
        return (Path(place.run) / "takedowns" if place.run else self.out) / name

    def pictures(self, name: str) -> dict[str, Path]:
        """Return the files of the pictures of a request by their names; none is decoded here."""
        self._how(name)
        folder = self.folder / name
        return {path.relative_to(folder).as_posix(): path for path in files_of(folder)}

    def _steps(self, name: str) -> dict[str, str]:
        """Return the steps that a request has."""
        order = self.order(name)
        wanted = {"found"}
        if order.place.run:
            wanted |= {"plan", "after"}
            wanted |= {"influence"} if order.measure != "none" else set()
            wanted |= {"trial"} if order.measure == "trial" else set()
            wanted |= {"removal"} if order.remove != "none" else set()
        return {step: words for step, words in STEPS.items() if step in wanted}

    def _how(self, name: str) -> Path:
        """Return the folder of what is known of a request; no other folder can be named."""
        plain = fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name)
        if not plain or not (self.folder / name / LETTERS[0]).is_file():
            raise KeyError(name)
        return self.folder / name / HOW


def answer(folder: str, out: str) -> None:
    """Answer a request; runs in the other process, whose words go to the log."""
    end_with_parent()
    how = Path(folder) / HOW
    log = os.open(how / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    try:
        _answer(Path(folder), Path(out), Order.of(read_json(how / FORM)))
        write_json(how / STATE, {"state": DONE})
    except UntrainError as error:
        write_json(how / STATE, {"state": FAILED, "error": str(error)})
    except Exception as error:
        write_json(how / STATE, {"state": FAILED, "error": f"{type(error).__name__}: {error}"})
        raise


def _answer(folder: Path, out: Path, order: Order) -> None:
    from untrain.api.requested import takedown
    from untrain.catalogs.formats.folder import NO_CAPTION, lacks_captions
    from untrain.catalogs.opening import guess_format, load_catalog

    place, corrected = order.place, {"not_copies": order.not_copies, "also": order.also}
    if place.run:
        how: dict[str, Any] = {"measure": order.measure, "remove": order.remove, **corrected}
        takedown(folder, place.run, **how)
        return
    named = place.catalog == "rendered" and not Path(place.catalog).exists()
    path = None if named else Path(place.catalog)
    where: dict[str, Any] = {"path": path} if path else {}
    kind = place.format or (guess_format(path) if path else "rendered")
    options = dict(place.options)
    if kind == "folder" and path is not None and "empty_caption" not in options:
        # Pictures without captions will do, as they did for the page.
        options |= {"empty_caption": NO_CAPTION} if lacks_captions(path) else {}
    catalog = load_catalog(kind, **where, **options)
    takedown(folder, catalog=catalog, out=out, not_copies=order.not_copies, also=order.also)


def _file_name(name: str, number: int, taken: set[str]) -> str:
    """Return the sender's own name of a file, as far as any disk can hold it.

    Two of one name stay two: those after the first get a number, as do names that are none.
    """
    plain = sub(r'[\x00-\x1f\x7f<>:"|?*]+', "-", name.replace("\\", "/").split("/")[-1])
    plain = plain.strip(" .")
    stem, suffix = Path(plain).stem[:60], Path(plain).suffix[:10]
    device = fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)", stem.split(".")[0])
    own = f"{stem}{suffix}" if any(map(str.isalnum, stem)) else f"picture{suffix}"
    spoken_for = {each.casefold() for each in (*LETTERS, *JUNK)} | taken
    if device or own.casefold() in spoken_for:
        own = f"{number + 1:03}-{own}"
    taken.add(own.casefold())
    return own


def _yaml(words: dict[str, str]) -> str:
    import yaml

    return yaml.safe_dump(words, allow_unicode=True, sort_keys=False)
