"""Where the pictures of a request are in the data: themselves, their copies, what is nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.files import fingerprint
from untrain.search.trace import trace
from untrain.takedowns.parts import UNUSED
from untrain.takedowns.request import Request

SAME_FILE, SAME_PIXELS, NEAR = "same-file", "same-pixels", "near-copy"
SAME_CONTENT = "same-content"
"""Byte-identical to an image that was found: another row of the data with the same file."""
NEAREST = "nearest"
"""No copy of the kinds that are looked for: what comes nearest."""
SHOWN = 3  # nearest images of a picture that has no copy


@dataclass(frozen=True)
class Match:
    """An image of the data beside a picture of the request.

    Attributes
    ----------
    picture, image_id : str
    part : {'training', 'held-out', 'unused'}
        Where the image is in the run: trained on, held out, or left out of its part of the data.
    kind : str
        What it is to the picture.
    copy : bool
        Whether it counts as the picture itself or a copy of it.
    score : float
        Cosine of their features, −1 to 1.
    evidence : str
        What it was told by.
    content : str
        The hash of its bytes, as the catalogue has it.
    caption : str
    """

    picture: str
    image_id: str
    part: str
    kind: str
    copy: bool
    score: float
    evidence: str
    content: str
    caption: str


@dataclass(frozen=True)
class Found:
    """What was found of a request.

    Attributes
    ----------
    matches : tuple of Match
        By picture in the order of the request; copies first, of a picture without any the nearest.
    about : dict
        What was searched, how many images, and by what.
    """

    matches: tuple[Match, ...]
    about: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {"matches": [asdict(match) for match in self.matches], "about": self.about}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Found:
        """Return what `to_dict` was made of."""
        return cls(tuple(Match(**match) for match in values["matches"]), dict(values["about"]))

    def copies(self, part: str | None = None) -> list[Match]:
        """Return the images that count as copies, of one part or of all."""
        return [m for m in self.matches if m.copy and part in (None, m.part)]


def find(request: Request, catalog: Catalog, parts: Mapping[str, str]) -> Found:
    """Find the pictures of a request, and copies of them, in a catalogue.

    Parameters
    ----------
    request : Request
    catalog : Catalog
        All of the data, whatever a run made of it.
    parts : mapping of str to str
        The part of each image that is neither unused: by id ``training`` or ``held-out``.
    """
    found = trace(request, catalog, top=10)
    sizes = {asked.name: asked for asked in request.pictures}
    matches: list[Match] = []
    for name, hits in found.table.groupby("query", sort=False):
        asked = sizes[str(name)]
        own = [
            _match(hit, asked.sha256, asked.pixels, catalog, parts)
            for hit in hits.to_dict("records")
        ]
        copies = [match for match in own if match.copy]
        matches += copies or own[:SHOWN]
    matches += _same_content(matches, catalog, parts)
    order = {name: place for place, name in enumerate(request)}
    matches.sort(key=lambda match: (order[match.picture], not match.copy))
    about = {
        "catalog": catalog.name,
        "images": len(catalog),
        "fingerprint": catalog.fingerprint,
        "by": found.about["encoder"],
        "kinds": [SAME_FILE, SAME_PIXELS, NEAR],
    }
    return Found(tuple(matches), about)


def _match(
    hit: Mapping[Any, Any], sha256: str, pixels: str, catalog: Catalog, parts: Mapping[str, str]
) -> Match:
    image_id = str(hit["image_id"])
    content = catalog.hashes[catalog.index[image_id]]
    kind, evidence = NEAREST, "nothing of the kinds that are looked for"
    if content == sha256:
        kind, evidence = SAME_FILE, "the files are equal, byte for byte"
    elif hit["distance"] < 1e-3 and _pixels(catalog, image_id) == pixels:
        kind, evidence = SAME_PIXELS, "every pixel is equal; the files are not"
    elif hit["near_copy"]:
        kind, evidence = NEAR, "nearer than unrelated images are, and alike laid over each other"
    copy = kind != NEAREST
    score = 1 - float(hit["distance"])
    part = parts.get(image_id, UNUSED)
    return Match(
        str(hit["query"]), image_id, part, kind, copy, score, evidence, content, hit["caption"]
    )


def _pixels(catalog: Catalog, image_id: str) -> str:
    return fingerprint(np.asarray(catalog.image(image_id)))


def _same_content(matches: list[Match], catalog: Catalog, parts: Mapping[str, str]) -> list[Match]:
    """Return the images with the very bytes of one that was found and that are not listed yet."""
    known = {(match.picture, match.image_id) for match in matches}
    rows = pd.Series(np.arange(len(catalog))).groupby(catalog.same_as).groups
    more = []
    for match in [match for match in matches if match.copy]:
        first = int(catalog.same_as[catalog.index[match.image_id]])
        for row in rows[first]:
            image_id = catalog.ids[int(row)]
            if (match.picture, image_id) in known:
                continue
            known.add((match.picture, image_id))
            more.append(
                Match(
                    match.picture,
                    image_id,
                    parts.get(image_id, UNUSED),
                    SAME_CONTENT,
                    True,
                    match.score,
                    f"the same file as {match.image_id}",
                    match.content,
                    catalog.captions[int(row)],
                )
            )
    return more
