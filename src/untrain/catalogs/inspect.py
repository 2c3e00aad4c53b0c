"""What is in a catalogue: counts, sizes, captions, copies, blanks and what was left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from untrain.catalogs.base import Catalog, Exclusion
from untrain.catalogs.reading import by_reason
from untrain.catalogs.sheet import contact_sheet, one_line, save_sheet
from untrain.core.files import rng
from untrain.core.images import decode, opened
from untrain.core.parallel import in_threads

NEAR_BLANK = 3.0  # standard deviation of all pixel values, 0–255: nothing to be seen below it
EXAMPLES = 5
TOP = 10


def inspect(catalog: Catalog) -> dict[str, Any]:
    """Summarise a catalogue as a dictionary that JSON can hold; decodes every image.

    Returns
    -------
    dict
        ``name``, ``fingerprint``, ``images`` (their number) and

        - ``sizes``: ``distinct``; ``width``, ``height`` (min, median, max; pixels, upright);
          ``common``, the commonest as ``"60×80": count``
        - ``modes``: as stored, e.g. ``{"RGB": 12}``
        - ``captions``: ``distinct``, ``words`` (min, median, max), ``vocabulary`` (different
          words between white space, in lower case)
        - ``skipped``: by reason, ``count`` and ``examples``
        - ``excluded``: what each opt-out list and reservation kept out, as `Exclusion.to_dict`, by
          its name
        - ``duplicates``: ``groups`` of byte-identical images, ``files`` in them,
          ``different_captions``: groups with more than one caption, and ``differing``: for each
          attribute the groups with more than one value of it
        - ``near_blank``: ``threshold`` on the standard deviation of the pixel values, ``ids``
          of the images below it
        - ``attributes``: for each, ``distinct`` values and the commonest, ``top``
    """
    measured = in_threads(
        lambda i: _measure(catalog.encoded(i), i), catalog.ids, "inspecting images"
    )
    widths, heights, modes, spreads = zip(*measured, strict=True) if measured else ((),) * 4
    sizes = Counter(f"{w}×{h}" for w, h in zip(widths, heights, strict=True))
    blank = [i for i, spread in zip(catalog.ids, spreads, strict=True) if spread < NEAR_BLANK]
    return {
        "name": catalog.name,
        "fingerprint": catalog.fingerprint,
        "images": len(catalog),
        "sizes": {
            "distinct": len(sizes),
            "width": _spread(widths),
            "height": _spread(heights),
            "common": dict(sizes.most_common(TOP)),
        },
        "modes": dict(Counter(modes).most_common()),
        "captions": _captions(catalog),
        "skipped": {
            reason: {"count": len(names), "examples": names[:EXAMPLES]}
            for reason, names in by_reason(catalog.skipped).items()
        },
        "excluded": {each.source: _excluded(each) for each in catalog.excluded},
        "duplicates": _duplicates(catalog),
        "near_blank": {"threshold": NEAR_BLANK, "ids": blank},
        "attributes": _attributes(catalog),
    }


def inspect_sheet(catalog: Catalog, path: Path, n: int = 48, seed: int = 0) -> None:
    """Write a PNG with ``n`` images drawn at random (all, if there are fewer).

    Under each stand its id and its caption.
    """
    count = min(n, len(catalog))
    rows = np.sort(rng("inspect-sheet", seed).choice(len(catalog), count, replace=False))
    ids = [catalog.ids[row] for row in rows]
    labels = [f"{catalog.ids[row]}\n{one_line(catalog.captions[row])}" for row in rows]
    pictures = [catalog.image(image_id) for image_id in ids]
    save_sheet(contact_sheet(pictures, columns=7, cell=112, labels=labels, wrap=3), Path(path))


def _measure(data: bytes, image_id: str) -> tuple[int, int, str, float]:
    """Return width and height, the mode as stored, and the standard deviation of the values."""
    with opened(data, image_id) as header:
        mode = header.mode
    image = decode(data, image_id)
    # From the histogram: exact, and without an array of floats the size of the picture.
    counts = np.reshape(image.histogram(), (3, 256)).sum(axis=0)
    values = np.arange(256)
    mean = (counts * values).sum() / counts.sum()
    variance = (counts * (values - mean) ** 2).sum() / counts.sum()
    return image.width, image.height, mode, float(np.sqrt(variance))


def _spread(values: Any) -> dict[str, float]:
    if not len(values):
        return {}
    return {
        "min": int(np.min(values)),
        "median": float(np.median(values)),
        "max": int(np.max(values)),
    }


def _captions(catalog: Catalog) -> dict[str, Any]:
    words = [caption.lower().split() for caption in catalog.captions]
    return {
        "distinct": len(set(catalog.captions)),
        "words": _spread([len(w) for w in words]),
        "vocabulary": len({word for caption in words for word in caption}),
    }


def _excluded(told: Exclusion) -> dict[str, Any]:
    return {k: v for k, v in told.to_dict().items() if k != "source"}


def _duplicates(catalog: Catalog) -> dict[str, Any]:
    groups = [[catalog.index[i] for i in group] for group in catalog.duplicates()]

    def disagreeing(values: Any) -> int:
        return sum(len({values[row] for row in group}) > 1 for group in groups)

    return {
        "groups": len(groups),
        "files": sum(map(len, groups)),
        "different_captions": disagreeing(catalog.captions),
        "differing": {
            str(name): disagreeing(column.tolist()) for name, column in catalog.attributes.items()
        },
    }


def _attributes(catalog: Catalog) -> dict[str, Any]:
    summary = {}
    for name, column in catalog.attributes.items():
        counts = Counter(map(str, column))
        summary[str(name)] = {"distinct": len(counts), "top": dict(counts.most_common(TOP))}
    return summary
