"""Checking the record of a takedown against the files, the data and the models that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import fingerprint
from untrain.core.outside import read_text
from untrain.evaluation.membership import attack
from untrain.runs.find import RECORD as RUN_RECORD
from untrain.takedowns.deciding import removed_ids
from untrain.takedowns.hashes import digest_of, hashes_of, removed_by
from untrain.takedowns.page_numbers import agrees, marked_numbers
from untrain.takedowns.record import (
    IDS,
    RECORD,
    REPORT,
    counts,
    counts_before,
    read_record,
    record_in,
)
from untrain.training.index import FILE, read_index

TO_REMOVE = "to-remove"
"""The code of a check that says what is still to be done."""


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    code : str
    passed : bool or None
        None: it could not be made, or (``to-remove``) it says what is still to be done.
    text : str
        What was found, or why it could not be made.
    """

    code: str
    passed: bool | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"code": self.code, "passed": self.passed, "text": self.text}


@dataclass(frozen=True)
class Verified:
    """What was checked of a record.

    Attributes
    ----------
    folder : Path
    reference : str
    sha256 : str
        Of the record, to be compared with one that was noted elsewhere.
    checks : tuple of Check
    """

    folder: Path
    reference: str
    sha256: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether none of the checks that could be made failed."""
        return all(check.passed is not False for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "folder": str(self.folder),
            "reference": self.reference,
            "record_sha256": self.sha256,
            "passed": self.passed,
            "checks": [check.to_dict() for check in self.checks],
        }


def verify(
    folder: Path,
    request: Path | None = None,
    data: Catalog | None = None,
    model: Path | None = None,
) -> Verified:
    """Check the record of a takedown.

    Parameters
    ----------
    folder : Path
        Of the takedown.
    request : Path, optional
        The folder with the pictures that were sent.
    data : Catalog, optional
        The data as they are now, without the images.
    model : Path, optional
        The folder of the model that is said to be without them; left out, the one in the run.

    Raises
    ------
    InputError
        There is no record, or a folder that was named is not there.
    """
    file = record_in(folder)
    record, folder = read_record(file, checked=False), file.parent
    saved = file.name.removesuffix(RECORD) if file.name.endswith(RECORD) else ""
    run = folder.resolve().parent.parent
    inside = run if (run / RUN_RECORD).is_file() else None
    checks = [
        *_files(folder, saved, record),
        *_request(record, request),
        *_numbers(folder / f"{saved}{REPORT}", record),
        *_sums(record),
        *_catalogue(record, inside),
        *_data(record, data),
        *_models(record, inside, model),
    ]
    return Verified(folder, record["reference"], digest_of(file), tuple(checks))


def _files(folder: Path, saved: str, record: Mapping[str, Any]) -> Iterator[Check]:
    """The page and the list are the very files that the record was written with.

    Their names begin with ``saved`` where a browser saved them.
    """
    for name, digest in record["files"].items():
        path = folder / f"{saved}{name}"
        if not path.is_file():
            yield Check(f"file:{name}", False, f"{name} is missing")
            continue
        same = digest_of(path) == digest
        text = "is as it was written" if same else "was changed after it was written"
        yield Check(f"file:{name}", same, f"{name} {text}")
    listed = folder / f"{saved}{IDS}"
    if listed.is_file():
        ids = read_text(listed, "TABLE", "utf-8").split("\n")[:-1]
        same = ids == list(record["ids"])
        text = "names the images of the record" if same else "names other images than the record"
        yield Check("ids", same, f"{IDS} {text} ({len(record['ids'])})")


def _request(record: Mapping[str, Any], folder: Path | None) -> Iterator[Check]:
    """The pictures that were sent are those that the record has, whatever they are called."""
    known = {each["name"]: each["sha256"] for each in record["request"]["pictures"]}
    pairs = [[name, digest] for name, digest in known.items()]
    same = fingerprint(pairs) == record["request"]["fingerprint"]
    text = "agree with each other" if same else "do not agree with the fingerprint of the request"
    yield Check(
        "request-record", same, f"the hashes of {len(known)} pictures that were sent {text}"
    )
    if folder is None:
        yield Check(
            "request", None, "the pictures that were sent: name their folder with --request"
        )
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected that of the pictures that were sent")
    here: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        here.setdefault(digest_of(path), path.relative_to(folder).as_posix())
    absent = [name for name, digest in known.items() if digest not in here]
    changed = [name for name in absent if (folder / name).is_file()]
    missing = [name for name in absent if name not in changed]
    if missing or changed:
        told = [f"missing: {', '.join(missing[:5])}"] * bool(missing)
        told += [f"changed: {', '.join(changed[:5])}"] * bool(changed)
        yield Check("request", False, f"pictures that were sent, {'; '.join(told)}")
    else:
        renamed = [name for name in known if not _is(folder / name, known[name])]
        text = f"all {len(known)} pictures that were sent are unchanged"
        if renamed:
            first = f"{renamed[0]} of the record is {here[known[renamed[0]]]}"
            text += f"; {len(renamed)} of another name ({first})"
        yield Check("request", True, text)


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and digest_of(path) == digest


def _numbers(page: Path, record: Mapping[str, Any]) -> Iterator[Check]:
    """Every number of the page is that of the record."""
    if not page.is_file():
        yield Check("numbers", None, f"the numbers of {REPORT}, which is missing")
        return
    marked = marked_numbers(read_text(page, "TABLE", "utf-8"))
    wrong = [text for of, how, text in marked if not agrees(record, of, how, text)]
    if wrong:
        yield Check("numbers", False, f"numbers of {REPORT} that the record has not: {wrong[:5]}")
    else:
        text = f"all {len(marked)} marked numbers of {REPORT} are those of the record"
        yield Check("numbers", True, text)


def _sums(record: Mapping[str, Any]) -> Iterator[Check]:
    """Counts and means follow from what they were made of."""
    sent, matches = record["request"], record["found"]["matches"]
    known = len(sent["pictures"]), len(sent["unreadable"]), matches, len(record["ids"])
    # Records from before decisions reached the counts have no such entry.
    newer = "undecided" in record["counts"]
    expected = counts(*known, record["decisions"]) if newer else counts_before(*known)
    right = record["counts"] == expected
    right = right and removed_ids(matches, record["decisions"]) == sorted(record["ids"])
    text = "follow from the matches" if right else "do not follow from the matches and decisions"
    yield Check("counts", right, f"the counts and the list of images {text}")
    surprise = (record.get("after") or {}).get("surprise")
    if surprise:
        try:
            right = _adds_up(surprise)
        except (LookupError, TypeError, ValueError, AttributeError):  # there is no such value
            right = False
        text = "follow from the values of the single images" if right else "do not add up"
        yield Check("means", right, f"average surprise and shares {text}")


def _adds_up(surprise: Mapping[str, Any]) -> bool:
    """Tell whether means and shares are those of the single images."""
    right = all(
        abs(np.mean([row[name] for row in surprise["requested"]]) - of["requested"]) < 1e-9
        for name, of in surprise["means"].items()
    )
    for name, others in surprise["held_out"].items():
        if others is not None:
            own = np.array([row[name] for row in surprise["requested"]])
            share = attack(own, np.array(others))[0]
            right = right and abs(share - surprise["membership"][name]) < 1e-9
    return bool(right)


def _catalogue(record: Mapping[str, Any], run: Path | None) -> Iterator[Check]:
    """The run's own list of its training images is that of the record, and holds no second copy."""
    if record.get("run") is None:
        return
    if run is None or not (run / FILE).is_file():
        yield Check("catalogue", None, f"the list of training images: no {FILE} beside the record")
        return
    index = read_index(run)
    same = index.fingerprint == record["run"].get("catalog")
    text = "is the one of the record" if same else "is not the one of the record"
    yield Check("catalogue", same, f"the run's list of {len(index):,} training images {text}")
    yield _no_equal(record, index, "the images that stayed", known=True)


