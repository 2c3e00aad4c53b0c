"""Where the pictures of a request are in the data: themselves, their copies, what is nearest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.search.copy_detector import CopyDetector, measured
from untrain.search.trace import trace
from untrain.takedowns.parts import UNUSED
from untrain.takedowns.request import Request

IDENTICAL, SAME_PIXELS, NEAREST = "identical", "same_pixels", "nearest"
COPY, SIMILAR = "copy", "similar"
EXACT = (IDENTICAL, SAME_PIXELS)
NEAR = "near"
COPIES = (NEAR, "exact")
"""What counts as a copy: edited ones too, or only equal files and pixels."""
FIRST = 50  # copies of a picture
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
        What was done to it, in the words of `untrain.search.copy_detector.KINDS` with spaces
        between them; ``nearest`` if it is no copy as far as can be told.
    verdict : {'copy', 'copy_or_variant', 'similar'}
        Of the copy detector; a variant may be another colour of the same thing.
    copy : bool
        Whether it counts as the picture itself or a copy of it.
    score : float or None
        Of the copy detector, 0 to 1; None where only the features were compared.
    agreement, share, scale, angle : float or None
        How the detector laid one over the other: agreement of their edges, share of the picture
        that agrees, relative size, degrees turned.
    by_way_of : str
        The image of the data that it is a copy of, where the picture itself did not find it.
    content : str
        The hash of its bytes, as the catalogue has it.
    caption : str
    """

    picture: str
    image_id: str
    part: str
    kind: str
    verdict: str
    copy: bool
    score: float | None
    agreement: float | None
    share: float | None
    scale: float | None
    angle: float | None
    by_way_of: str
    content: str
    caption: str


@dataclass(frozen=True)
class Found:
    """What was found of a request.

    Attributes
    ----------
    matches : tuple of Match
        By picture in the order of the request: what counts as a copy first, then what looks like
        one; of a picture without any copy what is nearest.
    about : dict
        What was searched, how many images, by what, and what is known of its errors.
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


def find(request: Request, catalog: Catalog, parts: Mapping[str, str], copies: str = NEAR) -> Found:
    """Find the pictures of a request, and copies of them, in a catalogue.

    Parameters
    ----------
    request : Request
    catalog : Catalog
        All of the data, whatever a run made of it.
    parts : mapping of str to str
        The part of each image that is not unused: by id ``training`` or ``held-out``.
    copies : {'near', 'exact'}
        What counts as a copy.
    """
    search = _Search(catalog, parts, copies)
    found = {asked.name: list(search.of(asked.name, asked.path)) for asked in request.pictures}
    for name, own in found.items():
        found[name] = own + list(search.by_way_of(name, own))
    without = [name for name, own in found.items() if all(m.verdict == SIMILAR for m in own)]
    for name, nearest in search.nearest(request, without).items():
        known = {match.image_id for match in found[name]}
        more = [match for match in nearest if match.image_id not in known]
        found[name] = (found[name] + more)[:SHOWN]
    matches = [
        match for own in found.values() for match in sorted(own, key=lambda match: not match.copy)
    ]
    about = {
        "catalog": catalog.name,
        "images": len(catalog),
        "fingerprint": catalog.fingerprint,
        "copies": copies,
        "detector": _known_of(search.detector.mode),
    }
    return Found(tuple(matches), about)


def _known_of(mode: str) -> dict[str, Any]:
    """Return what was measured of the detector: recall by edit, and how often it errs."""
    whole = measured()
    of_mode = whole["modes"][mode]
    return {
        "mode": mode,
        "images": whole.get("images"),
        "false_positives": of_mode.get("false_positives"),
        "recall": of_mode.get("recall") or [],
    }


class _Search:
    """A catalogue that stays open for the pictures of a request."""

    def __init__(self, catalog: Catalog, parts: Mapping[str, str], copies: str) -> None:
        self.catalog, self.parts, self.copies = catalog, parts, copies
        self.detector = CopyDetector(catalog)

    def of(self, name: str, picture: Any) -> Iterator[Match]:
        """Yield the copies of a picture, or the image that is most like it."""
        for row in self.detector.find({name: picture}, top=FIRST).to_dict("records"):
            yield self._match(name, row)

    def by_way_of(self, name: str, found: Sequence[Match]) -> Iterator[Match]:
        """Yield copies of the copies: an edited picture can be too far from another edit."""
        known = {match.image_id for match in found}
        # The picture itself has found what its own pixels find.
        contents = {match.content for match in found if match.kind in EXACT}
        for match in [match for match in found if match.copy]:
            if match.content in contents:  # equal images find the same
                continue
            contents.add(match.content)
            pixels = np.asarray(self.catalog.image(match.image_id))
            for row in self.detector.find({name: pixels}, top=FIRST).to_dict("records"):
                if row["verdict"] == COPY and row["image_id"] not in known:
                    known.add(row["image_id"])
                    yield replace(self._match(name, row), by_way_of=match.image_id)

    def nearest(self, request: Request, names: Sequence[str]) -> dict[str, list[Match]]:
        """Return the images nearest by features to pictures that have no copy."""
        if not names:
            return {}
        found = trace(
            {name: request[name] for name in names}, self.catalog, top=SHOWN, edited="none"
        ).table
        return {
            name: [
                self._match(name, {"image_id": image_id, "verdict": SIMILAR, "kinds": ""})
                for image_id in found[found["query"] == name]["image_id"]
            ]
            for name in names
        }

    def _match(self, name: str, row: Mapping[Any, Any]) -> Match:
        image_id, verdict = str(row["image_id"]), str(row["verdict"])
        at = self.catalog.index[image_id]
        kind = NEAREST if verdict == SIMILAR else str(row["kinds"])
        numbers = {key: row.get(key) for key in ("score", "agreement", "share", "scale", "angle")}
        return Match(
            picture=name,
            image_id=image_id,
            part=self.parts.get(image_id, UNUSED),
            kind=kind,
            verdict=verdict,
            copy=verdict == COPY and (self.copies == NEAR or kind in EXACT),
            **{key: None if value is None else float(value) for key, value in numbers.items()},
            by_way_of="",
            content=self.catalog.hashes[at],
            caption=self.catalog.captions[at],
        )
