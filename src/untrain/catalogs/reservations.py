"""Reservations that images carry: "do not train" in C2PA manifests and in XMP.

C2PA (section on the training and data mining assertion; now `cawg.training-mining` of the Creator
Assertions Working Group) signs statements into a file; the official library reads them. XMP has the
property DataMining of the PLUS coalition, which IPTC adopted. Neither is fetched from anywhere:
what stands in a side-car file, on a server or in a site's robots.txt or tdmrep.json is not read.

What cannot be verified is honoured all the same: a forged "do not train" costs an image, a missed
one a right.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from xml.etree import ElementTree

import numpy as np

from untrain.catalogs.base import Catalog, Exclusion
from untrain.catalogs.content import facts_of
from untrain.catalogs.exclude import without
from untrain.core.errors import InputError, did_you_mean

NOTHING, PERMITS, UNREADABLE, CONSTRAINS, FORBIDS = range(5)
WORDS = ("nothing", "permitted", "unreadable", "constrained", "forbidden")
"""What an image says, as it is kept, and in words: of several, the last counts."""
OUT = (FORBIDS, CONSTRAINS)  # whether a constraint is met cannot be told here

TRAINING = ("ai_training", "ai_generative_training", "data_mining")
"""Entries of the assertion that are about training; that on inference is not."""
MINING = re.compile(r"(c2pa|cawg)\.training-mining(__\d+)?")
PLUS = "http://ns.useplus.org/ldf/xmp/1.0/"
PACKET = re.compile(rb"<x:xmpmeta\b.*?</x:xmpmeta\s*>", re.DOTALL)
LONGEST = 2**22  # bytes of a packet
OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
"""Nothing is fetched: neither manifests that lie elsewhere nor the state of certificates."""
FORMATS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"RIFF": "image/webp",
}


@dataclass(frozen=True)
class Reservation:
    """A kind of reservation: what it is kept under, and how the bytes of an image are read."""

    version: str
    read: Callable[[bytes], int]


def respect(catalog: Catalog, kinds: Sequence[str]) -> Catalog:
    """Return a catalogue without the images that say that they must not be trained on.

    Parameters
    ----------
    catalog : Catalog
        Every image is read once; what it says is kept in the cache by its content.
    kinds : sequence of str
        Of `KINDS`.

    Raises
    ------
    InputError
        An unknown kind, the library for it is not installed, or nothing is left.
    """
    out = np.zeros(len(catalog), bool)
    told = []
    for kind in dict.fromkeys(kinds):
        if kind not in KINDS:
            raise InputError(f"unknown reservation '{kind}'{did_you_mean(kind, KINDS)}")
        found = said(catalog, kind)
        named = np.isin(found, OUT)
        out |= named
        counts = np.bincount(found, minlength=len(WORDS))
        told.append(
            Exclusion(
                source=kind,
                entries=int((found != NOTHING).sum()),
                images=tuple(catalog.ids[row] for row in np.flatnonzero(named).tolist()),
                kinds={
                    w: int(n) for w, n in zip(WORDS, counts, strict=True) if n and w != WORDS[0]
                },
            )
        )
    return without(catalog, out, told)


def said(catalog: Catalog, kind: str) -> np.ndarray:
    """Return what each image says of training, uint8 (n,): a place in `WORDS`."""
    how = KINDS[kind]()
    found = facts_of(
        catalog,
        f"{kind} {how.version}",
        {"said": ("uint8", 1)},
        lambda data: (how.read(data),),
        f"reading reservations ({kind})",
    )
    return found["said"][:, 0]


def _xmp() -> Reservation:
    return Reservation("1", read_xmp)


def read_xmp(data: bytes) -> int:
    """Return what the property DataMining of an image's XMP says."""
    found = [_mining(packet.group()) for packet in PACKET.finditer(data)]
    return max(found, default=NOTHING)


def _mining(packet: bytes) -> int:
    if b"DataMining" not in packet:
        return NOTHING
    # Entities could make a small packet large.
    if len(packet) > LONGEST or b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return UNREADABLE
    try:
        values = list(_values(ElementTree.fromstring(packet)))
    except ElementTree.ParseError:
        return UNREADABLE
    return max((_verdict(value) for value in values), default=NOTHING)


def _values(root: ElementTree.Element) -> Iterator[str]:
    """Yield the values of the property: of an attribute, a text, or the resource that it names."""
    name = f"{{{PLUS}}}DataMining"
    for element in root.iter():
        if name in element.attrib:
            yield element.attrib[name]
        if element.tag == name:
            inside = [
                text for each in element.iter() for text in (each.text, *each.attrib.values())
            ]
            yield " ".join(text.strip() for text in inside if text)


def _verdict(value: str) -> int:
    """Return what a value says: a term of the vocabulary (DMI-…), or its label in English."""
    text = value.upper()
    if "PROHIBITED" not in text:
        return PERMITS if value.strip() else NOTHING
    return CONSTRAINS if "SEE" in text.replace("EXCEPTSEARCH", "") else FORBIDS


def _c2pa() -> Reservation:
    """Return how manifests are read by the official library."""
    try:
        import c2pa
    except ImportError:
        raise InputError(
            "reservations in C2PA manifests are read by the package c2pa-python, which is not "
            "installed: pip install 'untrain[c2pa]'"
        ) from None

    def read(data: bytes) -> int:
        if b"jumb" not in data:  # the box that a manifest lies in
            return NOTHING
        try:
            kind = next((f for start, f in FORMATS.items() if data.startswith(start)), "image/jpeg")
            context = c2pa.Context.from_dict(OFFLINE)  # one each: threads need not share it
            with context, c2pa.Reader(kind, io.BytesIO(data), context=context) as reader:
                return read_manifests(json.loads(reader.json()))
        except c2pa.C2paError as error:
            return NOTHING if "ManifestNotFound" in str(error) else UNREADABLE
        except ValueError:
            return UNREADABLE

    return Reservation(version("c2pa-python"), read)


def read_manifests(store: dict[str, Any]) -> int:
    """Return what a store of manifests says: the active one, and those of the file it was made of.

    An edited picture answers to what its original said; pictures that were put into it do not
    speak for the whole.
    """
    manifests = store.get("manifests", {})
    label, seen, found = store.get("active_manifest"), set[Any](), [NOTHING]
    while label in manifests and label not in seen:
        seen.add(label)
        manifest = manifests[label]
        found += [_assertion(each) for each in manifest.get("assertions", ())]
        parents = (
            i for i in manifest.get("ingredients", ()) if i.get("relationship") == "parentOf"
        )
        label = next((i.get("active_manifest") for i in parents), None)
    said = max(found)
    return said if said != NOTHING or not seen else PERMITS


def _assertion(assertion: dict[str, Any]) -> int:
    if not MINING.fullmatch(str(assertion.get("label", ""))):
        return NOTHING
    entries = (assertion.get("data") or {}).get("entries") or {}
    uses = {
        str(entry.get("use", ""))
        for name, entry in entries.items()
        if name.rpartition(".")[2] in TRAINING and isinstance(entry, dict)
    }
    if "notAllowed" in uses:
        return FORBIDS
    return CONSTRAINS if "constrained" in uses else PERMITS


KINDS: dict[str, Callable[[], Reservation]] = {"c2pa": _c2pa, "xmp": _xmp}
"""The reservations that can be read."""