def _data(record: Mapping[str, Any], data: Catalog | None) -> Iterator[Check]:
    """The data as they are now have none of the removed images.

    Where nothing has been removed yet, they may still hold them: that is nothing wrong.
    """
    if not record["ids"]:
        return
    if data is None:
        text = "the data as they are now: name them with --data to see whether the images are gone"
        yield Check("data", None, text)
        return
    what = f"the {len(data):,} images of {data.name}"
    check = _no_equal(record, data, what, known=False)
    if check.passed is False and (record.get("removal") or {}).get("path") is None:
        left, listed = len(_equal(record, data, known=False)), len(record["ids"])
        text = f"{what} hold {left} of the {listed} that {IDS} lists to be removed"
        check = Check(TO_REMOVE, None, text)
    yield check


def _no_equal(record: Mapping[str, Any], catalog: Catalog, what: str, known: bool) -> Check:
    """Check that no image has the bytes of a removed one; of a run's own list, none that stayed."""
    left = _equal(record, catalog, known)
    code = "retained" if known else "data"
    if left:
        named = ", ".join(left[:5])
        return Check(
            code, False, f"{what}: {len(left)} are the same file as a listed one ({named})"
        )
    return Check(code, True, f"{what}: none is the same file as a listed one")


def _equal(record: Mapping[str, Any], catalog: Catalog, known: bool) -> list[str]:
    gone = set(record["ids"].values())
    return [
        image_id
        for image_id, content in zip(catalog.ids, catalog.hashes, strict=True)
        if content in gone and not (known and image_id in record["ids"])
    ]


def _models(record: Mapping[str, Any], run: Path | None, given: Path | None) -> Iterator[Check]:
    """The models are those of the record, and the new one's own record lacks the images."""
    if record.get("run") is None or record["run"].get("model") is None:
        return
    places: list[tuple[str, str, Mapping[str, Any], Path | None]] = [
        ("model-before", "the model before", record["run"]["model"], None)
    ]
    removal = record.get("removal") or {}
    if removal.get("path") and removal.get("files") is not None:
        places.append(("model-after", "the model without the images", removal, given))
    elif given is not None:
        raise InputError("--model: this record says of no model that it is without the images")
    for code, words, about, named in places:
        inside = None if run is None else run / about["path"]
        if run and inside and not inside.resolve().is_relative_to(run.resolve()):
            yield Check(code, False, f"{words}: {about['path']} is not a folder of the run")
            continue
        folder = named or inside
        if named is not None and not named.is_dir():
            raise InputError(f"{named} is no folder; expected that of a saved model")
        if folder is None or not folder.is_dir():
            yield Check(code, None, f"{words}: its folder {about['path']} is not there")
            continue
        same = _same_files(about["files"], folder)
        text = "has the files of the record" if same else "has other files than the record"
        yield Check(code, same, f"{words} {text} ({len(about['files'])})")
        if code == "model-after":
            yield _lacks(record, folder)


def _same_files(known: Mapping[str, str], folder: Path) -> bool:
    return hashes_of(folder) == dict(known)


def _lacks(record: Mapping[str, Any], folder: Path) -> Check:
    code = "model-lacks-them"
    try:
        listed = set(removed_by(folder))
    except (OSError, ValueError):
        return Check(code, None, "what the model was made without: it keeps no removed.json")
    missing = set(record["ids"]) - listed
    if missing:
        return Check(
            code, False, f"the model's own record does not leave out {sorted(missing)[:5]}"
        )
    return Check(code, True, f"the model's own record leaves out all {len(record['ids'])} images")
