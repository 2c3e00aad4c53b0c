"""The record of a takedown: every number and decision, and what they were made of, as hashes."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import untrain
from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.core.shapes import misfit
from untrain.report.decided import decided
from untrain.takedowns.parts import HELD_OUT, TRAINING, UNUSED
from untrain.takedowns.request import Request

KIND, FORMAT = "takedown", 1
RECORD, REPORT, IDS = "record.json", "report.html", "ids.txt"
_MODEL = {"path": str, "files": {"*": str}, "fingerprint": str}
_MATCH = {"picture!": str, "image_id!": str, "part!": str, "verdict!": str, "copy!": bool}
SHAPE = {
    "reference!": str,
    "request!": {
        "fingerprint!": str,
        "pictures!": [{"name!": str, "sha256!": str}],
        "unreadable!": [dict],
    },
    "run": {"catalog": str, "model": {**_MODEL, "path!": str, "files!": {"*": str}}},
    "found!": {"matches!": [_MATCH]},
    "counts!": {"*": float},
    "ids!": {"*": str},
    "decisions!": {"not_copies!": [str], "also!": [str]},
    "files!": {"*": str},
    "removal": _MODEL,
    "after": {"surprise": dict},
}
"""What a record has, as far as `untrain verify` reads it."""


def head(request: Request, reference: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record begins with: what was asked, when and by what it was answered."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "reference": reference,
        "title": options.get("reference") or request.letter.get("reference") or reference,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "options": dict(options),
        "request": {
            "fingerprint": request.fingerprint,
            "letter": request.letter,
            "letter_file": list(request.letter_file) if request.letter_file else None,
            "pictures": [
                {key: value for key, value in asdict(asked).items() if key != "path"}
                for asked in request.pictures
            ],
            "unreadable": [asdict(each) for each in request.unreadable],
        },
    }


def versions() -> dict[str, str]:
    """Return the versions of what computed the numbers."""
    names = ("torch", "numpy", "pandas", "pillow", "opencv-python-headless")
    return {
        "untrain": untrain.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def counts(
    pictures: int,
    unreadable: int,
    matches: Sequence[Mapping[str, Any]],
    removed: int,
    decisions: Mapping[str, Any],
) -> dict[str, int]:
    """Return how many pictures were sent, and in which part of the data how many were found.

    ``found``, ``undecided`` and ``not_found`` add up to ``pictures``. ``undecided`` pictures have
    no copy that counts, and an image that looks like one and that nobody has decided about.

    Parameters
    ----------
    pictures, unreadable : int
        Files that were sent.
    matches : sequence of mapping
        As the record has them.
    removed : int
        Training images to take out.
    decisions : mapping
        Of a person, as the record has them.
    """
    now = decided(matches, decisions)
    found = {match["picture"] for match in now if match["copy"]}
    undecided = {match["picture"] for match in now if match["open"]} - found
    return {
        **_counts(pictures, unreadable, now, removed),
        "undecided": len(undecided),
        "not_found": pictures - len(found) - len(undecided),
        "to_decide": len({match["image_id"] for match in now if match["open"]}),
        "said_theirs": len(set(decisions["also"])),
        "said_not_theirs": len(set(decisions["not_copies"])),
    }


def counts_before(
    pictures: int, unreadable: int, matches: Sequence[Mapping[str, Any]], removed: int
) -> dict[str, int]:
    """Return the counts as older records have them: what was found, whatever was decided."""
    return _counts(pictures, unreadable, matches, removed)


def _counts(
    pictures: int, unreadable: int, matches: Sequence[Mapping[str, Any]], removed: int
) -> dict[str, int]:
    copies = [match for match in matches if match["copy"]]
    of_part = {
        part: {match["picture"] for match in copies if match["part"] == part}
        for part in (TRAINING, HELD_OUT, UNUSED)
    }
    found = {match["picture"] for match in copies}
    images = {match["image_id"] for match in copies if match["part"] == TRAINING}
    like = {match["image_id"] for match in matches if match["verdict"] != "similar"}
    return {
        "pictures": pictures,
        "unreadable": unreadable,
        "found": len(found),
        "not_found": pictures - len(found),
        "in_training": len(of_part[TRAINING]),
        "only_held_out": len(of_part[HELD_OUT] - of_part[TRAINING]),
        "only_unused": len(of_part[UNUSED] - of_part[TRAINING] - of_part[HELD_OUT]),
        "training_images": len(images),
        "to_decide": len(like - {match["image_id"] for match in copies}),
        "removed": removed,
    }


def record_in(folder: Path) -> Path:
    """Return the record in the folder of a takedown, or the file itself if it is given.

    A browser saves it as ``REFERENCE-record.json``, and the page and the list in the same way.

    Raises
    ------
    InputError
        There is none, or several are there and none is called ``record.json``.
    """
    path = folder / RECORD if folder.is_dir() else folder
    if path.is_file():
        return path
    saved = sorted(folder.glob(f"*-{RECORD}")) if folder.is_dir() else []
    if len(saved) > 1:
        names = ", ".join(each.name for each in saved[:5])
        raise InputError(f"{folder} holds several records ({names}): name one of these files")
    if not saved:
        raise InputError(
            f"{folder} holds no {RECORD}; expected the folder that `untrain takedown` wrote, such "
            f"as runs/NAME/takedowns/REFERENCE, or files saved as REFERENCE-{RECORD}"
        )
    return saved[0]


def read_record(folder: Path, checked: bool = True) -> dict[str, Any]:
    """Read the record of a takedown.

    Parameters
    ----------
    folder : Path
        The folder of the takedown, or its ``record.json``; see `record_in`.
    checked : bool
        Whether it must be what was written.

    Raises
    ------
    InputError
        There is none, or it is of another kind or format.
    """
    path = record_in(folder)
    try:
        found = read_json(path, checked)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a record ({error})") from None
    if not isinstance(found, dict) or found.get("kind") != KIND or found.get("format") != FORMAT:
        raise InputError(f"{path} is not the record of a takedown in format {FORMAT}")
    if fault := misfit(found, SHAPE):
        raise InputError(f"{path} is not the record of a takedown: {fault}")
    return found
