"""Where what is worth keeping across runs is kept: features, listings of catalogues, indexes."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

VARIABLE = "UNTRAIN_CACHE"


def cache_folder(*parts: str) -> Path:
    """Return a folder of the cache: below ``$UNTRAIN_CACHE``, or else where the system keeps caches.

    Everything in it can be made again: deleting it costs time, never results.
    """
    given = os.environ.get(VARIABLE)
    root = Path(given).expanduser() if given else user_cache_path("untrain", appauthor=False)
    return root.joinpath(*parts)
