"""The copy test as a gate: is a picture too near to a training image to be let out?"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from untrain.core.errors import InputError, did_you_mean

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
    nearest : str
        Id of the nearest training image, of those that were looked at.
    kinds : tuple of str
        How the picture differs from it, such as ``mirrored``; ``identical``: the same bytes. Empty
        if it is no copy.
    distance : float
        To the nearest that counts, 0 (the same) to 1; 1 if none does.
    threshold : float
    p_value : float or None
        Share of pictures that are no copies and as near; None where that was not measured.
    copies : tuple of str
        Ids of all training images that it is too near to, nearest first.
    seconds : float
    """

    name: str
    too_near: bool
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
    or not. In the mode ``fast`` it looks for whole pictures: re-encoded, resized, recoloured,
    mirrored, blurred; parts of images and turned ones take the mode ``thorough``. How many of each
    are found is in `untrain.search.copy_detector.measured`; how often other pictures are flagged is
    measured on the data that are guarded (`false_positives`).

    Parameters
    ----------
    source : Catalog, Result, Experiment, str or Path
        A catalogue; or a run, whose training images are guarded.
    mode : {"fast", "thorough"}
    threshold : float, optional
        Greatest distance that is too near, from 0 to 1; default: as it was measured with.
    calibrated : bool
        Measure how often pictures that are no copies are flagged: once, some seconds, and then kept
        in the cache.
    ignore : collection of str
        Kinds of edits that make a picture another one: ``{"recoloured"}`` where the same shape in
        another colour is another product. Names of `untrain.search.copy_detector.KINDS`.

    Raises
    ------
    InputError
        There is no such run, its data cannot be opened, the threshold is not from 0 to 1, or there
        is no such kind of edit.

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
        threshold: float | None = None,
        calibrated: bool = True,
        ignore: Collection[str] = (),
    ) -> None:
        from untrain.core.digests import DigestTable, digests_of
        from untrain.search.copy_detector import KINDS
        from untrain.search.copy_detector.detector import CopyDetector
        from untrain.search.copy_detector.measured import threshold as least_score

        if threshold is not None and not 0 <= threshold < 1:
            raise InputError(
                f"the guard's threshold is {threshold}; expected a distance from 0 to less than 1"
            )
        for kind in ignore:
            if kind not in KINDS:
                raise InputError(f"unknown kind of edit '{kind}'{did_you_mean(kind, KINDS)}")
        self.ignore = frozenset(ignore)
        self.catalog, self.held_out = _opened(source)
        self.detector = CopyDetector(self.catalog, mode)
        self.threshold = 1 - least_score(mode) if threshold is None else float(threshold)
        self.mode = mode
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
        image : path, bytes of a file, ndarray of uint8 (H×W×3), or Pillow image
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
            nearest, distance, kinds, near = same, 0.0, [IDENTICAL], [same]
        else:
            found = self._matches(pixels)
            counted = [match for match in found if self._counts(match)]
            best = (counted or found)[0]
            nearest, kinds = best.position, [*best.kinds]
            distance = _distance(best) if counted else 1.0
            near = [m.position for m in counted if _distance(m) <= self.threshold]
        p_value = self.calibration.p_value(distance) if self.calibration else None
        return Checked(
            name=name,
            too_near=bool(near),
            nearest=self.catalog.ids[nearest],
            kinds=tuple(kinds),
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
            "ignore": sorted(self.ignore),
            "false_positives": self.false_positives,
            "tells_apart": self.tells_apart,
        }

    def _matches(self, pixels: np.ndarray) -> list[Match]:
        from untrain.core.threads import one_thread_a_product

        # The detector keeps images in hand, and lets go of them; and threads that meet at each of
        # its products would make an answer as late as the slowest of them.
        with self._lock, one_thread_a_product():
            return self.detector.matches(pixels)

    def _counts(self, match: Match) -> bool:
        return not self.ignore.intersection(match.kinds)

    def _nearest(self, picture: np.ndarray, own: int) -> tuple[float, bool]:
        """Return how far the nearest image is that has other bytes, and whether it is the same."""
        import numpy as np

        from untrain.search.calibration import is_reencoded, overlay

        same = self.catalog.same_as
        others = [m for m in self._matches(picture) if own < 0 or same[m.position] != same[own]]
        found = [match for match in others if self._counts(match)]
        if not found:
            return 1.0, False
        distance = _distance(found[0])
        if distance > self.threshold:
            return distance, False
        image = np.asarray(self.catalog.image(self.catalog.ids[found[0].position]))
        return distance, bool(is_reencoded(np.array([overlay(picture, image)]))[0])

    def _calibration(self) -> GuardCalibration:
        from untrain.core.cache import cached
        from untrain.core.files import fingerprint
        from untrain.search.copy_detector.structure import StructureEncoder
        from untrain.search.guard_calibration import VERSION, GuardCalibration, calibrate_guard

        held_out = self.held_out.fingerprint if self.held_out is not None else ""
        asked = [self.mode, self.threshold, sorted(self.ignore)]
        how = fingerprint(asked, held_out, StructureEncoder.fingerprint)
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


def _distance(match: Match) -> float:
    return 1 - max(0.0, min(1.0, float(match.score)))


def _opened(source: Any) -> tuple[Catalog, Catalog | None]:
    """Return the training images of a source, and what was held out."""
    from untrain.catalogs.base import Catalog
    from untrain.runs.find import find_run
    from untrain.runs.inputs import open_inputs, run_config

    if isinstance(source, Catalog):
        return source, None
    inputs = open_inputs(run_config(find_run(Path(getattr(source, "folder", source)))))
    return inputs.train, inputs.held_out


def _read(image: Picture) -> tuple[np.ndarray, str]:
    """Return a picture's pixels, and the SHA-256 of its bytes where it is a file."""
    import numpy as np

    from untrain.catalogs.base import decode, read_image

    if isinstance(image, str | Path):
        pixels = read_image(image)  # which says what is wrong with it
        data = Path(image).expanduser().read_bytes()
        return pixels, hashlib.sha256(data).hexdigest()
    if isinstance(image, bytes):
        return np.asarray(decode(image, "picture")), hashlib.sha256(image).hexdigest()
    pixels = np.asarray(image if isinstance(image, np.ndarray) else image.convert("RGB"))
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(
            f"the picture is {pixels.dtype} of shape {pixels.shape}; expected uint8, "
            "height × width × 3"
        )
    return pixels, ""
