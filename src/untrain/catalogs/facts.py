"""The facts of a catalogue that somebody outside asks for: sizes, origins, licences, dates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.catalogs.content import sizes_of
from untrain.catalogs.exclude import column_of, domain_of, paths_of, url_column
from untrain.catalogs.reading import by_reason

LICENCES = ("licence", "license", "license_url", "rights", "usage_rights", "copyright")
"""Columns of a catalogue that say under which terms an image may be used, whatever the case."""
SHARE = 0.1  # of the domains that are named: those with the most content
MILLION, BILLION = 10**6, 10**9


def catalog_facts(catalog: Catalog) -> dict[str, Any]:
    """Return what is known of a catalogue, as JSON holds it; of each image the header is read once.

    Returns
    -------
    dict
        - ``fingerprint``; ``images`` (pairs) and ``distinct_images`` (by content)
        - ``bytes``, ``pixels``: of all pairs together; ``width``, ``height``: min, median, max
        - ``captions``: ``distinct``, ``words`` and ``bytes`` (UTF-8) of all together
        - ``bands``: the size of each modality as the Commission's template has it; None where it
          cannot be told
        - ``domains``: ``distinct``, ``without``: images without a URL, and ``largest``: the
          tenth of them with the most bytes, each ``domain``, ``images``, ``bytes``; None without a
          column of URLs
        - ``licences``: images by what the column of them says; None without one
        - ``dates``: ``first``, ``last`` day that a file was changed (UTC), and ``of``: how many
          files; None where there are no files
        - ``excluded``: as `Exclusion.to_dict`; ``skipped``: images by reason
        - ``duplicates``: ``groups`` of byte-identical images, ``images`` in them
    """
    sizes = sizes_of(catalog)
    pixels = int((sizes["width"].astype(np.int64) * sizes["height"]).sum())
    groups = catalog.duplicates()
    text = sum(len(caption.encode()) for caption in catalog.captions)
    return {
        "name": catalog.name,
        "fingerprint": catalog.fingerprint,
        "images": len(catalog),
        "distinct_images": len(np.unique(catalog.same_as)),
        "bytes": int(sizes["bytes"].sum()),
        "pixels": pixels,
        "width": _spread(sizes["width"]),
        "height": _spread(sizes["height"]),
        "captions": {
            "distinct": len(set(catalog.captions)),
            "words": sum(len(caption.split()) for caption in catalog.captions),
            "bytes": text,
        },
        "bands": {
            "image": _band(len(catalog)),
            # A token is at least a byte, so that fewer bytes are fewer tokens.
            "text": "less than 1 billion tokens" if text < BILLION else None,
        },
        "domains": _domains(catalog, sizes["bytes"]),
        "licences": _counts(column_of(catalog, LICENCES)),
        "dates": _dates(catalog),
        "excluded": [each.to_dict() for each in catalog.excluded],
        "skipped": {reason: len(names) for reason, names in by_reason(catalog.skipped).items()},
        "duplicates": {"groups": len(groups), "images": sum(map(len, groups))},
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    told = {"min": values.min(), "median": np.median(values), "max": values.max()}
    return {name: float(value) for name, value in told.items()}


def _band(images: int) -> str:
    if images < MILLION:
        return "less than 1 million images"
    return "1 million to 1 billion images" if images <= BILLION else "more than 1 billion images"


def _domains(catalog: Catalog, sizes: np.ndarray) -> dict[str, Any] | None:
    """Return the domains with the most content: the tenth of all that the template asks for."""
    urls = url_column(catalog)
    if urls is None:
        return None
    images: Counter[str] = Counter()
    content: Counter[str] = Counter()
    for url, size in zip(urls, sizes.tolist(), strict=True):
        domain = domain_of(url)
        images[domain] += 1
        content[domain] += size
    without = images.pop("", 0)
    largest = sorted(images, key=lambda d: (-content[d], d))[: math.ceil(SHARE * len(images))]
    named = [{"domain": d, "images": images[d], "bytes": content[d]} for d in largest]
    return {"distinct": len(images), "without": without, "largest": named}


def _counts(values: Sequence[str] | None) -> dict[str, int] | None:
    return None if values is None else dict(Counter(values).most_common())


def _dates(catalog: Catalog) -> dict[str, Any] | None:
    """Return when the files that images lie in were changed: in an archive, the archive."""
    times = []
    for path in _files(catalog):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    if not times:
        return None
    first, last = (
        datetime.fromtimestamp(t, UTC).date().isoformat() for t in (min(times), max(times))
    )
    return {"first": first, "last": last, "of": len(times)}


def _files(catalog: Catalog) -> Iterable[Path]:
    read: Any = catalog.read
    archives = getattr(read, "paths", None) or (
        [read.path] if hasattr(read, "path") and Path(read.path).is_file() else None
    )
    if archives is not None:
        return [Path(path) for path in archives]
    return map(Path, paths_of(catalog) or ())
