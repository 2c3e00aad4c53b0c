"""What a server holds in memory: the latest few values, how far work is, copies in a catalogue."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import UntrainError
from untrain.core.progress import watched
from untrain.search.duplicates import duplicate_groups

V = TypeVar("V")


class Latest(Generic[V]):
    """A few values by key, the least recently used of which make room; safe among threads."""

    def __init__(self, most: int, weigh: Callable[[V], int] = lambda value: 0, limit: int = 1):
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._one, self._most, self._weigh, self._limit = threading.Lock(), most, weigh, limit
        self._size = 0

    def get(self, key: Hashable) -> V | None:
        """Return a value, or None if it is not kept."""
        with self._one:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, key: Hashable, value: V) -> None:
        """Keep a value."""
        with self._one:
            if key in self._values:
                self._size -= self._weigh(self._values.pop(key))
            self._values[key] = value
            self._size += self._weigh(value)
            while len(self._values) > 1 and (
                len(self._values) > self._most or self._size > self._limit
            ):
                self._size -= self._weigh(self._values.popitem(last=False)[1])


@dataclass
class State:
    """How far work is that goes on aside."""

    what: str = "opening the catalogue"
    done: int = 0
    total: int = 0
    error: str = ""
    ready: bool = False

    def told(self, what: str, done: int, total: int) -> None:
        """Take what a progress bar says."""
        self.what, self.done, self.total = what, done, total

    @contextmanager
    def until_ready(self) -> Iterator[None]:
        """Watch the work of the block: at its end this is ready, or has the error."""
        try:
            with watched(self.told):
                yield
            self.ready = True
        except UntrainError as error:
            self.error = str(error)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
            raise


class Copies:
    """The copies in a catalogue: equal files at once, near copies once somebody asks for them.

    Parameters
    ----------
    catalog : Catalog
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._one, self._begun = catalog, threading.Lock(), False
        self.state = State("looking for near copies")
        self.near: pd.DataFrame | None = None

    @cached_property
    def exact(self) -> pd.DataFrame:
        """The groups of equal files, as `untrain.search.duplicates.duplicate_groups`."""
        return duplicate_groups(self._catalog, near=False)

    def start(self) -> None:
        """Begin to look for near copies, aside; what was found before is in the cache."""
        with self._one:
            if not self._begun:
                self._begun = True
                threading.Thread(target=self._look, daemon=True, name="near copies").start()

    def _look(self) -> None:
        with self.state.until_ready():
            self.near = duplicate_groups(self._catalog)
