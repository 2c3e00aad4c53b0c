"""Work on many items in threads, behind one progress bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TypeVar

from untrain.core.progress import bar
from untrain.core.threads import cores

S = TypeVar("S")
T = TypeVar("T")

CHUNK = 64  # items per task: small photographs decode faster than a thread pool hands them out


def in_threads(function: Callable[[S], T], items: Sequence[S], label: str = "") -> list[T]:
    """Return ``[function(each) for each in items]``, on all cores; a label shows a progress bar.

    Pillow releases the interpreter lock while it decodes, so threads pay off for large images.
    """
    threads = min(cores(), 8)
    size = max(1, min(CHUNK, len(items) // (4 * threads)))
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    results: list[T] = []
    shown = bar(label, len(items)) if label else nullcontext(lambda n: None)
    with ThreadPoolExecutor(threads) as pool, shown as advance:
        for part in pool.map(lambda chunk: [function(each) for each in chunk], chunks):
            results += part
            advance(len(part))
    return results
