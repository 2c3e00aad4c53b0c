"""Embedding the pictures of a catalogue, a batch after another: here, or wherever an engine does.

Which pictures share a batch decides rounding, so an engine divides them where this module would:
after multiples of `BATCH`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Protocol

import numpy as np

from untrain.catalogs.base import Catalog, ReadBytes
from untrain.core.errors import InputError
from untrain.core.images import decode
from untrain.encoders.base import Encoder

BATCH = 16  # images decoded at a time; one batch is in hand and two are ahead of it

Features = Generator[np.ndarray, None, None]


class Embedding(Protocol):
    """Embeds pictures, wherever; features do not depend on it, except for rounding."""

    def __call__(self, encoder: Encoder, catalog: Catalog, ids: Sequence[str]) -> Features:
        """Yield features, float16 (n, d), of the pictures ``ids``, in their order, a few at a time.

        Raises
        ------
        InputError
            An image cannot be read or decoded, or its features do not fit half precision.
        """
        ...


def here(encoder: Encoder, catalog: Catalog, ids: Sequence[str]) -> Features:
    """Embed pictures in this process, see `Embedding`."""
    return embedded(encoder, catalog.encoded, ids)


def embedded(encoder: Encoder, read: ReadBytes, ids: Sequence[str]) -> Features:
    """Yield features, float16 (at most `BATCH`, d), of pictures; a thread decodes the next ones."""
    with closing(_decoded(read, ids)) as batches:
        for images in batches:
            yield halved(encoder.encode(images))


def halved(features: np.ndarray) -> np.ndarray:
    """Return features in half precision; `InputError` if they do not fit."""
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    if not np.isfinite(half).all():
        raise InputError(
            "the encoder's features are not finite or above 65,504, the most that half "
            "precision can hold; use another layer or pooling"
        )
    return half


def _decoded(read: ReadBytes, ids: Sequence[str]) -> Generator[list[np.ndarray], None, None]:
    def batch(start: int) -> list[np.ndarray]:
        wanted = ids[start : start + BATCH]
        return [np.asarray(decode(read(image_id), image_id)) for image_id in wanted]

    ahead: deque[Future[list[np.ndarray]]] = deque()
    pool = ThreadPoolExecutor(1)
    try:
        for start in range(0, len(ids), BATCH):
            ahead.append(pool.submit(batch, start))
            if len(ahead) > 2:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
