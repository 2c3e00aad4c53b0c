"""The copy test as a gate: is a picture too near to a training image to be let out?"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from untrain.core.errors import InputError
from untrain.core.notebook import facts_html
from untrain.core.outside import read_bytes

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from untrain.catalogs.base import Catalog
    from untrain.search.copy_detector.detector import Match
    from untrain.search.guard_calibration import GuardCalibration

    Picture = str | Path | bytes | np.ndarray | Image.Image

TOO_MANY = 0.2
"""Share of other pictures: where more are flagged, images are too alike for this test."""

IDENTICAL = "identical"
"""The kind of a copy with the very same bytes; others are those of the copy detector."""


@dataclass(frozen=True)
class Checked:
    """What a guard says of a picture.

    Attributes
    ----------
    name : str
    too_near : bool
        Do not let it out: its distance is at most the threshold.
    verdict : str
        Of the copy detector on the nearest image: ``copy``, ``copy_or_variant`` (the same except
        for its colours or something laid over it, as another colour of the same product is too),
        or ``similar``.
    nearest : str
        Id of the nearest training image, of those that were looked at.
    kinds : tuple of str
        How the picture differs from it, such as ``mirrored``; ``identical``: the same bytes. Empty
        if it is only similar.
    distance : float
        To the nearest: one minus the detector's score that it is a copy, from 0 to 1; of one that
        was saved again, one minus how well the two agree.
    threshold : float
    p_value : float or None
        Share of pictures that are no copies and as near; None where that was not measured.
    copies : tuple of str
        Ids of all training images that it is too near to, nearest first.
    seconds : float
    """

    name: str
    too_near: bool
    verdict: str
    nearest: str
    kinds: tuple[str, ...]
    distance: float
    threshold: float
    p_value: float | None
    copies: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


class Guard:
    """Training images that pictures are checked against; it stays open for any number of them.

    A picture is too near to a training image if the copy detector finds it to be that image, edited
    or not. In the mode ``fast`` it looks for whole pictures, straight and mirrored; parts of images
    and turned ones take the mode ``thorough``. How many of each are found is in
    `untrain.search.copy_detector.measured`; how often other pictures are flagged is measured on the
    data that are guarded (`false_positives`).

    Parameters
    ----------
    source : Catalog, Result, Experiment, str or Path
        A run, whose training images are guarded; or a catalogue, or the place of one.
    mode : {"fast", "thorough"}
    variants : bool
        Hold back, too, what is a copy except for its colours or something laid over it: a
        recoloured copy, and another colour or print of the same product.
    threshold : float, optional
        Greatest distance that is too near, from 0 to 1; default: as the detector was measured with.
    calibrated : bool
        Measure how often pictures that are no copies are flagged: once, some seconds, and then kept
        in the cache.

    Raises
    ------
    InputError
        There is no such run or data, or the threshold is not from 0 to 1.

    Notes
    -----
    Calls may come from several threads; they wait for each other.

    Examples
    --------
    >>> import untrain
    >>> guard = untrain.Guard("runs/micro")
    >>> guard.check("runs/micro/queries/p00/0.png").too_near
    False
    """

    def __init__(
        self,
        source: Catalog | Any,
        mode: str = "fast",
        variants: bool = False,
        threshold: float | None = None,
        calibrated: bool = True,
    ) -> None:
        from untrain.core.digests import DigestTable, digests_of
        from untrain.search.copy_detector.detector import CopyDetector
        from untrain.search.copy_detector.measured import threshold as least

        if threshold is not None and not 0 <= threshold < 1:
            raise InputError(
                f"the guard's threshold is {threshold}; expected a distance from 0 to less than 1"
            )
        self.catalog, self.held_out = _opened(source)
        self.detector = CopyDetector(self.catalog, mode)
        self.mode, self.variants = mode, variants
        self._sought = "copy_or_variant" if variants else "copy"
        self.threshold = 1 - least(mode) if threshold is None else float(threshold)
        self._lock = Lock()
        self._contents = DigestTable()
        self._contents.extend(digests_of(self.catalog.hashes))
        self.calibration: GuardCalibration | None = self._calibration() if calibrated else None

    @cached_property
    def false_positives(self) -> dict[str, Any] | None:
        """How often pictures that are no copies are flagged; None where it was not measured.

        As `untrain.search.guard_calibration.GuardCalibration.false_positives` says it.
        """
        return self.calibration.false_positives(self.threshold) if self.calibration else None

    def check(self, image: Picture, name: str = "") -> Checked:
        """Tell whether a picture is too near to a training image.

        Parameters
        ----------
        image : path, bytes of a file, Pillow image, or ndarray
            As `untrain.catalogs.pictures.pixels_of` takes it.
        name : str
            What the answer calls it; default: the name of the file.

        Raises
        ------
        InputError
            It is no picture.
        """
        from untrain.core.digests import digests_of

        start = time.perf_counter()
        pixels, digest = _read(image)
        name = name or (Path(image).name if isinstance(image, str | Path) else "picture")
        same = int(self._contents.find(digests_of([digest]))[0]) if digest else -1
        if same >= 0:
            nearest, distance, verdict = same, 0.0, "copy"
            kinds: tuple[str, ...] = (IDENTICAL,)
            near = [same]
        else:
            found = self._matches(pixels)
            distance, best = found[0]
            nearest, verdict, kinds = best.position, best.verdict, tuple(best.kinds)
            near = [match.position for d, match in found if d <= self.threshold]
        p_value = self.calibration.p_value(distance) if self.calibration else None
        return Checked(
            name=name,
            too_near=bool(near),
            verdict=verdict,
            nearest=self.catalog.ids[nearest],
            kinds=kinds,
            distance=distance,
            threshold=self.threshold,
            p_value=p_value,
            copies=tuple(self.catalog.ids[position] for position in near),
            seconds=time.perf_counter() - start,
        )

    @property
    def tells_apart(self) -> bool:
        """False if so many other pictures are flagged that being flagged says little."""
        wrong = self.false_positives
        return not wrong or (wrong["rate"] or 0) <= TOO_MANY

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what it guards, and how."""
        known = self.to_dict().items()
        return facts_html((n.replace("_", " "), str(v)) for n, v in known if n != "false_positives")

    def check_all(self, images: Mapping[str, Picture]) -> list[Checked]:
        """Return `check` of each picture, by name."""
        return [self.check(image, name) for name, image in images.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return what pictures are checked against and how, as JSON holds it."""
        return {
            "catalog": self.catalog.name,
            "images": len(self.catalog),
            "fingerprint": self.catalog.fingerprint,
            "mode": self.mode,
            "threshold": self.threshold,
            "variants": self.variants,
            "false_positives": self.false_positives,
            "tells_apart": self.tells_apart,
        }

    def _matches(self, pixels: np.ndarray) -> list[tuple[float, Match]]:
        """Return the images that were looked at with their distances, nearest first."""
        from untrain.core.threads import one_thread_a_product

        # The detector keeps images in hand, and lets go of them; and threads that meet at each of
        # its products would make an answer as late as the slowest of them.
        with self._lock, one_thread_a_product():
            found = self.detector.matches(pixels)
        told = [(self._distance(match, pixels), match) for match in found]
        return sorted(told, key=lambda f: (f[0], f[1].position))

    def _distance(self, match: Match, pixels: np.ndarray) -> float:
        """Return one minus the score of what is sought, or how little two laid over differ."""
        from untrain.search.calibration import is_reencoded
        from untrain.search.copy_detector.measured import score

        if match.kinds == ("same_pixels",):
            return 0.0
        over = match.overlay
        if match.verdict == "copy_or_variant":
            # The same edges. Of a small picture saved again the finest colours are others, and
            # only coarse ones tell that it has no other colours.
            laid = self._laid(match, pixels[:, ::-1] if match.laid.mirrored else pixels)
            if is_reencoded(laid)[0]:
                return 1 - float(laid[0, 0])
        if over.correlation < 0:  # they could not be laid over each other
            return 1.0
        found = score(over.evidence(self._sought == "copy"), self._sought)
        return 1 - (max(found, match.score) if match.verdict == "copy" else found)

    def _nearest(self, picture: np.ndarray, own: int) -> tuple[float, bool]:
        """Return how far the nearest image is that has other bytes, and whether it is the same."""
        from untrain.search.calibration import is_reencoded

        same, found = self.catalog.same_as, self._matches(picture)
        others = [f for f in found if own < 0 or same[f[1].position] != same[own]]
        if not others or others[0][0] > self.threshold:
            return others[0][0] if others else 1.0, False
        distance, match = others[0]
        return distance, bool(is_reencoded(self._laid(match, picture))[0])

    def _laid(self, match: Match, pixels: np.ndarray) -> np.ndarray:
        """Return `untrain.search.calibration.overlay` of a picture and an image, (1, 2)."""
        import numpy as np

        from untrain.search.calibration import overlay

        image = np.asarray(self.catalog.image(self.catalog.ids[match.position]))
        return np.array([overlay(pixels, image)])

    def _calibration(self) -> GuardCalibration:
        from untrain.core.cache import cached
        from untrain.core.files import fingerprint
        from untrain.search.copy_detector.measured import measured
        from untrain.search.copy_detector.structure import StructureEncoder
        from untrain.search.guard_calibration import VERSION, GuardCalibration, calibrate_guard

        held_out = self.held_out.fingerprint if self.held_out is not None else ""
        judged = measured()["models"]  # whose numbers are the distances
        how = fingerprint(
            *(self.mode, self._sought, self.threshold, judged, held_out),
            StructureEncoder.fingerprint,
        )
        what = f"calibration of the guard, {self.catalog.name}: {len(self.catalog):,} images"
        return cached(
            "indexes",
            f"{self.catalog.fingerprint}-{how}-guard",
            {"description": what, "catalog": self.catalog.name, "rows": len(self.catalog)},
            make=lambda: calibrate_guard(self.catalog, self.held_out, self._nearest),
            save=lambda made, path: made.save(path),
            load=GuardCalibration.load,
            version=VERSION,
        )[0]


def _opened(source: Any) -> tuple[Catalog, Catalog | None]:
    """Return the training images of a source, and what was held out of them."""
    from untrain.api.given import catalog_of
    from untrain.catalogs.base import Catalog
    from untrain.runs.find import RECORD, RUNS, find_run
    from untrain.runs.inputs import open_inputs, run_config

    if isinstance(source, Catalog):
        return source, None
    place = Path(getattr(source, "folder", source))
    if any((folder / RECORD).is_file() for folder in (place, RUNS / place)):
        inputs = open_inputs(run_config(find_run(place)))
        return inputs.train, inputs.held_out
    return catalog_of(place), None


def _read(image: Picture) -> tuple[np.ndarray, str]:
    """Return a picture's pixels, and the SHA-256 of its bytes where it is a file."""
    import numpy as np

    from untrain.catalogs.pictures import local_path, pixels_of
    from untrain.core.images import decode

    if isinstance(image, bytes):
        return np.asarray(decode(image, "picture")), hashlib.sha256(image).hexdigest()
    pixels = pixels_of(image)  # which says what is wrong with it
    if not isinstance(image, str | Path):
        return pixels, ""
    data = read_bytes(local_path(image).expanduser())
    return pixels, hashlib.sha256(data).hexdigest()
