"""Keeping images out of a catalogue: those on opt-out lists, and their byte-identical copies.

It is done once the catalogue is read, whatever its format: a listing does not depend on the lists,
so that a list that grew costs nothing but its own reading. What was kept out is in
`Catalog.excluded`, and in the fingerprint, which is that of what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from untrain.catalogs.base import Catalog, Exclusion
from untrain.catalogs.choice import as_text
from untrain.catalogs.columns import Lookup, Texts
from untrain.catalogs.content import md5_of
from untrain.catalogs.opt_out import OptOutList, read_opt_out, wrong_hash
from untrain.core.errors import InputError, closest
from untrain.core.notes import Note

URLS = ("url", "image_url", "img_url", "source_url", "coco_url", "flickr_url", "uri", "link")
"""Columns of a catalogue that say where an image is from, whatever the case."""
NAMED = 100  # entries without an image that are kept by name
GUESSED = 5  # of these, ids for which a near one is looked for

Rows = Mapping[str, Sequence[int]]
"""From the value of a key to the images that it is of."""


def exclude(catalog: Catalog, lists: Sequence[Path | str]) -> Catalog:
    """Return a catalogue without the images on opt-out lists.

    Byte-identical copies of an image that is on one go with it. A list may name what the
    catalogue does not have: that is counted, not refused.

    Parameters
    ----------
    catalog : Catalog
    lists : sequence of Path
        As `read_opt_out` takes them.

    Raises
    ------
    InputError
        A list cannot be read, names images by what the catalogue does not know (URLs where it has
        no column of them, paths where its images are no files), or nothing is left.
    """
    out = np.zeros(len(catalog), bool)
    told = []
    for listed in map(read_opt_out, lists):
        exclusion, rows = matched(catalog, listed)
        out[rows] = True
        told.append(exclusion)
    return without(catalog, out, told)


def without(catalog: Catalog, out: np.ndarray, told: Iterable[Exclusion]) -> Catalog:
    """Return a catalogue without the images at ``out``, bool (n,), and with what is told of them.

    Raises
    ------
    InputError
        Nothing is left.
    """
    told = tuple(told)
    if out.all():
        raise InputError(
            f"{catalog.name}: all {len(catalog):,} images are excluded by "
            f"{' and '.join(each.source for each in told)}: there is nothing to train on"
        )
    kept = catalog.rows(np.flatnonzero(~out)) if out.any() else catalog
    return replace(kept, excluded=(*catalog.excluded, *told))


def notes_of(catalog: Catalog) -> list[Note]:
    """Return what was kept out of a catalogue, and which entries of lists no image answers to."""
    found = []
    for each in catalog.excluded:
        found.append(Note("data-excluded", in_words(each), each.images[:NAMED]))
        if each.unmatched:
            found.append(Note("exclude-unmatched", unmatched_in_words(each), each.missing))
    return found


def in_words(told: Exclusion) -> str:
    """Say how many images a list or a reservation excludes."""
    images, copies = len(told.images), len(told.copies)
    also = f" and {_counted(copies, 'byte-identical copy', 'byte-identical copies')}"
    what = f"{told.source} excludes {_counted(images, 'image')}{also if copies else ''}"
    by = [f"{n:,} by {kind}" for kind, n in told.kinds.items()]
    if not told.digest:
        says = ", ".join(f"{n:,} {kind}" for kind, n in told.kinds.items())
        return f"{what}; of training the images say: {says or 'nothing'}"
    by += [f"{told.unmatched:,} name no image"] * bool(told.unmatched)
    unread = f"; columns not read: {', '.join(told.unread)}" if told.unread else ""
    return f"{what}; its {_counted(told.entries, 'entry', 'entries')}: {', '.join(by)}{unread}"


def unmatched_in_words(told: Exclusion) -> str:
    """Say which entries of a list no image answers to."""
    shown = ", ".join(
        f"'{each}'" + (f" (did you mean '{told.hints[each]}'?)" if each in told.hints else "")
        for each in told.missing[:GUESSED]
    )
    more = f", … ({told.unmatched:,})" if told.unmatched > GUESSED else ""
    entries = _counted(told.unmatched, "entry names", "entries name")
    return f"{told.source}: {entries} no image of the catalogue: {shown}{more}"


def _counted(number: int, what: str, several: str = "") -> str:
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def matched(catalog: Catalog, listed: OptOutList) -> tuple[Exclusion, np.ndarray]:
    """Return what a list has to do with a catalogue, and the images it keeps out, int64."""
    finders = _Finders(catalog, listed)
    rows: set[int] = set()
    kinds: dict[str, int] = {}
    missing: list[str] = []
    ids: list[str] = []
    unmatched = 0
    for at, keys in enumerate(listed.entries):
        found: list[tuple[str, Sequence[int]]] = []
        for kind, value in keys:
            # A line that is an id need not be a hash too, for which all images would be read.
            if kind == "md5" and found and value == keys[0][1].lower():
                continue
            if hits := finders.find(kind, value):
                found.append((kind, hits))
        if found:
            kinds[found[0][0]] = kinds.get(found[0][0], 0) + 1
            rows.update(row for _, hits in found for row in hits)
            continue
        if any(kind == "hex" for kind, _ in keys):
            raise wrong_hash(listed, at)
        unmatched += 1
        if len(missing) < NAMED:
            missing.append(keys[0][1])
            ids += [keys[0][1]] if keys[0][0] == "id" else []
    named = np.array(sorted(rows), np.int64)
    every = np.flatnonzero(np.isin(catalog.same_as, catalog.same_as[named]))
    hints = {i: near for i in ids[:GUESSED] if (near := closest(i, catalog.ids))}
    exclusion = Exclusion(
        source=str(listed.path),
        digest=listed.digest,
        entries=len(listed.entries),
        images=tuple(catalog.ids[row] for row in named.tolist()),
        copies=tuple(catalog.ids[row] for row in np.setdiff1d(every, named).tolist()),
        kinds=kinds,
        unmatched=unmatched,
        missing=tuple(missing),
        hints=hints,
        unread=listed.unread,
    )
    return exclusion, every


class _Finders:
    """The images of a catalogue by id, hash, URL, domain and path; each made when it is needed."""

    def __init__(self, catalog: Catalog, listed: OptOutList) -> None:
        self._catalog, self._listed = catalog, listed
        self._made: dict[str, Callable[[str], Sequence[int]]] = {}

    def find(self, kind: str, value: str) -> Sequence[int]:
        """Return the positions of the images with a key."""
        if kind == "hex":  # a line of text that may be a hash, of a kind that is not compared
            return ()
        if kind not in self._made:
            self._made[kind] = getattr(self, f"_by_{kind}")()
        return self._made[kind](value)

    def _wanted(self, kind: str) -> set[str]:
        return {v for keys in self._listed.entries for k, v in keys if k == kind}

    def _by_id(self) -> Callable[[str], Sequence[int]]:
        index = self._catalog.index

        def find(image_id: str) -> Sequence[int]:
            if image_id in index:
                return (index[image_id],)
            rows: list[int] = []  # several captions of an image are pairs of their own
            while (numbered := f"{image_id}#{len(rows)}") in index:
                rows.append(index[numbered])
            return rows

        return find

    def _by_sha256(self) -> Callable[[str], Sequence[int]]:
        return _looked_up(_among(self._catalog.hashes, self._wanted("sha256")))

    def _by_md5(self) -> Callable[[str], Sequence[int]]:
        own = column_of(self._catalog, ("md5",))
        texts = map(str.lower, own) if own is not None else md5_of(self._catalog)
        return _looked_up(_among(texts, self._wanted("md5")))

    def _by_url(self) -> Callable[[str], Sequence[int]]:
        wanted = {plain_url(value) for value in self._wanted("url")}
        rows = _among(map(plain_url, self._urls("URLs")), wanted)
        return lambda url: rows.get(plain_url(url), ())

    def _by_domain(self) -> Callable[[str], Sequence[int]]:
        wanted = {value.lower().strip(".") for value in self._wanted("domain")}
        rows: dict[str, list[int]] = {}
        for row, url in enumerate(self._urls("domains")):
            for domain in _domains(url):
                if domain in wanted:
                    rows.setdefault(domain, []).append(row)
        return lambda domain: rows.get(domain.lower().strip("."), ())

    def _by_path(self) -> Callable[[str], Sequence[int]]:
        rows: dict[str, list[int]] = {}
        wanted = {_parts(value)[-1] for value in self._wanted("path") if _parts(value)}
        paths = paths_of(self._catalog)
        if paths is None:
            raise self._unknown("paths", "its images are no files of their own")
        full = list(paths)
        for row, path in enumerate(full):
            if (name := path.rpartition("/")[2]) in wanted:
                rows.setdefault(name, []).append(row)

        def find(path: str) -> Sequence[int]:
            parts = _parts(path)
            hits = rows.get(parts[-1], ()) if parts else ()
            if parts[:1] != [""]:
                return [row for row in hits if full[row].endswith("/" + "/".join(parts))]
            there = Path("/".join(parts)).resolve().as_posix()
            return [row for row in hits if full[row] == there]

        return find

    def _urls(self, what: str) -> Sequence[str]:
        found = url_column(self._catalog)
        if found is None:
            raise self._unknown(what, f"it has no column of URLs ({', '.join(URLS)})")
        return found

    def _unknown(self, what: str, why: str) -> InputError:
        known = ", ".join(map(str, self._catalog.attributes.columns)) or "none"
        return InputError(
            f"{self._listed.path} lists {what}, but of the catalogue {self._catalog.name} none are "
            f"known: {why}; its columns: {known}. List ids or SHA-256 instead"
        )


def url_column(catalog: Catalog) -> Sequence[str] | None:
    """Return where each image is from, as a catalogue says it; None if it does not."""
    return column_of(catalog, URLS)


def column_of(catalog: Catalog, names: Sequence[str]) -> Sequence[str] | None:
    """Return the first of the columns ``names`` that there is, whatever the case, as text."""
    folded = {str(name).casefold(): name for name in catalog.attributes.columns}
    name = next((folded[each] for each in names if each in folded), None)
    return None if name is None else [as_text(value) for value in catalog.attributes[name]]


def _among(texts: Iterable[str], wanted: set[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        if text in wanted:
            rows.setdefault(text, []).append(row)
    return rows


def _looked_up(rows: Rows) -> Callable[[str], Sequence[int]]:
    return lambda value: rows.get(value, ())


def plain_url(url: str) -> str:
    """Return a URL without what does not tell where it leads: scheme, port, case of the host, …

    Examples
    --------
    >>> plain_url("HTTPS://Example.com:443/a%20b.jpg#top")
    'example.com/a b.jpg'
    """
    try:
        parts = urlsplit(url.strip() if "://" in url else f"//{url.strip()}")
        host = parts.hostname or ""
    except ValueError:
        return url.strip()
    query = f"?{parts.query}" if parts.query else ""
    return f"{host}{unquote(parts.path).rstrip('/')}{query}"


def domain_of(url: str) -> str:
    """Return the domain that a URL leads to, in lower case; empty if it leads to none."""
    return plain_url(url).partition("/")[0].partition("?")[0]


def _domains(url: str) -> list[str]:
    """Return the domain of a URL and those above it."""
    parts = domain_of(url).split(".")
    return [".".join(parts[at:]) for at in range(len(parts))]


def _parts(path: str) -> list[str]:
    plain = path.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    return ["", *parts] if plain.startswith("/") and parts else parts


def paths_of(catalog: Catalog) -> Iterable[str] | None:
    """Return the path of each image's file, within its zip if it is in one; None: they are none."""
    read: Any = catalog.read
    base, files = getattr(read, "folder", getattr(read, "path", None)), getattr(read, "files", None)
    if base is None or files is None or not len(catalog):
        return None
    if isinstance(files, Lookup):
        if "place.name" not in files.table.column_names:
            return None
        names = dict(zip(files.ids, Texts(files.table["place.name"]), strict=True))
    else:
        names = files
    first = names[catalog.ids[0]]
    if not isinstance(first, str) and not hasattr(first, "name"):
        return None
    above = Path(base).resolve().as_posix()
    plain = (getattr(names[i], "name", names[i]) for i in catalog.ids)
    return (n if n.startswith("/") else f"{above}/{n}" for n in plain)
